"""A run under way to lines that a person can watch.

One :class:`Progress` watches one run; runs side by side have one each and share the stream, a whole line at a time. It does not know how
steps look: they are drawn as in the report. Surprising: on a terminal nothing is drawn, nor Rich imported, before a run has lasted
longer than a person notices; and when it ends its lines vanish, because the report takes their place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from threading import Lock, Timer
from typing import TYPE_CHECKING, Protocol, TextIO

from orchestrator.model.plan import Plan, PlannedStep
from orchestrator.model.record import StepRecord
from orchestrator.model.verdict import Report
from orchestrator.reports.drawing.footer import Footer
from orchestrator.reports.drawing.ink import WIDEST, Ink, Span, Style, fit, is_screen, wants_colour, width_of
from orchestrator.reports.drawing.steps import host_width, step_row
from orchestrator.reports.drawing.suite import label_width, suite_row
from orchestrator.reports.telling.sheet import step_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_PATIENCE_S = 0.25
_WONDER_S = 3.0
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_S = 10
_ROWS = 12


class Progress(Protocol):
    """Who is told how one run goes."""

    def run_begins(self, plan: Plan) -> None:
        """Nothing has moved yet."""

    def step_begins(self, step: PlannedStep) -> None:
        """A step fires."""

    def step_waits(self, step: PlannedStep, text: str, begins_in_s: float = 0) -> None:
        """Say what a step still waits for; told as often as it is asked. One that has not begun tells when it will."""

    def step_ends(self, step: PlannedStep, record: StepRecord) -> None:
        """A step is over."""

    def run_ends(self, report: Report) -> None:
        """Everything is judged."""

    def make_room(self) -> None:
        """A report comes, and takes the place of what was drawn."""

    def close(self) -> None:
        """Leave the screen as it was, also when a run broke off; may be called twice."""


def progress(
    stream: TextIO,
    jobs: int,
    verbose: bool,  # noqa: FBT001  the stage's fixed shape
    labels: Sequence[str] = (),
    footer: Footer | None = None,
) -> Progress:
    """Watch one of the runs called ``labels``, ``jobs`` of them side by side, on ``stream``, where they share the ``footer``."""
    shared = footer or Footer(stream, labels, wanted=False)
    if is_screen(stream) and jobs <= 1:
        return _Watched(stream, labels, shared)
    return _Lines(stream, labels, shared, labelled=jobs > 1 and len(labels) > 1, verbose=verbose)


class _Drawn:
    """What both ways of watching share: rows as the report draws them, and the stream."""

    def __init__(self, stream: TextIO, labels: Sequence[str], footer: Footer) -> None:
        self._stream = stream
        self._footer = footer
        self._several = len(labels) > 1
        self._labels = label_width(labels)
        self._width = min(width_of(stream), WIDEST)
        self._ink = Ink(colour=wants_colour(stream), width=self._width)
        self._label = ""
        self._hosts = 0

    def run_begins(self, plan: Plan) -> None:
        """Remember whose rows these are, and how wide."""
        self._label = plan.label
        self._hosts = host_width([step_line(step) for step in plan.steps])
        self._footer.begins(self._label)

    def run_ends(self, report: Report) -> None:
        """Leave a line where more runs follow; a single run's report tells it all."""
        self.make_room()
        self._footer.ends(report.label)
        if self._several:
            self._footer.tell(suite_row(Ink(colour=self._ink.colour, width=self._width), report, self._labels))

    def make_room(self) -> None:
        """What was drawn vanishes where it can."""
        self.close()

    def close(self) -> None:
        """Give nothing back: lines that were written stay."""

    def _drawn(self, step: PlannedStep, record: StepRecord, mark: Span | None = None) -> list[str]:
        return step_row(self._ink, step_line(step, record), self._hosts, mark)

    def _beneath(self, text: str, style: Style = Style.DIM) -> str:
        return self._ink.line((" " * (10 + self._hosts), Style.PLAIN), (text, style))


