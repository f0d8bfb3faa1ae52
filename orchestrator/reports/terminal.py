"""Reports to text that a person reads in five seconds: headline, steps, ladder, tally, and whatever needs their eye.

It does not know streams: the text has arrows and ticks, and :func:`fit` puts it in the characters that a stream has.
Without ``verbose`` the text is bounded, whatever the length of the run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePath
from shlex import quote

from orchestrator.model.verdict import Report, Value, Verdict
from orchestrator.reports.drawing.arrows import ladder_rows
from orchestrator.reports.drawing.findings import finding, headline, is_bad, tally, verdict_rows
from orchestrator.reports.drawing.ink import WIDEST, Ink, Span, Style, duration, fit, wants_colour, width_of
from orchestrator.reports.drawing.steps import step_rows
from orchestrator.reports.progress import Progress, progress

_STOPPED = "interrupted"

_FINDINGS = 5
"""How many findings are told in full before the reader is sent to the stored report."""

_IN_FULL = 10
"""How many runs of a suite are told in full at its end; each had a line of its own before."""


def render(report: Report, colour: bool, width: int = 80, verbose: int = 0) -> str:  # noqa: FBT001  the stage's fixed shape
    """Tell one run. ``verbose`` lists each line typed, the whole ladder and every verdict, the passed ones too; 2: with evidence."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    bad = [verdict for verdict in report.verdicts if is_bad(verdict)]
    failed = {verdict.step for verdict in bad if verdict.value is not Value.INCONCLUSIVE and verdict.step}
    steps = step_rows(ink, report.steps, failed, whole=verbose > 0) if report.value is not Value.SKIPPED else []
    blocks = [
        _head(ink, report),
        steps,
        ladder_rows(ink, report.ladder, whole=verbose > 0),
        *_findings(ink, report, whole=verbose > 0),
        verdict_rows(ink, report.verdicts, evidence=verbose > 1) if verbose else [],
        _foot(ink, report, verbose),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(ink: Ink, report: Report) -> list[str]:
    """The headline, and the run's own reason where no finding tells it better."""
    bad = _to_tell(report)
    told = any(
        verdict.value is Value.FAILED or report.reason.endswith(tuple(filter(None, (verdict.reason, verdict.saw)))) for verdict in bad
    )
    needless = report.value is Value.PASSED or not report.reason or (told and report.status != _STOPPED)
    return [headline(ink, report), *([] if needless else ink.wrapped("  ", report.reason))]


def _to_tell(report: Report) -> list[Verdict]:
    """What needs an eye; that the run was stopped is told by its reason alone."""
    stop = report.reason if report.status == _STOPPED else ""
    return [verdict for verdict in report.verdicts if is_bad(verdict) and not (stop and verdict.where is None and verdict.reason == stop)]


def _findings(ink: Ink, report: Report, *, whole: bool) -> list[list[str]]:
    """What needs an eye in full, and unless ``whole`` a line for all that the run ended before."""
    bad = [verdict for verdict in _to_tell(report) if whole or verdict.reached]
    blocks = [finding(ink, verdict, whole=whole) for verdict in (bad if whole else bad[:_FINDINGS])]
    hidden = len(bad) - len(blocks)
    more = [[ink.line((f"  … {hidden} more findings", Style.DIM))]] if hidden > 0 else []
    return [*blocks, *more, [] if whole else _unreached(ink, report, more=bool(bad))]


def _unreached(ink: Ink, report: Report, *, more: bool) -> list[str]:
    """``3 more expectations were not reached: the run ended in step 7``."""
    count = sum(is_bad(verdict) and not verdict.reached for verdict in report.verdicts)
    last = max((step.number for step in report.steps if step.status not in {"missing", "skipped"}), default=0)
    end = f"the run ended in step {last}" if last else "the run ended before its first step"
    if report.status == "failed" and all(step.status != "missing" for step in report.steps):
        end = f"{'their steps' if count != 1 else 'its step'} failed before"  # and the run went on, or this was its last
    noun = f"{'more ' * more}expectation{'s were' if count != 1 else ' was'}"
    return [ink.line((f"  · {count} {noun} not reached: {end}", Style.DIM))] if count else []


def _foot(ink: Ink, report: Report, verbose: int) -> list[str]:
    """The tally, and where to look further. Paths and commands are whole, to be copied."""
    whole = Ink(colour=ink.colour, width=0)
    counted = [ink.line(("  ", Style.PLAIN), *tally([verdict.value for verdict in report.verdicts]))] if report.verdicts else []
    places = [row for note in report.notes for row in ink.wrapped("  ", note, Style.DIM)]
    places += [whole.line((f"  {report.directory}", Style.DIM))] if report.directory else []
    known = "," in report.fingerprint or ";" in report.fingerprint  # while hosts stay up they have not told it yet
    places += ink.wrapped("  ", report.fingerprint, Style.DIM) if known and (verbose or _troubled(report)) else []
    if not _troubled(report):
        return [*counted, *places]
    further = [] if verbose or not report.directory else [f"orchestrate show {report.run_id}{runs_option(report)}"]
    further += ["wireshark " + quote(f"{report.directory}/{name}") for name in report.captures if report.directory]
    labels = ["  look further  ", *["                "] * len(further)]
    return [*counted, *places, *(whole.line((label, Style.DIM), (line, Style.PLAIN)) for label, line in zip(labels, further, strict=False))]


def _troubled(report: Report) -> bool:
    return report.value not in {Value.PASSED, Value.SKIPPED}


def render_end(report: Report, colour: bool, width: int = 80) -> str:  # noqa: FBT001  as render
    """Tell the end of a run whose report was read while its hosts stayed up."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    return "\n\n".join("\n".join(block) for block in (_head(ink, report), _foot(ink, report, 0)))


def ways_in(report: Report, hosts: Sequence[str], more: int = 0) -> str:
    """What to do while hosts stay up, and ``more`` runs are to come; commands are whole, to be copied."""
    ways = [f"  orchestrate shell --run {report.run_id}{runs_option(report)} {host}" for host in hosts]
    then = f" and goes on with the next run ({more} more)" if more > 0 else ""
    return "\n".join(["The hosts stay up. In another terminal:", *ways, f"Ctrl-C here takes them down{then}."])


def runs_option(report: Report) -> str:
    """`` --runs DIR`` for the commands that must find this run, where it is not kept in the folder that they look in."""
    folder = PurePath(report.directory).parent.parent
    return "" if not report.directory or str(folder) == "runs" else f" --runs {quote(str(folder))}"


def render_suite(  # noqa: PLR0913  a suite is told by all of these
    reports: Sequence[Report],
    colour: bool,  # noqa: FBT001  as render
    width: int = 80,
    verbose: int = 0,
    known: Collection[str] = (),
    *,
    wanted: int = 0,
) -> str:
    """Close many runs, each of which had a line when it ended: those that went wrong in full, or ``verbose`` all of them, and a tally.

    ``known`` are the ids of runs that were told in full already; ``wanted`` is how many there would have been.
    """
    ink = Ink(colour=colour, width=min(width, WIDEST))
    to_tell = [report for report in reports if report.run_id not in known and (verbose or _troubled(report))]
    shown = to_tell if verbose else to_tell[:_IN_FULL]
    hidden = len(to_tell) - len(shown)
    more = [ink.line((f"… {hidden} more, of which `orchestrate ls` knows the ids", Style.DIM))] if hidden else []
    counted = _tally_of_runs(reports, wanted) or [("nothing ran", Style.YELLOW)]
    took = max((one.start_ns + one.took_ns for one in reports), default=0) - min((one.start_ns for one in reports), default=0)
    tail = (f"  in {duration(took)}" if took else "", Style.DIM)
    skipped = [] if verbose else ["\n".join(_skipped(ink, reports))]
    blocks = [*(render(report, colour, width, verbose) for report in shown), *more, *filter(None, skipped), ink.line(*counted, tail)]
    return ("\n" if len(blocks) > 1 else "") + "\n\n".join(blocks)


def _tally_of_runs(reports: Sequence[Report], wanted: int) -> list[Span]:
    """``1 failed, 3 passed, 1 interrupted, 2 not run``."""
    stopped = [report for report in reports if (report.status, report.value) == (_STOPPED, Value.INCONCLUSIVE)]
    counted = [tally([report.value for report in reports if report not in stopped])]
    others = {"interrupted": len(stopped), "not run": wanted - len(reports)}
    counted += [[(f"{count} {word}", Style.YELLOW)] for word, count in others.items() if count > 0 and reports]
    return [piece for spans in counted if spans for piece in [(", ", Style.DIM), *spans]][1:]


def _skipped(ink: Ink, reports: Sequence[Report]) -> list[str]:
    """Why runs were skipped, each reason once: it says what to install."""
    labels: dict[str, dict[str, None]] = {}
    for report in reports:
        if report.value is Value.SKIPPED and report.reason:
            labels.setdefault(report.reason, {})[report.label] = None
    return [row for reason, named in labels.items() for row in ink.wrapped("- ", f"{reason} (skips {', '.join(named)})")]


__all__ = ["Progress", "fit", "progress", "render", "render_suite", "wants_colour", "width_of"]
