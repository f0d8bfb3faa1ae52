"""What is known of each host's clock: from the control channel, and from segments, which cannot arrive before they were sent.

Knows no verdict. A host's error is a number c that is the same all through the run, plus a wander of which only the size is known. The
control channel bounds each c, and the fastest segment between two hosts bounds the difference of theirs; together these are shortest paths
in a graph of the hosts and the controller (a system of difference constraints). The surprising fact: the middles of all the intervals that
follow keep every one of the constraints, so that with them no segment arrives before it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import permutations

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.analysis.passages import by_header, direction
from orchestrator.model.evidence import CLOCK_SLACK_NS, ClockEvidence, Segment
from orchestrator.model.record import ActionRecord, CaptureRecord, ClockReading, HostClock, RunRecord

DRIFT_PPM = 100
"""How fast two clocks may drift apart while nothing proves more: two quartzes of 50 ppm, what data sheets promise over temperature."""

CONTINUOUS_PPM = 500
"""A clock that differs by more was not slewed, it jumped: the kernel's greatest frequency correction (adjtimex(2))."""

_CONTROLLER = ""
Pair = tuple[str, str]


def with_control_channel(record: RunRecord) -> tuple[ClockEvidence, ...]:
    """The clock of each host that has its own, as the round trips before and after the run tell.

    What its Unix clock, which times frames, went beside the monotonic one is in the error too; where it was set, its capture is doubted.
    """
    moved = {one.host: abs(one.clock_moved_ns) for one in record.captures if abs(one.clock_moved_ns) <= CLOCK_SLACK_NS}
    clocks = [_measured(host.name, host.clock, record.end_ns) for host in record.hosts if host.clock is not None]
    more = [(clock, moved.get(clock.host, 0)) for clock in clocks]
    return tuple(replace(clock, error_ns=clock.error_ns + span_ns, wander_ns=clock.wander_ns + span_ns) for clock, span_ns in more)


def _measured(host: str, clock: HostClock, end_ns: int) -> ClockEvidence:
    since, after = clock.before, clock.after
    if after is None or after.at_ns <= since.at_ns:
        until_ns = max(end_ns, since.at_ns)
        wander_ns = _drifted(DRIFT_PPM, until_ns - since.at_ns + since.error_ns)
        best = _Line(shift_ns=0, drift_ns=0, most_ns=since.error_ns, wander_ns=wander_ns)
        return _evidence(host, clock, until_ns, best, "")
    best = min(_slow(since, after), _steady(since, after), key=lambda line: line.most_ns + line.wander_ns)
    return _evidence(host, clock, after.at_ns, best, _discontinuity(host, since, after))


class _Line(Struct, frozen=True, kw_only=True):
    """What to add to a host's times, and how wrong it may be: by the same number up to ``most_ns`` always, and by the wander beside it."""

    shift_ns: int
    drift_ns: int
    most_ns: int
    wander_ns: int


def _evidence(host: str, clock: HostClock, until_ns: int, line: _Line, doubt: str) -> ClockEvidence:
    return ClockEvidence(
        host=host,
        since_ns=clock.before.at_ns,
        until_ns=until_ns,
        shift_ns=line.shift_ns,
        drift_ns=line.drift_ns,
        error_ns=line.most_ns + line.wander_ns,
        wander_ns=line.wander_ns,
        unix_ns=clock.unix_ns,
        doubt=doubt,
    )


def _slow(since: ClockReading, after: ClockReading) -> _Line:
    """A constant, as if the clocks never drift faster than :data:`DRIFT_PPM` or than is proved: the better one for a short run.

    In the middle of the run the offset is within half of the drift of what either end allows, and the constant is the middle of that.
    """
    wander_ns = max(_drifted(DRIFT_PPM, _lasted(since, after)), _parted(since, after)) // 2 + 1
    low = max(since.offset_ns - since.error_ns, after.offset_ns - after.error_ns) - wander_ns
    high = min(since.offset_ns + since.error_ns, after.offset_ns + after.error_ns) + wander_ns
    middle = (low + high) // 2
    return _Line(shift_ns=middle - since.offset_ns, drift_ns=0, most_ns=high - middle, wander_ns=wander_ns)


