"""Reports to text that a person reads in five seconds: headline, steps, ladder, tally, and whatever needs their eye.

It does not know streams: the text has arrows and ticks, and :func:`fit` puts it in the characters that a stream has.
Without ``verbose`` the text is bounded, whatever the length of the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.verdict import Report, Value, Verdict
from orchestrator.reports.drawing.arrows import ladder_rows
from orchestrator.reports.drawing.findings import WORDS, finding, headline, is_bad, tally, verdict_rows
from orchestrator.reports.drawing.ink import WIDEST, Ink, Style, cell, clean, duration, fit, wants_colour, width_of
from orchestrator.reports.drawing.steps import step_rows
from orchestrator.reports.progress import Progress, progress

_FINDINGS = 5
"""How many findings are told in full before the reader is sent to the stored report."""


def render(report: Report, colour: bool, width: int = 80, verbose: int = 0) -> str:  # noqa: FBT001  the stage's fixed shape
    """Tell one run. ``verbose`` lists each line typed, the whole ladder and every verdict, the passed ones too."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    bad = [verdict for verdict in report.verdicts if is_bad(verdict)]
    failed = {verdict.step for verdict in bad if verdict.value is not Value.INCONCLUSIVE and verdict.step}
    steps = step_rows(ink, report.steps, failed, whole=verbose > 0) if report.value is not Value.SKIPPED else []
    blocks = [
        _head(ink, report),
        steps,
        ladder_rows(ink, report.ladder, whole=verbose > 0),
        *_findings(ink, bad, whole=verbose > 0),
        verdict_rows(ink, report.verdicts) if verbose else [],
        _foot(ink, report, verbose),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(ink: Ink, report: Report) -> list[str]:
    """The headline, and the run's own reason where no finding tells it better."""
    bad = [verdict for verdict in report.verdicts if is_bad(verdict)]
    told = any(verdict.value is Value.FAILED or report.reason in (verdict.reason, verdict.saw) for verdict in bad)
    needless = report.value is Value.PASSED or not report.reason or told
    return [headline(ink, report), *([] if needless else ink.wrapped("  ", report.reason))]


def _findings(ink: Ink, bad: Sequence[Verdict], *, whole: bool) -> list[list[str]]:
    blocks = [finding(ink, verdict, whole=whole) for verdict in (bad if whole else bad[:_FINDINGS])]
    hidden = len(bad) - len(blocks)
    return [*blocks, *([[ink.line((f"  … {hidden} more findings", Style.DIM))]] if hidden > 0 else [])]


def _foot(ink: Ink, report: Report, verbose: int) -> list[str]:
    """The tally, and where to look further. Paths and commands are whole, to be copied."""
    whole = Ink(colour=ink.colour, width=0)
    counted = [ink.line(("  ", Style.PLAIN), *tally([verdict.value for verdict in report.verdicts]))] if report.verdicts else []
    places = [whole.line((f"  {report.directory}", Style.DIM))] if report.directory else []
    places += ink.wrapped("  ", report.fingerprint, Style.DIM) if report.fingerprint and (verbose or _troubled(report)) else []
    if not _troubled(report):
        return [*counted, *places]
    further = [] if verbose else [f"orchestrate show {report.run_id}"]
    further += [f"wireshark {report.directory}/{name}" for name in report.captures if report.directory]
    labels = ["  look further  ", *["                "] * len(further)]
    return [*counted, *places, *(whole.line((label, Style.DIM), (line, Style.PLAIN)) for label, line in zip(labels, further, strict=False))]


def _troubled(report: Report) -> bool:
    return report.value not in {Value.PASSED, Value.SKIPPED}


def render_suite(reports: Sequence[Report], colour: bool, width: int = 80) -> str:  # noqa: FBT001  as render
    """Tell many runs: one line each, with the first thing that needs an eye, and a tally."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    word = max((len(WORDS[report.value][0]) for report in reports), default=0)
    label = min(max((len(report.label) for report in reports), default=0), 40)
    rows = [_suite_row(ink, report, word, label) for report in reports]
    total = sum(report.took_ns for report in reports)
    counted = tally([report.value for report in reports]) or [("nothing ran", Style.YELLOW)]
    tail = (f"  in {duration(total)} of runs" if total else "", Style.DIM)
    return "\n".join([*rows, "", ink.line(*counted, tail)] if rows else [ink.line(*counted)])


def _suite_row(ink: Ink, report: Report, word: int, label: int) -> str:
    text, style = WORDS[report.value]
    took = duration(report.took_ns) if report.took_ns else ""
    return ink.line(
        (text.ljust(word), style),
        ("  " + cell(report.label, label), Style.PLAIN),
        (f"{took:>9}", Style.DIM),
        ("  " + _first_trouble(report), Style.PLAIN),
    )


def _first_trouble(report: Report) -> str:
    bad = next((verdict for verdict in report.verdicts if is_bad(verdict)), None)
    if bad is not None:
        return clean(f"line {bad.where.line}: {bad.text}" if bad.where else bad.reason or bad.text)
    return "" if report.value is Value.PASSED else clean(report.reason)


__all__ = ["Progress", "fit", "progress", "render", "render_suite", "wants_colour", "width_of"]
