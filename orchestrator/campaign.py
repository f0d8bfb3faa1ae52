"""Many runs, and their tally: several at once where asked, each on hosts of its own, stopped together by a signal.

Knows how many and how often, not what a run is made of. A scenario that wants to be alone waits until the others are over.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.model.record import RunRecord
from orchestrator.model.verdict import EXIT_CODES, Report, Value, Verdict, worst
from orchestrator.model.words.values import Record
from orchestrator.pipeline.jobs import Job
from orchestrator.pipeline.running import Progress, Run
from orchestrator.testbeds.hosts import Site

INTERRUPTED = 130


class Settings(Record, frozen=True, kw_only=True):
    """How to run: where runs are kept, how many at once, how often, and when hosts stay up."""

    runs: str = "runs"
    jobs: int = 1
    times: int = 1
    keep: bool = False
    pause_on_fail: bool = False


class Tell(Protocol):
    """Who tells a person how it goes."""

    def progress(self) -> Progress:
        """Watch one more run."""

    def hold(self, report: Report, hosts: Sequence[str]) -> None:
        """The ``hosts`` of a run stay up: its report so far."""


class Campaign:
    """Runs jobs on the hosts of a site, and lets a person know through ``tell``."""

    def __init__(self, settings: Settings, site: Site, tell: Tell) -> None:
        self.settings = settings
        self.interrupted = ""
        self._site = site
        self._tell = tell
        self._running: set[Run] = set()
        self._alone_in_the_world = True

    async def run(self, jobs: Sequence[Job]) -> list[Report]:
        """Run them all, as often as the settings say; reports come in the order of the jobs.

        :raises OrchestratorError: the only run could not even be kept. Of several, such a run is an ``error`` among the reports.
        """
        wanted = list(enumerate(job for job in jobs for _ in range(self.settings.times)))
        self._alone_in_the_world = len(wanted) == 1
        found: dict[int, Report] = {}
        with self._signals():
            try:
                await self._beside([(index, job) for index, job in wanted if not job.scenario.alone], found)
                for index, job in wanted:
                    if job.scenario.alone and not self.interrupted:
                        await self._one(index, job, found)
            finally:
                await self._site.close()
        return [found[index] for index in sorted(found)]

    async def _beside(self, jobs: Sequence[tuple[int, Job]], found: dict[int, Report]) -> None:
        limit = asyncio.Semaphore(min(self.settings.jobs, self._site.at_once or self.settings.jobs))
        tasks: list[asyncio.Task[None]] = []
        for index, job in jobs:
            await limit.acquire()
            if self.interrupted:
                break
            task = asyncio.create_task(self._one(index, job, found))
            task.add_done_callback(lambda _task: limit.release())
            tasks.append(task)
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if error is not None:
                raise error

    async def _one(self, index: int, job: Job, found: dict[int, Report]) -> None:
        watcher = self._tell.progress()
        run = Run(job, self._site, Path(self.settings.runs), watcher)
        run.wants_to_hold = self._wants_to_hold
        run.on_hold = self._tell.hold
        self._running.add(run)
        try:
            found[index] = await run.whole()
        except OrchestratorError as error:
            if self._alone_in_the_world:
                raise
            found[index] = _could_not(job, run.id, error)
            watcher.run_ends(found[index])
        finally:
            self._running.discard(run)

    def _wants_to_hold(self, record: RunRecord) -> bool:
        return self.settings.keep or (self.settings.pause_on_fail and record.status == "failed")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """While runs go on, SIGINT and SIGTERM end them between two moments, with their evidence saved."""
        loop = asyncio.get_running_loop()
        all_three = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        before = {
            number: answer for number, answer in all_three.items() if answer is not signal.SIG_IGN
        }  # nohup(1) and a shell's & mean it
        for number in before:
            loop.add_signal_handler(number, self.interrupt, number.name)
        try:
            yield
        finally:
            for number, answer in before.items():
                loop.remove_signal_handler(number)  # which would leave Python's own answer to SIGINT behind
                signal.signal(number, answer)

    def interrupt(self, name: str) -> None:
        """Stop everything. Ctrl-C of who has seen enough of hosts that are kept up only lets these go."""
        holding = {run for run in self._running if run.holding}
        for run in holding:
            run.release()
        if not holding or name != signal.SIGINT.name:
            self.interrupted = name
            for run in self._running - holding:
                run.interrupt(f"interrupted by {name}")

    def exit_code(self, reports: Sequence[Report]) -> int:
        """What the process says."""
        return INTERRUPTED if self.interrupted else exit_code(reports)


def _could_not(job: Job, run_id: str, error: OrchestratorError) -> Report:
    """A run that came to no report of its own."""
    verdict = Verdict(value=Value.ERROR, text="the run", reason=str(error))
    return Report(
        run_id=run_id,
        label=job.scenario.label,
        title=job.scenario.title,
        value=Value.ERROR,
        status="error",
        reason=str(error),
        start_ns=time.time_ns(),
        took_ns=0,
        verdicts=(verdict,),
    )


def exit_code(reports: Sequence[Report]) -> int:
    """What the process says of these reports."""
    return EXIT_CODES[worst(tuple(report.value for report in reports))]
