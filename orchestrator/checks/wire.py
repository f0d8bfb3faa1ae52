"""Captured segments against ``packets``, ``count`` and ``icmp``: the wire's testimony, judged.

Knows one capture at a time and no states. The surprising fact: a capture that lost a frame makes a verdict inconclusive even where
what it shows contradicts the expectation, because the missing frame may be the one that was asked for. A filter that the author wrote is
no loss: what it lets pass is judged, the verdict names it, and only what was expected and not seen is inconclusive. Where clocks leave
open to which step a segment belongs, every answer is judged, and only if all come to the same is that the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from orchestrator.checks.captured.lines import Line, line_text
from orchestrator.checks.captured.scope import filtered, spoken_of
from orchestrator.checks.captured.sequence import Parting, parting
from orchestrator.checks.captured.windows import open_order
from orchestrator.model.evidence import Evidence, Segment
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.verdict import Value, Verdict
from orchestrator.model.words.expectations import CountExpectation, IcmpExpectation, PacketsExpectation
from orchestrator.model.words.segments import Gap
from orchestrator.model.words.values import Comparison

_EXCERPT_LINES = 12
_BEFORE = 5
_AT_LEAST_ONE = Comparison(operator=">=", low=1)

WireExpectation = PacketsExpectation | CountExpectation | IcmpExpectation


def judge_wire(expectation: WireExpectation, plan: Plan, record: RunRecord, evidence: Evidence) -> Verdict:
    """Judge one expectation about captured segments."""
    told = spoken_of(expectation, plan, record, evidence)
    if isinstance(told, str):
        return _verdict(expectation, Value.INCONCLUSIVE, reason=told)
    unseen = filtered(expectation.capture, evidence)
    likeliest, *others = [_judged(expectation, plan, segments, unseen) for segments in told]
    if expectation.step is None or all(other.value is likeliest.value for other in others):
        return likeliest
    reason = open_order(expectation.step, expectation.capture, evidence)
    return replace(likeliest, value=Value.INCONCLUSIVE, reason=reason)


def _judged(expectation: WireExpectation, plan: Plan, segments: Sequence[Segment], unseen: str) -> Verdict:
    """Judge it by these segments."""
    if isinstance(expectation, PacketsExpectation):
        return _packets(expectation, plan, segments, unseen)
    if isinstance(expectation, CountExpectation):
        line = Line(expectation.match, plan.testbed.topology)
        return _count(expectation, expectation.count, [segment for segment in segments if line.fits(segment)], segments, unseen)
    messages = [segment for segment in segments if segment.protocol == "icmp"]
    found = [segment for segment in messages if _is_icmp(expectation, segment)]
    return _count(expectation, expectation.count or _AT_LEAST_ONE, found, messages or segments, unseen)


def contradicted(expectation: WireExpectation, plan: Plan, record: RunRecord, evidence: Evidence) -> bool:
    """Whether no later segment can make it hold: one was captured that no line was left for.

    Which segments are a ``connection``'s may be known better later, so that nothing is settled there.
    """
    told = spoken_of(expectation, plan, record, evidence)
    if isinstance(told, str) or not isinstance(expectation, PacketsExpectation) or expectation.connection is not None:
        return False
    partings = [parting(_lines(expectation, plan), segments) for segments in told]
    return all(where is not None and where.segment is not None for where in partings)


def is_lasting(expectation: WireExpectation) -> bool:
    """Whether it goes on to hold, once it does, whatever is captured later."""
    if isinstance(expectation, PacketsExpectation):
        return bool(expectation.lines) and isinstance(expectation.lines[-1], Gap)
    return (expectation.count or _AT_LEAST_ONE).operator in {">", ">="}


def _lines(expectation: PacketsExpectation, plan: Plan) -> list[Line | None]:
    return [None if isinstance(line, Gap) else Line(line, plan.testbed.topology) for line in expectation.lines]


def _verdict(expectation: WireExpectation, value: Value, *, reason: str = "", saw: str = "", excerpt: tuple[str, ...] = ()) -> Verdict:
    return Verdict(
        value=value,
        text=expectation.text or _describe(expectation),
        where=expectation.where,
        step=expectation.step,
        witness="wire",
        reason=reason,
        saw=saw,
        excerpt=excerpt,
    )


def _describe(expectation: WireExpectation) -> str:
    place = f"in {expectation.capture}'s capture"
    if isinstance(expectation, CountExpectation):
        return f"{expectation.count} times {line_text(expectation.match)} {place}"
    if isinstance(expectation, IcmpExpectation):
        return f"icmp {expectation.type}/{'*' if expectation.code is None else expectation.code} from {expectation.source} {place}"
    return f"packets {place}" if expectation.lines else f"no packets {place}"


def _is_icmp(expectation: IcmpExpectation, segment: Segment) -> bool:
    return (
        segment.protocol == "icmp"
        and expectation.source in {segment.source_host, segment.source}
        and segment.icmp_type == expectation.type
        and expectation.code in {None, segment.icmp_code}
    )


def _count(
    expectation: CountExpectation | IcmpExpectation, wanted: Comparison, found: Sequence[Segment], others: Sequence[Segment], unseen: str
) -> Verdict:
    """Judge how many were ``found``; where there is none, the ``others`` are the evidence."""
    shown, saw = tuple(_captured(segment) for segment in (found or others)[:_EXCERPT_LINES]), f"{len(found)}"
    if wanted.holds(len(found)):
        return _verdict(expectation, Value.PASSED, reason=unseen, saw=saw, excerpt=shown)
    hidden = unseen if wanted.may_hold_above(len(found)) else ""
    return _not_seen(expectation, f"{len(found)} fit, {wanted} were expected", hidden, saw=saw, excerpt=shown)


def _packets(expectation: PacketsExpectation, plan: Plan, segments: Sequence[Segment], unseen: str) -> Verdict:
    lines = _lines(expectation, plan)
    where = parting(lines, segments)
    if where is None:
        return _verdict(
            expectation, Value.PASSED, reason=unseen, excerpt=tuple(_captured(segment) for segment in segments[:_EXCERPT_LINES])
        )
    wanted = [line for line in (lines[index] for index in where.lines) if line is not None]
    # A segment that no line fits is out of place whatever else there was.
    alien = where.segment is not None and not any(line is None or line.fits(segments[where.segment]) for line in lines)
    saw, excerpt = _saw(where, wanted, segments), _excerpt(where, wanted, segments)
    return _not_seen(expectation, _missed(where, wanted), "" if alien else unseen, saw=saw, excerpt=excerpt)


def _not_seen(expectation: WireExpectation, reason: str, hidden: str, *, saw: str, excerpt: tuple[str, ...]) -> Verdict:
    """What was expected was not seen: a failure, unless it may have passed all the same, ``hidden`` by the author's own filter."""
    if hidden:
        return _verdict(expectation, Value.INCONCLUSIVE, reason=f"{reason}, but {hidden}", saw=saw, excerpt=excerpt)
    return _verdict(expectation, Value.FAILED, reason=reason, saw=saw, excerpt=excerpt)


