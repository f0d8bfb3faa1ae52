"""Live expectations judged again from recorded samples."""

import pytest
from msgspec.structs import replace

from orchestrator.checks.kernel import describe, judge_live
from orchestrator.model.plan import Plan
from orchestrator.model.record import ActionRecord, RunRecord, Sample, StepRecord
from orchestrator.model.tcp import State
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.verdict import Value
from orchestrator.model.words.expectations import (
    OutputExpectation,
    Place,
    RuleExpectation,
    SocketExpectation,
    SocketPattern,
    ToolExpectation,
)
from orchestrator.model.words.values import Comparison, Where
from orchestrator.readings.live import source_of

HERE = Where(path="x.yaml", line=3)
PLAN = Plan(
    scenario="x",
    label="x",
    title="",
    family="ipv4",
    testbed=Testbed(kind="netns", topology=Topology(name="t", hosts=(), networks=()), hosts=()),
    hosts=(),
    steps=(),
    timeout_ns=1,
)
SYN_SENT = "tcp SYN-SENT 0 1 10.0.0.1:40000 10.0.0.2:4000 ino:5 sk:1"
ESTABLISHED = "tcp ESTAB 0 0 10.0.0.1:40000 10.0.0.2:4000 ino:5 sk:1"


def wanted(*states: State, text: str = "", **fields) -> SocketExpectation:
    pattern = SocketPattern(peer=Place(port=4000))
    return SocketExpectation(where=HERE, host="romeo", socket=pattern, within_ns=1_000_000_000, states=states, text=text, **fields)


OVER_NS = 1_000_000_000
"""When the patience of :func:`wanted` is over."""


def sample(
    text: str, index: int = 0, *, holds: bool = False, step: int = 2, host: str = "romeo", source: str = "ss", at_ns: int = OVER_NS
) -> Sample:
    return Sample(step=step, host=host, source=source, at_ns=at_ns, text=text, expectation=index, holds=holds)


def judged(expectation, *samples: Sample, status: str = "done", index: int = 0, run: str = "completed", actions=(), **more):
    steps = (StepRecord(number=2, status=status),)
    record = RunRecord(run_id="r", label="x", status=run, start_ns=0, end_ns=1, steps=steps, samples=samples, actions=actions)
    return judge_live(expectation, index, 2, PLAN, record, **more)


def test_it_held_once():
    verdict = judged(wanted(State.ESTABLISHED, text="romeo connects"), sample(SYN_SENT), sample(ESTABLISHED, holds=True))
    assert (verdict.value, verdict.witness, verdict.text) == (Value.PASSED, "kernel", "romeo connects")
    assert (verdict.where, verdict.step, verdict.excerpt) == (HERE, 2, (ESTABLISHED,))


def test_it_never_held():
    verdict = judged(wanted(State.FIN_WAIT_1), sample(SYN_SENT), sample(ESTABLISHED))
    assert (verdict.value, verdict.excerpt) == (Value.FAILED, (ESTABLISHED,))
    assert verdict.saw == "ESTABLISHED 10.0.0.1:40000 -> 10.0.0.2:4000"
    assert verdict.reason == "asked ss on romeo 2 times within 1 s, it never held"
    assert judged(wanted(State.FIN_WAIT_1), sample(SYN_SENT)).reason == "asked ss on romeo once, it never held"


def test_only_the_samples_taken_for_it_count():
    others = (sample(ESTABLISHED, 1, holds=True), sample(ESTABLISHED, -1))
    assert judged(wanted(State.ESTABLISHED), sample(SYN_SENT), *others).value is Value.FAILED


def test_an_expectation_that_was_changed_may_use_every_sample_of_its_step():
    polled = (sample(SYN_SENT, holds=True), sample(ESTABLISHED, 1, holds=True))
    assert judged(wanted(State.ESTABLISHED), *polled).value is Value.PASSED
    verdict = judged(wanted(State.CLOSING), *polled)
    assert (verdict.value, verdict.saw) == (Value.FAILED, "SYN_SENT 10.0.0.1:40000 -> 10.0.0.2:4000")


def test_one_opinion_that_differs_tells_that_it_was_changed():
    closing = ESTABLISHED.replace("ESTAB", "CLOSING")
    polled = (sample(SYN_SENT), sample(ESTABLISHED, holds=True), sample(closing, 1, holds=True))
    assert judged(wanted(State.CLOSING), *polled).value is Value.PASSED
    assert judged(wanted(State.LAST_ACK), *polled).value is Value.FAILED


