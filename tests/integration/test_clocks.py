"""Hosts whose clocks are hours apart: agents in time namespaces (time_namespaces(7)), as on machines far away.

The testbed makes the networks, and beside each of its agents another one is begun in the same network with another monotonic clock.
Every time of such a host is wrong by hours unless its offset is measured and applied.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator import checks, store
from orchestrator.checks import judge
from orchestrator.connectors import local
from orchestrator.connectors.session import Session
from orchestrator.engine.lockstep import Lockstep
from orchestrator.model.evidence import Evidence
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.verdict import Report, Value
from orchestrator.pipeline.concluding import conclude
from orchestrator.pipeline.jobs import load_jobs, make_plan, with_filters
from orchestrator.reports.view import Silent
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.netns import Namespaces
from tests.conftest import ROOT

pytestmark = pytest.mark.namespaces

S, MS = 1_000_000_000, 1_000_000
AHEAD_S = (90_000, 5_000, 40_000, 123_456)
"""By how much the clock of the first, second, ... host of a plan is ahead of this machine's."""
TIMED = """
topology: two-hosts
steps:
  - host: juliet
    call: [server = socket.socket(), 'server.bind(("juliet", 4000))', server.listen(1)]
  - after: 40ms
    together:
      - {host: juliet, call: 'conn, peer = server.accept()', background: true, as: accepting}
      - {host: romeo, call: [sock = socket.socket(), 'sock.connect(("juliet", 4000))', 'sock.send(b"hello")']}
  - wait: accepting
  - host: juliet
    call: conn.recv(100)
expect:
  - packets: [romeo > juliet S, juliet > romeo S., romeo > juliet ., romeo > juliet P. 1:6(5), juliet > romeo .]
  - path: {host: juliet, socket: conn, states: [LISTEN, SYN_RECEIVED, ESTABLISHED]}
"""


def _can() -> bool:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    return subprocess.run(["unshare", "--time", "--monotonic", "5", "true"], capture_output=True, check=False).returncode == 0


def ahead_s(plan: Plan) -> dict[str, int]:
    """What each host's clock is ahead."""
    return dict(zip((host.name for host in plan.hosts), AHEAD_S, strict=False))


@asynccontextmanager
async def apart(plan: Plan) -> AsyncIterator[dict[str, Session]]:
    """Sessions to agents on the networks of ``plan``, each by a monotonic clock of its own."""
    server = ForkServer()
    testbed = Namespaces(server, plan.testbed.topology, plan.family)
    begun = {}
    try:
        await testbed.up()
        for host, ahead in ahead_s(plan).items():
            place = ["nsenter", "--net", "--mount", "--uts", "--pid", f"--target={testbed.processes[host]}"]
            clock = ["unshare", "--time", "--monotonic", str(ahead), "--boottime", str(ahead)]
            begun[host] = await local.start(host, [*clock, *place, sys.executable])
            hello = await begun[host][0].greeted()
            hello["clock"][1] += 7200 * S  # what it says of its Unix clock when that is wrong, which no namespace can do
        yield {host: session for host, (session, _process) in begun.items()}
    finally:
        for session, process in begun.values():
            session.close()
            await asyncio.wait_for(process.wait(), 20)
        await testbed.down()
        server.close()


def _delay(session: Session, delay_s: float) -> None:
    """Let everything that is asked of a host come so much later; what it answers comes at once, so that the two ways are most unlike."""
    send, loop = session._channel.send, asyncio.get_running_loop()
    session._channel.send = lambda data: loop.call_later(delay_s, send, data)


async def _recorded(plan: Plan, directory: store.RunDirectory, delayed: dict[str, float]) -> RunRecord:
    captures = store.CaptureFiles(directory.path, plan.scenario, tuple(host.name for host in plan.hosts))
    async with apart(plan) as sessions:
        for host, delay_s in delayed.items():
            _delay(sessions[host], delay_s)
        try:
            engine = Lockstep(plan, "ab", sessions, captures, Silent())
            return await engine.finish(await engine.run())
        finally:
            captures.close()


def run(folder: Path, scenario: Path, variant: int = 0, **delayed: float) -> tuple[RunRecord, Evidence, Report]:
    """One variant of a scenario on such hosts; ``delayed`` are seconds by which asks come later."""
    if not _can():
        pytest.skip("this machine makes no time namespaces (Linux 5.6, util-linux 2.36, root)")
    job = load_jobs([scenario])[variant]
    plan = with_filters(make_plan(job))
    plan = replace(plan, testbed=replace(plan.testbed, kind="ssh"))
    directory = store.RunDirectory.create(folder, plan.scenario, "ab", 0)
    record = asyncio.run(_recorded(plan, directory, delayed))
    report = conclude(plan, record, directory)
    return record, directory.read(store.EVIDENCE, Evidence), report