class _Lines(_Drawn):
    """A line when a step ends, for logs; of several runs only a line when one ends. ``verbose`` adds begins, waits and all steps.

    The report of a single run tells the same steps: its lines are held back until the run has lasted so long that somebody wonders.
    """

    def __init__(self, stream: TextIO, labels: Sequence[str], footer: Footer, *, labelled: bool, verbose: bool) -> None:
        super().__init__(stream, labels, footer)
        self._labelled = labelled
        self._verbose = verbose
        self._waited = ""
        self._held: list[str] | None = None
        self._begin = 0.0

    def run_begins(self, plan: Plan) -> None:
        """Say what begins, where a reader could not tell."""
        super().run_begins(plan)
        self._begin = time.monotonic()
        self._held = None if self._several or self._verbose else []
        if self._labelled:
            self._ink = Ink(colour=self._ink.colour, width=self._width - len(self._label))
        if self._verbose:
            self._say(f"{plan.title}: {len(plan.steps)} step{'s' * (len(plan.steps) != 1)}, {plan.testbed.kind}")

    def step_begins(self, step: PlannedStep) -> None:  # noqa: ARG002  told by shape
        """Nothing to say until it waits or ends."""
        self._waited = ""

    def step_waits(self, step: PlannedStep, text: str, begins_in_s: float = 0) -> None:  # noqa: ARG002  told by shape
        """Say it once."""
        if self._verbose and text != self._waited:
            self._waited = text
            self._say(self._beneath(f"waits: {text}"))

    def step_ends(self, step: PlannedStep, record: StepRecord) -> None:
        """The row of the report, now."""
        if self._several and not self._verbose:
            return
        for row in self._drawn(step, record):
            self._say(row)
        if record.status == "failed" and record.reason:
            for line in record.reason.splitlines():
                self._say(self._beneath(line, Style.RED))

    def make_room(self) -> None:
        """Forget what was held back: the report tells it."""
        self._held = None

    def close(self) -> None:
        """Where a run broke off there is no report: say what was held back."""
        held, self._held = self._held or [], None
        for row in held:
            self._say(row)

    def _say(self, row: str) -> None:
        if self._held is not None and time.monotonic() - self._begin < _WONDER_S:
            self._held.append(row)
            return
        if self._held:
            self.close()
        self._footer.tell(f"{self._label}: {row.removeprefix('  ')}" if self._labelled else row)


class _Watched(_Drawn):
    """A terminal: a row for each step, the running one with a spinner and what it waits for."""

    def __init__(self, stream: TextIO, labels: Sequence[str], footer: Footer) -> None:
        super().__init__(stream, labels, footer)
        self._lock = Lock()
        self._rows: list[str] = []
        self._running: tuple[PlannedStep, float] | None = None  # and when it began, or will
        self._waits = ""
        self._live: Live | None = None
        self._timer: Timer | None = None

    def run_begins(self, plan: Plan) -> None:
        """Begin to count the time until there is something to look at."""
        super().run_begins(plan)
        self._rows, self._running = [], None
        self._timer = Timer(_PATIENCE_S, self._appear)
        self._timer.daemon = True
        self._timer.start()

    def step_begins(self, step: PlannedStep) -> None:
        """A new row, with a spinner."""
        self._running, self._waits = (step, time.monotonic()), ""

    def step_waits(self, step: PlannedStep, text: str, begins_in_s: float = 0) -> None:
        """Shown beneath the running row; of a step that has not begun, the time is counted down."""
        if begins_in_s:
            self._running, self._waits = (step, time.monotonic() + begins_in_s), ""
        else:
            self._waits = text

    def step_ends(self, step: PlannedStep, record: StepRecord) -> None:
        """The row as it will stand in the report."""
        self._running = None
        self._rows += self._drawn(step, record)

    def close(self) -> None:
        """Make room for the report and give the cursor back."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._live is not None:
                self._live.stop()
            self._timer = self._live = None

    def _appear(self) -> None:
        """In the timer's thread, so that importing Rich holds up no step."""
        from rich.console import Console  # only where somebody watches a run that lasts
        from rich.live import Live

        with self._lock:
            if self._timer is None:
                return
            self._live = Live(
                console=Console(file=self._stream, highlight=False),
                get_renderable=self._picture,
                refresh_per_second=_FRAMES_PER_S,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()

    def _picture(self) -> Text:
        from rich.text import Text

        last = " "  # a row for the ^C that a terminal shows: at the end of a full row it would push everything up
        rows = [self._ink.line((self._label, Style.BOLD)), *self._rows[-_ROWS:], *self._running_rows(), last]
        return Text("\n", no_wrap=True, overflow="crop").join(Text.from_ansi(fit(row, self._stream)) for row in rows)

    def _running_rows(self) -> list[str]:
        running = self._running
        if running is None:
            return []
        step, since = running
        elapsed = time.monotonic() - since
        frame = _SPINNER[int(elapsed * _FRAMES_PER_S) % len(_SPINNER)]
        status, waits = ("running", f"waits: {self._waits}" if self._waits else "")
        if elapsed < 0:
            status, waits = ("missing", f"begins in {math.ceil(-elapsed)} s")
        rows = self._drawn(step, StepRecord(number=step.number, status=status, end_ns=max(int(elapsed * 1e9), 0)), (frame, Style.CYAN))
        return [*rows, *([self._beneath(waits)] if waits else [])]
