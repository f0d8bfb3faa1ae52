"""To which step a segment belongs, when clocks differ by less than they are known to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.checks.captured import windows
from orchestrator.checks.wire import contradicted, judge_wire
from orchestrator.model.evidence import CaptureEvidence, ClockEvidence, Evidence, Segment
from orchestrator.model.plan import HostPlan, Plan
from orchestrator.model.record import ActionRecord, RunRecord, StepRecord
from orchestrator.model.topology import Host, Testbed, Topology
from orchestrator.model.verdict import Value
from orchestrator.model.words.expectations import PacketsExpectation
from orchestrator.model.words.segments import End, SegmentPattern
from orchestrator.model.words.values import Where

HERE = Where(path="x.yaml", line=3)
HOSTS = Host(name="romeo"), Host(name="juliet")
PLAN = Plan(
    scenario="x",
    label="x",
    title="",
    family="ipv4",
    testbed=Testbed(kind="ssh", topology=Topology(name="t", hosts=HOSTS, networks=()), hosts=()),
    hosts=tuple(HostPlan(name=host.name) for host in HOSTS),
    steps=(),
    timeout_ns=1,
)
STEPS = (
    StepRecord(number=1, status="done", start_ns=1000, end_ns=1900),
    StepRecord(number=2, status="done", start_ns=2000, end_ns=2900),
)


def acted(number, start_ns, end_ns, host="romeo", **fields):
    fields = {"status": "done", **fields}
    return ActionRecord(id=f"{number}.1", host=host, step=number, start_ns=start_ns, end_ns=end_ns, **fields)


def run(*actions):
    return RunRecord(run_id="r", label="x", status="completed", start_ns=0, end_ns=9999, steps=STEPS, actions=actions)


def spans(number, host, error_ns, record, times, **apart):
    clock = ClockEvidence(host=host, since_ns=0, until_ns=0, error_ns=error_ns, apart_ns=apart)
    return windows.spans(number, host, record, Evidence(clocks=(clock,)), times)


def test_exact_clocks_know_one_answer():
    assert spans(1, "romeo", 0, run(), [1999, 2000]) == [(1000, 2000)]
    assert spans(2, "romeo", 0, run(), [1999, 2000]) == [(2000, None)]
    assert spans(None, "romeo", 50, run(), [1999]) == [(0, None)]


def test_each_segment_within_the_error_may_be_on_either_side():
    begins = {since for since, until in spans(2, "romeo", 50, run(), [1949, 1950, 2049, 2050]) if until is None}
    assert begins == {1950, 2049, 2050}
    assert spans(2, "romeo", 50, run(), [1949, 1950, 2049, 2050])[0] == (2049, None), "the likeliest first: the next one after its begin"
    assert spans(2, "romeo", 50, run(), [1000, 3000]) == [(2050, None)], "none is in question"
    assert set(spans(1, "romeo", 50, run(), [960, 1960])) == {(960, 1960), (960, 2050), (1050, 1960), (1050, 2050)}


def test_what_a_host_did_itself_tells_by_its_own_clock():
    before, after = acted(1, 1100, 1970), acted(2, 1990, 2500)
    assert spans(2, "romeo", 50, run(before, after), [1960, 1989, 1990]) == [(1990, None), (1989, None)]
    assert spans(2, "romeo", 50, run(before, acted(2, 1980, 2500)), [1960, 1981, 1990]) == [(1980, None)]


def test_what_another_host_did_tells_by_what_its_clock_is_apart():
    """As over a far away control channel, where hosts know each other's clocks much better than the controller does."""
    before, after = acted(1, 1100, 1970, host="juliet"), acted(2, 1990, 2500, host="juliet")
    assert set(spans(2, "romeo", 900, run(before, after), [1960, 1964, 1965, 1994], juliet=5)) == {(1965, None), (1994, None), (1995, None)}


@pytest.mark.parametrize(
    "other",
    [
        acted(1, 1100, 1970, host="juliet"),
        acted(1, 1100, 1970, background=True),
        acted(1, 1100, 1970, status="lost"),
        acted(2, 1955, 2500, status="running"),
    ],
)
def test_what_tells_nothing_of_a_hosts_clock_narrows_nothing(other):
    assert set(spans(2, "romeo", 50, run(other), [1960, 2020])) == {(1960, None), (2020, None), (2050, None)}


