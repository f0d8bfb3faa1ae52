"""The run directory: each stage written as it ends, and read back. ``runs/<scenario>/<utc>-<run id>/``.

Files appear whole or not at all (written beside, then renamed), except captures, which grow. ``latest`` is replaced by rename, so it always
points at a run. What hosts call things never becomes a path: names come from the plan, and are checked even so.
"""

from __future__ import annotations

import calendar
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from orchestrator.errors import TOO_MANY_FILES, StoreError, UsageError
from orchestrator.model.record import RunRecord
from orchestrator.model.words.values import Record

T = TypeVar("T", bound=Record)

PLAN, RECORD, EVIDENCE, VERDICTS, REPORT, LIVE = "plan.json", "record.json", "evidence.json", "verdicts.json", "report.json", "live.json"
INPUTS = "inputs"
RECHECK_PLAN = "recheck-plan.json"
"""The plan with the expectations of the last recheck that brought its own; the plan that ran stays as it was."""
FAULT = "fault.txt"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\Z")


class LiveRun(Record, frozen=True, kw_only=True):
    """What ``orchestrate shell`` needs to find hosts that are up: the controller's process id and each host's.

    ``born`` says when each of these processes began (:func:`born`), because the system gives its number to another one after its end.
    """

    controller: int
    user_namespace: bool
    hosts: dict[str, int]
    born: dict[int, int]

    def has(self, host: str) -> bool:
        """Whether a host of that name is up, and whoever keeps it."""
        processes = [self.controller, self.hosts.get(host, 0)]
        return all(self.born.get(pid, -1) == born(pid) != -1 for pid in processes)


