"""Waiting, for everything at once: file descriptors, instants, signals and the end of child processes, in one thread.

Tasks (tasks.py) wait through it; it knows nothing of what they do. An armed instant is met by sleeping short of it and spinning the rest,
in this same thread; nothing else is served in that half millisecond. The surprising fact: ``poll`` reports numbers, not files. A number
that was closed and given out again between the report and its turn is another file, so a watcher that came after the report is not called
for it.
"""

from __future__ import annotations

import os
import select
import time

from .lean import heapq, signal
from .tasks import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from .tasks import Done, Steps

# With POLLPRI, so that a recv that blocks steps over an urgent byte as it comes: the kernel's own does, and the byte is lost (tcp(7)).
READ = select.POLLIN | select.POLLPRI
WRITE = select.POLLOUT
ENDED = select.POLLERR | select.POLLHUP | select.POLLNVAL
PAUSE_MS = 1000
SPIN_NS = 500_000
FEW_TIMERS = 64

now_ns = time.monotonic_ns


class Timer:
    """A callback at an instant. Cancelled, it keeps nothing alive, though its place in the queue may stay for a while."""

    __slots__ = ("arguments", "callback")

    def __init__(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments

    def cancel(self) -> None:
        """Do not call back; nothing happens where it already has."""
        self.callback = None
        self.arguments = ()


class Watcher:
    """One callback for the events of one descriptor, and the round of the loop in which it came."""

    __slots__ = ("callback", "events", "since")

    def __init__(self, events: int, callback: Callable[[int], None], since: int) -> None:
        self.events = events
        self.callback = callback
        self.since = since


class Loop:
    """Descriptors, instants, children and signals, served one at a time until :meth:`stop`.

    A process has one, in its main thread: it takes over ``SIGCHLD`` and the descriptor that signals wake (signal.set_wakeup_fd).
    ``on_signal`` is called with the number of any other signal that has a handler.
    """

    def __init__(self) -> None:
        self.on_signal: Callable[[int], object] = unheard
        self._poll = select.poll()
        self._watchers: dict[int, list[Watcher]] = {}
        self._round = 0
        self._instants: list[tuple[int, int, Timer]] = []
        self._many = FEW_TIMERS
        self._serial = 0
        self._children: dict[int, Callable[[int], None]] = {}
        self._running = True
        self._woken, self._waker = os.pipe()
        for fd in (self._woken, self._waker):
            os.set_blocking(fd, False)
        self.watch(self._woken, READ, self._signalled)
        signal.signal(signal.SIGCHLD, caught)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})  # whoever started us may have blocked it
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def spawn(self, steps: Steps[Any], done: Done, deadline: int | None = None) -> Task:
        """Begin a task; it may be over before this returns."""
        task = Task(self, steps, done, deadline)
        task.resume()
        return task

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call back with what happened on ``fd`` (poll(2)'s bits); several watchers may share one descriptor.

        Unwatch before ``fd`` is closed: its number may come back as another file.
        """
        watchers = self._watchers.setdefault(fd, [])
        watchers.append(Watcher(events, callback, self._round))
        self._register(fd, watchers)

    def unwatch(self, fd: int, callback: Callable[[int], None]) -> None:
        """Watch no more; nothing happens where nothing was watched. Comparing methods by equality, not identity, is meant."""
        watchers = [watcher for watcher in self._watchers.pop(fd, ()) if watcher.callback != callback]
        if watchers:
            self._watchers[fd] = watchers
            self._register(fd, watchers)
        else:
            try:
                self._poll.unregister(fd)
            except (KeyError, ValueError):
                pass

    def _register(self, fd: int, watchers: list[Watcher]) -> None:
        mask = 0
        for watcher in watchers:
            mask |= watcher.events
        self._poll.register(fd, mask)

    def call_at(self, instant: int, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call back at ``instant`` (monotonic ns), a little late rather than early."""
        timer = Timer(callback, arguments)
        if len(self._instants) >= self._many:
            self._instants = [entry for entry in self._instants if entry[2].callback is not None]
            heapq.heapify(self._instants)
            self._many = max(FEW_TIMERS, 2 * len(self._instants))
        self._serial += 1
        heapq.heappush(self._instants, (instant, self._serial, timer))
        return timer

    def on_exit(self, pid: int, callback: Callable[[int], None]) -> None:
        """Call back with the wait status (wait(2)) when the child ``pid`` has ended, which may be before this returns."""
        self._children[pid] = callback
        self._reap()

    def stop(self) -> None:
        """Leave :meth:`run` after what is being served."""
        self._running = False

    def run(self) -> None:
        """Serve until stopped. What a callback raises comes through, and the callback is not called again for that."""
        while self._running:
            self.serve(self._pause_ms())

    def serve(self, pause_ms: int) -> None:
        """One round: wait at most so long, then serve what came and what is due."""
        ready = self._poll.poll(pause_ms)
        self._round += 1
        for fd, events in ready:
            for watcher in self._watchers.get(fd, ())[:]:
                if watcher.since < self._round and events & (watcher.events | ENDED) and watcher in self._watchers.get(fd, ()):
                    self._call(fd, watcher, events)
        self._serve_instants()

    def _call(self, fd: int, watcher: Watcher, events: int) -> None:
        try:
            watcher.callback(events)
        except Exception:
            self.unwatch(fd, watcher.callback)  # or it would fail again at once, for ever
            raise

    def _serve_instants(self) -> None:
        while self._instants and self._instants[0][0] <= now_ns():
            timer = heapq.heappop(self._instants)[2]
            callback, arguments = timer.callback, timer.arguments
            timer.cancel()
            if callback is not None:
                callback(*arguments)

    def _pause_ms(self) -> int:
        if not self._instants:
            return PAUSE_MS
        left = self._instants[0][0] - now_ns()
        return 0 if left <= 0 else min(PAUSE_MS, -(-left // 1_000_000))

    def _signalled(self, _events: int) -> None:
        numbers: set[int] = set()
        try:
            while True:
                numbers.update(os.read(self._woken, 512))
        except BlockingIOError:
            pass
        self._reap()
        for number in sorted(numbers - {signal.SIGCHLD}):
            self.on_signal(number)

    def _reap(self) -> None:
        """Reap whoever has ended: as process 1 of a PID namespace also the orphans that nobody asks about (pid_namespaces(7))."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            callback = self._children.pop(pid, None)
            if callback is not None:
                callback(status)


def caught(_signal: int, _frame: FrameType | None) -> None:
    """A signal has to be caught to wake the poll; the loop learns its number from the wake-up descriptor."""


def unheard(_number: int) -> None:
    """Nobody asked for signals."""


def spin_until(instant: int) -> int:
    """Return at ``instant`` (monotonic ns) as exactly as a process can; gives the lateness in ns."""
    while True:
        late = now_ns() - instant
        if late >= 0:
            return late
        if late < -SPIN_NS:
            time.sleep((-late - SPIN_NS) / 1e9)


def hurry() -> bool:
    """Ask for real-time priority, which programs started meanwhile do not inherit (sched(7)); gives whether it was granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(10))
    except OSError:
        return False
    return True


def calm() -> None:
    """Ordinary priority again. Only root may also take SCHED_RESET_ON_FORK back, so it stays: it does no harm."""
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    except OSError:
        pass