def _missed(where: Parting, wanted: Sequence[Line]) -> str:
    if where.segment is None:
        return f"never came: {line_text(wanted[-1].pattern)}"
    if not wanted:
        return "nothing (more) was expected"
    return f"expected {' or '.join(line_text(line.pattern) for line in wanted)}"


def _saw(where: Parting, wanted: Sequence[Line], segments: Sequence[Segment]) -> str:
    """What was seen at the first place where they part, and in what it differs from what comes nearest to it."""
    if where.segment is None:
        return f"nothing after frame {segments[-1].number} ({segments[-1].text})" if segments else "no segment at all"
    segment = segments[where.segment]
    differences = min((list(line.differences(segment)) for line in wanted), key=len, default=[])
    return f"frame {segment.number}, {segment.text}" + (f": {', '.join(differences)}" if differences else "")


def _excerpt(where: Parting, wanted: Sequence[Line], segments: Sequence[Segment]) -> tuple[str, ...]:
    """Captured lines around the place, like a small diff: ``-`` was expected there, ``+`` was seen instead."""
    at = len(segments) if where.segment is None else where.segment
    expected = [f"- {line_text(line.pattern)}" for line in wanted[:3]] or ["- (nothing more)"]
    before = [f"  {_captured(segment)}" for segment in segments[max(0, at - _BEFORE) : at]]
    seen = [f"+ {_captured(segment)}" for segment in segments[at : at + 1]]
    after = [f"  {_captured(segment)}" for segment in segments[at + 1 : at + _EXCERPT_LINES]]
    return tuple([*before, *expected, *seen, *after][:_EXCERPT_LINES])


def _captured(segment: Segment) -> str:
    return f"{segment.number:>3} {segment.text}"