def born(pid: int) -> int:
    """When a process began, in ticks since the machine did (proc_pid_stat(5), field 22); -1 where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return -1


class RunDirectory:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, scenario: str, run_id: str, now_ns: int) -> RunDirectory:
        """Make a new folder, exclusively, and point ``latest`` at it.

        :raises StoreError: the disk is full, or not ours to write.
        """
        seconds, rest = divmod(now_ns, 1_000_000_000)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds)) + f".{rest // 1_000_000:03d}Z"
        folder = root / scenario
        path = folder / f"{stamp}-{run_id}"
        try:
            path.mkdir(parents=True)
        except OSError as error:  # whatever is there already is not ours to remove
            raise _failed("make", path, error) from error
        try:
            _point(folder / "latest", path.name, run_id)
        except OSError as error:
            with suppress(OSError):
                path.rmdir()
            raise _failed("make", path, error) from error
        return cls(path)

    def write(self, name: str, record: Record) -> None:
        """Keep one stage."""
        self._write(self.path / name, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")

    def write_text(self, name: str, text: str) -> None:
        """Keep a text under a plain name."""
        self._write(self.path / name, text.encode())

    def keep_input(self, name: str, data: bytes) -> None:
        """Keep an input as it was read; beside another one of its name (a scenario's topology, say) it gets a number."""
        first = path = self.path / INPUTS / name
        number = 1
        try:
            path.parent.mkdir(exist_ok=True)
            while path.exists() and path.read_bytes() != data:
                number += 1
                path = first.with_name(f"{first.stem}-{number}{first.suffix}")
        except OSError as error:
            raise _failed("write", path, error) from error
        self._write(path, data)

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.part")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        except OSError as error:
            with suppress(OSError):  # a file system that has become read-only refuses this too
                beside.unlink()
            raise _failed("write", path, error) from error

    def read(self, name: str, kind: type[T]) -> T:
        """One stage again.

        :raises StoreError: it is not there, or not what this version wrote.
        """
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except OSError as error:
            raise _failed("read", path, error) from error
        except msgspec.DecodeError as error:
            raise StoreError(f"{path} is no {name} that this version can read: {error}") from error

    def has(self, name: str) -> bool:
        """Whether a stage was kept."""
        return (self.path / name).exists()

    def remove(self, name: str) -> None:
        """Forget what no longer holds; where that is refused, readers find out by themselves (see :func:`find_live`)."""
        with suppress(OSError):
            (self.path / name).unlink()


class CaptureFiles:
    """The captures of a run as they come, and again when they are read. Called as in the lab: ``romeo-tcp-connection-refused.pcap``."""

    def __init__(self, folder: Path, scenario: str, hosts: tuple[str, ...]) -> None:
        stem = scenario if scenario.startswith(("tcp-", "udp-")) else f"tcp-{scenario}"
        self._paths = {host: folder / f"{host}-{stem}.pcap" for host in hosts if _PLAIN.match(host)}
        self._open: dict[str, IO[bytes]] = {}
        self.kept_bytes = 0

    def name(self, host: str) -> str:
        """The plain name of a host's capture."""
        return self._paths[host].name

    def write(self, host: str, data: bytes) -> None:
        """Append to the capture of ``host``, one of those named before the run; unbuffered, so that a full disk is told here.

        :raises StoreError: the disk is full, or not ours to write.
        """
        left = memoryview(data)
        self.kept_bytes += len(data)
        try:
            if host not in self._open:
                self._open[host] = self._paths[host].open("wb", buffering=0)
            while left:
                left = left[self._open[host].write(left) :]
        except OSError as error:
            raise _failed("write", self._paths[host], error) from error

    def close(self) -> None:
        """All that was captured is in its file."""
        for host, file in self._open.items():
            try:
                file.close()
            except OSError as error:
                raise _failed("write", self._paths[host], error) from error
        self._open = {}


def read_captures(folder: Path, record: RunRecord) -> Mapping[str, bytes]:
    """The bytes of each capture of a run, by host; a file that cannot be read counts as missing."""
    found: dict[str, bytes] = {}
    for capture in record.captures:
        if _PLAIN.match(capture.file):
            with suppress(OSError):
                found[capture.host] = (folder / capture.file).read_bytes()
    return found


def _point(link: Path, target: str, run_id: str) -> None:
    beside = link.with_name(f".latest-{run_id}")
    os.symlink(target, beside)
    try:
        beside.replace(link)
    except OSError:
        beside.unlink()
        raise


def _failed(what: str, path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"cannot {what} {path}: the disk is full; free some space, or name another folder with --runs")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return StoreError(f"cannot {what} {path}: {error.strerror}; name a folder that you may write with --runs")
    if error.errno == errno.EMFILE:
        return StoreError(f"cannot {what} {path}: {TOO_MANY_FILES}")
    return StoreError(f"cannot {what} {path}: {error.strerror or error}")


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
        why = told.get(state(run), "never came to an end: whoever ran it was killed, and nothing was recorded that could be judged")
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


def kept_in(text: str) -> Path:
    """The folder that a person named for runs; it need not be there yet.

    :raises UsageError: it cannot be one.
    """
    try:
        file = next((path for path in (Path(text), *Path(text).parents) if path.exists() and not path.is_dir()), None)
    except PermissionError:
        file = None  # told when something is to be read or written there
    except OSError as error:
        raise UsageError(f"--runs {text}: {error.strerror}") from error
    if file is not None or not text:
        raise UsageError(f"--runs {text or repr(text)}: {f'{file} is no folder' if file else 'that names no folder'}")
    return Path(text)


def every_run(root: Path) -> Iterator[RunDirectory]:
    """All runs under ``root``, oldest first."""
    found = [path for path in root.glob("*/*") if path.is_dir() and not path.is_symlink() and "Z-" in path.name]
    return (RunDirectory(path) for path in sorted(found, key=lambda path: path.name))


def find_run(root: Path, wanted: str) -> RunDirectory:
    """A run by its folder, by (the begin of) its id, by ``<scenario>`` or ``latest`` for the newest.

    :raises UsageError: there is none, or several.
    """
    path = Path(wanted)
    if (path / PLAN).exists() or (path / RECORD).exists():
        return RunDirectory(path.resolve())
    runs = list(every_run(root))
    if wanted == "latest" and runs:
        return runs[-1]
    named = [run for run in runs if run.path.parent.name == wanted]
    if named:
        return named[-1]
    fitting = [run for run in runs if run.path.name == wanted or run.path.name.rpartition("Z-")[2].startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{len(fitting)} runs begin with {wanted!r}: give more of the id")
    if not runs:
        raise UsageError(f"no run is kept in {root}: start one with `orchestrate run FILE`, or name another folder with --runs")
    raise UsageError(f"no run is called {wanted!r} in {root}; `orchestrate ls` lists them")


def find_live(root: Path, host: str, wanted: str = "") -> tuple[RunDirectory, LiveRun]:
    """The run whose hosts are up, with a host of that name; ``wanted`` says which, as for :func:`find_run`.

    :raises UsageError: there is none, or several.
    """
    found = []
    for run in [find_run(root, wanted)] if wanted else every_run(root):
        with suppress(StoreError):  # most runs have none, and one of another version must not hide the others
            live = run.read(LIVE, LiveRun)
            if live.has(host):
                found.append((run, live))
    if len(found) > 1:
        names = "".join(f"\n  --run {run_id(run)}  {run.path.parent.name}" for run, _live in found)
        raise UsageError(f"{len(found)} runs keep a host {host} up; say whose is meant:{names}")
    if not found:
        raise UsageError(f"no host {host} is up in {wanted or root}: start one with `orchestrate run --keep FILE`")
    return found[0]
