"""``path`` judged from histories made by hand."""

from __future__ import annotations

import pytest

from orchestrator.checks.path import contradicted, judge_path
from orchestrator.model.evidence import CaptureEvidence, Evidence, History, Transition
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import RunRecord, StepRecord
from orchestrator.model.tcp import State
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.verdict import Value
from orchestrator.model.words.actions import Call, Calls
from orchestrator.model.words.expectations import PathExpectation
from orchestrator.model.words.values import Where

HERE = Where(path="x.yaml", line=3)
SOURCES = ("call", "call", "wire", "ss")


def history(*states, at_ns=0, question="", host="romeo", name="sock"):
    transitions = tuple(
        Transition(at_ns=at_ns + 1_000_000 * index, state=State(state), cause=f"cause {index}", source=SOURCES[index])
        for index, state in enumerate(states)
    )
    return History(host=host, local="10.0.0.1:40000", peer="10.0.0.2:4000", sockets=(name,), transitions=transitions, question=question)


def judged(*histories, states=("CLOSED", "SYN_SENT", "CLOSED"), captures=(), **fields):
    wanted = PathExpectation(where=HERE, host="romeo", socket="sock", states=tuple(State(state) for state in states), **fields)
    testbed = Testbed(kind="netns", topology=Topology(name="t", hosts=(), networks=()), hosts=())
    plan = Plan(scenario="x", label="x", title="", family="ipv4", testbed=testbed, hosts=(), steps=(), timeout_ns=1)
    record = RunRecord(run_id="r", label="x", status="completed", start_ns=0, end_ns=1)
    return judge_path(wanted, plan, record, Evidence(histories=histories, captures=captures))


def test_the_same_states_pass_and_are_marked_as_inferred():
    verdict = judged(history("CLOSED", "SYN_SENT", "CLOSED"))
    assert (verdict.value, verdict.witness, verdict.where) == (Value.PASSED, "inferred", HERE)
    assert verdict.reason == "inferred from call and wire"
    assert verdict.saw == "CLOSED, SYN_SENT, CLOSED"
    assert verdict.text == "romeo: sock goes through CLOSED, SYN_SENT, CLOSED"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (("CLOSED", "SYN_SENT", "ESTABLISHED"), "after SYN_SENT CLOSED was expected, ESTABLISHED was seen"),
        (("CLOSED", "SYN_SENT"), "after SYN_SENT CLOSED was expected, and nothing followed"),
        (("LISTEN", "SYN_SENT", "CLOSED"), "at first CLOSED was expected, LISTEN was seen"),
        (("CLOSED", "SYN_SENT", "CLOSED", "SYN_SENT"), "CLOSED was to be the last, SYN_SENT followed"),
    ],
)
def test_other_states_fail_and_say_where(seen, reason):
    verdict = judged(history(*seen))
    assert verdict.value is Value.FAILED
    assert verdict.reason.startswith(reason + "; inferred from call")
    assert verdict.saw == ", ".join(seen)
    assert verdict.excerpt[0] == f"+0.000000 s {seen[0]} (call: cause 0)"
    assert len(verdict.excerpt) == len(seen)


@pytest.mark.parametrize("seen", [("CLOSED", "SYN_SENT", "CLOSED"), ("CLOSED",)])
def test_an_open_question_is_inconclusive_whatever_was_seen(seen):
    verdict = judged(history(*seen, question="whether it came is open"))
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, "whether it came is open")


def test_what_a_filter_may_have_hidden_did_not_fail():
    captures = (CaptureEvidence(host="romeo", file="r", complete=True, filter="udp"),)
    verdict = judged(history("CLOSED", "SYN_SENT"), captures=captures)
    assert verdict.value is Value.INCONCLUSIVE
    assert verdict.reason.endswith("nothing followed; inferred from call; romeo's capture was filtered by 'udp'")
    passed = judged(history("CLOSED", "SYN_SENT", "CLOSED"), captures=captures)
    assert (passed.value, passed.reason) == (Value.PASSED, "inferred from call and wire; romeo's capture was filtered by 'udp'")


def test_the_kernels_trace_was_not_there():
    verdict = judged(history("CLOSED", "SYN_SENT", "CLOSED"), witness="trace")
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, "the kernel's trace was not recorded")


@pytest.mark.parametrize("other", [history("CLOSED", host="juliet"), history("CLOSED", name="other")])
def test_no_history_is_inconclusive(other):
    verdict = judged(other, states=("CLOSED",))
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, "nothing tells the states of 'sock' on romeo")


def test_of_a_name_that_was_bound_again_the_last_is_meant():
    first, second = history("CLOSED", "SYN_SENT", "CLOSED"), history("CLOSED", at_ns=9_000_000)
    assert judged(second, first, states=("CLOSED",)).value is Value.PASSED


def test_the_authors_own_text():
    assert judged(history("CLOSED"), states=("CLOSED",), text="never used").text == "never used"


def settled(seen, *, rebinds=(), status="failed"):
    """Whether ``CLOSED, SYN_SENT, CLOSED`` is contradicted by ``seen``, where a step of ``status`` was to make the sockets ``rebinds``."""
    wanted = PathExpectation(where=HERE, host="romeo", socket="sock", states=(State.CLOSED, State.SYN_SENT, State.CLOSED))
    calls = Calls(calls=tuple(Call(text="x", method="socket.socket", names=(name,)) for name in rebinds))
    action = PlannedAction(id="1.1", host="romeo", action=calls, where=HERE, timeout_ns=1)
    steps = (PlannedStep(number=1, name="", where=HERE, actions=(action,)),)
    testbed = Testbed(kind="netns", topology=Topology(name="t", hosts=(), networks=()), hosts=())
    plan = Plan(scenario="x", label="x", title="", family="ipv4", testbed=testbed, hosts=(), steps=steps, timeout_ns=1)
    record = RunRecord(run_id="r", label="x", status="failed", start_ns=0, end_ns=1, steps=(StepRecord(number=1, status=status),))
    return contradicted(wanted, plan, record, Evidence(histories=(history(*seen),)))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((), False),
        (("CLOSED", "SYN_SENT"), False),
        (("CLOSED", "SYN_SENT", "CLOSED"), False),
        (("CLOSED", "SYN_SENT", "ESTABLISHED"), True),
        (("LISTEN",), True),
        (("CLOSED", "SYN_SENT", "CLOSED", "SYN_SENT"), True),
    ],
)
def test_what_no_later_state_can_mend(seen, expected):
    assert settled(seen) is expected


def test_a_name_that_may_be_bound_again_settles_nothing():
    assert not settled(("LISTEN",), rebinds=("sock",))
    assert not settled(("LISTEN",), rebinds=("sock",), status="missing")
    assert settled(("LISTEN",), rebinds=("other",))
    assert settled(("LISTEN",), rebinds=("sock",), status="done")