def test_what_was_not_asked_for_all_its_patience_has_not_failed():
    verdict = judged(wanted(State.CLOSING), sample(ESTABLISHED, holds=True, at_ns=20_000_000))
    assert (verdict.value, verdict.saw) == (Value.INCONCLUSIVE, "ESTABLISHED 10.0.0.1:40000 -> 10.0.0.2:4000")
    assert verdict.reason == "asked ss on romeo once, it never held, but it was asked for only 0.02 s of its 1 s of patience"
    later = sample(SYN_SENT, 1, at_ns=OVER_NS - 1)
    assert judged(wanted(State.CLOSING), sample(ESTABLISHED, holds=True), later).value is Value.FAILED
    assert judged(wanted(State.CLOSING), sample(ESTABLISHED, at_ns=0), later).value is Value.INCONCLUSIVE
    assert judged(wanted(State.ESTABLISHED), sample(ESTABLISHED, holds=True, at_ns=0)).value is Value.PASSED


@pytest.mark.parametrize(
    ("expectation", "text"),
    [
        (RuleExpectation(where=HERE, host="romeo", rule="r", within_ns=OVER_NS, packets=Comparison(operator=">=", low=2)), ""),
        *(
            (ToolExpectation(where=HERE, host="romeo", tool=tool, pattern="TcpOutRsts", within_ns=OVER_NS), "TcpOutRsts 0 0.0")
            for tool in ("lsof", "netstat", "nstat")
        ),
        (OutputExpectation(where=HERE, host="romeo", program="client", pattern="hello", within_ns=OVER_NS), "bye"),
    ],
    ids=lambda value: source_of(value) if hasattr(value, "host") else "",
)
def test_patience_counts_for_every_kind_of_expectation(expectation, text):
    source = source_of(expectation)
    text = "" if source in ("lsof", "netstat") else text
    before = sample("TcpOutRsts 0 0.0", -1, step=0, source="nstat")
    assert judged(expectation, before, sample(text, source=source)).value is Value.FAILED
    assert judged(expectation, before, sample(text, source=source, at_ns=OVER_NS - 1)).value is Value.INCONCLUSIVE