def _steady(since: ClockReading, after: ClockReading) -> _Line:
    """The line through both, as if the drift never turns nor exceeds twice its mean: the better one for a long run.

    Such a drift is never further from its chord than by half of all of it, and the line's errors at its ends differ by no more than both.
    """
    drift_ns = after.offset_ns - since.offset_ns
    ends_ns = since.error_ns + after.error_ns
    misplaced_ns = abs(drift_ns) * ends_ns // (after.at_ns - since.at_ns) + 1  # each clock was read at its moment, give or take its error
    wander_ns = abs(drift_ns) // 2 + ends_ns + misplaced_ns
    return _Line(shift_ns=0, drift_ns=drift_ns, most_ns=max(since.error_ns, after.error_ns), wander_ns=wander_ns)


def _lasted(since: ClockReading, after: ClockReading) -> int:
    """The most that may have passed between the two: the moment of each is known to its error."""
    return after.at_ns - since.at_ns + since.error_ns + after.error_ns


def _drifted(ppm: int, lasted_ns: int) -> int:
    return lasted_ns * ppm // 1_000_000 + 1


def _parted(since: ClockReading, after: ClockReading) -> int:
    """How far the clocks have drifted apart at the least."""
    return abs(after.offset_ns - since.offset_ns) - since.error_ns - after.error_ns


def _discontinuity(host: str, since: ClockReading, after: ClockReading) -> str:
    """Why a clock was not the same all through the run, empty where it may have been."""
    lasted_ns = _lasted(since, after)
    if _parted(since, after) <= _drifted(CONTINUOUS_PPM, lasted_ns):
        return ""
    ahead_ns = since.offset_ns - after.offset_ns
    return (
        f"the clock of {host} was not continuous: it went {short(abs(ahead_ns))} too {'far' if ahead_ns > 0 else 'short'} "
        f"in {short(lasted_ns)}, as when a machine is suspended or moved"
    )


# What segments tell.


