"""What a run could leave behind on this machine, and who belongs to it.

The tests' own process becomes the reaper of its descendants (prctl(2), PR_SET_CHILD_SUBREAPER): whatever a run leaves, forked twice or in
a session of its own, with whatever environment, hangs under it. So other people's runs on the same machine do not count.
"""

from __future__ import annotations

import ctypes
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 5.0
KINDS = ("net", "pid", "mnt", "uts", "ipc", "user")
_PR_SET_CHILD_SUBREAPER = 36
_OWN_INTERFACES = {name for _index, name in socket.if_nameindex()}


def adopt() -> None:
    """From now on orphans among our descendants become our children."""
    assert ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def processes(root: int | None = None) -> list[int]:
    """The living descendants of ``root``, or of the tests themselves, without SSH labs, which leave with their fixture."""
    parents: dict[int, int] = {}
    for pid, fields in _stats():
        if fields[0] != "Z":
            parents[pid] = int(fields[1])
    if root is None:
        parents = {pid: parent for pid, parent in parents.items() if not _is_keeper(pid)}
    found, fresh = set(), {root or os.getpid()}
    while fresh := {pid for pid, parent in parents.items() if parent in fresh and pid not in found}:
        found |= fresh
    return sorted(found)


def _is_keeper(pid: int) -> bool:
    with suppress(OSError):
        return b"\0tests.sshlab.keeper\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _stats() -> Iterator[tuple[int, list[str]]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                yield int(entry), Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()


def namespaces() -> set[str]:
    """The namespaces that any process of this machine holds."""
    found = set()
    for pid, _fields in _stats():
        for kind in KINDS:
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found


def hosts(root: int) -> list[int]:
    """The agents of the run that ``root`` controls: each is process 1 of a PID namespace two levels down."""
    return [pid for pid in processes(root) if _first_of(pid, 3)]


def makers(root: int) -> list[int]:
    """The process of a run that makes its hosts: process 1 of the namespace around them all."""
    return [pid for pid in processes(root) if _first_of(pid, 2)]


def switches(root: int) -> list[int]:
    """The processes that hold the links of a run's hosts: children of their maker, in its PID namespace."""
    return [pid for pid in processes(root) if len(numbers := _numbers(pid)) == 2 and numbers[-1] != "1"]


def _first_of(pid: int, levels: int) -> bool:
    """Whether a process is process 1 of a PID namespace, so many levels deep."""
    numbers = _numbers(pid)
    return len(numbers) == levels and numbers[-1] == "1"


def _numbers(pid: int) -> list[str]:
    """A process's number in each PID namespace that it is in, from the outermost; none if it has gone."""
    with suppress(OSError):
        return _field(pid, "NSpid")
    return []


def _field(pid: int, name: str) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    return []


def describe(pids: list[int]) -> list[str]:
    """The command lines, for a failed test's message."""
    told = []
    for pid in pids:
        with suppress(OSError):
            told.append(f"{pid}: {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
    return told


def wait_for_none() -> list[str]:
    """Wait, with a bound, until none of our descendants lives; gives those that do, and reaps the others."""
    end = time.monotonic() + PATIENCE_S
    while (left := processes()) and time.monotonic() < end:
        time.sleep(0.005)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return describe(left)


def files() -> set[str]:
    """What runs could have put outside their folders."""
    folders = ("/tmp", "/var/tmp", "/run", "/run/lab", "/dev/shm")
    return {str(path) for folder in folders for path in Path(folder).glob("*") if "orchestrate" in path.name or "lab" in path.name}


def settings() -> dict[str, str]:
    """Every parameter of this machine's own network that can be set, and its routes; other people's interfaces may come and go."""
    found = {}
    for folder, folders, files in os.walk("/proc/sys/net"):
        if Path(folder).name in ("conf", "neigh"):
            folders[:] = [name for name in folders if name in ("all", "default", "lo")]
        for path in (Path(folder) / name for name in files):
            if path.stat().st_mode & 0o600 == 0o600:
                try:
                    found[str(path)] = path.read_text()
                except (OSError, UnicodeDecodeError):
                    found[str(path)] = "cannot be read"
    routes = Path("/proc/self/net/route").read_text().splitlines()
    found["routes"] = "\n".join(line for line in routes if line.split()[0] in _OWN_INTERFACES)
    found["ours"] = " ".join(name for _index, name in socket.if_nameindex() if name.startswith(("br1", "p1.")))
    return found


def kernels_networks() -> int:
    """How many network namespaces the kernel holds, by its own allocator (give or take what it keeps ready); -1 where it does not tell."""
    with suppress(OSError):
        for line in Path("/proc/slabinfo").read_text().splitlines():
            if line.startswith("net_namespace "):
                return int(line.split()[1])
    return -1
