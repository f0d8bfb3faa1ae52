"""A run among several to one line: value, label, what it is about or what went wrong, and how long it took.

It does not know the other runs, only how wide their labels are, so that a line can be drawn while they still go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.model.verdict import Report, Value
from orchestrator.reports.drawing.findings import WORDS, is_bad
from orchestrator.reports.drawing.ink import Ink, Style, cell, clean, duration

_WORD = max(len(word) for word, _style in WORDS.values())
_TOOK = 9
_MOST_LABEL = 32


def label_width(labels: Iterable[str]) -> int:
    """The columns for the labels of these runs."""
    return min(max(map(len, labels), default=0), _MOST_LABEL)


def suite_row(ink: Ink, report: Report, label: int) -> str:
    """``FAIL          syn-dropped         line 22: packets in romeo's …   3.10 s``."""
    word, style = WORDS[report.value]
    took = duration(report.took_ns) if report.took_ns else ""
    text = _trouble(report) or (report.title if report.title != report.label else "")
    room = max(ink.width - _WORD - 2 - label - 2 - _TOOK, 0) if ink.width else len(text)
    return ink.line(
        (word.ljust(_WORD), style),
        ("  " + cell(report.label, label) + "  ", Style.BOLD),
        (cell(text, room) if room else "", Style.PLAIN),
        (f"{took:>{_TOOK}}", Style.DIM),
    )


def _trouble(report: Report) -> str:
    """The first thing that needs an eye."""
    bad = next((verdict for verdict in report.verdicts if is_bad(verdict)), None)
    if bad is not None:
        return clean(f"line {bad.where.line}: {bad.text}" if bad.where else _first_line(bad.reason) or bad.text)
    return "" if report.value is Value.PASSED else clean(_first_line(report.reason))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
