"""The agent's end of what it shares with its guardian: each undo is told before its change is made, and each moment that we live.

Without a guardian (a namespace, which the kernel clears up) there is no :class:`Guard`. When the guardian has gone, the agent leaves, and
writes the end of the journal itself. The surprising fact: that the guardian has acknowledged an undo is all that the agent waits for; what
becomes of it is told one way.
"""

from __future__ import annotations

import os

from orchestrator.agent import protocol
from orchestrator.agent.channel import Channel
from orchestrator.agent.doing.changes import ChangeRefused, Unable
from orchestrator.agent.lean import decode
from orchestrator.agent.loop import now_ns
from orchestrator.agent.tasks import Wait, wake

from .processes import LABEL, adopt_orphans, end, left_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps, Task

    Undo = dict[str, Any]

ANSWER_NS = 5_000_000_000
BEAT_NS = 1_000_000_000
SPARE_NS = 4_000_000_000  # beside the time to confirm: taking back


class Refused(Unable):
    """The guardian could not; ``kind`` says what it met."""

    def __init__(self, text: str, kind: str) -> None:
        Unable.__init__(self, text)
        self.kind = kind


class Guard:
    """The guardian, as its agent knows it. ``on_leave`` is called with why we have to go; ``tell`` says something to the controller."""

    def __init__(self, loop: Loop, fd: int, on_leave: Callable[[str], None], tell: Callable[..., None]) -> None:
        self.held: dict[str, Any] | None = None
        self.gone = ""
        """Said of the guardian once it has gone."""
        self.patience_s: float = protocol.CONFIRM_S
        self.waiting: list[Task] = []
        self.unconfirmed: dict[int, str] = {}
        """Changes that the controller has not confirmed, by their numbers."""
        self._loop = loop
        self._on_leave = on_leave
        self._tell = tell
        self._adopts = False
        self._serial = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._confirmed: set[int] = set()
        self._expired: set[int] = set()
        os.set_blocking(fd, False)
        self.channel = Channel(loop, fd, fd, self._line, self._ended)
        self._beat()

    @property
    def confirming_ns(self) -> int:
        """So much longer a change may take that has to be confirmed."""
        return int(self.patience_s * 1e9) + SPARE_NS

    def hold(self, run: str, who: str, *, programs: bool = True) -> Steps[dict[str, Any]]:
        """Take this host for a run, as a task; what we start from now on carries the run's id. ``programs``: it will start some.

        :raises ChangeRefused: it cannot be had; the ``kind`` of its refusal says whether somebody else has it.
        """
        if self.held is not None:
            raise ChangeRefused(f"run {self.held['run']} has this agent already")
        held: dict[str, Any] = yield from self._ask("hold", ANSWER_NS, run=run, who=who, programs=programs)
        os.environ[LABEL] = run
        self._adopts = not programs or adopt_orphans()
        self.held = held
        return held

    def remember(self, undo: Undo) -> Steps[int]:
        """Have the guardian and its journal know an undo, as a task; gives its number.

        Who does not hear that they do will not make the change, and an undo of a change that was not made must not stay: it would set
        what it found, after all that was made before has been taken back.

        :raises ChangeRefused: they do not.
        """
        self._serial += 1
        number = self._serial
        try:
            yield from self._ask("remember", ANSWER_NS, number=number, undo=undo)
        except Exception:
            self.forget(number)
            raise
        return number

    def forget(self, number: int) -> None:
        """It is undone."""
        self._send("forget", forget=number)

    def sweep(self) -> Steps[None]:
        """End what our programs left behind, as a task; whatever cannot be ended is told when the guardian leaves."""
        if self.held is not None:
            yield from end(left_by(self.held["run"], adopts=self._adopts))

    def doubt(self, what: str) -> Steps[int]:
        """Tell the controller of a change and wait for its word, as a task; gives 0, or the change's number where the word did not come."""
        self._serial += 1
        number = self._serial
        until = now_ns() + int(self.patience_s * 1e9)
        self.unconfirmed[number] = what
        self._send("doubt", number=number, what=what)
        self._tell(protocol.UNCONFIRMED, number=number, what=what)
        while number not in self._confirmed:
            if not (yield Wait(deadline=until, on=self)) and now_ns() >= until:
                self._expired.add(number)
                return number
        self._confirmed.discard(number)
        return 0

    def confirm(self, number: int) -> None:
        """The controller's word.

        :raises ChangeRefused: it came too late, or there is no such change.
        """
        if number in self._expired or self.unconfirmed.pop(number, None) is None:
            raise ChangeRefused(f"no change of the number {number} waits to be confirmed")
        self._confirmed.add(number)
        self._send("settle", number=number)
        wake(self.waiting)

    def settle(self, *numbers: int) -> None:
        """These changes have been taken back; or all that were not confirmed are about to be."""
        for number in numbers or tuple(self.unconfirmed):
            self.unconfirmed.pop(number, None)
            self._send("settle", number=number)

    def bye(self, reason: str, undone: list[str], failed: list[str], *, finished: bool, cut_off: bool = False) -> None:
        """We have undone and are leaving. ``finished``: the controller knows how its run ended; ``cut_off``: nothing reaches it."""
        self._send("bye", reason=reason, undone=undone, not_undone=failed, finished=finished, cut_off=cut_off)
        if self.gone and self.held is not None:
            self._close_journal(reason, undone, failed)

    def _close_journal(self, reason: str, undone: list[str], failed: list[str]) -> None:
        from .journal import Journal, Told
        from .state import Held, Lock, Unsafe

        held = self.held or {}
        try:
            undos = Told(held["journal"]).undos
            journal = Journal(os.path.dirname(held["journal"]), held["run"])
        except OSError:
            return  # cleaned up already
        for number, undo in undos.items():
            if undo["text"] in undone:
                journal.try_to_write({"forget": number})
        if failed:
            journal.try_to_write({"ended": reason, "undone": undone, "not_undone": failed})
            journal.close()
        else:
            journal.remove()
        try:
            Lock({}).release()  # its file, which the guardian could not take away
        except (Held, OSError, Unsafe):
            pass

    def _beat(self) -> None:
        self._send("beat")
        self._loop.call_at(now_ns() + BEAT_NS, self._beat)

    def _send(self, ask: str, **fields: Any) -> None:
        if not self.gone:
            self.channel.send(dict(fields, ask=ask))

    def _ask(self, ask: str, patience_ns: int, **fields: Any) -> Steps[Any]:
        self._serial += 1
        number, until = self._serial, now_ns() + patience_ns
        self._send(ask, id=number, **fields)
        while number not in self._answers:
            if self.gone:
                raise ChangeRefused("the guardian of this host has gone")
            if not (yield Wait(deadline=until, on=self)) and now_ns() >= until:
                raise ChangeRefused("the guardian of this host does not answer")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Refused(answer["error"], answer["kind"])
        return answer["ok"]

    def _line(self, line: bytes) -> None:
        frame = decode(line)
        if "leave" in frame:
            self._on_leave(frame["leave"])
        else:
            self._answers[frame["id"]] = frame
            wake(self.waiting)

    def _ended(self, _reason: str) -> None:
        if not self.gone:
            self.gone = "its guardian has gone"
            self._on_leave(self.gone)
            wake(self.waiting)
