"""What one host says of its part in a run: believed, kept when it comes late, and told when it is no answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orchestrator.agent import protocol
from orchestrator.engine import part as module
from orchestrator.engine.lockstep import Lockstep
from orchestrator.engine.part import Part
from orchestrator.engine.recorder import Recorder
from orchestrator.engine.timing import Clock
from orchestrator.errors import AgentError, Interrupted, OrchestratorError, Overdue, TestbedError
from orchestrator.model.plan import HostPlan, PlannedAction
from orchestrator.model.record import ActionRecord, RunRecord
from orchestrator.model.words.actions import Iptables, Snapshot, Start
from orchestrator.model.words.expectations import ToolExpectation
from tests.unit.engine.conftest import HERE, Agent, Kept, Unwatched, a_plan, a_step, an_action

DONE = {"id": "1.1", "status": "done", "start_ns": 5, "end_ns": 9, "value": 0, "stdout": "what was learnt"}


class Made:
    """A part, and all around it."""

    def __init__(self, agent: Agent) -> None:
        self.plan = a_plan()
        self.recorder = Recorder(self.plan, "ab", 0)
        self.recorder.offsets = {"romeo": 0}
        self.kept = Kept()
        self.stops: list[OrchestratorError] = []
        self.part = Part(self.plan.hosts[0], agent.session(), self.recorder, self.kept, self.stops.append)

    def told(self) -> ActionRecord:
        (record,) = self.recorder.record("completed", "", 77).actions
        return record


def playing(agent: Agent, body: Callable) -> Made:
    async def whole() -> Made:
        made = Made(agent)
        await body(made)
        return made

    return asyncio.run(whole())


def test_a_report_that_comes_too_late_is_kept_and_the_action_stays_lost(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE_S", -1.0)

    async def body(made: Made) -> None:
        with pytest.raises(Overdue):
            await made.part.fire([an_action(1)], 0, Clock())
        assert made.told().status == "lost"
        agent.answer(protocol.FIRE, [DONE])

    told = playing(agent, body).told()
    assert (told.status, told.stdout, told.end_ns) == ("lost", "what was learnt", 9)
    assert told.message.endswith("; later it reported: done")


@pytest.mark.parametrize(
    "result", [None, "x", [], {}, [None], [{"id": "1.1"}], [{"id": "7"}], [{**DONE, "calls": 5}], [{**DONE, "snapshots": 5}]]
)
def test_a_report_that_is_none_is_an_error_of_the_host(agent: Agent, result: Any) -> None:
    agent.answers[protocol.FIRE] = result

    async def body(made: Made) -> None:
        with pytest.raises(AgentError, match="romeo: "):
            await made.part.fire([an_action(1)], 0, Clock())

    playing(agent, body)


def test_an_action_that_its_host_refused_to_begin_was_not_blocked(agent: Agent) -> None:
    async def body(made: Made) -> None:
        firing = asyncio.create_task(made.part.fire([an_action(1)], 0, Clock()))
        await asyncio.sleep(0)
        agent.come(json.dumps({"id": agent.numbers[protocol.FIRE], "error": "it is not prepared"}).encode())
        with pytest.raises(AgentError, match="it is not prepared"):
            await firing

    told = playing(agent, body).told()
    assert (told.status, told.message) == ("lost", "romeo: it is not prepared")


@pytest.mark.parametrize("frame", [{}, {"data": "%%%"}, {"data": 7}, {"data": None}])
def test_bytes_of_a_capture_that_are_none_stop_the_run(agent: Agent, frame: dict) -> None:
    async def body(made: Made) -> None:
        agent.tell(protocol.PACKETS, **frame)
        assert [str(error).startswith("romeo: it told what cannot be read") for error in made.stops] == [True]
        assert made.kept.data == b""

    playing(agent, body)


@pytest.mark.parametrize("frame", [{}, {"result": None}, {"result": {"id": "1.1", "start_ns": "soon"}}, {"result": {"id": "9.9"}}])
def test_an_end_that_is_none_stops_the_run(agent: Agent, frame: dict) -> None:
    async def body(made: Made) -> None:
        agent.tell(protocol.ENDED, **frame)
        assert [error.host for error in made.stops if isinstance(error, AgentError)] == ["romeo"]

    playing(agent, body)


@pytest.mark.parametrize("answer", [None, {}, {"ready_ns": "x", "indexes": {}}, {"ready_ns": 1, "indexes": {"eth1": "x"}}])
def test_a_capture_that_does_not_say_since_when_is_an_error_of_the_host(agent: Agent, answer: Any) -> None:
    agent.answers[protocol.CAPTURE] = answer

    async def body(made: Made) -> None:
        with pytest.raises(AgentError, match="since when it captures cannot be read"):
            await made.part.prepare()

    playing(agent, body)


@pytest.mark.parametrize("answer", [5, {}, {"frames": 1, "dropped": None, "end_ns": 3, "clock": [0, 0]}])
def test_a_capture_that_does_not_say_what_it_came_to_stays_incomplete(agent: Agent, answer: Any) -> None:
    agent.answers[protocol.SEAL] = answer

    async def body(made: Made) -> None:
        await made.part.prepare()
        await made.part.seal()
        assert made.part.capture is not None
        assert not made.part.capture.complete

    playing(agent, body)


@pytest.mark.parametrize("answer", [None, {}, {"undone": 5, "not_undone": []}])
def test_a_host_that_does_not_say_what_it_undid_is_lost(agent: Agent, answer: Any) -> None:
    agent.answers[protocol.FINISH] = answer

    async def body(made: Made) -> None:
        assert "what it undid cannot be read" in await made.part.finish(Clock())
        assert "what it undid cannot be read" in made.part.record.lost

    playing(agent, body)


def test_what_a_host_lacks_and_what_it_could_not_undo_is_in_its_record(agent: Agent) -> None:
    agent.answers[protocol.FINISH] = {"undone": ["rm -r x"], "not_undone": ["sysctl a = 1 (gone)"]}
    agent.left_out = ["/etc/hosts: Permission denied"]

    async def body(made: Made) -> None:
        await made.part.prepare()
        await made.part.seal()
        assert await made.part.finish(Clock()) == ""
        record = made.part.record
        assert (record.left_out, record.undone) == (("/etc/hosts: Permission denied",), ("rm -r x",))
        assert (record.not_undone, record.environment) == (("sysctl a = 1 (gone)",), {"kernel": "6.1"})

    playing(agent, body)


def test_a_clock_that_was_set_while_a_host_captured_is_in_its_record(agent: Agent) -> None:
    agent.answers[protocol.SEAL] = {"frames": 3, "dropped": 0, "end_ns": 50, "clock": [1000, 3000]}

    async def body(made: Made) -> None:
        made.recorder.offsets = {"romeo": 500}
        await made.part.prepare()
        await made.part.seal()
        assert made.part.capture is not None
        assert (made.part.capture.clock_moved_ns, made.part.capture.end_ns, made.part.capture.ready_ns) == (1500, 550, 501)

    playing(agent, body)


def test_the_fingerprint_asks_for_the_programs_of_the_plan(agent: Agent) -> None:
    done = [Start(argv=("nc", "-l"), name="nc"), Snapshot(tools=("lsof", "ss")), Iptables(tool="ip6tables", words=("-A",), name="r")]
    acts = tuple(PlannedAction(id=f"1.{at}", host="romeo", action=act, where=HERE, timeout_ns=1) for at, act in enumerate(done))
    counted = ToolExpectation(where=HERE, host="romeo", tool="nstat", pattern="x", within_ns=0)
    left_out = a_step(2, actions=(an_action(2),), skip="not here")
    plan = a_plan(a_step(1, actions=acts, expect=(counted,)), left_out)
    filtered = HostPlan(name="romeo", capture="udp")

    async def whole() -> None:
        recorder = Recorder(msgspec.structs.replace(plan, hosts=(filtered,)), "ab", 0)
        recorder.offsets = {"romeo": 0}
        await Part(filtered, agent.session(), recorder, Kept(), print).prepare()

    asyncio.run(whole())
    (asked,) = [frame["tools"] for frame in agent.asked if frame["ask"] == protocol.ENVIRONMENT]
    assert asked == ["ip", "ss", "iptables", "ip6tables", "lsof", "nc", "nstat", "tcpdump"]


def run(agent: Agent, stop: Callable[[Lockstep], None], *, timeout_ns: int = 10**10) -> RunRecord:
    """A run whose only action blocks until the end; ``stop`` is called when it has begun."""
    plan = a_plan(a_step(1, actions=(an_action(1),)), timeout_ns=timeout_ns)

    async def whole() -> RunRecord:
        engine = Lockstep(plan, "ab", {"romeo": agent.session()}, Kept(), Unwatched())
        running = asyncio.create_task(engine.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert protocol.FIRE in agent.numbers
        stop(engine)
        record = await running
        agent.answer(protocol.FIRE, [{**DONE, "status": "blocked"}])  # as a host does that is told to finish
        return await engine.finish(record)

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("why", "status"),
    [(Interrupted("Ctrl-C"), "interrupted"), (TestbedError("the links are gone"), "error"), (AgentError("x", "y"), "error")],
)
def test_who_stops_a_run_says_what_it_was(agent: Agent, why: OrchestratorError, status: str) -> None:
    record = run(agent, lambda engine: engine.stop(why))
    assert (record.status, record.reason) == (status, str(why))
    assert [step.status for step in record.steps] == ["failed"]


def test_the_first_reason_counts(agent: Agent) -> None:
    def stop(engine: Lockstep) -> None:
        engine.stop(Interrupted("first"))
        engine.stop(TestbedError("second"))

    assert run(agent, stop).reason == "first"


def test_what_a_stopped_run_was_doing_is_in_its_record(agent: Agent) -> None:
    (told,) = run(agent, lambda engine: engine.stop(Interrupted("Ctrl-C"))).actions
    assert (told.status, told.stdout) == ("blocked", "what was learnt")


def test_what_a_run_was_doing_at_its_deadline_is_in_its_record(agent: Agent) -> None:
    record = run(agent, lambda _engine: None, timeout_ns=100_000_000)
    assert (record.status, record.overran) == ("failed", True)
    assert record.reason.startswith("the run took longer than 0.1 s, and was in step 1; still under way: romeo: ")
    assert [(told.status, told.stdout) for told in record.actions] == [("blocked", "what was learnt")]


def test_a_run_that_is_stopped_before_it_begins_does_nothing(agent: Agent) -> None:
    async def whole() -> RunRecord:
        engine = Lockstep(a_plan(), "ab", {"romeo": agent.session()}, Kept(), Unwatched())
        engine.stop(TestbedError("the links are gone"))
        return await engine.run()

    assert asyncio.run(whole()).status == "error"
    assert agent.asked == []
