"""Whole runs judged: the order of verdicts, what counts as nothing, and that no crash is a pass."""

import pytest

from orchestrator.checks import judge, judging
from orchestrator.model.evidence import Evidence, History, Transition
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, HostRecord, RunRecord, Sample, StepRecord
from orchestrator.model.tcp import State
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.verdict import EXIT_CODES, Value, Verdict
from orchestrator.model.words.actions import Call, Calls
from orchestrator.model.words.expectations import (
    CountExpectation,
    Outcome,
    PacketsExpectation,
    PathExpectation,
    Place,
    SocketExpectation,
    SocketPattern,
)
from orchestrator.model.words.segments import End, Gap, SegmentPattern
from orchestrator.model.words.values import Comparison, Where

HERE = Where(path="x.yaml", line=3)
SYN = SegmentPattern(source=End(host="romeo"), destination=End(host="juliet"))
LISTENING = "tcp LISTEN 0 5 10.0.0.1:4000 0.0.0.0:* ino:5 sk:1"


def action(key: str = "1.1", outcome: Outcome | None = None) -> PlannedAction:
    calls = Calls(calls=(Call(text="sock.connect(...)", method="connect"),))
    return PlannedAction(id=key, host="romeo", action=calls, where=HERE, timeout_ns=1, outcome=outcome)


def live(state: State = State.LISTEN, **fields) -> SocketExpectation:
    pattern = SocketPattern(local=Place(port=4000))
    return SocketExpectation(where=HERE, host="romeo", socket=pattern, within_ns=0, states=(state,), text="romeo listens", **fields)


def packets(**fields) -> PacketsExpectation:
    return PacketsExpectation(where=HERE, capture="romeo", **fields)


def path(**fields) -> PathExpectation:
    return PathExpectation(where=HERE, host="romeo", socket="sock", states=(State.CLOSED,), **fields)


def step(number: int = 1, *actions: PlannedAction, expect=(), **fields) -> PlannedStep:
    return PlannedStep(number=number, name=fields.pop("name", ""), where=HERE, actions=actions, expect=tuple(expect), **fields)


def plan(*steps: PlannedStep, **fields) -> Plan:
    testbed = Testbed(kind="netns", topology=Topology(name="t", hosts=(), networks=()), hosts=())
    return Plan(scenario="x", label="x[ipv4]", title="", family="ipv4", testbed=testbed, hosts=(), steps=steps, timeout_ns=1, **fields)


def run(status: str = "completed", *, steps=("done",), **fields) -> RunRecord:
    records = tuple(StepRecord(number=number, status=one, reason="why") for number, one in enumerate(steps, 1))
    return RunRecord(run_id="r", label="x", status=status, start_ns=0, end_ns=1, steps=records, **fields)


def done(key: str = "1.1", status: str = "done", **fields) -> ActionRecord:
    return ActionRecord(id=key, host="romeo", step=1, status=status, start_ns=0, end_ns=1, **fields)


def sample(text: str, number: int = 1, index: int = 0, *, holds: bool = True) -> Sample:
    return Sample(step=number, host="romeo", source="ss", at_ns=0, text=text, expectation=index, holds=holds)


def values(plan: Plan, record: RunRecord) -> list[tuple[Value, str]]:
    return [(one.value, one.witness) for one in judge(plan, record, Evidence()).verdicts]


@pytest.fixture
def witnesses(monkeypatch):
    """The wire and the path say what the test puts here, or raise it."""
    said = {
        "wire": Verdict(value=Value.PASSED, text="packets", where=HERE, witness="wire"),
        "path": Verdict(value=Value.PASSED, text="path", where=HERE, witness="inferred", step=9),
    }

    def witness(name):
        def testify(expectation, plan, record, evidence):
            assert isinstance(evidence, Evidence)
            if isinstance(said[name], Exception):
                raise said[name]
            return said[name]

        return testify

    monkeypatch.setattr(judging, "judge_wire", witness("wire"))
    monkeypatch.setattr(judging, "judge_path", witness("path"))
    return said


