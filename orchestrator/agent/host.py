"""A host's work: the prepared actions, under way and done, and what has to be undone.

Every action is a task that ends in a result, a plain dict that the controller's record takes over: ``status`` is ``done``, ``raised``,
``timeout`` or ``blocked``; what TCP did (an exception of a socket call) is a result like any other. Frames are not known here. The
surprising fact: an action may be over before the call that begins it returns.
"""

from __future__ import annotations

import os

from .actions import ACTIONS, raised
from .loop import now_ns
from .sockets import Sockets
from .tasks import Interrupted, Wait, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .changes import PacketRule, Undo
    from .loop import Loop
    from .programs import Program
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


class Host:
    """All that one run does on this host, and all that it has to put back; ``folder`` is where its files go."""

    def __init__(self, loop: Loop, run: str, folder: str) -> None:
        self.loop = loop
        self.run = run
        self.folder = folder
        self.sockets = Sockets()
        self.programs: dict[str, Program] = {}
        self.started: list[Program] = []
        self.named: dict[str, Running] = {}
        self.rules: dict[str, PacketRule] = {}
        self.undos: list[Undo] = []
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

    def remember(self, undo: Undo | None) -> None:
        """Keep an undo until the end; ``None`` is nothing to undo."""
        if undo is not None:
            self.undos.append(undo)

    def undo(self) -> Steps[tuple[list[str], list[str]]]:
        """Everything back, last first, as a task: ``(undone, not undone)`` in words. Who comes second waits for the first."""
        while self._undoing:
            yield Wait(on=self)
        self._undoing = True
        try:
            return (yield from self._undo())
        finally:
            self._undoing = False
            wake(self.waiting)

    def _undo(self) -> Steps[tuple[list[str], list[str]]]:
        self.sockets.close()
        for program in self.started:
            program.close()
        undone: list[str] = []
        failed: list[str] = []
        while self.undos:
            text, steps = self.undos.pop()
            try:
                yield from steps()
                undone.append(text)
            except Exception as error:
                failed.append(f"{text} ({error})")
        return undone, failed


def _outcome(value: Result | None, error: Exception | None) -> Result:
    if error is None:
        return value or {}
    if isinstance(error, Interrupted):
        return {"status": error.status}
    return dict(raised(error), status="raised")


def private_folder(run: str) -> tuple[str, Undo]:
    """A folder that only we can enter, under an unguessable name, and the undo that takes it away with all that is in it.

    It becomes the working directory. :raises OSError: there is nowhere to make it.
    """
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix=f"orchestrate-{run}-")
    os.chdir(folder)

    def undo() -> Steps[None]:
        os.chdir("/")
        shutil.rmtree(folder)
        return
        yield

    return folder, (f"rm -r {folder}", undo)
