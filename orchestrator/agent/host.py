"""A host's work: the prepared actions, under way and done, and what has to be undone.

Every action is a task that ends in a result, a plain dict that the controller's record takes over: ``status`` is ``done``, ``raised``,
``timeout`` or ``blocked``; what TCP did (an exception of a socket call) is a result like any other. Frames are not known here. The
surprising fact: an action may be over before the call that begins it returns.
"""

from __future__ import annotations

from .doing.actions import ACTIONS, CUTTING, raised
from .doing.changes import ChangeRefused, Doubtful
from .doing.sockets import Sockets
from .loop import now_ns
from .safety import undoing
from .seeing.backdrop import Backdrop
from .tasks import Interrupted, Wait, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .doing.changes import Change, Undo
    from .doing.programs import Program
    from .loop import Loop
    from .safety.guard import Guard
    from .tasks import Steps, Task

    Result = dict[str, Any]


class Running:
    """One action under way or over: its result so far, and who waits for it."""

    def __init__(self, prepared: Result) -> None:
        self.prepared = prepared
        self.result: Result = {"id": prepared["id"]}
        self.calls: list[Result] = []
        self.waiting: list[Task] = []
        self.task: Task | None = None

    @property
    def over(self) -> bool:
        """Whether its result is complete."""
        return self.task is not None and self.task.over


class Kept:
    """An undo that is remembered: its number with the guardian, and whether its change was seen to succeed."""

    __slots__ = ("certain", "number", "undo")

    def __init__(self, undo: Undo, number: int) -> None:
        self.undo = undo
        self.number = number
        self.certain = False


class ControlCut(ChangeRefused):
    """A change cut the control connection, and was taken back."""