def test_verdicts_come_in_the_order_of_the_steps(witnesses):
    first = step(1, action("1.1", Outcome(returns=None, has_return=True)), expect=[live(), packets(step=1)])
    wanted = plan(first, step(2, action("2.1", Outcome(raises="OSError")), expect=[live()]), expect=(path(), packets()))
    samples = (sample(LISTENING), sample(LISTENING, 2))
    record = run(steps=("done", "done"), actions=(done("1.1"), done("2.1")), samples=samples)
    verdicts = judge(wanted, record, Evidence())
    assert [(one.value, one.witness, one.step) for one in verdicts.verdicts] == [
        (Value.PASSED, "application", 1),
        (Value.PASSED, "kernel", 1),
        (Value.PASSED, "wire", 1),
        (Value.FAILED, "application", 2),
        (Value.PASSED, "kernel", 2),
        (Value.PASSED, "inferred", 9),
        (Value.PASSED, "wire", None),
    ]
    assert EXIT_CODES[verdicts.value] == 1


def test_a_run_of_which_nothing_was_expected_has_completed():
    (verdict,) = judge(plan(step(1, action())), run(actions=(done(),)), Evidence()).verdicts
    assert (verdict.value, verdict.witness, verdict.text) == (Value.PASSED, "harness", "the run completed")


def test_a_plan_that_is_left_out():
    (verdict,) = judge(plan(step(expect=[live()]), skip="no netem here"), run("skipped"), Evidence()).verdicts
    assert (verdict.value, verdict.reason, verdict.text) == (Value.SKIPPED, "no netem here", "x[ipv4]")
    (verdict,) = judge(plan(), run("skipped", reason="this kernel lacks it"), Evidence()).verdicts
    assert (verdict.value, verdict.reason) == (Value.SKIPPED, "this kernel lacks it")


def test_a_step_that_is_left_out_is_one_verdict():
    wanted = plan(
        step(1, action(outcome=Outcome(raises="OSError")), expect=[live()], skip="kernel < 6.5", name="newer"), step(2, action("2.1"))
    )
    (verdict,) = judge(wanted, run(steps=("skipped", "done"), actions=(done("2.1"),)), Evidence()).verdicts
    assert (verdict.value, verdict.text, verdict.reason, verdict.step) == (Value.SKIPPED, "step 1: newer", "kernel < 6.5", 1)
    (verdict,) = judge(plan(step(expect=[live()])), run(steps=("skipped",)), Evidence()).verdicts
    assert (verdict.value, verdict.text, verdict.reason) == (Value.SKIPPED, "step 1", "why")


def test_a_step_without_a_name_is_told_by_what_is_typed():
    (verdict,) = judge(plan(step(1, action(), action("1.2"), skip="kernel < 6.5")), run(steps=("skipped",)), Evidence()).verdicts
    assert verdict.text == "step 1: romeo: sock.connect(...); romeo: sock.connect(...)"


def test_an_expectation_that_is_left_out():
    wanted = plan(step(expect=[live(skip="only ipv6")]), expect=(packets(skip="no"),))
    assert values(wanted, run()) == [(Value.SKIPPED, "harness")] * 2


def test_a_live_expectation_is_judged_from_its_own_step(witnesses):
    wanted = plan(step(1, expect=[live()]), step(2, expect=[live(State.ESTABLISHED)]))
    record = run(steps=("done", "done"), samples=(sample(LISTENING), sample(LISTENING, 2, holds=False)))
    assert values(wanted, record) == [(Value.PASSED, "kernel"), (Value.FAILED, "kernel")]


def test_a_live_expectation_at_the_end_speaks_of_the_last_step_that_ran():
    wanted = plan(step(1), step(2), step(3), expect=(live(),))
    ran = run(steps=("done", "done", "skipped"), samples=(sample("", 1), sample(LISTENING, 2, 4)))
    assert values(wanted, ran) == [(Value.SKIPPED, "harness"), (Value.PASSED, "kernel")]
    assert values(plan(expect=(live(),)), run(steps=())) == [(Value.INCONCLUSIVE, "kernel")]


