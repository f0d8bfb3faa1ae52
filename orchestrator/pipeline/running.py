"""A job -> a report: planned, run on hosts of its own, judged, each stage kept as it ends.

Knows in which order, and what an interrupt or a fault means in each stage. The surprising fact: modules of later stages are imported while
the hosts come up, not before.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from orchestrator import planning, store
from orchestrator.agent import protocol
from orchestrator.engine.lockstep import Lockstep
from orchestrator.engine.watching import Watcher
from orchestrator.errors import Interrupted, OrchestratorError, StoreError, Unsupported
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.topology import Testbed
from orchestrator.model.verdict import Report
from orchestrator.pipeline.concluding import conclude
from orchestrator.pipeline.jobs import Job, make_plan, with_filters
from orchestrator.testbeds.hosts import Hosts, Site

T = TypeVar("T")
_BIG_BYTES = 50_000
"""A capture that takes so long to read that steps of another run would be late."""


class Progress(Watcher, Protocol):
    """Who watches a run, from its plan to its report."""

    def run_begins(self, plan: Plan) -> None:
        """A run begins."""

    def run_ends(self, report: Report) -> None:
        """A run is judged."""


class Run:
    """One job from survey to report, on hosts of its own."""

    def __init__(self, job: Job, site: Site, runs: Path, progress: Progress) -> None:
        self.job = job
        self.id = os.urandom(4).hex()
        self.wants_to_hold: Callable[[RunRecord], bool] = lambda _record: False
        """Whether the hosts stay up after the last step, until :meth:`release`."""
        self.on_hold: Callable[[Report, Sequence[str]], None] = lambda _report, _hosts: None
        """Told the report so far, and the hosts' names, when they stay up."""
        self.holding = False
        self._progress = progress
        self._runs = runs
        self._site = site
        self._engine: Lockstep | None = None
        self._reason = ""
        self._bringing_up: asyncio.Task[Any] | None = None
        self._released = asyncio.Event()
        self._began_ns = time.time_ns()

    def interrupt(self, reason: str) -> None:
        """Stop as soon as possible; hosts that are only kept up are let go."""
        self._reason = reason
        self._released.set()
        if self._engine is not None:
            self._engine.stop(Interrupted(reason))
        elif self._bringing_up is not None:
            self._bringing_up.cancel()

    def release(self) -> None:
        """Hosts need not stay up any longer."""
        self._released.set()

    async def whole(self) -> Report:
        """Every stage, each kept as it ends.

        :raises StoreError: the run directory cannot be written.
        :raises OrchestratorError: a fault of ours, in planning or judging; what was recorded is kept.
        """
        hosts = self._site.hosts(self.job.topology, self.job.scenario.family, self.id)
        try:
            plan = with_filters(make_plan(self.job, await self._surveyed(hosts)))
            directory = store.RunDirectory.create(self._runs, plan.scenario, self.id, self._began_ns)
            try:
                return await self._kept(plan, directory, hosts)
            except OrchestratorError:
                raise
            except Exception as error:  # a fault of ours ends this run, and costs no other run its report
                raise OrchestratorError(_tell_fault(error, directory)) from error
        finally:
            await hosts.down()

    async def _surveyed(self, hosts: Hosts) -> Testbed:
        """What there is to plan for. An interrupt ends it, with nothing to keep.

        :raises Interrupted: it came.
        """
        try:
            return await self._unless_interrupted(hosts.survey(planning.needs(self.job.scenario)))
        except asyncio.CancelledError:
            if not self._reason:
                raise
            raise Interrupted(self._reason) from None

    async def _unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what :meth:`interrupt` may cancel; one that came before it, or just as it ended, counts too."""
        self._bringing_up = task = asyncio.create_task(work)
        if self._reason:
            task.cancel()
        try:
            done = await task
        finally:
            self._bringing_up = None
        if self._reason:
            raise asyncio.CancelledError
        return done

    async def _kept(self, plan: Plan, directory: store.RunDirectory, hosts: Hosts) -> Report:
        for path, data in self.job.inputs.items():
            directory.keep_input(Path(path).name, data)
        directory.write(store.PLAN, plan)
        captures = store.CaptureFiles(directory.path, plan.scenario, tuple(host.name for host in plan.hosts))
        self._progress.run_begins(plan)
        with store.going_on(directory):
            try:
                record = await self._record(plan, directory, captures, hosts)
            finally:
                captures.close()
            directory.write(store.RECORD, record)
            report = await _judged(plan, record, directory, captures)
        self._progress.run_ends(report)
        return report

    async def _record(self, plan: Plan, directory: store.RunDirectory, captures: store.CaptureFiles, hosts: Hosts) -> RunRecord:
        if plan.skip is not None:
            return await self._cut_short(plan, "skipped", plan.skip)
        try:
            await self._unless_interrupted(self._bring_up(plan, hosts))
            return await hosts.account(await self._steps(plan, directory, captures, hosts))
        except asyncio.CancelledError:
            if not self._reason:
                raise
            return await self._cut_short(plan, "interrupted", self._reason)
        except Unsupported as error:
            return await self._cut_short(plan, "skipped", str(error))
        except StoreError:
            raise
        except OrchestratorError as error:
            return await self._cut_short(plan, "error", str(error))
        except Exception as error:  # noqa: BLE001  a fault of ours ends this run, and costs nobody the evidence that there is
            return await self._cut_short(plan, "error", _tell_fault(error, directory))
        finally:
            await hosts.down()

    async def _cut_short(self, plan: Plan, status: str, reason: str) -> RunRecord:
        """All that was recorded until now, if it came to that."""
        if self._engine is None:
            now_ns = time.time_ns()
            return RunRecord(run_id=self.id, label=plan.label, status=status, reason=reason, start_ns=self._began_ns, end_ns=now_ns)
        await self._engine.seal()
        return self._engine.record(status, reason)

    @staticmethod
    async def _bring_up(plan: Plan, hosts: Hosts) -> None:
        """Make the hosts ready, and import meanwhile what will be needed."""
        await asyncio.gather(hosts.up(plan), _load_later_stages())

    async def _steps(self, plan: Plan, directory: store.RunDirectory, captures: store.CaptureFiles, hosts: Hosts) -> RunRecord:
        self._engine = Lockstep(plan, self.id, hosts.sessions, captures, self._progress)
        hosts.watch(self._engine.stop)
        record = await self._engine.run()
        if not self._reason and self.wants_to_hold(record):
            await self._engine.seal()  # what a person does on the hosts is no part of the lab
            so_far = self._engine.record(record.status, record.reason)
            directory.write(store.RECORD, so_far)
            await self._hold(directory, hosts, await _judged(plan, so_far, directory, captures))
            return replace(await self._engine.finish(record), end_ns=so_far.end_ns)  # nor is the time that it takes
        return await self._engine.finish(record)

    async def _hold(self, directory: store.RunDirectory, hosts: Hosts, report: Report) -> None:
        """Keep the hosts up until a person has seen enough. Everything is kept and told so far, and will be once more at the end."""
        born = {pid: store.born(pid) for pid in (os.getpid(), *hosts.processes.values())}
        logins = {host: tuple(words) for host, words in hosts.logins.items()}
        live = store.LiveRun(
            controller=os.getpid(), user_namespace=os.geteuid() != 0, hosts=dict(hosts.processes), born=born, logins=logins
        )
        # Nobody waits for these answers: a host that was lost stays so, the others stay up, and the end tells what became of it.
        asked = asyncio.gather(*(session.ask(protocol.HOLD) for session in hosts.sessions.values()), return_exceptions=True)
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.holding = True
        try:
            directory.write(store.LIVE, live)
            self.on_hold(report, (*hosts.processes, *logins))
            await self._released.wait()
        finally:
            asked.cancel()
            self.holding = False
            directory.remove(store.LIVE)


def _tell_fault(error: Exception, directory: store.RunDirectory) -> str:
    """Keep where a fault of ours came from, and say what it was."""
    directory.write_text(store.FAULT, "".join(traceback.format_exception(error)))
    return f"a fault of orchestrate itself, told in {directory.path / store.FAULT}: {type(error).__name__}: {error}"


async def _load_later_stages() -> None:
    """Import what will be needed, while the hosts come up; between two of them the event loop serves the hosts."""
    for name in ("analysis", "checks", "reports.summary", "reports.terminal"):
        await asyncio.sleep(0)
        import_module(f"orchestrator.{name}")


async def _judged(plan: Plan, record: RunRecord, directory: store.RunDirectory, captures: store.CaptureFiles) -> Report:
    """What it came to; other runs go on while a large capture is read."""
    if captures.kept_bytes > _BIG_BYTES:
        return await asyncio.to_thread(conclude, plan, record, directory)
    return conclude(plan, record, directory)
