"""What is shown while a run is under way."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time

import pytest
from msgspec.structs import replace

from orchestrator.model.record import StepRecord
from orchestrator.reports import progress as progress_module
from orchestrator.reports.drawing.footer import Footer
from orchestrator.reports.progress import progress

MS = 1_000_000
BOTH = ("connection-refused", "syn-dropped")


def watch(watched, plan, report, failing=0):
    watched.run_begins(plan)
    for step in plan.steps:
        failed = step.number == failing
        watched.step_begins(step)
        watched.step_waits(step, "romeo: sock is SYN_SENT")
        watched.step_waits(step, "romeo: sock is SYN_SENT")
        watched.step_ends(
            step,
            StepRecord(
                number=step.number, status="failed" if failed else "done", start_ns=0, end_ns=3 * MS, reason="it saw that" if failed else ""
            ),
        )
    watched.run_ends(report)


def lines(plan, report, failing=0, **how):
    stream = io.StringIO()
    watch(progress(stream, **{"jobs": 1, "verbose": False, **how}), plan, report, failing)
    return stream.getvalue().splitlines()


@pytest.fixture
def _wondering(monkeypatch):
    """Every run lasts too long."""
    monkeypatch.setattr(progress_module, "_WONDER_S", 0)


@pytest.mark.usefixtures("_wondering")
def test_a_log_gets_a_line_for_each_step_of_a_run_that_lasts(plans, reports):
    assert lines(plans["refused"](), reports["pass"](), failing=2) == [
        "  ✓  1  romeo  sock = socket.socket(socket.AF_INET, socket.SOCK_STRE…     3.0 ms",
        '  ✗  2  romeo  sock.connect(("juliet", 4000))                             3.0 ms',
        "               it saw that",
    ]


def test_a_short_single_run_leaves_the_log_to_its_report(plans, reports):
    assert lines(plans["refused"](), reports["pass"]()) == []


def test_lines_held_back_come_first_once_the_run_lasts(plans, monkeypatch):
    plan, stream = plans["refused"](), io.StringIO()
    watched = progress(stream, 1, verbose=False)
    watched.run_begins(plan)
    watched.step_ends(plan.steps[0], StepRecord(number=1, status="done"))
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress_module, "_WONDER_S", 0)
    watched.step_ends(plan.steps[1], StepRecord(number=2, status="done"))
    assert [line[:7] for line in stream.getvalue().splitlines()] == ["  ✓  1 ", "  ✓  2 "]


def test_a_run_that_broke_off_says_what_was_held_back(plans):
    plan, stream = plans["refused"](), io.StringIO()
    watched = progress(stream, 1, verbose=False)
    watched.run_begins(plan)
    watched.step_ends(plan.steps[0], StepRecord(number=1, status="done"))
    watched.close()
    watched.close()
    assert len(stream.getvalue().splitlines()) == 1


def test_of_several_runs_each_is_a_line_in_columns(plans, reports):
    labels = ("connection-refused", "syn-dropped-for-long")
    (line,) = lines(plans["refused"](), reports["pass"](), labels=labels)
    assert line == "PASS          connection-refused    TCP connection refused                 48 ms"
    (line,) = lines(plans["refused"](), reports["fail"](), failing=2, labels=labels)
    assert line == "FAIL          connection-refused    line 16: sock.connect raises Conne…    48 ms"


def test_verbose_tells_begins_and_waits_once(plans, reports):
    told = lines(plans["refused"](), reports["pass"](), verbose=True)
    assert told[0] == "TCP connection refused: 2 steps, netns"
    assert told.count("               waits: romeo: sock is SYN_SENT") == 2


def test_runs_side_by_side_begin_their_lines_with_their_labels(plans, reports):
    told = lines(plans["refused"](), reports["pass"](), jobs=2, labels=BOTH, verbose=True)
    assert all(line.startswith("connection-refused: ") for line in told[:-1])
    assert max(map(len, told)) <= 80


def test_runs_side_by_side_are_told_when_they_end_only(plans, reports):
    told = lines(plans["refused"](), reports["fail"](), failing=2, jobs=2, labels=BOTH)
    assert [line[:32] for line in told] == ["FAIL          connection-refused"]


def test_a_single_run_needs_no_label_however_many_might_run_beside_it(plans, reports):
    told = lines(plans["refused"](), reports["pass"](), jobs=2, labels=BOTH[:1], verbose=True)
    assert told[0] == "TCP connection refused: 2 steps, netns"


def test_a_report_takes_the_place_of_lines_held_back(plans):
    plan, stream = plans["refused"](), io.StringIO()
    watched = progress(stream, 1, verbose=False)
    watched.run_begins(plan)
    watched.step_ends(plan.steps[0], StepRecord(number=1, status="done"))
    watched.make_room()
    watched.close()
    assert stream.getvalue() == ""


@pytest.mark.impure("a fresh interpreter tells what is imported")
def test_watching_a_log_imports_no_rich():
    code = "import sys, orchestrator.reports.terminal as t; t.progress(sys.stdout, 1, True); print('rich' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


class Screen:
    """A terminal, and all that was ever written on it."""

    def __init__(self):
        self.controller, self.terminal = pty.openpty()
        self.stream = os.fdopen(self.terminal, "w", encoding="utf-8")
        self.seen = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                self.seen += os.read(self.controller, 65536)
            except OSError:
                return

    def text(self):
        return re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", self.seen.decode("utf-8", "replace"))

    def ended(self):
        self.stream.write("the report\n")
        self.stream.flush()
        assert self.shows("the report")
        return self.seen

    def shows(self, text):
        deadline = time.monotonic() + 5
        while text not in self.text() and time.monotonic() < deadline:
            time.sleep(0.01)
        return text in self.text()


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = Screen()
    yield made
    made.stream.close()  # its reader meets the end, and must have before its number is given to another terminal
    made.reader.join(10)
    os.close(made.controller)


def test_a_short_run_leaves_the_screen_to_its_report(screen, plans, reports):
    watch(progress(screen.stream, 1, verbose=False), plans["refused"](), reports["pass"]())
    assert screen.ended() == b"the report\r\n"


def test_a_long_run_shows_what_it_waits_for_and_then_vanishes(screen, plans, reports, monkeypatch):
    monkeypatch.setattr(progress_module, "_PATIENCE_S", 0)
    plan = plans["refused"]()
    watched = progress(screen.stream, 1, verbose=False)
    watched.run_begins(plan)
    watched.step_begins(plan.steps[0])
    watched.step_ends(plan.steps[0], StepRecord(number=1, status="done", end_ns=3 * MS))
    watched.step_begins(plan.steps[1])
    watched.step_waits(plan.steps[1], "romeo: sock is CLOSED")
    assert screen.shows("✓  1  romeo")
    assert screen.shows("waits: romeo: sock is CLOSED")
    watched.run_ends(reports["pass"]())
    watched.close()
    last = screen.ended().rpartition(b"\x1b[?25h")
    assert last[0].count(b"\x1b[?25l") == 1, "the cursor was hidden once and is back"
    assert last[2].count(b"\x1b[2K") == 5, "the label, two steps, the wait and the room for ^C are erased"


def test_a_step_that_has_its_time_is_counted_down(screen, plans, monkeypatch):
    monkeypatch.setattr(progress_module, "_PATIENCE_S", 0)
    plan = plans["refused"]()
    watched = progress(screen.stream, 1, verbose=False)
    watched.run_begins(plan)
    watched.step_waits(plan.steps[1], "for its time, 42.5 s away", 42.5)
    assert screen.shows("begins in 43 s")
    assert screen.shows("begins in 42 s")
    assert "2  romeo" in screen.text()
    watched.step_begins(plan.steps[1])
    assert screen.shows("ms")
    watched.close()


def test_of_runs_side_by_side_those_that_go_on_are_told_below(screen, plans, reports):
    plan, footer = plans["refused"](), Footer(screen.stream, BOTH, wanted=True)
    one, other = (progress(screen.stream, 2, verbose=False, labels=BOTH, footer=footer) for _ in BOTH)
    one.run_begins(plan)
    other.run_begins(replace(plan, label="syn-dropped"))
    assert screen.shows("2 of 2 going on: connection-refused, syn-dropped")
    one.run_ends(reports["pass"]())
    assert screen.shows("1 of 2 going on: syn-dropped")
    footer.clear()
    assert screen.ended().endswith(b"\r\x1b[Kthe report\r\n")


def test_what_the_terminal_shows_of_a_control_c_is_written_over(screen, plans, reports):
    screen.stream.write("^C")
    watch(progress(screen.stream, 2, verbose=False, labels=BOTH), plans["refused"](), reports["pass"]())
    assert screen.shows("PASS")
    assert screen.seen.startswith(b"^C\r\x1b[K")


def test_a_run_that_broke_off_gives_the_cursor_back(screen, plans, monkeypatch):
    monkeypatch.setattr(progress_module, "_PATIENCE_S", 0)
    watched = progress(screen.stream, 1, verbose=False)
    watched.run_begins(plans["refused"]())
    assert screen.shows("connection-refused")
    watched.close()
    watched.close()
    assert screen.ended().count(b"\x1b[?25h") == 1