def test_what_comes_after_the_end_is_inconclusive(witnesses):
    wanted = plan(
        step(1, expect=[live(State.ESTABLISHED)]),
        step(2, action("2.1", Outcome(raises="OSError")), expect=[live(), packets(), path()]),
        expect=(packets(step=2), packets(step=1), path()),
    )
    record = run("failed", steps=("failed", "missing"), samples=(sample(LISTENING, holds=False),))
    verdicts = judge(wanted, record, Evidence()).verdicts
    assert [(one.value, one.witness) for one in verdicts] == [
        (Value.FAILED, "kernel"),
        (Value.INCONCLUSIVE, "application"),
        (Value.INCONCLUSIVE, "kernel"),
        (Value.INCONCLUSIVE, "wire"),
        (Value.INCONCLUSIVE, "inferred"),
        (Value.INCONCLUSIVE, "wire"),
        (Value.PASSED, "wire"),
        (Value.INCONCLUSIVE, "inferred"),
    ]
    assert (verdicts[3].reason, verdicts[3].step, verdicts[3].text) == ("the run ended before step 2", 2, "packets")
    assert [one.reached for one in verdicts] == [True, *[False] * 5, True, False]


@pytest.mark.parametrize(
    ("expectation", "value"),
    [
        (packets(step=2), Value.INCONCLUSIVE),
        (packets(step=2, lines=(Gap(),)), Value.PASSED),
        (packets(step=1), Value.PASSED),
        (path(), Value.INCONCLUSIVE),
        (live(), Value.PASSED),
        (CountExpectation(where=HERE, capture="romeo", match=SYN, count=Comparison(operator=">=", low=1)), Value.PASSED),
        (CountExpectation(where=HERE, capture="romeo", match=SYN, count=Comparison(operator="<=", low=1)), Value.INCONCLUSIVE),
    ],
)
def test_what_was_interrupted_passes_only_where_more_could_not_have_broken_it(witnesses, expectation, value):
    wanted = plan(step(1), step(2), step(3), expect=(expectation,))
    record = run("interrupted", steps=("done", "failed", "missing"), samples=(sample(LISTENING, 2, -1),))
    assert [one.value for one in judge(wanted, record, Evidence()).verdicts if one.witness != "harness"] == [value]


@pytest.mark.parametrize("status", ["interrupted", "error"])
def test_what_a_step_that_was_interrupted_had_not_sent_yet_does_not_fail(witnesses, status):
    witnesses["wire"] = Verdict(value=Value.FAILED, text="packets", where=HERE, witness="wire", reason="never came")
    wanted = plan(step(1, expect=[packets(step=1)]), step(2, expect=[packets(step=2)]))
    first, second = [one for one in judge(wanted, run(status, steps=("done", "failed")), Evidence()).verdicts if one.witness == "wire"]
    assert (first.value, second.value) == (Value.FAILED, Value.INCONCLUSIVE)


@pytest.mark.parametrize("name", ["wire", "path"])
def test_a_check_that_crashes_is_an_error(witnesses, name):
    witnesses[name] = KeyError("gone")
    verdicts = judge(plan(step(expect=[packets(text="one"), path(text="two")])), run(), Evidence())
    crashed = verdicts.verdicts[0 if name == "wire" else 1]
    assert (crashed.value, crashed.where, crashed.step) == (Value.ERROR, HERE, 1)
    assert crashed.reason == "the check itself failed: KeyError: 'gone'"
    assert crashed.text == ("one" if name == "wire" else "two")
    assert EXIT_CODES[verdicts.value] == 3


def test_a_judgement_of_an_action_that_crashes_is_an_error():
    wanted = plan(step(1, action(outcome=Outcome(stdout="("))))
    (verdict,) = judge(wanted, run(actions=(done(),)), Evidence()).verdicts
    assert (verdict.value, verdict.text) == (Value.ERROR, "romeo: sock.connect(...)")


@pytest.mark.parametrize(("status", "value"), [("error", Value.ERROR), ("interrupted", Value.INCONCLUSIVE)])
def test_a_run_that_was_cut_short_says_so_first(status, value):
    wanted = plan(step(expect=[live()]))
    verdicts = judge(wanted, run(status, reason="a reason", samples=(sample(LISTENING),)), Evidence()).verdicts
    assert [(one.value, one.witness) for one in verdicts] == [(value, "harness"), (Value.PASSED, "kernel")]
    assert verdicts[0].reason == "a reason"
    assert judge(plan(), run(status), Evidence()).verdicts[0].reason != ""


