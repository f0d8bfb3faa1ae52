"""When a step lasted, by the clock of the host whose capture is asked.

Knows steps, actions and what each clock may be off by, no patterns. Steps begin by the controller's clock and frames are seen by a host's,
so which of two came first is known no finer than the error between them. The surprising fact: there may be several answers, one for each
segment that may lie on either side; what hosts did in a step, by clocks that are nearer to this one, leaves fewer of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from orchestrator.model.evidence import Evidence
from orchestrator.model.record import RunRecord, StepRecord

Span = tuple[int, int | None]
MOST = 64
"""So many answers are tried; with more of them nothing is known."""

_TOLD = frozenset({"done", "raised", "timeout"})
"""Status of an action whose times are its host's own; of any other the controller tells."""


def spans(step: int | None, host: str, record: RunRecord, evidence: Evidence, times: Iterable[int]) -> list[Span] | str:
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
    if not evidence.error_ns(host):
        return [(own.start_ns, following.start_ns if following else None)]
    seen = sorted(times)
    begins = _begins(own, host, record, evidence, seen)
    ends: list[int] | list[None] = [None] if following is None else _begins(following, host, record, evidence, seen)
    if len(begins) * len(ends) > MOST:
        return open_order(step, host, evidence)
    return list(product(begins, ends))


def open_order(step: int, host: str, evidence: Evidence) -> str:
    """Say that some segments may belong to ``step`` or to its neighbour."""
    return (
        f"which segments of {host}'s capture belong to step {step} is not known: some came so near to its begin or end "
        f"that {host}'s clock, known to ±{evidence.error_ns(host) / 1e6:.3g} ms, cannot tell"
    )


def _ran(step: StepRecord) -> bool:
    return step.start_ns > 0 and step.status not in {"skipped", "missing"}


def _begins(step: StepRecord, host: str, record: RunRecord, evidence: Evidence, seen: list[int]) -> list[int]:
    """Each instant of the host's clock at which the step may have begun, as far as ``seen`` tells them apart; the likeliest first.

    Whoever acts in a step acts after its begin, and what had to end before it was over by then: by the clock of a host that is known better
    against this one than the controller's is (best of all, this host's own).
    """
    told = [(one, evidence.apart_ns(host, one.host)) for one in record.actions if one.status in _TOLD]
    error_ns = evidence.error_ns(host)
    latest = min([step.start_ns + error_ns, *(one.start_ns + apart for one, apart in told if one.step >= step.number)])
    over = [one.end_ns - apart for one, apart in told if one.step < step.number and not one.background]
    earliest = min(max([step.start_ns - error_ns, *over]), latest)
    places = [*(at_ns for at_ns in dict.fromkeys(seen) if earliest <= at_ns < latest), latest]
    likeliest = next((at_ns for at_ns in places if at_ns >= step.start_ns), latest)
    return [likeliest, *(at_ns for at_ns in places if at_ns != likeliest)]
