"""A plan, fired step by step on live hosts -> a run record.

The whole program of every host is sent before anything moves; afterwards the wire carries only "go". The next step begins when every action
of this one has ended on every host (or runs in the background) and every live expectation of it holds. Nothing here judges: the gate only
decides whether to go on, and what it saw is recorded for the checks.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import msgspec

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.engine.gate import Gate, unmet
from orchestrator.engine.recorder import Recorder
from orchestrator.engine.watching import Watcher
from orchestrator.errors import AgentError, AgentLost, HostErrors, OrchestratorError, Overdue, StoreError, Unsupported
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, CaptureRecord, RunRecord, StepRecord
from orchestrator.model.words.actions import typed

_GRACE_S = 2.0
_PREPARE_S = 10.0
_FINISH_S = 10.0
_TOGETHER_NS = 6_000_000


class Keeper(Protocol):
    """Who keeps the bytes of captures."""

    def write(self, host: str, data: bytes) -> None:
        """Append to the capture of ``host``."""

    def name(self, host: str) -> str:
        """The plain name of its file."""


class StepFailed(Exception):
    """A step did not go as expected; the run stops or goes on, as the scenario says."""


class Lockstep:
    """One run of one plan. :meth:`run` never raises for what hosts do: the record tells it."""

    def __init__(self, plan: Plan, run_id: str, sessions: Mapping[str, Session], keeper: Keeper, watcher: Watcher) -> None:
        self.plan = plan
        self.sessions = dict(sessions)
        self.keeper = keeper
        self.watcher = watcher
        self.recorder = Recorder(plan, run_id, time.time_ns())
        self.recorder.offsets = {host: session.unix_offset_ns for host, session in sessions.items()}
        self._hosts = {host.name: host for host in plan.hosts}
        self._first_ns = 0
        self._over_ns = 0
        self._failures: list[str] = []
        self._stop_reason = ""
        self._unkept: StoreError | None = None
        self._work: asyncio.Task[None] | None = None
        self._environments: dict[str, asyncio.Future[Any]] = {}
        self._gate = Gate(plan, self.sessions, self.recorder, watcher)
        for host, session in sessions.items():
            session.on_tell = partial(self._told, host)

    # -- the whole run

    async def run(self) -> RunRecord:
        """Prepare, step, finish; gives the record of whatever happened."""
        status, reason = "completed", ""
        self._work = asyncio.create_task(self._prepare_and_step())
        try:
            async with asyncio.timeout(self.plan.timeout_ns / 1e9):
                await self._work
        except TimeoutError:
            status, reason = "failed", f"the run took longer than {self.plan.timeout_ns / 1e9:g} s"
        except asyncio.CancelledError:
            if self._unkept is not None:
                raise self._unkept from None
            status, reason = "interrupted", self._stop_reason or "interrupted"
        except Unsupported as error:
            status, reason = "skipped", str(error)
        except OrchestratorError as error:
            status, reason = "error", str(error)
        if self._failures and status == "completed":
            status, reason = "failed", self._failures[0]
        return self.recorder.record(status, reason, time.time_ns())

    def interrupt(self, reason: str) -> None:
        """Stop between two moments; the evidence so far is kept."""
        self._stop_reason = reason
        if self._work is not None:
            self._work.cancel()

    async def finish(self, record: RunRecord) -> RunRecord:
        """Interrupt what blocks, end captures, undo everything; gives the record with what that brought."""
        # Captures end everywhere before anything is undone anywhere: what undoing sends is no part of the lab.
        await self.seal()
        answers = await asyncio.gather(*(self._finish(host) for host in self.sessions))
        if self._unkept is not None:
            raise self._unkept
        lost = [text for text in answers if text]
        status, reason = record.status, record.reason
        if lost and status in ("completed", "failed"):
            status, reason = "error", lost[0]
        return self.recorder.record(status, reason, time.time_ns())

    async def seal(self) -> None:
        """End all captures; what passes from now on is no part of the lab."""
        await asyncio.gather(*(self._seal(host) for host in self.sessions))

    # -- prepare

    async def _prepare_and_step(self) -> None:
        await self._every_host(self._prepare)
        await self._gate.take_baselines()
        for step in self.plan.steps:
            if step.skip is not None:
                self.recorder.step(StepRecord(number=step.number, status="skipped", reason=step.skip))
                continue
            try:
                await self._step(step)
            except StepFailed as failure:
                self._failures.append(str(failure))
                if self.plan.on_failure == "stop":
                    return

    async def _prepare(self, host: str) -> None:
        session, wanted = self.sessions[host], self._hosts[host]
        program = [_prepared(action) for step in self.plan.steps for action in step.actions if action.host == host and step.skip is None]
        prepared = session.ask(
            protocol.PREPARE,
            run=self.recorder.run_id,
            actions=program,
            deadline_ns=self.plan.timeout_ns + 30_000_000_000,
            sysctl=wanted.sysctl,
            if_present=wanted.if_present,
            offload=wanted.offload,
            interfaces=wanted.interfaces,
            folder=session.hello.get("folder"),
            private=any(action["action"]["do"] in ("file", "start", "run") for action in program),
        )
        capturing = self._capture(session, wanted)
        self._environments[host] = session.ask(protocol.ENVIRONMENT, tools=_tools(self.plan, host), interfaces=wanted.interfaces)
        await session.wait_for_answer(prepared, _PREPARE_S, "prepare its actions")
        if capturing is not None:
            ready = await session.wait_for_answer(capturing, _PREPARE_S, "begin to capture")
            self.recorder.captures_since(host, ready["ready_ns"], ready["indexes"])

    def _capture(self, session: Session, wanted: HostPlan) -> asyncio.Future[Any] | None:
        if wanted.capture is None:
            return None
        host = wanted.name
        self.recorder.captures[host] = CaptureRecord(host=host, file=self.keeper.name(host), filter=wanted.capture)
        return session.ask(protocol.CAPTURE, interfaces=wanted.interfaces, filter=wanted.filter_program)

    # -- one step

    async def _step(self, step: PlannedStep) -> None:
        instant = self._instant(step)
        await self._wait_for(step, instant)
        self.watcher.step_begins(step)
        begin = time.time_ns()
        self._first_ns = self._first_ns or begin
        self.recorder.step(StepRecord(number=step.number, status="running", start_ns=begin))
        reason = ""
        try:
            records = await self._fire(step, instant)
            reason = unmet(self.plan, step.actions, records) or await self._gate.wait_for_expectations(step)
        except asyncio.CancelledError:
            reason = "the run was stopped in this step"
            raise
        except OrchestratorError as error:
            reason = str(error)
            raise
        finally:
            self._over_ns = time.time_ns()
            status = "failed" if reason else "done"
            record = StepRecord(number=step.number, status=status, start_ns=begin, end_ns=self._over_ns, reason=reason)
            self.recorder.step(record)
            self.watcher.step_ends(step, record)
        if reason:
            raise StepFailed(f"step {step.number}: {reason}")

    async def _wait_for(self, step: PlannedStep, instant: int) -> None:
        left = (instant - time.time_ns() - _TOGETHER_NS) / 1e9
        if left > 0:
            self.watcher.step_waits(step, f"for its time, {left:.1f} s away")
            await asyncio.sleep(left)

    def _instant(self, step: PlannedStep) -> int:
        """When the step is to fire, in Unix ns; 0 for at once."""
        timing = step.timing
        if timing is None:
            return time.time_ns() + _TOGETHER_NS if step.together else 0
        if timing.since == "":
            since = self._first_ns or time.time_ns() + _TOGETHER_NS
        elif timing.since == "-":
            since = self._over_ns or time.time_ns()
        else:
            since = self.recorder.began(timing.since) or time.time_ns()
        return since + timing.delay_ns

    async def _fire(self, step: PlannedStep, instant: int) -> list[ActionRecord]:
        by_host: dict[str, list[PlannedAction]] = {}
        for action in step.actions:
            by_host.setdefault(action.host, []).append(action)
        fires = [self._fire_host(host, actions, instant) for host, actions in by_host.items()]
        if len(fires) == 1:
            return await fires[0]
        results = await asyncio.gather(*fires, return_exceptions=True)
        errors = {host: result for host, result in zip(by_host, results, strict=True) if isinstance(result, BaseException)}
        _raise_all(errors, by_host)
        return [record for result in results if isinstance(result, list) for record in result]

    async def _fire_host(self, host: str, actions: Sequence[PlannedAction], instant: int) -> list[ActionRecord]:
        at = instant - self.recorder.offsets[host] if instant else 0
        answer = self.sessions[host].ask(protocol.FIRE, actions=[action.id for action in actions], at=at)
        patience = max(0.0 if action.background else action.timeout_ns / 1e9 for action in actions) + _GRACE_S
        if at:
            patience += max(0.0, (instant - time.time_ns()) / 1e9)
        doing = "; ".join(typed(action.action) for action in actions)
        try:
            results = await self.sessions[host].wait_for_answer(answer, patience, doing)
        except (AgentLost, Overdue) as error:
            self._mark(actions, "lost", str(error))
            raise
        told = [self.recorder.action(host, result) for result in results]
        if {record.id for record in told} != {action.id for action in actions}:
            raise AgentError(host, f"it did not report on all of: {doing}")
        return told

    def _mark(self, actions: Sequence[PlannedAction], status: str, text: str) -> None:
        for action in actions:
            self.recorder.overdue(action, status, text, time.time_ns())

    # -- what hosts tell, and the end

    def _told(self, host: str, frame: Mapping[str, Any]) -> None:
        try:
            if frame["tell"] == protocol.PACKETS:
                self.keeper.write(host, base64.b64decode(frame["data"], validate=True))
            elif frame["tell"] == protocol.ENDED:
                self.recorder.action(host, frame["result"])
        except StoreError as error:
            self._unkept = error
            self.interrupt(str(error))
        except (binascii.Error, KeyError, TypeError, ValueError, AgentError) as error:
            self._failures.append(f"{host}: it told what cannot be read: {error}")

    async def _finish(self, host: str) -> str:
        """End the work of one host; gives why that did not go well, if so."""
        session = self.sessions[host]
        try:
            answer = await session.wait_for_answer(session.ask(protocol.FINISH), self._last_patience(host), "undo its changes")
            await self._keep_environment(host)
        except OrchestratorError as error:
            self.recorder.lose(host, str(error), time.time_ns())
            return str(error)
        self.recorder.undone(host, answer)
        return ""

    async def _seal(self, host: str) -> None:
        """End the capture of one host. A host that cannot any more has an incomplete one, and tells why when it is to finish."""
        session = self.sessions[host]
        with suppress(OrchestratorError):
            told = await session.wait_for_answer(session.ask(protocol.SEAL), self._last_patience(host), "end its capture")
            self._close_capture(host, told)

    def _last_patience(self, host: str) -> float:
        """A host that was overdue once, in a step or here, is not waited for so long again."""
        return _GRACE_S if self.sessions[host].overdue else _FINISH_S

    async def _keep_environment(self, host: str) -> None:
        if host in self._environments:
            try:
                session = self.sessions[host]
                facts = await session.wait_for_answer(self._environments[host], self._last_patience(host), "describe its environment")
                self.recorder.environment(host, facts)
            except (AgentLost, Overdue):
                raise
            except AgentError as error:
                self.recorder.environment(host, {"unknown": str(error)})

    def _close_capture(self, host: str, told: Mapping[str, Any] | None) -> None:
        if told is not None and host in self.recorder.captures:
            self.recorder.captures[host] = msgspec.structs.replace(
                self.recorder.captures[host],
                frames=int(told["frames"]),
                dropped=int(told["dropped"]),
                end_ns=int(told["end_ns"]) + self.recorder.offsets[host],
                complete=True,
            )

    async def _every_host(self, work: Any) -> None:
        results = await asyncio.gather(*(work(host) for host in self.sessions), return_exceptions=True)
        _raise_all({host: result for host, result in zip(self.sessions, results, strict=True) if result is not None}, self.sessions)


def _raise_all(errors: Mapping[str, BaseException | None], hosts: Mapping[str, Any]) -> None:
    """Raise what several hosts met: itself when it is one, else all in one error that holds the good results too."""
    failed = {host: error for host, error in errors.items() if error is not None}
    for error in failed.values():
        if not isinstance(error, OrchestratorError):
            raise error
    if failed and (len(failed) == 1 or all(isinstance(error, Unsupported) for error in failed.values())):
        raise next(iter(failed.values()))
    if failed:
        raise HostErrors({host: failed.get(host) for host in hosts})  # type: ignore[misc]


def _prepared(action: PlannedAction) -> dict[str, Any]:
    """One action in the agent's form."""
    return {
        "id": action.id,
        "name": action.name,
        "background": action.background,
        "timeout_ns": action.timeout_ns,
        "action": msgspec.to_builtins(action.action, builtin_types=(bytes,)),
    }


def _tools(plan: Plan, host: str) -> list[str]:
    """The tools whose versions belong in the fingerprint; one machine's hosts share them, so the first host asks."""
    shared = plan.testbed.kind == "netns"
    return ["ip", "ss", "iptables"] if not shared or host == plan.hosts[0].name else []