class Host:
    """All that one run does on this host, and all that it has to put back; ``folder`` is where its files go.

    On a real host there is a ``guard``, which knows each undo before its change is made.
    """

    def __init__(self, loop: Loop, run: str, folder: str, guard: Guard | None = None) -> None:
        self.loop = loop
        self.run = run
        self.folder = folder
        self.guard = guard
        self.backdrop = Backdrop()
        self.sockets = Sockets()
        self.programs: dict[str, Program] = {}
        self.started: list[Program] = []
        self.named: dict[str, Running] = {}
        self.rules: dict[str, Kept] = {}
        self.undos: list[Kept] = []
        self.waiting: list[Task] = []
        self._running: list[Running] = []
        self._undoing = False

    def fire(self, actions: list[Result], planned: int, done: Callable[[list[Result]], object], ended: Callable[[Result], object]) -> None:
        """Start actions; ``done`` gets their results when all are over or run in the background.

        ``ended`` gets the result of each that runs in the background, at its end, unless ``done`` got it complete.
        """
        results: list[Result] = []

        def arrive(result: Result) -> None:
            results.append(result)
            if len(results) == len(actions):
                done(results)

        if not actions:
            done(results)
        for prepared in actions:
            if prepared.get("background"):
                arrive(self._begin_behind(prepared, planned, ended))
            else:
                self.begin(prepared, planned, arrive)

    def _begin_behind(self, prepared: Result, planned: int, ended: Callable[[Result], object]) -> Result:
        later: list[Callable[[Result], object]] = []
        running = self.begin(prepared, planned, lambda result: [tell(result) for tell in later])
        later.append(ended)
        if running.over:
            return running.result
        return dict(running.result, status="running", calls=[dict(call) for call in running.calls])

    def begin(self, prepared: Result, planned: int, done: Callable[[Result], object]) -> Running:
        """Start an action; ``done(result)`` is called when it is over, which may be at once. ``planned``: monotonic ns, or 0 for now."""
        running = Running(prepared)
        action = prepared["action"]
        steps = ACTIONS[action["do"]](self, action, running)
        self._running.append(running)
        if prepared.get("name"):
            self.named[prepared["name"]] = running
        running.result.update(start_ns=now_ns(), planned_ns=planned, status="done")
        deadline = running.result["start_ns"] + prepared["timeout_ns"]
        if self.guard is not None and action["do"] in CUTTING:
            deadline += self.guard.confirming_ns  # an action's time is for what it does; the controller's answer has its own

        def over(value: Result | None, error: Exception | None) -> None:
            self._running.remove(running)
            running.result["end_ns"] = now_ns()
            running.result.update(_outcome(value, error))
            if running.calls:
                running.result["calls"] = running.calls
            done(running.result)
            wake(running.waiting)

        running.task = self.loop.spawn(steps, over, deadline)
        return running

    def interrupt(self) -> None:
        """Stop whatever still blocks; each is recorded as ``blocked``."""
        for running in self._running[:]:
            if running.task is not None:
                running.task.interrupt("blocked")

    def remember(self, undo: Undo) -> Steps[Kept]:
        """Keep an undo until the end, as a task: on a real host until the guardian knows it too.

        :raises ChangeRefused: the guardian could not; the change must not be made.
        """
        number = 0 if self.guard is None else (yield from self.guard.remember(undo))
        kept = Kept(undo, number)
        self.undos.append(kept)
        return kept

    def forget(self, kept: Kept) -> None:
        """There is nothing to undo any more."""
        if kept in self.undos:
            self.undos.remove(kept)
        if self.guard is not None:
            self.guard.forget(kept.number)

    def make(self, change: Change | None) -> Steps[Kept | None]:
        """Make a change, as a task; its undo is remembered before. ``None`` is nothing to change.

        :raises ChangeRefused: it was not made, as :class:`OSError` and whatever else the change raises.
        """
        if change is None:
            return None
        kept = yield from self.remember(change.undo)
        try:
            yield from change.make()
        except (ChangeRefused, OSError) as error:
            if not change.in_parts and not isinstance(error, Doubtful):
                self.forget(kept)
            raise
        kept.certain = True
        return kept

    def take_back(self, kept: Kept) -> Steps[None]:
        """Undo one change now, as a task.

        :raises ChangeRefused: the host refused; it stays remembered, and is looked up the next time.
        """
        certain, kept.certain = kept.certain, False
        yield from undoing.carry_out(self.loop, kept.undo, certain=certain)
        self.forget(kept)

    def confirm(self, what: str, made: Sequence[Kept | None]) -> Steps[None]:
        """On a real host: wait until the controller has said that it still reaches us, or take these changes back; as a task.

        :raises ControlCut: they were taken back.
        """
        changes = [kept for kept in made if kept is not None]
        if self.guard is None or not changes:
            return
        number = yield from self.guard.doubt(what)
        if not number:
            return
        for kept in reversed(changes):
            yield from self.take_back(kept)
        self.guard.settle(number)
        raise ControlCut(f"{what}: this cut the control connection, and was taken back after {self.guard.patience_s:g} s")

    def undo(self, patience_ns: int) -> Steps[tuple[list[str], list[str]]]:
        """Everything back, last first, as a task: ``(undone, not undone)`` in words. Who comes second waits for the first.

        ``patience_ns`` bounds all of them together, on a real host.
        """
        while self._undoing:
            yield Wait(on=self)
        self._undoing = True
        try:
            return (yield from self._undo(patience_ns))
        finally:
            self._undoing = False
            wake(self.waiting)

    def _undo(self, patience_ns: int) -> Steps[tuple[list[str], list[str]]]:
        self.sockets.close()
        for program in self.started:
            program.close()
        if self.guard is not None:
            self.guard.settle()
            yield from self.guard.sweep()
        undone: list[str] = []
        failed: list[str] = []
        until = now_ns() + patience_ns
        while self.undos:
            kept = self.undos.pop()
            try:
                back = self.take_back(kept)
                yield from back if self.guard is None else undoing.within(self.loop, back, undoing.patience_ns(until))
                undone.append(kept.undo["text"])
            except Exception as error:
                failed.append(f"{kept.undo['text']} ({error})")
        return undone, failed


def _outcome(value: Result | None, error: Exception | None) -> Result:
    if error is None:
        return value or {}
    if isinstance(error, Interrupted):
        return {"status": error.status}
    return dict(raised(error), status="raised")
