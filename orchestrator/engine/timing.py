"""When it is, and when each step is due: Unix nanoseconds on a timeline that nobody can set while a run lasts.

Knows no host. The surprising fact: Unix time is asked once, when the clock is made, and from then on the monotonic clock counts; so setting
this machine's clock moves neither a deadline nor a record. (Both are slewed alike, clock_gettime(2).)
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.model.plan import PlannedStep

LEAD_NS = 6_000_000
"""So long before its instant a step is sent to its hosts, and as much earlier as the slowest of them is away."""
_TRIES = 5


class Clock:
    """The clock of one run; ``offset_ns`` added to this machine's monotonic clock is Unix time."""

    def __init__(self) -> None:
        self.offset_ns = min(_pair() for _ in range(_TRIES))[1]

    def now_ns(self) -> int:
        """Now, in Unix ns."""
        return time.monotonic_ns() + self.offset_ns


def _pair() -> tuple[int, int]:
    """How long both clocks took to read, and what lies between them: the shortest reading knows best."""
    before, unix, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    return after - before, unix - (before + after) // 2


class Timetable:
    """What ``at`` and ``after`` mean, as the run goes; ``began`` gives when the step or action of a name began."""

    def __init__(self, clock: Clock, began: Callable[[str], int | None]) -> None:
        self._clock = clock
        self._began = began
        self._origin_ns = 0
        self._over_ns = 0
        self.lead_ns = LEAD_NS

    def due(self, step: PlannedStep) -> int:
        """When the step is to fire, in Unix ns; 0 for at once. Where the first step has an ``at`` itself, time begins to count here."""
        soon, timing = self._clock.now_ns() + self.lead_ns, step.timing
        if timing is None:
            return soon if step.together else 0
        if timing.since == "":
            self._origin_ns = self._origin_ns or soon
            return self._origin_ns + timing.delay_ns
        since = self._over_ns if timing.since == "-" else self._began(timing.since)
        return (since or soon) + timing.delay_ns

    def begins(self) -> int:
        """A step begins: the instant, in Unix ns."""
        now_ns = self._clock.now_ns()
        self._origin_ns = self._origin_ns or now_ns
        return now_ns

    def ends(self) -> int:
        """A step is over: the instant, in Unix ns."""
        self._over_ns = self._clock.now_ns()
        return self._over_ns
