"""What one command shows on one stream: the progress of its runs, what it has to say, and the summary.

The only place that knows a stream's width, colours and characters; everything else draws text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TextIO

from orchestrator.model.plan import Plan, PlannedStep
from orchestrator.model.record import StepRecord
from orchestrator.model.verdict import Report
from orchestrator.reports import terminal
from orchestrator.reports.drawing.footer import Footer
from orchestrator.reports.drawing.ink import tell, wants_colour, width_of
from orchestrator.reports.listing import Row, render_runs, render_scenarios, render_show
from orchestrator.reports.progress import Progress, progress


class View:
    """One command's output."""

    def __init__(self, stream: TextIO, *, jobs: int = 1, labels: Sequence[str] = (), verbose: int = 0, quiet: bool = False) -> None:
        self._stream = stream
        self._jobs = jobs
        self._labels = labels
        self._verbose = verbose
        self._quiet = quiet
        self._footer = Footer(stream, labels, wanted=jobs > 1 and not quiet)
        self._begun = 0
        self._open: list[Progress] = []
        self._told: dict[str, Report] = {}

    def progress(self) -> Progress:
        """Watch one more run."""
        self._begun += 1
        if self._quiet:
            return Silent()
        made = progress(self._stream, self._jobs, self._verbose > 0, self._labels, self._footer)
        self._open.append(made)
        return made

    def close(self) -> None:
        """Leave the screen as it was."""
        for watched in self._open:
            watched.close()
        self._footer.clear()

    def hold(self, report: Report, hosts: Sequence[str]) -> None:
        """The hosts of a run stay up: what can be said so far, and how to look around."""
        for watched in self._open:
            watched.make_room()
        colour, width = wants_colour(self._stream), width_of(self._stream)
        ways = terminal.ways_in(report, hosts, len(self._labels) - self._begun)
        self._write(terminal.render(report, colour, width, self._verbose) + "\n\n" + ways)
        self._told[report.run_id] = report

    def summary(self, reports: Sequence[Report], heading: str = "") -> None:
        """Tell one report whole, or of several those that need an eye, and a tally. What was told already is not told again."""
        if heading:
            self._write(heading + "\n")
        colour, width = wants_colour(self._stream), width_of(self._stream)
        known = {report.run_id for report in reports if self._knows(report)}
        if len(self._labels) > 1 or len(reports) != 1:
            self._write(terminal.render_suite(reports, colour, width, self._verbose, known, wanted=len(self._labels)))
        elif known:
            self._write(terminal.render_end(reports[0], colour, width))
        else:
            self._write(terminal.render(reports[0], colour, width, self._verbose))

    def _knows(self, report: Report) -> bool:
        told = self._told.get(report.run_id)
        return told is not None and (told.value, told.verdicts) == (report.value, report.verdicts)

    def show(self, report: Report) -> None:
        """A stored report, with everything in it."""
        self._write(render_show(report, wants_colour(self._stream), width_of(self._stream), max(self._verbose, 1)))

    def runs(self, rows: Sequence[Row]) -> None:
        """The table of the runs that are kept."""
        self._write(render_runs(rows, wants_colour(self._stream), width_of(self._stream)))

    def scenarios(self, titles: Mapping[str, str], folders: Collection[str]) -> None:
        """The scenarios that can be run by name, and where they lie."""
        self._write(render_scenarios(titles, folders, wants_colour(self._stream), width_of(self._stream)))

    def _write(self, text: str) -> None:
        tell(text, self._stream)


class Silent:
    """Watches and says nothing."""

    def run_begins(self, plan: Plan) -> None:
        """Say nothing."""

    def step_begins(self, step: PlannedStep) -> None:
        """Say nothing."""

    def step_waits(self, step: PlannedStep, text: str, begins_in_s: float = 0) -> None:
        """Say nothing."""

    def step_ends(self, step: PlannedStep, record: StepRecord) -> None:
        """Say nothing."""

    def run_ends(self, report: Report) -> None:
        """Say nothing."""

    def make_room(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is drawn."""
