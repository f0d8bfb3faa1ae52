"""What is known of the hosts' clocks, in a line; nothing where all share the controller's.

Knows no judgement. What surprises: told is by how much a host's Unix clock, which a person can look at, is ahead of the controller's,
though nothing in a run rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from orchestrator.model.evidence import ClockEvidence, Evidence

COARSE_NS = 1_000_000
"""An error from which on it is worth a note: segments and calls of lab sheets follow each other by about so much."""


def clocks_line(clocks: Sequence[ClockEvidence]) -> str:
    """``clocks: romeo +12.3 ms ± 0.2 ms (captures), juliet -3.1 s ± 0.3 ms``."""
    told = [f"{clock.host} {_ahead(clock)} ± {_span(clock.error_ns)}{_from(clock)}" for clock in clocks]
    return f"clocks: {', '.join(told)}" if told else ""


def clock_notes(evidence: Evidence) -> tuple[str, ...]:
    """Why some clock cannot be believed, and which two are known to each other so coarsely that it may matter."""
    pairs = combinations([clock.host for clock in evidence.clocks], 2)
    worst_ns, hosts = max(((evidence.apart_ns(*pair), pair) for pair in pairs), default=(0, ()))
    both = " and ".join(hosts)
    coarse = f"what happened on {both} within {_span(worst_ns)} of each other has no known order: their clocks may be that far apart"
    doubts = dict.fromkeys(clock.doubt for clock in evidence.clocks if clock.doubt)
    return (*doubts, *([coarse] if worst_ns > COARSE_NS else []))


def _ahead(clock: ClockEvidence) -> str:
    ahead_ns = clock.unix_ns - clock.shift_ns
    return f"{'-' if ahead_ns < 0 else '+'}{_span(abs(ahead_ns))}"


def _from(clock: ClockEvidence) -> str:
    return " (captures)" if clock.source == "captures" else ""


def _span(span_ns: int) -> str:
    return f"{span_ns / 1e6:.3g} ms" if span_ns < 1_000_000_000 else f"{span_ns / 1e9:.4g} s"
