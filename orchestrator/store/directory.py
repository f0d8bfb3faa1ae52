"""One run's folder, ``runs/<scenario>/<utc>-<run id>/``: each stage written as it ends, and read back.

Knows stages by the names of their files only. Files appear whole or not at all: they are written beside, then renamed. ``latest`` is
replaced by rename too, so it always points at a run.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.errors import TOO_MANY_FILES, StoreError
from orchestrator.model.words.values import Record

T = TypeVar("T", bound=Record)

PLAN, RECORD, EVIDENCE, VERDICTS, REPORT, LIVE = "plan.json", "record.json", "evidence.json", "verdicts.json", "report.json", "live.json"
INPUTS = "inputs"
RECHECK_PLAN = "recheck-plan.json"
"""The plan with the expectations of the last recheck that brought its own; the plan that ran stays as it was."""
FAULT = "fault.txt"


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
            raise failed("make", path, error) from error
        try:
            _point(folder / "latest", path.name, run_id)
        except OSError as error:
            with suppress(OSError):
                path.rmdir()
            raise failed("make", path, error) from error
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
            raise failed("write", path, error) from error
        self._write(path, data)

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.part")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        except OSError as error:
            with suppress(OSError):  # a file system that has become read-only refuses this too
                beside.unlink()
            raise failed("write", path, error) from error

    def read(self, name: str, kind: type[T]) -> T:
        """One stage again.

        :raises StoreError: it is not there, or not what this version wrote.
        """
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except OSError as error:
            raise failed("read", path, error) from error
        except msgspec.DecodeError as error:
            raise StoreError(f"{path} is no {name} that this version can read: {error}") from error

    def has(self, name: str) -> bool:
        """Whether a stage was kept."""
        return (self.path / name).exists()

    def remove(self, name: str) -> None:
        """Forget what no longer holds; where that is refused, readers find out by themselves (see :func:`find_live`)."""
        with suppress(OSError):
            (self.path / name).unlink()


def _point(link: Path, target: str, run_id: str) -> None:
    beside = link.with_name(f".latest-{run_id}")
    os.symlink(target, beside)
    try:
        beside.replace(link)
    except OSError:
        beside.unlink()
        raise


def failed(what: str, path: Path, error: OSError) -> StoreError:
    """What the system refused, with what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"cannot {what} {path}: the disk is full; free some space, or name another folder with --runs")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return StoreError(f"cannot {what} {path}: {error.strerror}; name a folder that you may write with --runs")
    if error.errno == errno.EMFILE:
        return StoreError(f"cannot {what} {path}: {TOO_MANY_FILES}")
    return StoreError(f"cannot {what} {path}: {error.strerror or error}")