def assert_true(record: RunRecord, evidence: Evidence) -> None:
    """What was found of each two clocks is as far from the truth, which is known to the nanosecond, as is admitted, and no further."""
    offsets = {host.name: host.clock.before.offset_ns for host in record.hosts if host.clock is not None}
    for clock in evidence.clocks:
        offsets[clock.host] += clock.shift_ns
    ahead_ns = {host: seconds * S for host, seconds in zip(offsets, AHEAD_S, strict=False)}
    for host, other in combinations(offsets, 2):
        wrong_ns = (offsets[host] + ahead_ns[host]) - (offsets[other] + ahead_ns[other])
        assert abs(wrong_ns) <= evidence.apart_ns(host, other), (host, other)


@pytest.mark.parametrize(
    ("name", "variant"), [("connection-refused", 0), ("connection-establishment", 1), ("netcat-client-closes", 0), ("tcp-socket-lab", 0)]
)
def test_clocks_hours_apart_change_no_verdict(tmp_path: Path, name: str, variant: int) -> None:
    """Over IPv4 and IPv6, with programs, and with a router that sees everything with a clock of its own."""
    record, evidence, report = run(tmp_path, ROOT / "scenarios" / f"{name}.yaml", variant)
    assert (report.value, record.status) == (Value.PASSED, "completed"), report
    clocks = {host.name: host.clock for host in record.hosts}
    for clock in clocks.values():
        assert clock is not None
        assert clock.after is not None
        assert 0 < clock.before.error_ns < S
        assert clock.before.at_ns < clock.after.at_ns
    assert_true(record, evidence)
    assert {clock.host for clock in evidence.clocks} == set(clocks)
    assert all(not clock.doubt for clock in evidence.clocks)
    assert "clocks: romeo " in report.fingerprint


def test_what_happens_together_fires_by_each_clock_and_all_is_on_one_timeline(tmp_path: Path) -> None:
    scenario = tmp_path / "timed.yaml"
    scenario.write_text("scenario: timed\ntitle: timed\n" + TIMED.lstrip("\n"))
    record, evidence, report = run(tmp_path, scenario)
    assert report.value is Value.PASSED, report
    assert_true(record, evidence)
    together = [action for action in record.actions if action.step == 2]
    planned = {action.planned_ns for action in together}
    assert len(planned) == 1, "one instant for both, on the record's timeline"
    assert all(action.start_ns >= action.planned_ns for action in together)
    segments, error_ns = evidence.segments, sum(clock.error_ns for clock in evidence.clocks)
    assert len(evidence.passages) == 5
    for passage in evidence.passages:
        assert passage.sent is not None
        assert passage.received is not None
        late_ns = segments[passage.received].at_ns - segments[passage.sent].at_ns
        assert 0 <= late_ns < S, "no segment arrives before it was sent"
    assert error_ns < S
    steps = {step.number: step for step in record.steps}
    for action in record.actions:
        assert steps[action.step].start_ns - error_ns <= action.start_ns <= action.end_ns <= record.end_ns + error_ns
    for capture in record.captures:
        assert abs(capture.clock_moved_ns) < MS


@pytest.mark.parametrize("delayed", [{"romeo": 0.04}, {"romeo": 0.06, "juliet": 0.02}])
def test_captures_tell_what_unlike_ways_of_the_control_channel_hide(
    tmp_path: Path, delayed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured over the channel, romeo's clock is wrong by half of the delay; segments between the hosts show it."""
    scenario = tmp_path / "timed.yaml"
    scenario.write_text("scenario: timed\ntitle: timed\n" + TIMED.lstrip("\n"))
    judged: list[RunRecord] = []
    monkeypatch.setattr(checks, "judge", lambda plan, record, evidence: (judged.append(record), judge(plan, record, evidence))[1])
    record, evidence, report = run(tmp_path, scenario, **delayed)
    assert report.value is Value.PASSED, report
    romeo = next(host.clock for host in record.hosts if host.name == "romeo")
    assert romeo is not None
    assert romeo.before.error_ns >= delayed["romeo"] * S / 2
    assert_true(record, evidence)
    assert {clock.host: clock.source for clock in evidence.clocks}["romeo"] == "captures"
    assert evidence.apart_ns("romeo", "juliet") < sum(clock.error_ns for clock in evidence.clocks)
    for passage in evidence.passages:
        assert evidence.segments[passage.sent].at_ns <= evidence.segments[passage.received].at_ns
    together = [action for action in record.actions if action.step == 2]
    assert all(action.start_ns >= action.planned_ns for action in together)
    assert not any(clock.doubt for clock in evidence.clocks)
    moved = {clock.host: clock.moved for clock in evidence.clocks}
    assert [one.start_ns for one in judged[0].actions] == [moved[one.host](one.start_ns) for one in record.actions]