def test_too_many_answers_are_none():
    assert spans(2, "romeo", 50, run(), range(1950, 2050)) == (
        "which segments of romeo's capture belong to step 2 is not known: some came so near to its begin or end that romeo's clock, "
        "known to ±5e-05 ms, cannot tell"
    )


@given(some.integers(-50, 50), some.lists(some.integers(1800, 2200), max_size=20))
def test_the_true_answer_is_among_them(wrong_ns, times):
    """Where romeo's clock is wrong by less than its error, the step that began at 2000 did so at ``2000 + wrong`` of it."""
    answers = spans(2, "romeo", 50, run(), times)
    truth = [at_ns for at_ns in times if at_ns >= 2000 + wrong_ns]
    assert truth in [[at_ns for at_ns in times if at_ns >= since] for since, _until in answers]


# Judged.

CAPTURE = CaptureEvidence(host="romeo", file="x", complete=True, dropped=0)


def a_syn(at_ns):
    return Segment(
        capture="romeo", number=1, at_ns=at_ns, protocol="tcp", source="10.10.0.100", destination="10.10.0.101",
        source_host="romeo", destination_host="juliet", outgoing=True, flags=2, text="a SYN",
    )  # fmt: skip


def evidence(at_ns, error_ns):
    clock = ClockEvidence(host="romeo", since_ns=0, until_ns=0, error_ns=error_ns)
    return Evidence(captures=(CAPTURE,), segments=(a_syn(at_ns),), clocks=(clock,) if error_ns else ())


def expected(number, *lines):
    return PacketsExpectation(where=HERE, step=number, capture="romeo", lines=lines)


SYN = SegmentPattern(source=End(host="romeo"), destination=End(host="juliet"), flags="S")


def judged(number, at_ns, error_ns, *lines):
    wanted = expected(number, *lines)
    return judge_wire(wanted, PLAN, run(), evidence(at_ns, error_ns))


@pytest.mark.parametrize(("at_ns", "error_ns"), [(2010, 0), (2010, 9), (2060, 50), (1960, 0)])
def test_an_order_that_is_known_is_judged(at_ns, error_ns):
    into_second = at_ns >= 2000
    assert judged(2, at_ns, error_ns, SYN).value is (Value.PASSED if into_second else Value.FAILED)
    assert judged(2, at_ns, error_ns).value is (Value.FAILED if into_second else Value.PASSED)
    assert contradicted(expected(2), PLAN, run(), evidence(at_ns, error_ns)) is into_second


@pytest.mark.parametrize("at_ns", [1980, 2010])
@pytest.mark.parametrize("lines", [(), (SYN,)])
def test_an_order_finer_than_the_error_is_inconclusive(at_ns, lines):
    verdict = judged(2, at_ns, 50_000, *lines)
    assert verdict.value is Value.INCONCLUSIVE
    assert verdict.reason.startswith("which segments of romeo's capture belong to step 2 is not known")
    assert verdict.reason.endswith("romeo's clock, known to ±0.05 ms, cannot tell")
    assert not contradicted(expected(2, *lines), PLAN, run(), evidence(at_ns, 50_000))


def test_an_order_that_does_not_matter_is_judged():
    any_number = SegmentPattern(source=End(host="romeo"), destination=End(host="juliet"), flags="S", optional=True)
    assert judged(2, 2010, 50, any_number).value is Value.PASSED


def test_many_answers_to_one_question_are_no_verdict():
    told = evidence(2010, 50)
    many = tuple(a_syn(at_ns) for at_ns in range(1950, 2050))
    crowded = Evidence(captures=told.captures, segments=many, clocks=told.clocks)
    verdict = judge_wire(expected(2, SYN), PLAN, run(), crowded)
    assert (verdict.value, verdict.reason.startswith("which segments")) == (Value.INCONCLUSIVE, True)
    assert not contradicted(expected(2, SYN), PLAN, run(), crowded)
