"""Real OpenSSH servers on machines that are namespaces of this one, behind a bastion: ``python -m tests.sshlab up``."""
