"""Work that waits: a task is a generator that yields a :class:`Wait` and goes on when what it waits for came.

It is resumed with ``True`` when that came, with ``False`` at the wait's own deadline; at the deadline of the whole task, or when nobody
wants it any more, :class:`Interrupted` is thrown into it. So a blocking call can be interrupted at any moment without closing its socket,
and no lock is needed anywhere. What a task does is not known here. The surprising fact: a task may be over before the call that began it
returns.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol, TypeVar

    from .loop import Loop, Timer

    T = TypeVar("T")
    Steps = Generator["Wait", bool, T]
    Done = Callable[[Any, "Exception | None"], None]

    class News(Protocol):
        """Anything that lists the tasks to resume when something changes about it."""

        waiting: list[Task]


class Interrupted(Exception):
    """Thrown into a task that has to stop waiting; ``status`` says why (``timeout`` or ``blocked``)."""

    def __init__(self, status: str) -> None:
        Exception.__init__(self, status)
        self.status = status


class Wait:
    """What a task waits for, whichever is first.

    A descriptor's ``events`` (poll(2)), an instant (monotonic ns), news ``on`` something that lists who is ``waiting``.
    """

    __slots__ = ("deadline", "events", "fd", "on")

    def __init__(self, fd: int | None = None, events: int = 0, deadline: int | None = None, on: News | None = None) -> None:
        self.fd = fd
        self.events = events
        self.deadline = deadline
        self.on = on


def wake(waiting: list[Task]) -> None:
    """Resume all the tasks of a list of those waiting, and empty it."""
    tasks = waiting[:]
    del waiting[:]
    for task in tasks:
        task.wake(waiting)


class Task:
    """A generator under way. ``deadline`` (monotonic ns) bounds the whole of it; ``done`` is called with its result or its exception."""

    def __init__(self, loop: Loop, steps: Steps[Any], done: Done, deadline: int | None = None) -> None:
        self.loop = loop
        self.steps = steps
        self.done = done
        self.deadline = deadline
        self.over = False
        self._watching: int | None = None
        self._on: News | None = None
        self._patience: Timer | None = None
        self._limit: Timer | None = None

    def wake(self, waiting: list[Task]) -> None:
        """There is news on what lists its waiting tasks in ``waiting``."""
        if self._on is not None and self._on.waiting is waiting:
            self.resume(came=True)

    def resume(self, *, came: bool | None = None, error: Exception | None = None) -> None:
        """Run until the next wait. Every way out of the generator ends in ``done``, once."""
        self._forget()
        try:
            # A generator that has not begun takes None only.
            wait = self.steps.throw(error) if error is not None else self.steps.send(came)  # type: ignore[arg-type]
        except StopIteration as stop:
            self._end(stop.value, None)
        except Exception as failure:
            self._end(None, failure)
        else:
            self._await(wait)

    def interrupt(self, status: str) -> None:
        """Stop waiting now; the generator sees :class:`Interrupted`. Not to be called from inside the generator."""
        if not self.over:
            self.resume(error=Interrupted(status))

    def _await(self, wait: Wait) -> None:
        if wait.fd is not None:
            self._watching = wait.fd
            self.loop.watch(wait.fd, wait.events, self._ready)
        if wait.on is not None:
            self._on = wait.on
            wait.on.waiting.append(self)
        if wait.deadline is not None:
            self._patience = self.loop.call_at(wait.deadline, self._late)
        if self.deadline is not None and self._limit is None:
            self._limit = self.loop.call_at(self.deadline, self._overdue)

    def _ready(self, _events: int) -> None:
        self.resume(came=True)

    def _late(self) -> None:
        self.resume(came=False)

    def _overdue(self) -> None:
        self._limit = None  # so that whatever it waits for next is interrupted as well
        self.interrupt("timeout")

    def _forget(self) -> None:
        if self._watching is not None:
            self.loop.unwatch(self._watching, self._ready)
            self._watching = None
        if self._on is not None:
            if self in self._on.waiting:
                self._on.waiting.remove(self)
            self._on = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end(self, result: Any, error: Exception | None) -> None:
        self.over = True
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self.done(result, error)
