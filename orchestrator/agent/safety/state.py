"""Where the safety of this host keeps its files, and the lock that makes a host one run's alone.

Root's are in ``/run/orchestrate``: on a file system in memory, so that they live exactly as long as the rules, addresses and settings that
they describe; after a restart of the host there is nothing to undo, and nothing that says so. An ordinary user's are in
``$XDG_RUNTIME_DIR/orchestrate``, or else in ``~/.cache/orchestrate``. The folder must be ours and ours alone, or it is not used. The
surprising fact: the lock is the kernel's (flock(2)), not the file's; it can't go stale, and the file says only who holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from orchestrator.agent.lean import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRIES = 20
_PAUSE_S = 0.005
_DIGITS = frozenset("0123456789abcdef")
_LONGEST_RUN = 32


class Held(Exception):
    """Another run has this host, or has left something undone on it."""


class Unsafe(Exception):
    """The folder for locks and journals is not ours alone, or cannot be made; says what to do."""


def named(facts: dict[str, Any]) -> str:
    """A run for people: its id, whose it is, since when."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(facts.get("since_ns", 0) / 1e9))
    return f"run {facts.get('run', '?')} of {facts.get('who') or 'somebody'}, since {since},"


def checked(run: object) -> str:
    """A run's id, which becomes part of names of files and of comments.

    :raises ValueError: it is not 1 to 32 hexadecimal digits.
    """
    if not isinstance(run, str) or not 0 < len(run) <= _LONGEST_RUN or not _DIGITS.issuperset(run):
        raise ValueError(f"not the id of a run: {str(run)[:80]!r}")
    return run


def place() -> str:
    """Where the folder is, or would be."""
    return os.path.join(_base(), "orchestrate")


def folder() -> str:
    """The folder's path, made if need be.

    :raises Unsafe: it belongs to somebody else, others may enter it, or it cannot be made.
    """
    path = place()
    try:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Unsafe(f"{path}: {error.strerror}: the lock and the journal of a run need this folder") from error
    try:
        facts = os.fstat(fd)
    finally:
        os.close(fd)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise Unsafe(f"{path} belongs to user {facts.st_uid} with mode {facts.st_mode & 0o777:o}: it must be ours alone; remove it")
    return path


def _base() -> str:
    if os.geteuid() == 0:
        return "/run"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _is_private(runtime):
        return runtime
    cache = os.path.join(os.path.expanduser("~"), ".cache")
    os.makedirs(cache, 0o700, exist_ok=True)
    return cache


def _is_private(path: str) -> bool:
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077


class Lock:
    """This host, held until :meth:`release` or until the process ends, however it ends.

    :raises Held: somebody else holds it. :raises OSError: the file cannot be written. :raises Unsafe: as :func:`folder`.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.folder = folder()
        self.path = os.path.join(self.folder, "lock")
        self._fd = self._taken()
        try:
            os.ftruncate(self._fd, 0)
            _write(self._fd, encode(facts).encode())
        except OSError:
            self.release()
            raise

    def _taken(self) -> int:
        for _ in range(_TRIES):
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # who was here last has just taken the folder away
                self.folder = folder()
                continue
            if _is_free(fd) and _is_at(fd, self.path):
                return fd
            os.close(fd)  # held, or who had it has just taken the file away
            _must_be_free(holder())
            time.sleep(_PAUSE_S)
        raise Held("another run is just taking this host, or leaving it: try again")

    def release(self) -> None:
        """Let go; the file and the folder go too, unless there is more in it."""
        for remove, path in ((os.unlink, self.path), (os.rmdir, self.folder)):
            try:
                remove(path)
            except OSError:
                pass
        os.close(self._fd)


def _write(fd: int, data: bytes) -> None:
    if os.pwrite(fd, data, 0) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _must_be_free(facts: dict[str, Any]) -> None:
    if facts:
        raise Held(f"{named(facts)} has this host: wait, or end it: orchestrate clean --run {facts.get('run', 'ID')}")


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.lstat(path)
    except OSError:
        return False
    here = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def holder() -> dict[str, Any]:
    """The facts of the lock, if somebody holds it: ``{"run", "who", "since_ns", "guardian", "agent"}``; empty if nobody does."""
    try:
        fd = os.open(os.path.join(folder(), "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        return {} if _is_free(fd) else _facts(os.pread(fd, 65536, 0))
    finally:
        os.close(fd)


def _facts(data: bytes) -> dict[str, Any]:
    try:
        facts = decode(data)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
