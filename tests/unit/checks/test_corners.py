"""Where two things that are nearly the same must be told apart: ends, options, histories, excerpts."""

import pytest

from orchestrator.checks.application import judge_outcome
from orchestrator.checks.captured.lines import Line, line_text
from orchestrator.checks.captured.scope import untrusted
from orchestrator.checks.captured.windows import spans
from orchestrator.checks.ledger import Ledger
from orchestrator.checks.path import judge_path
from orchestrator.checks.wire import judge_wire
from orchestrator.model.evidence import CaptureEvidence, Evidence, History, Option, Segment, Transition
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, RunRecord, StepRecord
from orchestrator.model.tcp import ACK, PSH, State
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.verdict import Value
from orchestrator.model.words.actions import Run
from orchestrator.model.words.expectations import Outcome, PacketsExpectation, PathExpectation
from orchestrator.model.words.segments import End, OptionPattern, SegmentPattern
from orchestrator.model.words.values import Where

HERE = Where(path="x.yaml", line=3)
NOWHERE = Topology(name="t", hosts=(), networks=())
ENDS = {"source": End(host="romeo"), "destination": End(host="juliet")}


def plan(*steps):
    testbed = Testbed(kind="netns", topology=NOWHERE, hosts=())
    return Plan(scenario="x", label="x", title="", family="ipv4", testbed=testbed, hosts=(), steps=steps, timeout_ns=1)


def run(**fields):
    return RunRecord(run_id="r", label="x", status="completed", start_ns=0, end_ns=1, **fields)


def segment(number=1, **fields):
    said = {"protocol": "tcp", "source": "10.0.0.1", "destination": "10.0.0.2", "source_host": "romeo", "destination_host": "juliet"}
    return Segment(**{"capture": "romeo", "number": number, "at_ns": 5, "flags": PSH | ACK, "text": f"segment {number}", **said, **fields})


def differences(seen, **wanted):
    return list(Line(SegmentPattern(**ENDS, **wanted), NOWHERE).differences(seen))


# -- one line against one segment


@pytest.mark.parametrize(("start", "length", "end"), [(3, 5, 8), (1, 1, 2), (0, 0, 0), (0xFFFFFFFE, 4, 2), (0xFFFFFFFF, 1, 0)])
def test_the_end_is_the_sum_and_wraps(start, length, end):
    seen = segment(relative_seq=start, length=length)
    assert differences(seen, start=start, end=end, length=length) == []
    assert differences(seen, end=end + 1) == [f"end is {end}, not {end + 1}"]


NOP, MSS = OptionPattern(name="nop"), OptionPattern(name="mss", values=("1460",))


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ((MSS, NOP), True),
        ((OptionPattern(name="mss"), NOP), True),
        ((MSS,), False),
        ((MSS, NOP, NOP), False),
        ((NOP, MSS), False),
        ((), False),
        ((OptionPattern(name="mss", values=("1460", "1")), NOP), False),
        ((OptionPattern(name="mss", values=("1300",)), NOP), False),
    ],
)
def test_options_are_the_whole_list(wanted, fits):
    seen = segment(options=(Option(name="mss", values=(1460,)), Option(name="nop")))
    assert differences(seen, options=wanted) == ([] if fits else ["options are <mss 1460,nop>"])


def test_no_options_at_all():
    assert differences(segment(), options=()) == []
    assert differences(segment(), options=(NOP,)) == ["options are <>"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"protocol": "icmp", "icmp_type": 3}, "romeo > juliet icmp 3/*"),
        ({"protocol": "udp", "length": 12}, "romeo > juliet udp(12)"),
        ({"protocol": "udp"}, "romeo > juliet udp(*)"),
        ({"flags": "S", "start": 0, "ack": 1, "window": 5}, "romeo > juliet S 0:*(*) ack 1 win 5"),
        ({"length": 0}, "romeo > juliet *:*(0)"),
        ({}, "romeo > juliet"),
    ],
)
def test_a_line_that_nobody_wrote_is_written_by_its_fields(fields, text):
    assert line_text(SegmentPattern(**ENDS, **fields)) == text
    assert line_text(SegmentPattern(**ENDS, optional=True, **fields)) == f"? {text}"


# -- which segments


