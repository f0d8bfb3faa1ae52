"""What round trips tell of a host's clock: the shortest one bounds the error, whatever the network does."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.engine import part
from orchestrator.engine.clocks import Measured, Trip, measure, measured
from orchestrator.engine.lockstep import Lockstep
from orchestrator.engine.part import Part
from orchestrator.engine.recorder import Recorder
from orchestrator.engine.timing import LEAD_NS, Clock
from orchestrator.errors import AgentError
from orchestrator.model.record import ClockReading
from tests.unit.engine.conftest import SECOND, Agent, Kept, Unwatched, a_plan, a_step, an_action
from tests.unit.engine.test_timing import Stopped


def a_trip(left_ns: int, there_ns: int, back_ns: int, offset_ns: int) -> Trip:
    """A host whose clock lacks ``offset_ns`` is asked at ``left_ns``; its Unix clock is 5 s ahead of a timeline 1000 s ahead of ours."""
    read_ns = left_ns + there_ns
    unix_ns = read_ns + 1005 * SECOND
    return Trip(left_ns=left_ns, back_ns=read_ns + back_ns, monotonic_ns=read_ns + 1000 * SECOND - offset_ns, unix_ns=unix_ns)


def test_the_shortest_round_trip_is_believed() -> None:
    found = measured([a_trip(0, 500, 900, 77), a_trip(5000, 40, 60, 77), a_trip(9000, 300, 1, 77)], 1000 * SECOND)
    assert (found.reading.at_ns, found.reading.error_ns, found.slowest_ns) == (1000 * SECOND + 5050, 50, 1400)
    assert found.reading.offset_ns == 77 + 10, "wrong by half of what the two ways differ"
    assert found.unix_ns == 5 * SECOND - 10


@given(
    some.lists(some.tuples(some.integers(0, 10**9), some.integers(0, 10**9), some.integers(0, 10**9)), min_size=1),
    some.integers(-(10**15), 10**15),
)
def test_the_true_offset_lies_within_the_error_however_unlike_the_ways_are(ways: list[tuple[int, int, int]], offset_ns: int) -> None:
    found = measured([a_trip(*way, offset_ns) for way in ways], 1000 * SECOND).reading
    assert abs(found.offset_ns - offset_ns) <= found.error_ns
    assert found.error_ns == (min(there + back for _left, there, back in ways) + 1) // 2


class Clocked(Agent):
    """An agent that answers each ask for its clocks, its monotonic one 500 s behind the controller's, and the Unix one at 1970."""

    def send(self, data: bytes) -> None:
        self.answers.setdefault(protocol.BEAT, None)
        if self.answers[protocol.BEAT] is None or isinstance(self.answers[protocol.BEAT], list):
            now_ns = Clock().now_ns() - 500 * SECOND
            self.answers[protocol.BEAT] = [now_ns, now_ns // SECOND]
        super().send(data)


class Host:
    """A host with a clock of its own, and its part."""

    def __init__(self, agent: Agent) -> None:
        plan = a_plan()
        self.agent = agent
        self.recorder = Recorder(plan, "ab", 0)
        self.recorder.offsets = {"romeo": 0}
        self.clock = Clock()
        self.part = Part(plan.hosts[0], agent.session(), self.recorder, Kept(), print, clock=self.clock)


def test_a_host_is_asked_some_times_and_no_more() -> None:
    agent = Clocked()

    async def whole() -> int:
        await measure(agent.session(), Stopped(), 5)
        return len(agent.asked)

    assert asyncio.run(whole()) == 12


@pytest.mark.parametrize("answer", [[], [1], [1, 2, 3], {"a": 1}, ["x", 1], 7, "ab"])
def test_what_is_no_clock_is_an_error_of_the_host(agent: Agent, answer: Any) -> None:
    agent.answers[protocol.BEAT] = answer

    async def whole() -> None:
        await measure(agent.session(), Clock(), 5)

    with pytest.raises(AgentError, match="romeo: its clock cannot be read"):
        asyncio.run(whole())


def test_a_clock_of_its_own_is_measured_before_and_after_and_moves_its_times() -> None:
    agent = Clocked()
    agent.answers[protocol.CAPTURE] = {"ready_ns": 7, "indexes": {"eth1": 2}, "clock": [1000, 5000]}
    agent.answers[protocol.SEAL] = {"frames": 0, "dropped": 0, "end_ns": 9, "clock": [2000, 6003]}

    async def whole() -> Host:
        host = Host(agent)
        await host.part.prepare()
        assert host.part.record.clock is not None
        assert host.part.record.clock.after is None
        await host.part.seal()
        first = host.part.record.clock
        await host.part.seal()
        assert host.part.record.clock == first, "the second reading is from when the run was over"
        return host

    host = asyncio.run(whole())
    clock, capture, offset_ns = host.part.record.clock, host.part.capture, host.recorder.offsets["romeo"]
    assert clock is not None
    assert clock.after is not None
    assert capture is not None
    assert offset_ns == clock.before.offset_ns
    assert abs(offset_ns - 500 * SECOND) < SECOND
    assert clock.before.at_ns < clock.after.at_ns
    assert clock.unix_ns < -1000 * SECOND
    assert host.part.away_ns >= 2 * clock.before.error_ns - 1
    # Frames are timed by a Unix clock that was 4000 ns ahead of its monotonic one, and then set 3 ns on.
    assert (capture.shift_ns, capture.clock_moved_ns) == (offset_ns - 4000, 3)
    assert (capture.ready_ns, capture.end_ns) == (7 + offset_ns, 9 + offset_ns)


def test_a_host_that_is_lost_keeps_its_first_reading() -> None:
    agent = Clocked()
    agent.answers[protocol.CAPTURE] = {"ready_ns": 7, "indexes": {}, "clock": [0, 0]}

    async def whole() -> Host:
        host = Host(agent)
        await host.part.prepare()
        agent.end("it vanished")
        await host.part.seal()
        return host

    clock = asyncio.run(whole()).part.record.clock
    assert clock is not None
    assert clock.after is None


def test_the_lead_of_what_happens_together_covers_the_longest_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Romeo is 3 s away: what is to begin at one instant on all hosts is sent so much earlier."""
    agent, far_ns = Agent(), 3 * SECOND
    agent.answers[protocol.CAPTURE]["clock"] = [0, 0]

    async def far_away(_session: Session, clock: Clock, _patience_s: float) -> Measured:
        reading = ClockReading(at_ns=clock.now_ns(), offset_ns=clock.offset_ns, error_ns=1)
        return Measured(reading=reading, unix_ns=0, slowest_ns=far_ns)

    monkeypatch.setattr(part, "measure", far_away)
    plan = a_plan(a_step(1, actions=(an_action(1),), together=True), timeout_ns=SECOND // 5)
    plan = replace(plan, testbed=replace(plan.testbed, kind="ssh"))

    async def whole() -> int:
        engine = Lockstep(plan, "ab", {"romeo": agent.session()}, Kept(), Unwatched())
        began_ns = time.monotonic_ns()
        await engine.run()
        return began_ns

    began_ns = asyncio.run(whole())
    (at_ns,) = [frame["at"] for frame in agent.asked if frame["ask"] == protocol.FIRE]
    assert at_ns >= began_ns + LEAD_NS + far_ns