@pytest.mark.parametrize(("within_ns", "value"), [(OVER_NS, Value.PASSED), (OVER_NS // 10, Value.FAILED)])
def test_what_held_only_when_patience_was_over_does_not_hold(within_ns, value):
    """As when a recheck brings a shorter patience; a busy host may answer half a second late."""
    expectation = replace(wanted(State.ESTABLISHED), within_ns=within_ns)
    samples = (sample(SYN_SENT, at_ns=OVER_NS // 20), sample(ESTABLISHED, holds=True, at_ns=OVER_NS * 7 // 10))
    verdict = judged(expectation, *samples)
    assert verdict.value is value
    assert ("SYN_SENT" in verdict.saw) is (value is Value.FAILED)


@pytest.mark.parametrize(("background", "value"), [(False, Value.INCONCLUSIVE), (True, Value.FAILED)])
def test_patience_begins_when_the_actions_are_over(background, value):
    acted = ActionRecord(id="2.1", host="romeo", step=2, status="done", start_ns=0, end_ns=OVER_NS // 2, background=background)
    assert judged(wanted(State.CLOSING), sample(ESTABLISHED), actions=(acted,)).value is value


def test_an_expectation_that_is_new_may_use_a_snapshot():
    assert judged(wanted(State.ESTABLISHED), sample(SYN_SENT, -1), sample(ESTABLISHED, -1), index=3).value is Value.PASSED
    verdict = judged(wanted(State.CLOSING), sample(SYN_SENT, -1), sample(ESTABLISHED, -1), index=3)
    assert (verdict.value, verdict.saw) == (Value.FAILED, "ESTABLISHED 10.0.0.1:40000 -> 10.0.0.2:4000")
    assert judged(wanted(State.ESTABLISHED), sample(ESTABLISHED, -1), index=-1).value is Value.PASSED


@pytest.mark.parametrize(
    "elsewhere",
    [sample(ESTABLISHED, step=1), sample(ESTABLISHED, host="juliet"), sample(ESTABLISHED, source="netstat")],
    ids=["step", "host", "source"],
)
def test_another_step_host_or_source_does_not_testify(elsewhere):
    verdict = judged(wanted(State.ESTABLISHED), elsewhere)
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, "nobody asked for ss on romeo in step 2")


@pytest.mark.parametrize(
    ("status", "run", "reason"),
    [
        ("missing", "failed", "the run ended before step 2"),
        ("failed", "failed", "step 2 ended before anyone asked for ss on romeo"),
        ("done", "interrupted", "step 2 ended before anyone asked for ss on romeo"),
    ],
)
def test_why_nobody_asked(status, run, reason):
    verdict = judged(wanted(State.ESTABLISHED), status=status, run=run)
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, reason)


def test_a_step_that_is_not_recorded_did_not_run():
    record = RunRecord(run_id="r", label="x", status="failed", start_ns=0, end_ns=1)
    assert judge_live(wanted(), 0, 7, PLAN, record).reason == "the run ended before step 7"


def test_a_sample_that_cannot_be_read_is_an_error():
    verdict = judged(wanted(absent=True), sample("tcp ESTAB"))
    assert verdict.value is Value.ERROR
    assert verdict.reason.startswith("what ss said on romeo cannot be read: ss printed a line")


def test_the_counters_are_held_against_those_before_the_first_step():
    expectation = ToolExpectation(
        where=HERE, host="romeo", tool="nstat", pattern="TcpOutRsts", within_ns=0, count=Comparison(operator="==", low=1)
    )
    now = sample("TcpOutRsts 8 0.0", source="nstat")
    before = sample("TcpOutRsts 7 0.0", -1, step=0, source="nstat")
    assert judged(expectation, before, now).value is Value.PASSED
    verdict = judged(expectation, sample("TcpOutRsts 3 0.0", -1, step=0, source="nstat"), now)
    assert (verdict.value, verdict.saw) == (Value.FAILED, "TcpOutRsts grew by 5")
    other_host = sample("TcpOutRsts 7 0.0", -1, step=0, host="juliet", source="nstat")
    verdict = judged(expectation, other_host, now)
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, "nobody asked nstat on romeo before the first step")


def test_a_rule_of_ip6tables_serves_too():
    expectation = RuleExpectation(where=HERE, host="romeo", rule="lose", within_ns=0, packets=Comparison(operator=">=", low=2))
    line = "[{}:9] -A INPUT -m comment --comment orchestrate:r:lose -j DROP"
    assert judged(expectation, sample(line.format(2), source="ip6tables")).value is Value.PASSED
    assert judged(expectation, sample(line.format(1), source="iptables")).saw == "1 packet, 9 bytes"


def test_output_is_the_applications_and_only_its_own():
    expectation = OutputExpectation(where=HERE, host="romeo", program="client", pattern="hello", within_ns=0)
    verdict = judged(expectation, sample("hello", source="output"))
    assert (verdict.value, verdict.witness) == (Value.PASSED, "application")
    assert judged(expectation, sample("bye", source="output")).value is Value.FAILED
    assert judged(expectation, sample("hello", 1, source="output")).value is Value.INCONCLUSIVE


def test_output_that_was_not_kept_whole_cannot_fail_for_what_it_lacks():
    expectation = OutputExpectation(where=HERE, host="romeo", program="client", pattern="hello", within_ns=0)
    clipped = Sample(step=2, host="romeo", source="output", at_ns=0, text="bye", expectation=0, clipped=True)
    verdict = judged(expectation, sample("bye", source="output"), clipped)
    assert (verdict.value, verdict.saw) == (Value.INCONCLUSIVE, "client wrote 1 line, the last is 'bye'")
    assert verdict.reason.endswith("it never held, but not all that it wrote was kept")
    assert judged(expectation, sample("hello", source="output", at_ns=0), clipped).value is Value.PASSED


@pytest.mark.parametrize(
    ("expectation", "text"),
    [
        (wanted(State.SYN_SENT, State.ESTABLISHED), "romeo: socket peer :4000 SYN_SENT or ESTABLISHED"),
        (wanted(absent=True), "romeo: socket peer :4000 absent"),
        (wanted(count=Comparison(operator=">=", low=3)), "romeo: socket peer :4000 count >= 3"),
        (SocketExpectation(where=HERE, host="romeo", socket=SocketPattern(name="sock"), within_ns=0), "romeo: socket sock"),
        (
            SocketExpectation(where=HERE, host="romeo", socket=SocketPattern(local=Place(host="romeo")), within_ns=0),
            "romeo: socket local romeo",
        ),
        (RuleExpectation(where=HERE, host="romeo", rule="lose", within_ns=0), "romeo: rule lose"),
        (ToolExpectation(where=HERE, host="romeo", tool="lsof", pattern="x", within_ns=0, absent=True), "romeo: lsof 'x' absent"),
        (OutputExpectation(where=HERE, host="romeo", program="nc", pattern="x", within_ns=0), "romeo: nc writes 'x'"),
    ],
)
def test_expectations_without_words_of_their_own(expectation, text):
    assert describe(expectation) == text


def test_patience_that_seems_too_short_by_less_than_the_clocks_are_apart_was_whole():
    short = sample(SYN_SENT, at_ns=OVER_NS - 1000)
    assert judged(wanted(State.ESTABLISHED), short).value is Value.INCONCLUSIVE
    assert judged(wanted(State.ESTABLISHED), short, error_ns=999).value is Value.INCONCLUSIVE
    assert judged(wanted(State.ESTABLISHED), short, error_ns=1000).value is Value.FAILED