def test_a_capture_is_found_by_its_hosts_name_and_not_by_its_object():
    captures = (CaptureEvidence(host="juliet", file="j", dropped=3), CaptureEvidence(host="romeo", file="r", dropped=0, complete=True))
    assert untrusted("".join(list("romeo")), Evidence(captures=captures)) == ""
    assert untrusted("".join(list("juliet")), Evidence(captures=captures)) == "juliet's capture lost 3 frames"


def test_a_step_lasts_to_the_begin_of_the_next_one_that_ran():
    steps = (
        StepRecord(number=1, status="done", start_ns=1),
        StepRecord(number=2, status="skipped", start_ns=5),
        StepRecord(number=3, status="failed", start_ns=9),
        StepRecord(number=4, status="missing"),
    )
    told = run(steps=steps)
    assert [spans(step, "romeo", told, Evidence(), ()) for step in (None, 1, 3)] == [[(0, None)], [(1, 9)], [(9, None)]]
    assert [spans(step, "romeo", told, Evidence(), ()) for step in (2, 4, 5)] == [f"step {step} did not run" for step in (2, 4, 5)]


def test_the_excerpt_shows_five_before_and_what_follows():
    many = tuple(segment(number, relative_seq=number) for number in range(1, 20))
    lines = tuple(SegmentPattern(**ENDS, start=number) for number in range(1, 8))
    captures = (CaptureEvidence(host="romeo", file="r", dropped=0, complete=True),)
    wanted = PacketsExpectation(where=HERE, capture="romeo", lines=(*lines, SegmentPattern(**ENDS, start=99)))
    verdict = judge_wire(wanted, plan(), run(), Evidence(captures=captures, segments=many))
    assert verdict.value is Value.FAILED
    assert verdict.excerpt == (
        *(f"    {number} segment {number}" for number in range(3, 8)),
        "- romeo > juliet 99:*(*)",
        "+   8 segment 8",
        *(f"  {number:>3} segment {number}" for number in range(9, 14)),
    )
    assert verdict.saw == "frame 8, segment 8: sequence number is 8, not 99"


# -- states


def history(begins, *states, **fields):
    transitions = tuple(Transition(at_ns=begins + 10 * at, state=state, cause="", source="wire") for at, state in enumerate(states))
    return History(host="romeo", local="", peer="", sockets=("sock",), transitions=transitions, **fields)


def path(wanted, *histories):
    expectation = PathExpectation(where=HERE, host="romeo", socket="sock", states=wanted)
    return judge_path(expectation, plan(), run(), Evidence(histories=histories))


def test_of_a_name_that_was_bound_again_the_socket_that_began_last_is_meant():
    long = history(0, State.CLOSED, State.SYN_SENT, State.ESTABLISHED, State.FIN_WAIT_1)
    short = history(5, State.CLOSED, State.SYN_SENT)
    for order in ((long, short), (short, long)):
        assert path((State.CLOSED, State.SYN_SENT), *order).value is Value.PASSED
    nothing = history(0)
    assert path((State.CLOSED, State.SYN_SENT), nothing, short).value is Value.PASSED
    assert path((State.CLOSED, State.SYN_SENT), short, nothing).value is Value.PASSED


def test_a_path_that_goes_on():
    seen = history(0, State.CLOSED, State.SYN_SENT, State.ESTABLISHED)
    assert path((State.CLOSED, State.SYN_SENT), seen).reason == "SYN_SENT was to be the last, ESTABLISHED followed; inferred from wire"
    assert path((), seen).reason == "nothing was to be the last, CLOSED followed; inferred from wire"


# -- what programs wrote


def test_the_end_of_a_long_output_is_what_is_shown():
    action = PlannedAction(id="1.1", host="romeo", action=Run(argv=("ping",)), where=HERE, timeout_ns=1, outcome=Outcome(stdout="z"))
    out, err = ("".join(f"{word}{number}\n" for number in range(20)) for word in ("out", "err"))
    told = ActionRecord(id="1.1", host="romeo", step=1, status="done", start_ns=0, end_ns=1, value=0, stdout=out, stderr=err)
    made = plan(PlannedStep(number=1, name="", where=HERE, actions=(action,)))
    (verdict,) = judge_outcome(1, action, Ledger(made, run(actions=(told,))))
    assert verdict.excerpt == (*(f"out{number}" for number in range(12, 20)), *(f"err{number}" for number in range(12, 20)))
    assert verdict.reason == "it wrote 20 lines, the last is 'out19'"
