"""What earlier runs left on machines, and was taken back -> lines for a person. No judgement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.model.inventory import Left, LeftRun
from orchestrator.reports.drawing.ink import WIDEST, Ink, Style
from orchestrator.reports.listing import when


def render_remains(remains: Sequence[Left], colour: bool, width: int) -> str:  # noqa: FBT001  as render
    """A block for each machine."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    return "\n".join(line for left in remains for line in _block(ink, left))


def _block(ink: Ink, left: Left) -> Iterator[str]:
    yield ink.line((left.machine, Style.BOLD))
    if left.problem:
        yield from ink.wrapped("  ✗ ", left.problem)
    elif not (left.runs or left.rules or left.folders):
        yield ink.line(("  ✓ nothing of any run is left", Style.GREEN))
    for run in left.runs:
        yield from _run(ink, run)
    for text in (*left.rules, *left.folders):
        yield from ink.wrapped("  ✓ of a run that nothing else is known of: ", text)


def _run(ink: Ink, run: LeftRun) -> Iterator[str]:
    whose = f"run {run.run} of {run.who or 'nobody known'}, since {when(run.since_ns)}"
    if run.alive:
        yield from ink.wrapped("  ! ", f"{whose}: goes on; `orchestrate clean --run {run.run}` ends it")
        return
    yield from ink.wrapped("  ✗ " if run.not_undone else "  ✓ ", f"{whose}: {run.reason}")
    for text in run.undone:
        yield from ink.wrapped("      put back: ", text)
    for text in run.not_undone:
        yield from ink.wrapped("      NOT put back: ", text)
