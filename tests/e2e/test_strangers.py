"""An ordinary other user on a machine can neither read nor change a run, nor lay traps where we go."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Controller
from tests.integration.program import scenario
from tests.sshlab.machines import Machine

pytestmark = pytest.mark.namespaces
SECRET = "a-secret-that-nobody-else-may-read"
TEXT = """
topology: two-hosts
steps:
  - {host: romeo, file: {name: secret.txt, text: a-secret-that-nobody-else-may-read}}
  - {host: romeo, run: "sleep 555", timeout: 50s}
"""


@contextmanager
def under_way(controller: Controller) -> Iterator[Machine]:
    romeo = controller.lab.machines["romeo"]
    process = controller.start("run", scenario(controller.folder, "secret", TEXT), *controller.i)
    romeo.wait_for_processes("sleep 555")
    yield romeo
    process.send_signal(signal.SIGINT)
    assert controller.ended(process).code == 130


def as_guest(machine: Machine, words: str) -> str:
    done = machine.run(["sh", "-c", words], user="guest")
    return done.stdout + done.stderr


def test_nothing_of_a_run_can_be_read(two_hosts: Controller) -> None:
    before = as_guest(two_hosts.lab.machines["romeo"], "ss -Hltnux; cat /proc/net/unix | grep -c @")
    with under_way(two_hosts) as romeo:
        key = two_hosts.directories()[0].name.rpartition("-")[2]
        assert "Permission denied" in as_guest(romeo, "ls /run/orchestrate")
        assert romeo.run(["stat", "-c", "%a %U", "/run/orchestrate"]).stdout == "700 root\n"
        modes = romeo.run(["sh", "-c", "find /run/orchestrate -mindepth 1 -maxdepth 1 -printf '%m %u %y\\n'"]).stdout.split("\n")[:-1]
        assert modes
        assert {mode.split()[0] for mode in modes if mode.endswith(" f")} == {"600"}
        assert {mode.split()[0] for mode in modes if mode.endswith(" d")} == {"700"}
        assert {mode.split()[1] for mode in modes} == {"root"}
        assert SECRET not in as_guest(romeo, "grep -rs a-secret /run /tmp /var/tmp /dev/shm /home")
        assert SECRET in romeo.run(["sh", "-c", "cat /run/orchestrate/*/secret.txt"]).stdout
        assert as_guest(romeo, "ss -Hltnux; cat /proc/net/unix | grep -c @") == before
        words = as_guest(romeo, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        for hidden in (SECRET, key, str(two_hosts.lab.folder), "198.18."):
            assert hidden not in words
        agents = [one.pid for one in romeo.processes("python3") if one.user == 0]
        assert agents
        for pid in agents:
            assert "Permission denied" in as_guest(romeo, f"cat /proc/{pid}/environ")
            assert "Permission denied" in as_guest(romeo, f"ls /proc/{pid}/fd /proc/{pid}/cwd/")
            assert "ermitted" in as_guest(romeo, f"kill -9 {pid}")


TRAPS = {
    "a symlink": "ln -s /home/guest /run/orchestrate",
    "a folder of the guest": "mkdir /run/orchestrate && chown guest /run/orchestrate",
    "a folder that all may enter": "mkdir /run/orchestrate && chmod 777 /run/orchestrate",
    "a file": "touch /run/orchestrate",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_where_the_lock_goes_is_told_and_not_stepped_into(two_hosts: Controller, trap: str) -> None:
    """Only root can write into /run; were it otherwise on some machine, this is what would happen."""
    romeo = two_hosts.lab.machines["romeo"]
    assert romeo.run(["sh", "-c", TRAPS[trap]]).returncode == 0
    try:
        done = two_hosts.run("run", "connection-refused", *two_hosts.i, "--json")
        assert romeo.run(["sh", "-c", "ls -A /home/guest/ | grep -v '^[.]'"]).stdout == ""
    finally:
        romeo.run(["rm", "-r", "/run/orchestrate"])
    assert done.code == 3, done
    reason = json.loads(done.out)["runs"][0]["reason"]
    assert reason.startswith("romeo: /run/orchestrate"), reason


def test_names_in_shared_folders_that_are_taken_already(two_hosts: Controller) -> None:
    """As an ordinary user the agent has its folder in the user's own home; in /tmp nothing has a name that can be known before."""
    romeo = two_hosts.lab.machines["romeo"]
    names = " ".join(f"{folder}/{name}" for folder in ("/tmp", "/var/tmp", "/dev/shm") for name in ("orchestrate", "lab", ".orchestrate"))
    assert as_guest(romeo, f"for name in {names}; do ln -s /home/guest/trap $name; done") == ""
    try:
        done = two_hosts.run("run", "netcat-client-closes", *two_hosts.i)
        assert not (romeo.files / "home/guest/trap").exists()
    finally:
        as_guest(romeo, f"rm {names}")
    assert done.code == 0, done
