"""Verdicts to text: the headline of a run, its tally, and for each finding where it was asked, what was seen, and the evidence beside it.

It does not judge: the value of a run and of each verdict are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orchestrator.model.verdict import Report, Value, Verdict
from orchestrator.reports.drawing.ink import Ink, Span, Style, cell, duration

WORDS: dict[Value, Span] = {
    Value.PASSED: ("PASS", Style.BOLD_GREEN),
    Value.FAILED: ("FAIL", Style.BOLD_RED),
    Value.INCONCLUSIVE: ("INCONCLUSIVE", Style.BOLD_YELLOW),
    Value.ERROR: ("ERROR", Style.BOLD_RED),
    Value.SKIPPED: ("SKIP", Style.BOLD_YELLOW),
}
"""How a person is told the value of a run."""

VERDICT_MARKS: dict[Value, Span] = {
    Value.PASSED: ("✓", Style.GREEN),
    Value.FAILED: ("✗", Style.RED),
    Value.INCONCLUSIVE: ("?", Style.YELLOW),
    Value.ERROR: ("!", Style.RED),
    Value.SKIPPED: ("-", Style.DIM),
}
_ORDER = (Value.FAILED, Value.ERROR, Value.INCONCLUSIVE, Value.PASSED, Value.SKIPPED)
_EXCERPT_LINES = 12
_LINE = 200
_ADVICE = 1000
"""What the harness says ends in what to do, so it is cut later."""
"""So many characters of one line are shown: a program may write a megabyte without a break, and the record has it all."""

_BAR = "    │ "


def headline(ink: Ink, report: Report) -> str:
    """``PASS  connection-refused  TCP connection refused   48 ms``."""
    word, style = WORDS[report.value]
    took = duration(report.took_ns) if report.took_ns else ""
    title = report.title if report.title != report.label else ""
    room = ink.width - len(word) - 2 - len(report.label) - 2 - len(took) - 2 if ink.width else len(title)
    return ink.line(
        (word, style),
        ("  " + report.label + "  ", Style.BOLD),
        (cell(title, room) if room > 0 else "", Style.PLAIN),
        ("  " + took, Style.DIM),
    )


def is_bad(verdict: Verdict) -> bool:
    """Whether a person must hear of it."""
    return verdict.value not in {Value.PASSED, Value.SKIPPED}


def tally(values: Sequence[Value]) -> list[Span]:
    """``1 failed, 8 passed``, the worst first, each in its colour."""
    counts = Counter(values)
    present = [value for value in _ORDER if counts[value]]
    spans = [(f"{counts[value]} {value}", VERDICT_MARKS[value][1]) for value in present]
    return [piece for index, span in enumerate(spans) for piece in ([(", ", Style.DIM)] if index else []) + [span]]


def place(verdict: Verdict) -> str:
    """``scenarios/x.yaml:14``, empty where nobody wrote the expectation."""
    return f"{verdict.where.path}:{verdict.where.line}" if verdict.where else ""


def finding(ink: Ink, verdict: Verdict, *, whole: bool = False) -> list[str]:
    """A verdict that a person must understand: the expectation, what was seen instead, why, and the evidence (``whole``: uncut)."""
    at = (f" {place(verdict) or 'the run'}", Style.BOLD)
    rows = [ink.line(("  ", Style.PLAIN), VERDICT_MARKS[verdict.value], at, _witness(verdict))]
    rows += ink.wrapped("    expected  ", _bounded(verdict.text))
    return [*rows, *_seen(ink, verdict, whole=whole)]


def _seen(ink: Ink, verdict: Verdict, *, whole: bool) -> list[str]:
    """What was seen, why that is the verdict, and the evidence; a reason that repeats what was seen tells both."""
    saw, reason = (verdict.reason, "") if verdict.saw and verdict.saw in verdict.reason else (verdict.saw, verdict.reason)
    told = (("saw", saw), ("because", reason))
    most = _ADVICE if verdict.witness == "harness" else _LINE
    rows = [row for label, text in told if text for row in ink.wrapped(f"    {label:<9} ", _bounded(text, most))]
    return [*rows, *_excerpt(ink, verdict.excerpt, whole=whole)]


def _bounded(text: str, most: int = _LINE) -> str:
    return "\n".join(line if len(line) <= most else line[:most] + "..." for line in text.splitlines())


def _excerpt(ink: Ink, lines: Sequence[str], *, whole: bool) -> list[str]:
    if whole:
        return [row for line in lines for row in ink.wrapped(_BAR, _bounded(line))]
    hidden = len(lines) - _EXCERPT_LINES
    rows = [ink.line((_BAR, Style.DIM), (line, Style.PLAIN)) for line in lines[:_EXCERPT_LINES]]
    return [*rows, *([ink.line((f"{_BAR}… {hidden} more lines", Style.DIM))] if hidden > 0 else [])]


def _witness(verdict: Verdict) -> Span:
    step = f" in step {verdict.step}" if verdict.step else ""
    return f"  {verdict.value}{step}, witness: {verdict.witness}", Style.DIM


def verdict_rows(ink: Ink, verdicts: Sequence[Verdict], *, evidence: bool = False) -> list[str]:
    """Every verdict, a row each: mark, line, expectation, witness; a skipped one with its reason; the ``evidence`` of those that passed."""
    lines = [str(verdict.where.line) if verdict.where else "" for verdict in verdicts]
    number = max((len(line) for line in lines), default=0)
    witness = max((len(verdict.witness) for verdict in verdicts), default=0)
    room = ink.width - number - witness - 8 if ink.width else 0
    rows: list[str] = []
    for verdict, line in zip(verdicts, lines, strict=True):
        rows.append(_verdict_row(ink, verdict, line.rjust(number), (room, witness)))
        rows += _seen(ink, verdict, whole=True) if evidence and verdict.value is Value.PASSED else []
    return rows


def _verdict_row(ink: Ink, verdict: Verdict, line: str, places: tuple[int, int]) -> str:
    room, witness = places
    text = f"{verdict.text} ({verdict.reason})" if verdict.value is Value.SKIPPED and verdict.reason else verdict.text
    return ink.line(
        ("  ", Style.PLAIN),
        VERDICT_MARKS[verdict.value],
        (f" {line}  ", Style.DIM),
        (cell(text, room) if room else text, Style.PLAIN),
        ("  " + verdict.witness.rjust(witness), Style.DIM),
    )
