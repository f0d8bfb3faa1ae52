"""Files -> jobs, one for each variant of each scenario, and a job -> its plan; all problems are told before any host is touched.

Knows what this machine can do, as far as it can be seen without touching anything. The surprising fact: a job keeps the bytes of the files
that it was read from, because they may be edited while it waits for its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from orchestrator import planning
from orchestrator.agent.seeing.survey import which
from orchestrator.engine.filters import FilterRefused, compile_filter
from orchestrator.errors import InputProblems, Problem, TestbedError
from orchestrator.loading import Loaded, load_scenario
from orchestrator.loading.shelves import topology_folders
from orchestrator.loading.source.problems import suggestion
from orchestrator.model.plan import Plan
from orchestrator.model.scenario import Scenario
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.words.values import Record, Where
from orchestrator.testbeds.survey import programs, survey


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
            made = [_job(scenario, loaded, path) for scenario in loaded.scenarios]
            problems += [
                problem for job in made for problem in (*_refused_filters(job), *(_unknown_programs(job.scenario) if to_run else ()))
            ]
            jobs += made
    if problems:
        raise InputProblems(list(dict.fromkeys(problems)))
    return jobs


def _job(scenario: Scenario, loaded: Loaded, path: Path) -> Job:
    return Job(scenario=scenario, topology=loaded.topology, path=str(path), inputs=loaded.files)


def _refused_filters(job: Job) -> Iterator[Problem]:
    """The capture filters that tcpdump does not understand; without tcpdump, the run will tell that it is missing."""
    wishes = {wish.host: wish for wish in job.scenario.capture if wish.filter}
    for host in make_plan(job).hosts if wishes else ():
        wish = wishes.get(host.name)
        try:
            compile_filter(host.capture or "")
        except FilterRefused as error:
            place = (wish and wish.where) or Where(path=job.scenario.path, line=1)
            yield Problem(place.path, place.line, place.column, f"tcpdump refuses the capture filter {host.capture!r}: {error}")
        except TestbedError:
            return


def _unknown_programs(scenario: Scenario) -> Iterator[Problem]:
    """The programs of steps that this machine lacks and nobody vouches for: most likely they are misspelt, so they are no quiet skip."""
    for name, place, is_file in planning.unvouched(scenario):
        if not which(name):
            near = suggestion(name, {near for near in programs() if near[0] == name[0]})
            yield _no_program(name, place, is_file, "this machine", near)


def _no_program(name: str, place: Where, is_file: bool, on: str, near: str = "") -> Problem:  # noqa: FBT001  as it is told
    if is_file:
        advice = f": the file of that name is run as './{name}'"
    else:
        advice = (
            near
            + (" Otherwise " if near else ": ")
            + "install it, or name it under 'needs', and the scenario is skipped where it is missing"
        )
    return Problem(place.path, place.line, place.column, f"there is no program '{name}' on {on}{advice}")


def make_plan(job: Job, testbed: Testbed | None = None) -> Plan:
    """What would be done on ``testbed``, else on namespaces of this machine; touches nothing.

    :raises InputProblems: a program is on no host of ``testbed``, and nobody vouches for it.
    """
    if testbed is None:
        return planning.plan(job.scenario, survey(job.topology, planning.needs(job.scenario)))
    there = {name for host in testbed.hosts for name in host.facts.tools}
    unknown = [
        _no_program(name, place, is_file, "any of the hosts")
        for name, place, is_file in planning.unvouched(job.scenario)
        if name not in there
    ]
    if unknown:
        raise InputProblems(unknown)
    return planning.plan(job.scenario, testbed)


def with_filters(plan: Plan) -> Plan:
    """The plan with its capture filters compiled."""
    if not any(host.capture for host in plan.hosts):
        return plan
    hosts = [msgspec.structs.replace(host, filter_program=compile_filter(host.capture or "")) for host in plan.hosts]
    return msgspec.structs.replace(plan, hosts=tuple(hosts))
