"""What reports say of things that few labs have."""

import io

import pytest

from orchestrator.model.evidence import Segment
from orchestrator.model.plan import HostPlan
from orchestrator.model.tcp import ACK, FIN, RST, SYN
from orchestrator.model.verdict import LadderLine, StepLine, Value, Verdict
from orchestrator.model.words.actions import Act
from orchestrator.reports.drawing.arrows import arrow_spans
from orchestrator.reports.drawing.findings import verdict_rows
from orchestrator.reports.drawing.footer import Footer
from orchestrator.reports.drawing.ink import Ink, duration
from orchestrator.reports.drawing.steps import step_row, step_rows
from orchestrator.reports.planned import render_plan
from orchestrator.reports.progress import _Watched
from orchestrator.reports.telling.passages import segment_words
from orchestrator.reports.telling.sheet import typed


def test_a_host_without_a_capture(make_plan):
    hosts = (HostPlan(name="romeo"), HostPlan(name="juliet", capture="tcp", interfaces=("eth1", "eth2")))
    lines = [line for line in render_plan(make_plan("x", "X", (), hosts=hosts)).splitlines() if "apture" in line]
    assert [" ".join(line.split()) for line in lines] == ["romeo 10.10.0.100 no capture", "juliet 10.10.0.101 captures tcp on eth1, eth2"]


def test_an_action_that_no_lab_sheet_knows_is_told_by_its_tag():
    class Dance(Act, frozen=True, kw_only=True, tag="dance"):
        pass

    assert typed(Dance()) == ("dance",)


def test_a_screen_that_was_closed_stays_empty(plans):
    stream = io.StringIO()
    watched = _Watched(stream, (), Footer(stream, (), wanted=False))
    watched.run_begins(plans["refused"]())
    watched.close()
    watched._appear()  # the timer had fired already, and waited for the lock
    assert watched._live is None
    assert stream.getvalue() == ""


# -- segments in words


def words(**fields):
    return segment_words(
        Segment(**{"capture": "romeo", "number": 1, "at_ns": 0, "source": "a", "destination": "b", "protocol": "tcp", **fields})
    )


@pytest.mark.parametrize(
    ("version", "kind", "code", "word"),
    [
        (4, 0, 0, "echo reply"),  # RFC 792, RFC 1812 section 5.2.7.1
        (4, 3, 0, "network unreachable"),
        (4, 3, 1, "host unreachable"),
        (4, 3, 3, "port unreachable"),
        (4, 3, 4, "fragmentation needed"),
        (4, 3, 13, "prohibited"),
        (4, 8, 0, "echo request"),
        (4, 11, 0, "time exceeded"),
        (6, 1, 0, "no route"),  # RFC 4443
        (6, 1, 1, "prohibited"),
        (6, 1, 3, "address unreachable"),
        (6, 1, 4, "port unreachable"),
        (6, 2, 0, "packet too big"),
        (6, 3, 0, "time exceeded"),
        (6, 128, 0, "echo request"),
        (6, 129, 0, "echo reply"),
    ],
)
def test_icmp_is_called_as_the_standards_call_it(version, kind, code, word):
    assert words(protocol="icmp", version=version, icmp_type=kind, icmp_code=code) == f"icmp {kind}/{code} {word}"
    assert words(protocol="icmp", version=10 - version, icmp_type=kind, icmp_code=code) != f"icmp {kind}/{code} {word}"


@pytest.mark.parametrize(
    ("flags", "told"), [(ACK, True), (FIN | ACK, True), (FIN, False), (0, False), (SYN | ACK, False), (RST | ACK, False)]
)
def test_a_closed_window_is_told_where_it_is_one(flags, told):
    assert (" win 0" in words(flags=flags, window=0)) is told
    assert " win 0" not in words(flags=flags, window=1)


# -- lines that fit


@pytest.mark.parametrize("width", [6, 7, 12, 13, 17, 18, 40])
@pytest.mark.parametrize("rightward", [True, False])
def test_an_arrow_is_exactly_as_wide_as_it_was_told(width, rightward):
    line = LadderLine(at_ns=0, left="a", right="b", rightward=rightward, text="S 0:0(0) ack")
    drawn = "".join(text for text, _style in arrow_spans(line, max(width, 10)))
    assert len(drawn) == max(width, 10)
    assert ("S 0:0(0) ack" in drawn) is (width >= 18)


@pytest.mark.parametrize(
    ("ns", "text"),
    [(59_990_000_000, "59.99 s"), (60_000_000_000, "1 min 00 s"), (125_000_000_000, "2 min 05 s"), (3_599_000_000_000, "59 min 59 s")],
)
def test_minutes(ns, text):
    assert duration(ns) == text


def step(number, status="done"):
    return StepLine(number=number, name="", status=status, took_ns=1000, hosts=("romeo",), typed=(f"line {number}",))


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (14, 14), (15, 15), (16, 15), (40, 15)])
def test_of_many_steps_the_middle_is_left_out(count, rows):
    drawn = step_rows(Ink(), [step(number) for number in range(1, count + 1)])
    assert len(drawn) == rows
    left_out = [row.split() for row in drawn if "more steps" in row]
    assert left_out == ([["…", str(count - 14), "more", "steps"]] if count > 15 else [])


def test_a_step_that_never_came_is_dimmed():
    dim = "\x1b[2mline 1"
    assert dim in step_row(Ink(colour=True), step(1, "missing"), 5)[0]
    assert dim not in step_row(Ink(colour=True), step(1), 5)[0]


@pytest.mark.parametrize("value", list(Value))
def test_only_a_skip_gives_its_reason_in_its_row(value):
    (row,) = verdict_rows(Ink(width=0), [Verdict(value=value, text="it holds", reason="only for ipv6", witness="wire")])
    assert ("it holds (only for ipv6)" in row) is (value is Value.SKIPPED)
