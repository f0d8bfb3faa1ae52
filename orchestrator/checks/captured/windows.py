"""When a step lasted, by the clock of the host whose capture is asked.

Knows steps, actions and what each clock may be off by, no patterns. Steps begin by the controller's clock and frames are seen by a host's,
so which of two came first is known no finer than the error between them. The surprising fact: there may be several answers, one for each
segment that may lie on either side; what the host itself did in a step, by its own clock, leaves fewer of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from orchestrator.model.record import RunRecord, StepRecord

Span = tuple[int, int | None]
MOST = 64
"""So many answers are tried; with more of them nothing is known."""

_TOLD = frozenset({"done", "raised", "timeout"})
"""Status of an action whose times are its host's own; of any other the controller tells."""


def spans(step: int | None, host: str, error_ns: int, record: RunRecord, times: Iterable[int]) -> list[Span] | str:
    """From when to when ``step`` may have lasted (to the begin of the next one that ran; open for the last), or why that is not known.

    ``times`` are those of the segments to be told apart. The first answer is the likeliest, and the only one where clocks are exact.
    """
    if step is None:
        return [(0, None)]
    ran = sorted((one for one in record.steps if _ran(one)), key=lambda one: one.start_ns)
    own = next((one for one in ran if one.number == step), None)
    if own is None:
        return f"step {step} did not run"
    following = min((one for one in ran if one.number > step), key=lambda one: one.start_ns, default=None)
    if not error_ns:
        return [(own.start_ns, following.start_ns if following else None)]
    seen = sorted(times)
    begins = _begins(own, host, error_ns, record, seen)
    ends: list[int] | list[None] = [None] if following is None else _begins(following, host, error_ns, record, seen)
    if len(begins) * len(ends) > MOST:
        return open_order(step, host, error_ns)
    return list(product(begins, ends))


def open_order(step: int, host: str, error_ns: int) -> str:
    """Say that some segments may belong to ``step`` or to its neighbour."""
    return (
        f"which segments of {host}'s capture belong to step {step} is not known: some came so near to its begin or end "
        f"that {host}'s clock, known to ±{error_ns / 1e6:.3g} ms, cannot tell"
    )


def _ran(step: StepRecord) -> bool:
    return step.start_ns > 0 and step.status not in {"skipped", "missing"}


def _begins(step: StepRecord, host: str, error_ns: int, record: RunRecord, seen: list[int]) -> list[int]:
    """Each instant of the host's clock at which the step may have begun, as far as ``seen`` tells them apart; the likeliest first."""
    own = [one for one in record.actions if one.host == host and one.status in _TOLD]
    # By its own clock: a host acts when the step has begun, and what it had to end before that was over.
    latest = min([step.start_ns + error_ns, *(one.start_ns for one in own if one.step >= step.number)])
    over = [one.end_ns for one in own if one.step < step.number and not one.background]
    earliest = min(max([step.start_ns - error_ns, *over]), latest)
    places = [at_ns for at_ns in dict.fromkeys(seen) if earliest <= at_ns < latest] + [latest]
    likeliest = next((at_ns for at_ns in places if at_ns >= step.start_ns), latest)
    return [likeliest, *(at_ns for at_ns in places if at_ns != likeliest)]
