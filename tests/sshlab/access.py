"""How the machines of a lab are reached: keys, known_hosts, ssh_config and the inventory, all in the lab's folder.

The bastion's leg gets its key and known hosts from ssh_config: ``-o`` options do not travel to the ssh that ProxyJump starts, and ``-F``
does. The inventory says both, ``-F`` and ``-o ProxyJump``, so that a program which honours only one of them has its way.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.sshlab.plan import Blueprint, Blueprints

_AT_ONCE = 8


def make_keys(folder: Path, names: list[str]) -> None:
    """A key pair for each name, ed25519, without passphrase: ``folder/NAME`` and ``folder/NAME.pub``."""
    waiting = [["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)] for name in names]
    while waiting:
        begun = [subprocess.Popen(argv, stdin=subprocess.DEVNULL) for argv in waiting[:_AT_ONCE]]
        del waiting[:_AT_ONCE]
        for process in begun:
            if process.wait(timeout=30) != 0:
                raise OSError("ssh-keygen could not make a key")


def write(folder: Path, lab: Blueprints, *, bare: bool) -> None:
    """The files that ssh, Ansible and we read."""
    everybody = (lab.bastion, *lab.machines)
    (folder / "known_hosts").write_text("".join(_known(folder, one) for one in everybody))
    (folder / "ssh_config").write_text(_ssh_config(folder, lab))
    (folder / "inventory.yaml").write_text(_inventory(folder, lab, bare=bare))


def _known(folder: Path, one: Blueprint) -> str:
    kind, key = (folder / "keys" / f"{one.name}.pub").read_text().split()[:2]
    return f"{one.name},{one.address} {kind} {key}\n"


def _ssh_config(folder: Path, lab: Blueprints) -> str:
    every = " ".join(f"{one.name} {one.address}" for one in lab.machines)
    parts = [
        f"# ssh -F {folder}/ssh_config {lab.machines[0].name}\n",
        *(f"Host {one.name}\n  HostName {one.address}\n" for one in (lab.bastion, *lab.machines)),
        f"Host {every}\n  ProxyJump bastion\n",
        "Host *\n  User ubuntu\n  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n  BatchMode yes\n",
        f"  IdentityFile {folder}/keys/user\n  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n",
    ]
    return "".join(parts)


def _inventory(folder: Path, lab: Blueprints, *, bare: bool) -> str:
    first = lab.machines[0].name
    jump = f"ubuntu@{lab.bastion.address}:22"
    options = f"-F {folder}/ssh_config -o ProxyJump={jump} -o UserKnownHostsFile={folder}/known_hosts"
    lines = [
        f"# Machines of an SSH lab: ssh -F {folder}/ssh_config {first}",
        f"#                         ansible -i {folder}/inventory.yaml all -m ping",
        f"#                         orchestrate run connection-refused.yaml --inventory {folder}/inventory.yaml",
        "all:",
        "  vars:",
        "    ansible_user: ubuntu",
        f"    ansible_ssh_private_key_file: {folder}/keys/user",
        f'    ansible_ssh_common_args: "{options}"',
        "    ansible_python_interpreter: /usr/bin/python3",
        "  hosts:",
    ]
    for one in lab.machines:
        lines += [f"    {one.name}:", f"      ansible_host: {one.address}"]
        if bare:
            macs = ", ".join(f'{nic.network}: "{nic.mac}"' for nic in one.nics)
            lines += ["      configure: true", f"      macs: {{{macs}}}"]
    return "\n".join(lines) + "\n"
