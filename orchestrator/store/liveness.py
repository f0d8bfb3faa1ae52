"""How far a run came: going on, ended without a report, whole; and whether its hosts are still up.

Judged from the folder, the kernel's locks and its processes, never from what a run wrote before it was killed: the lock goes with the
process that held it, and a process is known by its number and by when it began.
"""

from __future__ import annotations

import calendar
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.errors import StoreError
from orchestrator.model.words.values import Record
from orchestrator.store.directory import RECORD, REPORT, RunDirectory


class LiveRun(Record, frozen=True, kw_only=True):
    """What ``orchestrate shell`` needs to find hosts that are up: the controller's process id and each host's.

    Of a host that is a machine of an inventory, ``logins`` has the words of ssh(1) that lead there instead.
    ``born`` says when each of these processes began (:func:`born`), because the system gives its number to another one after its end.
    """

    controller: int
    user_namespace: bool
    hosts: dict[str, int]
    born: dict[int, int]
    logins: dict[str, tuple[str, ...]] = {}

    def has(self, host: str) -> bool:
        """Whether a host of that name is up, and whoever keeps it."""
        processes = [self.controller, *([] if host in self.logins else [self.hosts.get(host, 0)])]
        return all(self.born.get(pid, -1) == born(pid) != -1 for pid in processes)


def born(pid: int) -> int:
    """When a process began, in ticks since the machine did (proc_pid_stat(5), field 22); -1 where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return -1


@contextmanager
def going_on(run: RunDirectory) -> Iterator[None]:
    """Meanwhile :func:`state` says so to everybody. The kernel takes the lock back when this process dies."""
    folder = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some file systems have no locks: there nobody can tell
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(folder)


def run_id(run: RunDirectory) -> str:
    """As the folder's name tells."""
    return run.path.name.rpartition("-")[2]


def began_ns(run: RunDirectory) -> int:
    """When it began, as the folder's name tells; 0 where that is no time."""
    with suppress(ValueError):
        stamp, _, rest = run.path.name.partition("Z-")[0].partition(".")
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%S")) * 1_000_000_000 + int(rest) * 1_000_000
    return 0


def state(run: RunDirectory) -> str:
    """How far it came: ``""`` to its report, else ``going on``, ``unjudged`` (it was recorded) or ``unfinished``."""
    if run.has(REPORT):
        return ""
    return "going on" if _is_locked(run.path) else "unjudged" if run.has(RECORD) else "unfinished"


def must_have(run: RunDirectory, name: str) -> None:
    """Check that it came to a stage.

    :raises StoreError: it did not; says whether it still may.
    """
    told = {
        "going on": f"is still going on{_in_process(run.path)}",
        "unjudged": f"was recorded and not judged: `orchestrate recheck {run_id(run)}` does that",
    }
    if not run.has(name):
        why = told.get(
            state(run), "never came to an end: whoever ran it was killed or could not write, and nothing was recorded that could be judged"
        )
        raise StoreError(f"run {run_id(run)} of {run.path.parent.name} {why}; there is no {name} in {run.path}")


def _is_locked(path: Path) -> bool:
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(folder)
    return False


def _in_process(folder: Path) -> str:
    """Who holds the lock on ``folder``, as proc_locks(5) has it."""
    with suppress(OSError):
        inode = str(folder.stat().st_ino)
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return f" in process {words[4]}"
    return ""