@pytest.mark.parametrize("status", ["error", "interrupted"])
def test_of_a_run_that_ended_before_its_first_step_nothing_was_reached(status):
    record = run(status, steps=("missing",), reason="another run has the machine")
    verdicts = judge(plan(step(1, expect=(live(),)), expect=(path(), packets())), record, Evidence()).verdicts
    assert {verdict.reached for verdict in verdicts if verdict.value is Value.INCONCLUSIVE} <= {False}
    assert len(verdicts) >= 3


def test_what_speaks_of_a_whole_run_does_not_fail_on_a_part_of_it(witnesses):
    witnesses["wire"] = Verdict(value=Value.FAILED, text="packets", where=HERE, witness="wire", reason="nothing was captured")
    wanted = plan(step(1), step(2), expect=(packets(),))
    failed, part = judge(wanted, run("failed", steps=("failed", "missing")), Evidence()).verdicts
    assert (failed.text, part.text) == ("step 1 ended", "packets")
    assert (part.value, part.reason) == (Value.INCONCLUSIVE, "the run ended before its last step; until then: nothing was captured")
    (whole,) = judge(wanted, run(steps=("done", "done")), Evidence()).verdicts
    assert (whole.value, whole.reason) == (Value.FAILED, "nothing was captured")
    assert (failed.reached, part.reached, whole.reached) == (True, False, True)


@pytest.mark.parametrize(
    ("seen", "status", "lost", "value"),
    [
        (State.LISTEN, "failed", "", Value.FAILED),
        (State.CLOSED, "failed", "", Value.INCONCLUSIVE),
        (State.LISTEN, "interrupted", "", Value.INCONCLUSIVE),
        (State.LISTEN, "error", "", Value.INCONCLUSIVE),
        (State.LISTEN, "failed", "its channel ended", Value.INCONCLUSIVE),
    ],
)
def test_what_is_disproved_fails_on_a_part_too(seen, status, lost, value):
    wanted = PathExpectation(where=HERE, host="romeo", socket="sock", states=(State.CLOSED, State.SYN_SENT))
    history = History(
        host="romeo", local="", peer="", sockets=("sock",), transitions=(Transition(at_ns=1, state=seen, cause="x", source="call"),)
    )
    record = run(status, steps=("failed", "missing"), hosts=(HostRecord(name="romeo", lost=lost),))
    verdicts = judge(plan(step(1), step(2), expect=(wanted,)), record, Evidence(histories=(history,))).verdicts
    (verdict,) = [one for one in verdicts if one.witness == "inferred"]
    assert verdict.value is value
    assert ("until then" in verdict.reason) == (value is Value.INCONCLUSIVE)


# -- nothing goes wrong in silence


def test_a_change_that_could_not_be_undone_makes_the_run_an_error():
    hosts = (HostRecord(name="romeo", undone=("a",), not_undone=("sysctl x: refused", "rule y: gone")), HostRecord(name="juliet"))
    (verdict,) = judge(plan(step()), run(hosts=hosts), Evidence()).verdicts
    assert (verdict.value, verdict.text) == (Value.ERROR, "every host is as it was")
    assert [one.value for one in judge(plan(step()), run("skipped", hosts=hosts), Evidence()).verdicts] == [Value.ERROR, Value.SKIPPED]
    assert verdict.reason == "romeo: sysctl x: refused; romeo: rule y: gone"


def test_a_step_that_failed_because_a_host_was_lost():
    lost = (HostRecord(name="romeo", lost="its channel ended"), HostRecord(name="juliet"))
    verdicts = judge(plan(step(expect=[live()])), run("failed", steps=("failed",), hosts=lost, samples=(sample(LISTENING),)), Evidence())
    assert [(one.value, one.witness) for one in verdicts.verdicts] == [(Value.PASSED, "kernel"), (Value.ERROR, "harness")]
    assert verdicts.verdicts[1].reason == "romeo was lost: its channel ended"
    assert (verdicts.verdicts[1].text, verdicts.verdicts[1].step) == ("step 1 ended", 1)


def test_a_host_that_was_lost_between_steps():
    record = run(hosts=(HostRecord(name="romeo", lost="its channel ended"),))
    (verdict,) = judge(plan(step()), record, Evidence()).verdicts
    assert (verdict.value, verdict.reason) == (Value.ERROR, "romeo was lost: its channel ended")


