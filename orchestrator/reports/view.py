"""What one command shows on one stream: the progress of its runs, what it has to say, and the summary.

The only place that knows a stream's width, colours and characters; everything else draws text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from orchestrator.model.plan import Plan, PlannedStep
from orchestrator.model.record import StepRecord
from orchestrator.model.verdict import Report
from orchestrator.reports import terminal
from orchestrator.reports.drawing.ink import fit, wants_colour, width_of
from orchestrator.reports.listing import Row, render_runs, render_show
from orchestrator.reports.progress import Progress, progress


class View:
    """One command's output."""

    def __init__(self, stream: TextIO, *, jobs: int = 1, runs: int = 1, verbose: int = 0, quiet: bool = False) -> None:
        self._stream = stream
        self._jobs = jobs
        self._runs = runs
        self._verbose = verbose
        self._quiet = quiet
        self._open: list[Progress] = []

    def progress(self) -> Progress:
        """Watch one more run."""
        if self._quiet:
            return Silent()
        made = progress(self._stream, self._jobs, self._verbose > 0, self._runs)
        self._open.append(made)
        return made

    def close(self) -> None:
        """Leave the screen as it was."""
        for watched in self._open:
            watched.close()

    def say(self, text: str) -> None:
        """Tell a person something that is not a report."""
        self.close()
        self._write(text)

    def summary(self, reports: Sequence[Report]) -> None:
        """One report whole, several as a table with a tally."""
        colour, width = wants_colour(self._stream), width_of(self._stream)
        if len(reports) == 1:
            self._write(terminal.render(reports[0], colour, width, self._verbose))
        else:
            self._write(terminal.render_suite(reports, colour, width))

    def show(self, report: Report) -> None:
        """A stored report, with everything in it."""
        self._write(render_show(report, wants_colour(self._stream), width_of(self._stream)))

    def runs(self, rows: Sequence[Row]) -> None:
        """The table of the runs that are kept."""
        self._write(render_runs(rows, wants_colour(self._stream), width_of(self._stream)))

    def _write(self, text: str) -> None:
        self._stream.write(fit(text, self._stream) + "\n")
        self._stream.flush()


class Silent:
    """Watches and says nothing."""

    def run_begins(self, plan: Plan) -> None:
        """Say nothing."""

    def step_begins(self, step: PlannedStep) -> None:
        """Say nothing."""

    def step_waits(self, step: PlannedStep, text: str) -> None:
        """Say nothing."""

    def step_ends(self, step: PlannedStep, record: StepRecord) -> None:
        """Say nothing."""

    def run_ends(self, report: Report) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Nothing is drawn."""
