"""Stored runs to the tables of ``orchestrate ls`` and ``orchestrate show``.

It does not read run directories. Times are UTC, as in the names of the directories.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from orchestrator.model.verdict import Report, Value
from orchestrator.model.words.values import Record
from orchestrator.reports.drawing.findings import WORDS
from orchestrator.reports.drawing.ink import WIDEST, Ink, Style, cell, duration
from orchestrator.reports.terminal import render

_TIMES = (19, 16, 10)
"""How much of a time is shown, so that the names of the scenarios stay whole: to the second, to the minute, the day alone, nothing."""


class Row(Record, frozen=True, kw_only=True):
    """One stored run. ``value`` is ``None`` where a run never came to its verdicts; ``state`` then says how far it came."""

    run_id: str
    start_ns: int
    label: str
    value: Value | None = None
    took_ns: int = 0
    state: str = "unjudged"


def row_of(report: Report) -> Row:
    """Take from a report what a table has room for."""
    return Row(run_id=report.run_id, start_ns=report.start_ns, label=report.label, value=report.value, took_ns=report.took_ns)


def render_runs(rows: Sequence[Row], colour: bool, width: int = 80) -> str:  # noqa: FBT001  as render
    """List runs in the order given: id, when, value, duration, label."""
    if not rows:
        return "no runs are stored here yet"
    ink = Ink(colour=colour, width=min(width, WIDEST))
    run_id = max(6, *(len(row.run_id) for row in rows))
    word = max(5, *(len(_word(row)[0]) for row in rows))
    others = run_id + 2 + word + 2 + 8 + 2 + max(len(row.label) for row in rows)
    time_width = next((width for width in _TIMES if others + 2 + width <= ink.width), 0)
    heading = f"{'run':<{run_id}}  {_column('when (UTC)', time_width)}{'value':<{word}}  {'duration':>8}  scenario"
    return "\n".join([ink.line((heading, Style.DIM)), *(_row(ink, row, (run_id, time_width, word)) for row in rows)])


def _column(text: str, width: int) -> str:
    return f"{text[:width]:<{width}}  " if width else ""


def _row(ink: Ink, row: Row, widths: tuple[int, int, int]) -> str:
    run_id, time_width, word = widths
    text, style = _word(row)
    return ink.line(
        (cell(row.run_id, run_id) + "  ", Style.CYAN),
        (_column(when(row.start_ns), time_width), Style.DIM),
        (text.ljust(word), style),
        (f"  {duration(row.took_ns) if row.took_ns else '':>8}  ", Style.DIM),
        (row.label, Style.PLAIN),
    )


def _word(row: Row) -> tuple[str, Style]:
    return WORDS[row.value] if row.value else (row.state, Style.DIM)


def when(ns: int) -> str:
    """``2026-07-14 10:15:03``, UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ns // 1_000_000_000))


def judged_again(report: Report, changed: str) -> str:
    """Which run was judged again, and by whose expectations: those of the file ``changed``, or those that it ran with."""
    whose = f"the expectations of {changed}" if changed else "the expectations that it ran with"
    return f"run {report.run_id} of {when(report.start_ns)} UTC, judged again by {whose}"


def render_scenarios(titles: Mapping[str, str], folders: Collection[str], colour: bool, width: int = 80) -> str:  # noqa: FBT001  as render
    """List scenarios by name with their titles, and below them the folders that they lie in."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    name = max(map(len, titles), default=0)
    rows = [ink.line((cell(key, name) + "  ", Style.CYAN), (title, Style.PLAIN)) for key, title in titles.items()]
    return "\n".join([*rows, *([""] if rows else []), f"from {', '.join(sorted(folders))}" if rows else "no scenarios here"])


def render_show(report: Report, colour: bool, width: int = 80, verbose: int = 1) -> str:  # noqa: FBT001  as render
    """Tell a stored run in full, with when it was."""
    return f"{render(report, colour, width, verbose)}\n  run {report.run_id}, {when(report.start_ns)} UTC"
