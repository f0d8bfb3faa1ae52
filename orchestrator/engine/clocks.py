"""A host that answers what its clock says -> what to add to that clock for the run's timeline, and within what that is true.

Knows round trips, no steps. The surprising fact: nothing is assumed of the network. A host reads its clock somewhere between ask and
answer, so half of the round trip bounds the error however unlike the two ways are; the shortest of some trips knows best (as the clock
filter of RFC 5905 section 10).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.engine.recorder import reading
from orchestrator.engine.timing import Clock
from orchestrator.model.record import ClockReading

_MOST, _LEAST = 12, 4
_ENOUGH_NS = 300_000_000
"""A host that is far away is asked less often, so that nobody waits long."""


class Trip(Struct, frozen=True, kw_only=True):
    """One ask and its answer: when it left and when the answer was there by the controller's monotonic clock, and the host's two clocks."""

    left_ns: int
    back_ns: int
    monotonic_ns: int
    unix_ns: int

    @property
    def took_ns(self) -> int:
        """The round trip."""
        return self.back_ns - self.left_ns


class Measured(Struct, frozen=True, kw_only=True):
    """What a burst of trips came to. ``unix_ns`` is by how much the host's Unix clock is ahead, ``slowest_ns`` the longest round trip."""

    reading: ClockReading
    unix_ns: int
    slowest_ns: int


def measured(trips: Sequence[Trip], clock_offset_ns: int) -> Measured:
    """What ``trips`` tell; ``clock_offset_ns`` added to the controller's monotonic clock is the run's timeline."""
    best = min(trips, key=lambda trip: trip.took_ns)
    at_ns = (best.left_ns + best.back_ns) // 2 + clock_offset_ns
    error_ns = (best.took_ns + 1) // 2
    return Measured(
        reading=ClockReading(at_ns=at_ns, offset_ns=at_ns - best.monotonic_ns, error_ns=error_ns),
        unix_ns=best.unix_ns - at_ns,
        slowest_ns=max(trip.took_ns for trip in trips),
    )


async def measure(session: Session, clock: Clock, patience_s: float) -> Measured:
    """Ask a host for its clocks some times in a row, each trip for at most ``patience_s``.

    :raises AgentError: it does not answer, or what it answers is no clock.
    """
    trips: list[Trip] = []
    began_ns = time.monotonic_ns()
    while len(trips) < _LEAST or (len(trips) < _MOST and trips[-1].back_ns - began_ns < _ENOUGH_NS):
        left_ns = time.monotonic_ns()
        answer = await session.wait_for_answer(session.ask(protocol.BEAT), patience_s, "read its clock")
        back_ns = time.monotonic_ns()
        with reading(session.host, "its clock"):
            monotonic, unix = answer
            trips.append(Trip(left_ns=left_ns, back_ns=back_ns, monotonic_ns=int(monotonic), unix_ns=int(unix)))
    return measured(trips, clock.offset_ns)
