"""What one command shows on one stream."""

import io

import pytest

from orchestrator.model.record import StepRecord
from orchestrator.reports import view
from orchestrator.reports.drawing.ink import fit
from orchestrator.reports.listing import render_runs, render_show, row_of
from orchestrator.reports.terminal import render, render_suite
from orchestrator.reports.view import View


class Flushed(io.StringIO):
    """A stream that knows what has reached the person."""

    shown = ""
    encoding = "utf-8"

    def flush(self):
        super().flush()
        self.shown = self.getvalue()


@pytest.fixture
def stream():
    return Flushed()


def test_one_report_is_shown_whole(reports, stream):
    report = reports["fail"]()
    View(stream).summary([report])
    assert stream.shown == render(report, colour=False) + "\n"


def test_verbose_shows_more(reports, stream):
    report = reports["fail"]()
    View(stream, verbose=1).summary([report])
    assert stream.shown == render(report, colour=False, verbose=1) + "\n" != render(report, colour=False) + "\n"


@pytest.mark.parametrize("cases", [("pass", "fail"), ()])
def test_several_reports_are_a_table(reports, stream, cases):
    made = [reports[case]() for case in cases]
    View(stream).summary(made)
    assert stream.shown == render_suite(made, colour=False) + "\n"


def test_a_stored_run(reports, stream):
    report = reports["inconclusive"]()
    View(stream).show(report)
    assert stream.shown == render_show(report, colour=False) + "\n"


def test_the_runs_that_are_kept(reports, stream):
    rows = [row_of(reports["pass"]())]
    View(stream).runs(rows)
    assert stream.shown == render_runs(rows, colour=False) + "\n"


def test_a_stream_that_has_no_arrows(reports, stream):
    stream.encoding = "ascii"
    View(stream).summary([reports["pass"]()])
    assert stream.shown == fit(render(reports["pass"](), colour=False), stream) + "\n"
    assert stream.shown.isascii()


def test_what_is_said_stands_below_what_was_watched(stream, monkeypatch):
    closed = []

    class Watched(view.Silent):
        def close(self):
            closed.append(stream.getvalue())

    monkeypatch.setattr(view, "progress", lambda *_arguments: Watched())
    shown = View(stream)
    shown.progress()
    shown.progress()
    shown.say("the hosts are up")
    assert closed == ["", ""]
    assert stream.shown == "the hosts are up\n"


def test_how_runs_are_watched(stream, monkeypatch):
    asked = []
    monkeypatch.setattr(view, "progress", lambda *arguments: asked.append(arguments) or view.Silent())
    View(stream, jobs=3, runs=7, verbose=2).progress()
    View(stream).progress()
    assert asked == [(stream, 3, True, 7), (stream, 1, False, 1)]


def test_quiet_watches_nothing(reports, plans, stream):
    silent = View(stream, quiet=True).progress()
    plan = plans["refused"]()
    silent.run_begins(plan)
    silent.step_begins(plan.steps[0])
    silent.step_waits(plan.steps[0], "for a listener")
    silent.step_ends(plan.steps[0], StepRecord(number=1, status="done"))
    silent.run_ends(reports["pass"]())
    silent.close()
    assert stream.getvalue() == ""
