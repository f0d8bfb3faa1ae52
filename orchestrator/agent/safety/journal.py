"""The journal of one run on this host: what must be undone if everybody who knows it is dead. JSON lines -> undos.

The first line is the lock's facts; then ``{"remember": n, "undo": {...}}``, ``{"forget": n}``, and at the end, of a run that did not end
as it should, ``{"ended": reason, "undone": [...], "not_undone": [...]}``. It lies in the state folder (state.py), where it lives exactly
as long as what it describes. The surprising fact: a line that is not whole was never acknowledged, so what it tells was never done.
"""

from __future__ import annotations

import errno
import os

from orchestrator.agent.lean import decode, encode

from .state import Held, checked, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Undo = dict[str, Any]

SUFFIX = ".journal"


class Journal:
    """A journal to write into. ``facts`` is its first line; without, it goes on with one that is there.

    :raises FileExistsError: this run already has a journal here. :raises OSError: it cannot be written.
    """

    def __init__(self, folder: str, run: str, facts: dict[str, Any] | None = None) -> None:
        self.path = os.path.join(folder, checked(run) + SUFFIX)
        new = os.O_CREAT | os.O_EXCL if facts is not None else 0
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | new, 0o600)
        if facts is not None:
            try:
                self.write(facts)
            except OSError:
                self.remove()
                raise

    def write(self, line: dict[str, Any]) -> None:
        """Add a line, whole or not at all.

        :raises OSError: there is no room, or another reason.
        """
        data = encode(line).encode() + b"\n"
        before = os.fstat(self._fd).st_size
        written = os.write(self._fd, data)
        if written < len(data):
            os.ftruncate(self._fd, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def try_to_write(self, line: dict[str, Any]) -> None:
        """Add a line if it can be done; that it cannot makes something be undone twice, which does no harm."""
        try:
            self.write(line)
        except OSError:
            pass

    def close(self) -> None:
        """Leave it there."""
        os.close(self._fd)

    def remove(self) -> None:
        """There is nothing to tell any more."""
        try:
            os.unlink(self.path)
        except OSError:
            pass
        self.close()

    def vanish(self) -> None:
        """Take a file that was closed away, and its folder where that is empty then."""
        for remove, path in ((os.unlink, self.path), (os.rmdir, os.path.dirname(self.path))):
            try:
                remove(path)
            except OSError:
                pass


class Told:
    """What a journal tells: ``facts`` of its run, the ``undos`` that are left by their numbers, and the ``outcome`` if it has ended."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}
        self.undos: dict[int, Undo] = {}
        self.outcome: dict[str, Any] = {}
        with open(path, "rb") as file:
            for line in file.read().split(b"\n")[:-1]:
                try:
                    self._take(decode(line))
                except (ValueError, KeyError, TypeError):
                    continue
        self.facts.setdefault("run", os.path.basename(path)[: -len(SUFFIX)])

    def _take(self, line: dict[str, Any]) -> None:
        if "remember" in line:
            self.undos[line["remember"]] = line["undo"]
        elif "forget" in line:
            self.undos.pop(line["forget"], None)
        elif "ended" in line:
            self.outcome = line
        elif not self.facts:
            self.facts = line

    def must_be_empty(self) -> None:
        """Nothing is left to be undone.

        :raises Held: something is; says what to do.
        """
        if self.undos:
            raise Held(f"{named(self.facts)} was not undone when it ended: orchestrate clean --run {self.run}")

    @property
    def run(self) -> str:
        """The run's id."""
        return str(self.facts["run"])


def journals(folder: str) -> list[Told]:
    """All that is in the state folder, by name; what is no journal of ours is passed over."""
    told: list[Told] = []
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return told  # whoever was the last to leave has just taken it away
    for name in names:
        if name.endswith(SUFFIX):
            try:
                checked(name[: -len(SUFFIX)])
                told.append(Told(os.path.join(folder, name)))
            except (ValueError, OSError):
                continue
    return told