def test_a_step_that_failed_without_a_verdict_of_its_own():
    (verdict,) = judge(plan(step(1, action())), run("failed", steps=("failed",), actions=(done(),)), Evidence()).verdicts
    assert (verdict.value, verdict.text, verdict.reason, verdict.step) == (Value.FAILED, "step 1 ended", "why", 1)


def test_a_failed_step_whose_own_verdict_fails_is_told_once():
    record = run("failed", steps=("failed",), actions=(done(status="raised", exceptions=("OSError",)),))
    assert values(plan(step(1, action())), record) == [(Value.FAILED, "application")]


def test_a_run_that_took_too_long():
    wanted = plan(step(expect=[live()]), step(2))
    record = run("failed", steps=("done", "missing"), reason="the run took longer than 60 s", overran=True, samples=(sample(LISTENING),))
    verdicts = judge(wanted, record, Evidence()).verdicts
    assert [one.value for one in verdicts] == [Value.PASSED, Value.FAILED]
    assert verdicts[1].reason == "the run took longer than 60 s"


def test_a_failure_that_no_step_knows_of_is_one_all_the_same():
    (verdict,) = judge(plan(step(1)), run("failed", steps=("done",), reason="for no step's sake"), Evidence()).verdicts
    assert (verdict.value, verdict.reason) == (Value.FAILED, "for no step's sake")


def test_a_run_that_took_too_long_says_so_beside_what_it_failed_at():
    wanted = plan(step(1, action(outcome=Outcome(raises="OSError"))))
    record = run("failed", steps=("failed",), reason="the run took longer than 60 s", overran=True, actions=(done(status="blocked"),))
    assert [one.reason for one in judge(wanted, record, Evidence()).verdicts][-1] == "the run took longer than 60 s"


def test_judged_again_with_a_changed_expectation():
    record = run("failed", steps=("failed",), reason="step 1: it saw LISTEN", samples=(sample(LISTENING, holds=False),))
    assert values(plan(step(expect=[live(State.ESTABLISHED)])), record) == [(Value.FAILED, "kernel")]
    assert values(plan(step(expect=[live(State.LISTEN)])), record) == [(Value.PASSED, "kernel")]


def test_judged_again_what_never_happened_stays_unknown():
    record = run("failed", steps=("failed", "missing"), reason="step 1: it saw LISTEN", samples=(sample(LISTENING, holds=False),))
    verdicts = judge(plan(step(expect=[live()]), step(2, action("2.1"))), record, Evidence()).verdicts
    assert [one.value for one in verdicts] == [Value.PASSED, Value.INCONCLUSIVE]
    assert (verdicts[1].reason, verdicts[1].reached) == ("the run ended before step 2: step 1: it saw LISTEN", True)


@pytest.mark.parametrize(
    ("status", "others"), [("completed", []), ("error", ["the links are gone"]), ("interrupted", ["the links are gone"])]
)
def test_a_change_that_was_not_undone_is_an_error_whatever_else_happened(status, others):
    hosts = (HostRecord(name="romeo", not_undone=("sysctl a = 1 (it is gone)",)), HostRecord(name="juliet", undone=("rm -r x",)))
    record = RunRecord(run_id="r", label="x", status=status, reason=others[0] if others else "", start_ns=0, end_ns=1, hosts=hosts)
    first, *rest = judge(plan(), record, Evidence()).verdicts
    assert (first.value, first.text) == (Value.ERROR, "every host is as it was")
    assert first.reason == "romeo: sysctl a = 1 (it is gone)"
    assert [one.reason for one in rest] == others


def test_what_a_step_tells_the_run_only_points_to():
    cut = "iptables -A INPUT -j DROP: this cut the control connection, and was taken back after 5 s"
    told = ActionRecord(
        id="1.1", step=1, host="romeo", status="raised", start_ns=0, end_ns=1, exceptions=("ControlCut", "ChangeRefused"), message=cut
    )
    record = run("error", steps=("failed",), actions=(told,), reason=f"romeo: {cut}")
    assert [(one.value, one.reason) for one in judge(plan(step(1, action())), record, Evidence()).verdicts] == [
        (Value.ERROR, "step 1 ended the run: see there"),
        (Value.ERROR, cut),
    ]
