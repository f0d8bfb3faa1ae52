"""What the recorder believes, and how much it keeps."""

from __future__ import annotations

import pytest

from orchestrator.engine.recorder import Recorder
from orchestrator.errors import AgentError
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.topology import Host, Testbed, Topology
from orchestrator.model.words.actions import Run
from orchestrator.model.words.values import Where

HERE = Where(path="x.yaml", line=1)
ENDED = {"id": "1.1", "status": "done", "start_ns": 5, "end_ns": 9, "value": 0}


@pytest.fixture
def recorder() -> Recorder:
    action = PlannedAction(id="1.1", host="romeo", action=Run(argv=("true",)), where=HERE, timeout_ns=1, background=True)
    plan = Plan(
        scenario="x",
        label="x",
        title="x",
        family="ipv4",
        testbed=Testbed(kind="netns", topology=Topology(name="t", hosts=(Host(name="romeo"),), networks=()), hosts=()),
        hosts=(HostPlan(name="romeo"),),
        steps=(PlannedStep(number=1, name="x", where=HERE, actions=(action,)),),
        timeout_ns=1,
    )
    made = Recorder(plan, "ab", 0)
    made.offsets = {"romeo": 1000}
    return made


def test_times_are_moved_to_unix_time(recorder: Recorder) -> None:
    recorder.action("romeo", ENDED)
    (told,) = recorder.record("completed", "", 1).actions
    assert (told.start_ns, told.end_ns) == (1005, 1009)


def test_an_end_is_not_undone_by_an_older_word(recorder: Recorder) -> None:
    recorder.action("romeo", ENDED)
    recorder.action("romeo", {"id": "1.1", "status": "running", "start_ns": 5})
    (told,) = recorder.record("completed", "", 1).actions
    assert told.status == "done"


def test_what_never_ended_was_blocked(recorder: Recorder) -> None:
    recorder.action("romeo", {"id": "1.1", "status": "running", "start_ns": 5})
    (told,) = recorder.record("completed", "", 77).actions
    assert (told.status, told.end_ns) == ("blocked", 77)


@pytest.mark.parametrize("result", [{"id": "9.9"}, {"id": "1.1"}, {"id": "1.1", "start_ns": "soon", "end_ns": 1, "status": "done"}])
def test_a_report_that_cannot_be_one_is_refused(recorder: Recorder, result: dict) -> None:
    with pytest.raises(AgentError, match=r"romeo: its? report"):
        recorder.action("romeo", result)


def test_nobody_reports_for_another(recorder: Recorder) -> None:
    with pytest.raises(AgentError):
        recorder.action("juliet", ENDED)


@pytest.mark.parametrize("answer", [{}, {"at_ns": "x", "text": "y"}, {"at_ns": 1, "text": 5}, {"at_ns": 1, "text": "", "sockets": 7}, None])
def test_an_answer_that_cannot_be_one_is_refused(recorder: Recorder, answer: object) -> None:
    with pytest.raises(AgentError, match="what ss said cannot be read"):
        recorder.sample(1, "romeo", "ss", answer)


def test_a_long_poll_keeps_its_first_and_its_last_samples(recorder: Recorder) -> None:
    for instant in range(500):
        recorder.keep(recorder.sample(1, "romeo", "ss", {"at_ns": instant, "text": "x"}, 0))
    kept = [sample.at_ns - 1000 for sample in recorder.record("completed", "", 1).samples]
    assert len(kept) <= 65
    assert kept[:30] == list(range(30))
    assert kept[-30:] == list(range(470, 500))
