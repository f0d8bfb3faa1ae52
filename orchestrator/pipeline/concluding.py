"""What was recorded -> evidence, verdicts, report, each kept as it ends; at the end of a run, or again later, without hosts.

Knows the stages behind the record. The surprising fact: a recheck may bring other expectations, and the plan that ran stays as it was.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from orchestrator import planning, store
from orchestrator.errors import UsageError
from orchestrator.model.plan import Plan, PlannedStep
from orchestrator.model.record import RunRecord
from orchestrator.model.verdict import Report
from orchestrator.pipeline.jobs import Job, load_jobs

_NOT_KEPT = "this judgement is not kept: the folder of the run may not be written"


def conclude(plan: Plan, record: RunRecord, directory: store.RunDirectory, *, kept: bool = True) -> Report:
    """The stages behind the record: evidence, verdicts, report, each kept unless that cannot be."""
    from orchestrator.analysis import analyse, retimed
    from orchestrator.checks import judge
    from orchestrator.reports.summary import make_report

    evidence = analyse(plan, record, store.read_captures(directory.path, record))
    if kept:
        directory.write(store.EVIDENCE, evidence)
    record = retimed(record, evidence.clocks)
    verdicts = judge(plan, record, evidence)
    if kept:
        directory.write(store.VERDICTS, verdicts)
    report = make_report(plan, record, evidence, verdicts, str(directory.path))
    if not kept:
        return msgspec.structs.replace(report, notes=(*report.notes, _NOT_KEPT))
    directory.write(store.REPORT, report)
    return report


def recheck(directory: store.RunDirectory, changed: Path | None = None) -> Report:
    """Judge a stored run again, without hosts; with the expectations of ``changed`` where it is given.

    Evidence, verdicts and report are replaced; what was recorded is not. Where they may not be, the report alone is given, and says so.

    :raises InputProblems: the changed scenario is not well formed.
    :raises StoreError: the run cannot be read, or came to no record.
    :raises UsageError: the changed scenario has other steps than the one that ran.
    """
    store.must_have(directory, store.RECORD)
    plan, record = directory.read(store.PLAN, Plan), directory.read(store.RECORD, RunRecord)
    kept = os.access(directory.path, os.W_OK)
    if changed is not None:
        job = _job_like(plan, changed)
        plan = _with_expectations_of(job, plan)
        if kept:
            directory.keep_input(changed.name, job.inputs[str(changed)])
            directory.write(store.RECHECK_PLAN, plan)
    return conclude(plan, record, directory, kept=kept)


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
