"""A plan, fired step by step on live hosts -> a run record.

The whole program of every host is sent before anything moves; afterwards the wire carries only "go". The next step begins when every action
of this one has ended on every host (or runs in the background) and every live expectation of it holds. Nothing here judges: the gate only
decides whether to go on, and what it saw is recorded for the checks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from orchestrator.connectors.crowd import on_all
from orchestrator.connectors.session import Session
from orchestrator.engine.gate import Gate
from orchestrator.engine.part import Keeper, Part
from orchestrator.engine.recorder import Recorder
from orchestrator.engine.timing import Clock, Timetable
from orchestrator.engine.watching import Watcher
from orchestrator.errors import AgentError, Interrupted, OrchestratorError, StoreError, Unsupported
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, RunRecord, StepRecord
from orchestrator.model.words.actions import typed
from orchestrator.readings.outcome import cut

_STATUSES = {Interrupted: "interrupted", Unsupported: "skipped"}


class StepFailed(Exception):
    """A step did not go as expected; the run stops or goes on, as the scenario says."""


class Lockstep:
    """One run of one plan. :meth:`run` never raises for what hosts do: the record tells it."""

    def __init__(self, plan: Plan, run_id: str, sessions: Mapping[str, Session], keeper: Keeper, watcher: Watcher) -> None:
        self._plan = plan
        self._watcher = watcher
        self._clock = clock = Clock()
        self._recorder = recorder = Recorder(plan, run_id, clock.now_ns())
        one_clock = plan.testbed.kind == "netns"  # hosts of this machine have its monotonic clock too
        recorder.offsets = {host: clock.offset_ns if one_clock else session.unix_offset_ns for host, session in sessions.items()}
        other = None if one_clock else clock
        self._parts = {host.name: Part(host, sessions[host.name], recorder, keeper, self.stop, clock=other) for host in plan.hosts}
        self._times = Timetable(clock, recorder.began)
        self._gate = Gate(plan, sessions, recorder, watcher)
        self._failure = ""
        self._overran = False
        self._stopped: OrchestratorError | None = None
        self._work: asyncio.Task[None] | None = None

    # -- the whole run

    async def run(self) -> RunRecord:
        """Prepare and step; gives the record of whatever happened.

        :raises StoreError: a capture cannot be kept.
        """
        error: OrchestratorError | None = None
        self._work = asyncio.create_task(self._prepare_and_step())
        try:
            async with asyncio.timeout(self._plan.timeout_ns / 1e9):
                await self._work
        except TimeoutError:
            self._overran = True
            self._failure = self._failure or self._who_is_late()
        except asyncio.CancelledError:
            error = Interrupted("interrupted")
        except OrchestratorError as met:
            error = met
        return self.record(*self._outcome(self._stopped or error))

    def _who_is_late(self) -> str:
        """What the run's own deadline ended: the step, and what was still under way."""
        record = self.record("failed", "")
        began = max((step.number for step in record.steps if step.status != "missing"), default=0)
        typed_by_id = {action.id: f"{action.host}: {typed(action.action)}" for step in self._plan.steps for action in step.actions}
        late = [typed_by_id[action.id] for action in record.actions if action.status == "blocked"]
        still = f"; still under way: {', '.join(late)}" if late else ""
        return f"the run took longer than {self._plan.timeout_ns / 1e9:g} s, and was in step {began}{still}"

    def _outcome(self, error: OrchestratorError | None) -> tuple[str, str]:
        """Status and reason of the run."""
        if isinstance(error, StoreError):
            raise error
        if error is not None:
            return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), "error"), str(error)
        return ("failed", self._failure) if self._failure else ("completed", "")

    def stop(self, why: OrchestratorError) -> None:
        """Stop between two moments, whatever the steps came to; the evidence so far is kept. The first reason counts."""
        self._stopped = self._stopped or why
        if self._work is not None:
            self._work.cancel()

    async def finish(self, record: RunRecord) -> RunRecord:
        """Interrupt what blocks, end captures, undo everything; gives the record with what that brought.

        :raises StoreError: a capture cannot be kept.
        """
        # Captures end everywhere before anything is undone anywhere: what undoing sends is no part of the lab.
        await self.seal()
        troubles = [trouble for trouble in await asyncio.gather(*(part.finish(self._clock) for part in self._parts.values())) if trouble]
        if isinstance(self._stopped, StoreError):
            raise self._stopped
        status, reason = record.status, record.reason
        if troubles and status in ("completed", "failed"):
            status, reason = "error", "\n".join(troubles)
        return self.record(status, reason)

    def record(self, status: str, reason: str) -> RunRecord:
        """The run as it is known now."""
        parts = self._parts.values()
        captures = [part.capture for part in parts if part.capture is not None]
        record = self._recorder.record(status, reason, self._clock.now_ns(), [part.record for part in parts], captures)
        return msgspec.structs.replace(record, overran=self._overran)

    async def seal(self) -> None:
        """End all captures; what passes from now on is no part of the lab."""
        await asyncio.gather(*(part.seal() for part in self._parts.values()))

    async def _prepare_and_step(self) -> None:
        if self._stopped is not None:
            raise self._stopped
        await on_all(self._parts, lambda host: self._parts[host].prepare())
        self._times.lead_ns += max((part.away_ns for part in self._parts.values()), default=0)
        await self._gate.take_baselines()
        for step in self._plan.steps:
            if step.skip is not None:
                self._recorder.step(StepRecord(number=step.number, status="skipped", reason=step.skip))
                continue
            try:
                await self._step(step)
            except StepFailed as failure:
                self._failure = self._failure or str(failure)
                if self._plan.on_failure == "stop":
                    return

    # -- one step

    async def _step(self, step: PlannedStep) -> None:
        due_ns = self._times.due(step)
        await self._wait_until_due(step, due_ns)
        self._watcher.step_begins(step)
        begin_ns = self._times.begins()
        self._recorder.step(StepRecord(number=step.number, status="running", start_ns=begin_ns))
        reason = ""
        try:
            records = await self._fire(step, due_ns)
            reason = self._gate.unmet(step.actions, records) or await self._gate.wait_for_expectations(step)
        except asyncio.CancelledError:
            reason = "the run was stopped in this step"
            raise
        except OrchestratorError as error:
            reason = str(error)
            raise
        finally:
            status = "failed" if reason else "done"
            record = StepRecord(number=step.number, status=status, start_ns=begin_ns, end_ns=self._times.ends(), reason=reason)
            self._recorder.step(record)
            self._watcher.step_ends(step, record)
        if reason:
            raise StepFailed(f"step {step.number}: {reason}")

    async def _wait_until_due(self, step: PlannedStep, due_ns: int) -> None:
        left_s = (due_ns - self._clock.now_ns() - self._times.lead_ns) / 1e9
        if left_s > 0:
            self._watcher.step_waits(step, f"for its time, {left_s:.1f} s away", left_s)
            await asyncio.sleep(left_s)

    async def _fire(self, step: PlannedStep, due_ns: int) -> list[ActionRecord]:
        by_host: dict[str, list[PlannedAction]] = {}
        for action in step.actions:
            by_host.setdefault(action.host, []).append(action)
        records = await on_all(by_host, lambda host: self._parts[host].fire(by_host[host], due_ns, self._clock))
        reported = [record for told in records for record in told]
        for record in reported:
            if reason := cut(record):  # the lab cannot be what it was meant to be on such machines, whatever else it would show
                raise AgentError(record.host, reason)
        return reported
