"""Waiting, for everything at once: file descriptors, deadlines and the end of child processes, in one thread.

A task is a generator. It yields a :class:`Wait` and is resumed with ``True`` when what it waits for came, with ``False`` at its deadline.
So a blocking call can be interrupted at any moment without closing its socket, and no lock is needed anywhere. The surprising fact: an
armed instant is met by sleeping short of it and spinning the rest, in this same thread; nothing else is served in that half millisecond.
"""

import heapq
import os
import select
import signal
import time

READ = select.POLLIN | select.POLLPRI
WRITE = select.POLLOUT
SPIN_NS = 500_000

now_ns = time.monotonic_ns


class Interrupted(Exception):
    """Thrown into a task that has to stop waiting; ``status`` says why (``timeout`` or ``blocked``)."""

    def __init__(self, status):
        Exception.__init__(self, status)
        self.status = status


class Wait:
    """What a task waits for, whichever is first.

    A descriptor's ``events``, an instant, news ``on`` something that lists who is ``waiting``.
    """

    __slots__ = ("deadline", "events", "fd", "on")

    def __init__(self, fd=None, events=0, deadline=None, on=None):
        self.fd = fd
        self.events = events
        self.deadline = deadline
        self.on = on


def wake(waiting):
    """Resume all the tasks of a list of those waiting, and empty it."""
    tasks = waiting[:]
    del waiting[:]
    for task in tasks:
        task.wake()


class Task:
    """A generator under way. ``deadline`` (monotonic ns) bounds the whole of it; ``done`` is called with its result or its exception."""

    def __init__(self, loop, steps, done, deadline=None):
        self.loop = loop
        self.steps = steps
        self.done = done
        self.deadline = deadline
        self.over = False
        self._watching = None
        self._on = None
        self._ticket = 0

    def wake(self):
        """What it waited for has news."""
        if not self.over and self._on is not None:
            self.resume(True)

    def resume(self, value=None, error=None):
        """Run until the next wait. Every way out of the generator ends in ``done``, once."""
        self._forget()
        try:
            wait = self.steps.throw(error) if error is not None else self.steps.send(value)
        except StopIteration as stop:
            self._end(stop.value, None)
        except Exception as failure:
            self._end(None, failure)
        else:
            self._await(wait)

    def interrupt(self, status):
        """Stop waiting now; the generator sees :class:`Interrupted`."""
        if not self.over:
            self.resume(error=Interrupted(status))

    def _await(self, wait):
        self._ticket += 1
        if wait.fd is not None:
            self._watching = wait.fd
            self.loop.watch(wait.fd, wait.events, self._ready)
        if wait.on is not None:
            self._on = wait.on
            wait.on.waiting.append(self)
        mine = wait.deadline
        if self.deadline is not None and (mine is None or self.deadline < mine):
            self.loop.call_at(self.deadline, self._overdue, self._ticket)
        elif mine is not None:
            self.loop.call_at(mine, self._late, self._ticket)

    def _ready(self, _events):
        self.resume(True)

    def _late(self, ticket):
        if ticket == self._ticket and not self.over:
            self.resume(False)

    def _overdue(self, ticket):
        if ticket == self._ticket and not self.over:
            self.interrupt("timeout")

    def _forget(self):
        self._ticket += 1
        if self._watching is not None:
            self.loop.unwatch(self._watching, self._ready)
            self._watching = None
        if self._on is not None:
            if self in self._on.waiting:
                self._on.waiting.remove(self)
            self._on = None

    def _end(self, result, error):
        self.over = True
        self.done(result, error)


class Loop:
    """Descriptors, instants and children, served one at a time until :meth:`stop`."""

    def __init__(self):
        self._poll = select.poll()
        self._watchers = {}
        self._instants = []
        self._serial = 0
        self._children = {}
        self._running = True
        self._woken, self._waker = os.pipe()
        for fd in (self._woken, self._waker):
            os.set_blocking(fd, False)
        self.watch(self._woken, READ, self._reap)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def spawn(self, steps, done, deadline=None):
        """Begin a task; it may be over before this returns."""
        task = Task(self, steps, done, deadline)
        task.resume()
        return task

    def watch(self, fd, events, callback):
        """Call back with what happened on ``fd``; several watchers may share one descriptor."""
        watchers = self._watchers.setdefault(fd, [])
        watchers.append((events, callback))
        self._register(fd, watchers)

    def unwatch(self, fd, callback):
        """Watch no more. Comparing methods by equality, not identity, is meant."""
        watchers = [pair for pair in self._watchers.pop(fd, ()) if pair[1] != callback]
        if watchers:
            self._watchers[fd] = watchers
            self._register(fd, watchers)
        else:
            try:
                self._poll.unregister(fd)
            except (KeyError, ValueError):
                pass

    def _register(self, fd, watchers):
        mask = 0
        for events, _callback in watchers:
            mask |= events
        self._poll.register(fd, mask)

    def call_at(self, instant, callback, *arguments):
        """Call back at ``instant`` (monotonic ns), a little late rather than early."""
        self._serial += 1
        heapq.heappush(self._instants, (instant, self._serial, callback, arguments))

    def on_exit(self, pid, callback):
        """Call back with the wait status when the child ``pid`` has ended."""
        self._children[pid] = callback
        self._reap(0)

    def stop(self):
        """Leave :meth:`run` after what is being served."""
        self._running = False

    def run(self):
        """Serve until stopped."""
        while self._running:
            self.serve(self._pause_ms())

    def serve(self, pause_ms):
        """One round: wait at most so long, then serve what came and what is due."""
        for fd, events in self._poll.poll(pause_ms):
            for wanted, callback in list(self._watchers.get(fd, ())):
                if events & (wanted | select.POLLERR | select.POLLHUP | select.POLLNVAL):
                    callback(events)
        self._serve_instants()

    def _serve_instants(self):
        instants = self._instants
        while instants and instants[0][0] <= now_ns():
            _instant, _serial, callback, arguments = heapq.heappop(instants)
            callback(*arguments)

    def _pause_ms(self):
        if not self._instants:
            return 1000
        left = self._instants[0][0] - now_ns()
        return 0 if left <= 0 else min(1000, -(-left // 1_000_000))

    def _reap(self, _events):
        try:
            while os.read(self._woken, 512):
                pass
        except BlockingIOError:
            pass
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


def _nothing(_signal, _frame):
    """SIGCHLD has to be caught to wake the poll."""


def spin_until(instant):
    """Return at ``instant`` as exactly as a process can; gives the lateness in ns."""
    while True:
        late = now_ns() - instant
        if late >= 0:
            return late
        if late < -SPIN_NS:
            time.sleep((-late - SPIN_NS) / 1e9)


def hurry():
    """Ask for real-time priority, which programs started meanwhile do not inherit; gives whether it was granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(10))
    except OSError:
        return False
    return True


def calm():
    """Ordinary priority again."""
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        pass