def with_captures(clocks: Sequence[ClockEvidence], segments: Iterable[Segment]) -> tuple[ClockEvidence, ...]:
    """The same clocks, as narrow as ``segments`` (of captures that lack nothing, on the timeline of ``clocks``) make them.

    Where both cannot be true, the clocks stay as measured, and the doubt says so.
    """
    if not clocks or any(clock.doubt for clock in clocks):
        return tuple(clocks)
    known = {clock.host: clock for clock in clocks}
    delays = fastest(segments)
    loose = _solved(known, delays, lambda host: known[host].wander_ns if host in known else 0)
    if loose is None:
        return tuple(_contradicted(clock, known, delays) for clock in clocks)
    tight = _solved(known, delays, lambda _host: 0) or loose
    shifts = {host: (tight[host, _CONTROLLER] - tight[_CONTROLLER, host]) // 2 for host in known}
    errors = {host: _left_open(loose, shifts, known, (host, _CONTROLLER)) for host in known}
    apart = {pair: _left_open(loose, shifts, known, pair) for pair in permutations(known, 2)}
    return tuple(
        replace(
            clock,
            shift_ns=clock.shift_ns + shifts[host],
            error_ns=errors[host],
            source=clock.source if (shifts[host], errors[host]) == (0, clock.error_ns) else "captures",
            apart_ns={other: span_ns for (one, other), span_ns in apart.items() if one == host and span_ns < errors[host] + errors[other]},
        )
        for host, clock in known.items()
    )


def fastest(segments: Iterable[Segment]) -> dict[Pair, int]:
    """For each sender and receiver the least time that a segment took by their clocks, below zero where these disagree.

    Only segments that either capture saw once: of two that are alike nobody knows which of them arrived.
    """
    sent: dict[Hashable, Segment | None] = {}
    received: dict[Hashable, Segment | None] = {}
    for segment in segments:
        way = direction(segment)
        if way:
            seen, key = sent if way > 0 else received, by_header(segment)
            seen[key] = None if key in seen else segment
    delays: dict[Pair, int] = {}
    for key, departure in sent.items():
        arrival = received.get(key)
        if departure is not None and arrival is not None and departure.capture != arrival.capture:
            pair = departure.capture, arrival.capture
            delays[pair] = min(delays.get(pair, arrival.at_ns - departure.at_ns), arrival.at_ns - departure.at_ns)
    return delays


def _solved(known: Mapping[str, ClockEvidence], delays: Mapping[Pair, int], slack: Callable[[str], int]) -> dict[Pair, int] | None:
    """For each two the most by which the correction of the first may be above that of the second; ``None`` where nothing keeps all limits.

    The controller is one of them, and its correction is 0.
    """
    limits: dict[Pair, int] = {}
    for host, clock in known.items():
        most_ns = clock.error_ns - clock.wander_ns
        limits[host, _CONTROLLER] = limits[_CONTROLLER, host] = most_ns
    for (sender, receiver), least_ns in delays.items():
        ends = (sender if sender in known else _CONTROLLER, receiver if receiver in known else _CONTROLLER)
        most_ns = least_ns + slack(sender) + slack(receiver)
        limits[ends] = min(limits.get(ends, most_ns), most_ns)
    solved: dict[Pair, int] = {}
    for source in (_CONTROLLER, *known):
        most = _shortest(limits, source)
        if most is None:
            return None
        solved |= {(above, source): most_ns for above, most_ns in most.items()}
    return solved


def _shortest(limits: Mapping[Pair, int], source: str) -> dict[str, int] | None:
    """The most that each correction can be above that of ``source`` (Bellman and Ford); ``None`` where that has no end."""
    most = {source: 0}
    for _ in range(len(limits) + 2):
        before = dict(most)
        for (above, below), limit in limits.items():
            if below in most:
                most[above] = min(most.get(above, most[below] + limit), most[below] + limit)
        if most == before:
            return most
        if most[source] < 0:
            break
    return None


def _left_open(solved: Mapping[Pair, int], shifts: Mapping[str, int], known: Mapping[str, ClockEvidence], pair: Pair) -> int:
    """What the difference of two clocks may still be wrong by, on either side of the one that was chosen."""
    host, other = pair
    more_ns = shifts.get(host, 0) - shifts.get(other, 0)
    wander_ns = sum(known[one].wander_ns for one in pair if one in known)
    return max(solved[host, other] - more_ns, solved[other, host] + more_ns) + wander_ns


def _contradicted(clock: ClockEvidence, known: Mapping[str, ClockEvidence], delays: Mapping[Pair, int]) -> ClockEvidence:
    """The clock with the reason why the captures contradict it, if it has part in that."""
    impossible = {pair: least_ns for pair, least_ns in delays.items() if -least_ns > _error(known, pair)}
    if not impossible:
        names = ", ".join(known)
        return replace(clock, doubt=f"the captures contradict the clocks of {names} as they were measured over the control channel")
    own = {pair: least_ns for pair, least_ns in impossible.items() if clock.host in pair}
    if not own:
        return clock
    pair = min(own, key=own.__getitem__)
    return replace(
        clock,
        doubt=f"the captures contradict the clocks: {pair[1]} captured a segment {short(-own[pair])} before {pair[0]} sent it, "
        f"though their clocks were measured to within {short(_error(known, pair))} over the control channel",
    )


def _error(known: Mapping[str, ClockEvidence], pair: Pair) -> int:
    return sum(known[host].error_ns for host in pair if host in known)


def short(span_ns: int) -> str:
    """``0.3 ms`` or ``2.5 s``."""
    return f"{span_ns / 1e6:.3g} ms" if abs(span_ns) < 1_000_000_000 else f"{span_ns / 1e9:.4g} s"


# What follows for a record.


def retimed(record: RunRecord, clocks: Sequence[ClockEvidence]) -> RunRecord:
    """The record with every time of every host on the evidence's timeline; steps are timed by the controller and stay."""
    if not clocks:
        return record
    known = {clock.host: clock for clock in clocks}
    return replace(
        record,
        actions=tuple(_action(action, known.get(action.host)) for action in record.actions),
        samples=tuple(replace(one, at_ns=known[one.host].moved(one.at_ns)) if one.host in known else one for one in record.samples),
        captures=tuple(_capture(capture, known.get(capture.host)) for capture in record.captures),
    )


def _action(action: ActionRecord, clock: ClockEvidence | None) -> ActionRecord:
    if clock is None:
        return action
    moved = clock.moved
    return replace(
        action,
        start_ns=moved(action.start_ns),
        end_ns=moved(action.end_ns),
        planned_ns=moved(action.planned_ns),
        calls=tuple(replace(call, start_ns=moved(call.start_ns), end_ns=moved(call.end_ns)) for call in action.calls),
    )


def _capture(capture: CaptureRecord, clock: ClockEvidence | None) -> CaptureRecord:
    if clock is None:
        return capture
    return replace(capture, ready_ns=clock.moved(capture.ready_ns), end_ns=clock.moved(capture.end_ns))
