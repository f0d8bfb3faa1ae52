"""What one command shows on one stream."""

import io

import pytest
from msgspec.structs import replace

from orchestrator.model.record import StepRecord
from orchestrator.model.verdict import Value
from orchestrator.reports import terminal, view
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


@pytest.mark.parametrize("cases", [("pass", "fail"), ("fail",), ()])
@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_of_several_runs_the_end_is_a_tally_with_what_needs_an_eye(reports, stream, cases, verbose):
    made = [reports[case]() for case in cases]
    View(stream, labels=("a", "b"), verbose=verbose).summary(made)
    assert stream.shown == render_suite(made, colour=False, verbose=verbose, wanted=2) + "\n"


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


def test_while_hosts_stay_up_the_report_so_far_takes_the_place_of_what_was_watched(reports, stream, monkeypatch):
    closed = []

    class Watched(view.Silent):
        def make_room(self):
            closed.append(stream.getvalue())

    monkeypatch.setattr(view, "progress", lambda *_arguments: Watched())
    shown = View(stream)
    shown.progress()
    shown.progress()
    report = reports["fail"]()
    shown.hold(report, ["romeo", "juliet"])
    assert closed == ["", ""]
    assert stream.shown.startswith(render(report, colour=False) + "\n\nThe hosts stay up.")
    ways = "".join(f"\n  orchestrate shell --run {report.run_id}{terminal.runs_option(report)} {host}" for host in ("romeo", "juliet"))
    assert f"{ways}\nCtrl-C here takes them down.\n" in stream.shown


def test_what_was_told_while_hosts_stayed_up_is_not_told_again(reports, stream):
    report = reports["fail"]()
    shown = View(stream)
    shown.hold(report, ["romeo"])
    before = len(stream.shown)
    shown.summary([replace(report, took_ns=9_000_000_000)])
    end = stream.shown[before:]
    assert end.startswith("FAIL  connection-refused  TCP connection refused")
    assert "9.00 s" in end
    assert ("wireshark" in end, "expected" in end) == (True, False)


def test_what_became_known_since_is_told_whole(reports, stream):
    report = reports["fail"]()
    shown = View(stream)
    shown.hold(report, ["romeo"])
    later = replace(report, value=Value.ERROR)
    shown.summary([later])
    assert stream.shown.endswith(render(later, colour=False) + "\n")


def test_of_several_runs_each_is_entered_by_its_id(reports, stream):
    report = replace(reports["pass"](), directory="/var/tmp/my labs/x/20260714T101503Z-7f3a9c")
    shown = View(stream, labels=("a", "b", "c"), quiet=True)
    shown.progress()
    shown.hold(report, ["romeo"])
    assert "Ctrl-C here takes them down and goes on with the next run (2 more).\n" in stream.shown
    assert "\n  orchestrate shell --run 7f3a9c --runs '/var/tmp/my labs' romeo\n" in stream.shown


def test_how_runs_are_watched(stream, monkeypatch):
    asked = []
    monkeypatch.setattr(view, "progress", lambda *arguments: asked.append(arguments[:-1]) or view.Silent())
    View(stream, jobs=3, labels=("a", "b"), verbose=2).progress()
    View(stream).progress()
    assert asked == [(stream, 3, True, ("a", "b")), (stream, 1, False, ())]


def test_quiet_watches_nothing(reports, plans, stream):
    silent = View(stream, quiet=True).progress()
    plan = plans["refused"]()
    silent.run_begins(plan)
    silent.step_begins(plan.steps[0])
    silent.step_waits(plan.steps[0], "for a listener")
    silent.step_ends(plan.steps[0], StepRecord(number=1, status="done"))
    silent.run_ends(reports["pass"]())
    silent.make_room()
    silent.close()
    assert stream.getvalue() == ""


def test_a_heading_stands_above_what_is_told(reports, stream):
    report = reports["pass"]()
    View(stream).summary([report], "judged again")
    assert stream.shown == "judged again\n\n" + render(report, colour=False) + "\n"


def test_scenarios_that_can_be_run(stream):
    View(stream).scenarios({"bind": "Bind a port"}, {"scenarios"})
    assert stream.shown == "bind  Bind a port\n\nfrom scenarios\n"


def test_the_screen_is_left_as_it_was(stream, monkeypatch):
    calls = []
    monkeypatch.setattr(view, "progress", lambda *_about: type("Watched", (), {"close": lambda _self: calls.append("closed")})())
    shown = View(stream, labels=("a", "b"))
    shown.progress()
    shown.progress()
    shown.close()
    assert calls == ["closed", "closed"]
