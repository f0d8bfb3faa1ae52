"""What is known of the hosts' clocks, in a line; nothing where all share the controller's.

Knows no judgement. What surprises: told is by how much a host's Unix clock, which a person can look at, is ahead of the controller's,
though nothing in a run rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.evidence import ClockEvidence

COARSE_NS = 1_000_000
"""An error from which on it is worth a note: segments and calls of lab sheets follow each other by about so much."""


def clocks_line(clocks: Sequence[ClockEvidence]) -> str:
    """``clocks: romeo +12.3 ms ± 0.2 ms (captures), juliet -3.1 s ± 0.3 ms``."""
    told = [f"{clock.host} {_ahead(clock)} ± {_span(clock.error_ns)}{_from(clock)}" for clock in clocks]
    return f"clocks: {', '.join(told)}" if told else ""


def clock_notes(clocks: Sequence[ClockEvidence]) -> tuple[str, ...]:
    """Why some clock cannot be believed, and which ones are known so coarsely that it may matter."""
    coarse = [clock for clock in clocks if clock.error_ns > COARSE_NS]
    line = [f"{clocks_line(coarse)}: what happened on two hosts within such a time has no known order"] if coarse else []
    return (*dict.fromkeys(clock.doubt for clock in clocks if clock.doubt), *line)


def _ahead(clock: ClockEvidence) -> str:
    ahead_ns = clock.unix_ns - clock.shift_ns
    return f"{'-' if ahead_ns < 0 else '+'}{_span(abs(ahead_ns))}"


def _from(clock: ClockEvidence) -> str:
    return " (captures)" if clock.source == "captures" else ""


def _span(span_ns: int) -> str:
    return f"{span_ns / 1e6:.3g} ms" if span_ns < 1_000_000_000 else f"{span_ns / 1e9:.4g} s"
