"""The system calls that make a process a host: namespaces(7), mount(2), prctl(2), through ctypes.

Python has ``os.unshare`` and ``os.setns`` only from 3.12 on. Every call here raises ``OSError`` with the name of what was refused, so that
a person can be told what to permit.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket

from orchestrator.agent.doing.view import CLONE_NEWNS, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, check, mount, unshare

CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1

FOLDER = "/run/lab"
"""A host's own folder, on a file system in memory that only it sees."""

_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd: int, kind: int, what: str) -> None:
    """Enter the namespace that ``fd`` holds open."""
    check(_libc.setns(fd, kind), f"setns({what})")


def die_with_parent() -> None:
    """Be killed when the process that forked us ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def become_root_of_own() -> None:
    """Enter a user namespace where this user is root (user_namespaces(7)); needs no privilege where the system allows it."""
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER, "user namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def become_host(name: str, hosts: str) -> dict[str, object]:
    """Give this process (process 1 of its PID namespace) a network, a name and a view of its own; gives what its greeting says.

    ``hosts`` is the text of its ``/etc/hosts``. The order matters: mounts become private before the first of them, and ``/proc`` is mounted
    anew so that ``ps``, ``lsof`` and ``ss -p`` show this host alone. A container that masks parts of ``/proc`` refuses that
    (mount_namespaces(7)): the host then works with the outer view.
    """
    unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS, "network, UTS, IPC and mount namespaces")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    socket.sethostname(name)
    missing: list[str] = []
    _mount_own("proc", "/proc", MS_NOEXEC, missing)
    _mount_own("sysfs", "/sys", MS_NOEXEC, missing)
    folder = _make_folder(missing)
    if folder:
        _name_neighbours(hosts, missing)
    # No duplicate address detection, no router solicitation: a lab's wire carries what the lab sends.
    _default_ipv6(accept_dad="0", dad_transmits="0", accept_ra="0", router_solicitations="0")
    return {"left_out": missing, "folder": folder}


def _mount_own(kind: str, target: str, flags: int, missing: list[str]) -> bool:
    try:
        mount(kind, target, kind, MS_NOSUID | MS_NODEV | flags, "mode=755" if kind == "tmpfs" else "")
    except OSError as error:
        missing.append(error.strerror or str(error))
        return False
    return True


def become_switch() -> dict[str, object]:
    """A network of its own and nothing else; its bridges carry IPv6 and take no part in it. Gives what its greeting says: nothing."""
    unshare(CLONE_NEWNET, "network namespace")
    _default_ipv6(disable_ipv6="1")
    return {}


def _default_ipv6(**settings: str) -> None:
    """What interfaces that are still to come begin with."""
    for key, value in settings.items():
        try:
            with open(f"/proc/sys/net/ipv6/conf/default/{key}", "w", encoding="ascii") as file:
                file.write(value)
        except OSError:
            return  # a kernel without IPv6


def _make_folder(missing: list[str]) -> str | None:
    """The host's own folder, where it begins. Never on a file system of this machine, where nobody would clear up after a kill."""
    if not _mount_own("tmpfs", "/run", 0, missing):
        return None
    os.mkdir(FOLDER, 0o700)
    os.chdir(FOLDER)
    return FOLDER


def _name_neighbours(hosts: str, missing: list[str]) -> None:
    try:
        with open(f"{FOLDER}/.hosts", "w", encoding="ascii") as file:
            file.write(hosts)
        os.chmod(f"{FOLDER}/.hosts", 0o644)
        mount(f"{FOLDER}/.hosts", "/etc/hosts", "", MS_BIND)
    except OSError as error:
        missing.append(f"/etc/hosts: {error.strerror or error}")
