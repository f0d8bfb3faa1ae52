"""The one module that knows every stage: load, survey, plan, bring up, run, take down, analyse, judge, report, each saved as it ends.

Data flows one way. :class:`Run` takes one scenario through all of it; :func:`recheck` begins in the middle, from what was saved, and needs
no host. Modules of later stages are imported while the hosts come up, not before.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import msgspec

from orchestrator import planning, store
from orchestrator.agent import protocol
from orchestrator.engine.filters import FilterRefused, compile_filter
from orchestrator.engine.lockstep import Lockstep
from orchestrator.engine.watching import Watcher
from orchestrator.errors import InputProblems, Interrupted, OrchestratorError, Problem, StoreError, TestbedError, Unsupported, UsageError
from orchestrator.loading import Loaded, load_scenario
from orchestrator.loading.shelves import topology_folders
from orchestrator.loading.source.problems import suggestion
from orchestrator.model.plan import Plan, PlannedStep
from orchestrator.model.record import RunRecord
from orchestrator.model.scenario import Scenario
from orchestrator.model.topology import Topology
from orchestrator.model.verdict import Report
from orchestrator.model.words.values import Record, Where
from orchestrator.testbeds import netns
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.survey import programs, survey, which

_BIG_BYTES = 1_000_000


class Progress(Watcher, Protocol):
    """Who watches a run, from its plan to its report."""

    def run_begins(self, plan: Plan) -> None:
        """A run begins."""

    def run_ends(self, report: Report) -> None:
        """A run is judged."""


class Job(Record, frozen=True, kw_only=True):
    """One scenario variant to run. ``inputs`` are the bytes of the files that it was read from, by path."""

    scenario: Scenario
    topology: Topology
    path: str
    inputs: dict[str, bytes]


def load_jobs(paths: Sequence[Path], *, to_run: bool = True) -> list[Job]:
    """Every variant of every file; those that are not ``to_run`` may name programs that this machine lacks.

    :raises InputProblems: all the problems of all the files.
    """
    jobs: list[Job] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            loaded = load_scenario(path, topology_folders())
        except InputProblems as error:
            problems += error.problems
        else:
            problems += _refused_filters(loaded.scenarios[0])
            problems += [problem for scenario in loaded.scenarios for problem in _unknown_programs(scenario) if to_run]
            jobs += [_job(scenario, loaded, path) for scenario in loaded.scenarios]
    if problems:
        raise InputProblems(problems)
    return jobs


def _job(scenario: Scenario, loaded: Loaded, path: Path) -> Job:
    return Job(scenario=scenario, topology=loaded.topology, path=str(path), inputs=loaded.files)


def _refused_filters(scenario: Scenario) -> list[Problem]:
    """The capture filters that tcpdump does not understand; without tcpdump, the run will tell that it is missing."""
    problems = []
    for wish in scenario.capture:
        try:
            compile_filter(wish.filter)
        except FilterRefused as error:
            place = wish.where or Where(path=scenario.path, line=1)
            problems.append(Problem(place.path, place.line, place.column, f"tcpdump refuses the capture filter {wish.filter!r}: {error}"))
        except TestbedError:
            break
    return problems


def _unknown_programs(scenario: Scenario) -> Iterator[Problem]:
    """The programs of steps that this machine lacks and nobody vouches for: most likely they are misspelt, so they are no quiet skip."""
    for name, place, is_file in planning.unvouched(scenario):
        if not which(name):
            if is_file:
                advice = f": the file of that name is run as './{name}'"
            else:
                advice = suggestion(name, {near for near in programs() if near[0] == name[0]})
                advice += ": " if not advice else " Otherwise "
                advice += "install it, or name it under 'needs', and the scenario is skipped where it is missing"
            yield Problem(place.path, place.line, place.column, f"there is no program '{name}' on this machine{advice}")


def make_plan(job: Job) -> Plan:
    """What would be done on namespaces of this machine; touches nothing."""
    return planning.plan(job.scenario, survey(job.topology, planning.needs(job.scenario)))


class Run:
    """One job from survey to report, on hosts of its own."""

    def __init__(self, job: Job, server: ForkServer, runs: Path, progress: Progress) -> None:
        self.job = job
        self.id = os.urandom(4).hex()
        self.wants_to_hold: Callable[[RunRecord], bool] = lambda _record: False
        """Whether the hosts stay up after the last step, until :meth:`release`."""
        self.on_hold: Callable[[Report, Sequence[str]], None] = lambda _report, _hosts: None
        """Told the report so far, and the hosts' names, when they stay up."""
        self.holding = False
        self._progress = progress
        self._runs = runs
        self._server = server
        self._engine: Lockstep | None = None
        self._reason = ""
        self._bringing_up: asyncio.Task[None] | None = None
        self._released = asyncio.Event()

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
        """
        job, began = self.job, time.time_ns()
        plan = _with_filters(make_plan(job))
        directory = store.RunDirectory.create(self._runs, plan.scenario, self.id, began)
        for path, data in job.inputs.items():
            directory.keep_input(Path(path).name, data)
        directory.write(store.PLAN, plan)
        captures = store.CaptureFiles(directory.path, plan.scenario, tuple(host.name for host in plan.hosts))
        self._progress.run_begins(plan)
        with store.going_on(directory):
            try:
                record = await self._record(plan, directory, captures, began)
            finally:
                captures.close()
            directory.write(store.RECORD, record)
            report = await _judged(plan, record, directory, captures)
        self._progress.run_ends(report)
        return report

    async def _record(self, plan: Plan, directory: store.RunDirectory, captures: store.CaptureFiles, began: int) -> RunRecord:
        def short(status: str, reason: str) -> RunRecord:
            return RunRecord(run_id=self.id, label=plan.label, status=status, reason=reason, start_ns=began, end_ns=time.time_ns())

        if plan.skip is not None:
            return short("skipped", plan.skip)
        testbed = netns.Namespaces(self._server, plan.testbed.topology, plan.family)
        try:
            await self._bring_up(testbed)
            return await self._steps(plan, directory, captures, testbed)
        except asyncio.CancelledError:
            if not self._reason:
                raise
            return short("interrupted", self._reason)
        except Unsupported as error:
            return short("skipped", str(error))
        except StoreError:
            raise
        except OrchestratorError as error:
            return short("error", str(error))
        except Exception as error:  # noqa: BLE001  a fault of ours ends this run, is told as such, and costs no other run its evidence
            directory.write_text(store.FAULT, "".join(traceback.format_exception(error)))
            return short("error", f"a fault of orchestrate itself, told in {store.FAULT}: {type(error).__name__}: {error}")
        finally:
            await testbed.down()

    async def _bring_up(self, testbed: netns.Namespaces) -> None:
        """Make the hosts, and import meanwhile what will be needed. An interrupt that came before or meanwhile ends it here."""
        if not self._reason:
            self._bringing_up = asyncio.create_task(testbed.up())
            await _load_later_stages()
            await self._bringing_up
        if self._reason:
            raise asyncio.CancelledError

    async def _steps(self, plan: Plan, directory: store.RunDirectory, captures: store.CaptureFiles, testbed: netns.Namespaces) -> RunRecord:
        self._engine = Lockstep(plan, self.id, testbed.sessions, captures, self._progress)
        testbed.watch(self._engine.stop)
        record = await self._engine.run()
        if not self._reason and self.wants_to_hold(record):
            await self._engine.seal()  # what a person does on the hosts is no part of the lab
            so_far = self._engine.record(record.status, record.reason)
            directory.write(store.RECORD, so_far)
            await self._hold(directory, testbed, await _judged(plan, so_far, directory, captures))
        return await self._engine.finish(record)

    async def _hold(self, directory: store.RunDirectory, testbed: netns.Namespaces, report: Report) -> None:
        """Keep the hosts up until a person has seen enough. Everything is kept and told so far, and will be once more at the end."""
        born = {pid: store.born(pid) for pid in (os.getpid(), *testbed.processes.values())}
        live = store.LiveRun(controller=os.getpid(), user_namespace=os.geteuid() != 0, hosts=testbed.processes, born=born)
        directory.write(store.LIVE, live)
        self.holding = True
        self.on_hold(report, tuple(testbed.processes))
        # Nobody waits for these answers: a host that was lost stays so, the others stay up, and the end tells what became of it.
        asked = asyncio.gather(*(session.ask(protocol.HOLD) for session in testbed.sessions.values()), return_exceptions=True)
        try:
            await self._released.wait()
        finally:
            asked.cancel()
            self.holding = False
            directory.remove(store.LIVE)


async def _load_later_stages() -> None:
    """Import what will be needed, while the hosts come up; between two of them the event loop serves the hosts."""
    for name in ("analysis", "checks", "reports.summary", "reports.terminal"):
        await asyncio.sleep(0)
        import_module(f"orchestrator.{name}")


def _with_filters(plan: Plan) -> Plan:
    """The plan with its capture filters compiled."""
    if not any(host.capture for host in plan.hosts):
        return plan
    hosts = [msgspec.structs.replace(host, filter_program=compile_filter(host.capture or "")) for host in plan.hosts]
    return msgspec.structs.replace(plan, hosts=tuple(hosts))


async def _judged(plan: Plan, record: RunRecord, directory: store.RunDirectory, captures: store.CaptureFiles) -> Report:
    """What it came to; other runs go on while a large capture is read."""
    if captures.kept_bytes > _BIG_BYTES:
        return await asyncio.to_thread(conclude, plan, record, directory)
    return conclude(plan, record, directory)


def conclude(plan: Plan, record: RunRecord, directory: store.RunDirectory) -> Report:
    """The stages behind the record: evidence, verdicts, report, each kept."""
    from orchestrator.analysis import analyse
    from orchestrator.checks import judge
    from orchestrator.reports.summary import make_report

    evidence = analyse(plan, record, store.read_captures(directory.path, record))
    directory.write(store.EVIDENCE, evidence)
    verdicts = judge(plan, record, evidence)
    directory.write(store.VERDICTS, verdicts)
    report = make_report(plan, record, evidence, verdicts, str(directory.path))
    directory.write(store.REPORT, report)
    return report


def recheck(directory: store.RunDirectory, changed: Path | None = None) -> Report:
    """Judge a stored run again, without hosts; with the expectations of ``changed`` where it is given.

    Evidence, verdicts and report are replaced; what was recorded is not.

    :raises InputProblems: the changed scenario is not well formed.
    :raises StoreError: the run cannot be read, or came to no record.
    :raises UsageError: the changed scenario has other steps than the one that ran.
    """
    store.must_have(directory, store.RECORD)
    plan, record = directory.read(store.PLAN, Plan), directory.read(store.RECORD, RunRecord)
    if changed is not None:
        job = _job_like(plan, changed)
        plan = _with_expectations_of(job, plan)
        directory.keep_input(changed.name, job.inputs[str(changed)])
        directory.write(store.RECHECK_PLAN, plan)
    return conclude(plan, record, directory)


def _job_like(plan: Plan, changed: Path) -> Job:
    jobs = [job for job in load_jobs([changed], to_run=False) if job.scenario.label == plan.label]
    if not jobs:
        raise UsageError(f"{changed} holds no {plan.label}, which is what was run")
    return jobs[0]


def _with_expectations_of(job: Job, plan: Plan) -> Plan:
    newer = planning.plan(job.scenario, plan.testbed)
    if [_doing(step) for step in newer.steps] != [_doing(step) for step in plan.steps]:
        raise UsageError(f"{job.path} has other steps than the run: only expectations can be changed for a recheck; run it anew")
    return msgspec.structs.replace(newer, hosts=plan.hosts, skip=plan.skip)


def _doing(step: PlannedStep) -> list[object]:
    """What a step does, without what is expected of it."""
    fields = [(action.id, action.host, action.action, action.name, action.background, action.timeout_ns) for action in step.actions]
    return [step.number, step.together, step.timing, step.skip, fields]
