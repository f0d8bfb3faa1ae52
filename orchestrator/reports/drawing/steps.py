"""Step lines to rows: a mark, who typed, what, and how long it took. The live progress and the report draw with these same rows.

It does not know verdicts: what is wrong with a step is given as a mark.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.model.verdict import StepLine
from orchestrator.reports.drawing.ink import Ink, Span, Style, broken, cell, duration

MARKS: dict[str, Span] = {
    "done": ("✓", Style.GREEN),
    "failed": ("✗", Style.RED),
    "skipped": ("-", Style.DIM),
    "missing": ("·", Style.DIM),
}
_MARGIN, _TOOK = 2, 11
_HEAD, _TAIL = 10, 4


def step_rows(ink: Ink, steps: Sequence[StepLine], failed: Collection[int] = (), *, whole: bool = False) -> list[str]:
    """All the steps; unless ``whole``, one row each and of many only the first, the last and the failed."""
    hosts = host_width(steps)
    rows: list[str] = []
    for index, step in enumerate(steps):
        if whole or _shown(steps, index, failed):
            rows += step_row(ink, step, hosts, MARKS["failed"] if step.number in failed else None, whole=whole)
        elif _shown(steps, index - 1, failed):
            rows.append(ink.line((f"  {'…':>4}  {_hidden_from(steps, index, failed)} more steps", Style.DIM)))
    return rows


def _shown(steps: Sequence[StepLine], index: int, failed: Collection[int]) -> bool:
    few = len(steps) <= _HEAD + _TAIL + 1
    return few or index < _HEAD or index >= len(steps) - _TAIL or steps[index].number in failed or steps[index].status == "failed"


def _hidden_from(steps: Sequence[StepLine], index: int, failed: Collection[int]) -> int:
    following = range(index, len(steps))
    return next((at - index for at in following if _shown(steps, at, failed)), len(following))


def host_width(steps: Sequence[StepLine]) -> int:
    """The columns that the longest name (or names) of who typed needs, within reason."""
    return min(max((len(who) for step in steps for who, _ in _parts(step)), default=0), 20)


def step_row(ink: Ink, step: StepLine, hosts: int, mark: Span | None = None, *, whole: bool = False) -> list[str]:
    """One step: a row for each host that typed something of its own, or ``whole`` for each line typed. ``mark`` overrules its status."""
    first = mark or MARKS.get(step.status, MARKS["missing"])
    parts = list(zip(step.hosts, step.typed, strict=True)) if whole else _parts(step, failed=first == MARKS["failed"])
    if whole:
        parts = [(host if not index else "", piece) for host, text in parts for index, piece in enumerate(broken(text, _room(ink, hosts)))]
    rows = [_row(ink, None if index else first, step, part, hosts) for index, part in enumerate(parts or [("", step.name)])]
    if whole and parts and step.name:
        rows.insert(0, ink.line((" " * 8, Style.PLAIN), (step.name, Style.DIM)))
    return rows


def _room(ink: Ink, hosts: int) -> int:
    """The columns for what was typed."""
    return max(ink.width - _MARGIN - 6 - hosts - 2 - _TOOK, 8) if ink.width else 0


def _parts(step: StepLine, *, failed: bool = False) -> list[tuple[str, str]]:
    """Who typed what, hosts that typed the same together: ``romeo, juliet``. Of a step that ``failed``, begin with the line that did."""
    lines = {host: "; ".join(text for who, text in zip(step.hosts, step.typed, strict=True) if who == host) for host in step.hosts}
    if failed and step.stopped_at >= 0:
        host, text = step.hosts[step.stopped_at], step.typed[step.stopped_at]
        lines[host] = text if step.hosts.index(host) == step.stopped_at else f"… {text}"
    texts = dict.fromkeys(lines.values())
    return [(", ".join(host for host, line in lines.items() if line == text), text) for text in texts]


def _row(ink: Ink, mark: Span | None, step: StepLine, part: tuple[str, str], hosts: int) -> str:
    """Only the first row of a step has its mark, its number and its time."""
    room = _room(ink, hosts) or len(part[1])
    took = duration(step.took_ns) if mark and step.status not in {"skipped", "missing"} else ""
    return ink.line(
        (" " * _MARGIN, Style.PLAIN),
        mark or (" ", Style.PLAIN),
        (f"{step.number if mark else '':>3}  ", Style.DIM),
        (cell(part[0], hosts) + "  ", Style.CYAN),
        (cell(part[1], room), Style.DIM if step.status == "missing" else Style.PLAIN),
        (f"{took:>{_TOOK}}", Style.DIM),
    )
