"""Faults of our own, and outputs that fail, after steps have run: what was recorded by then is kept, and other runs get their reports."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.campaign import Campaign, Settings
from orchestrator.model.record import RunRecord
from orchestrator.model.verdict import Value
from orchestrator.pipeline import running
from orchestrator.pipeline.jobs import load_jobs
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.netns import ThisMachine
from tests.conftest import ROOT
from tests.integration.program import Program

pytestmark = pytest.mark.namespaces
REFUSED = ROOT / "scenarios" / "connection-refused.yaml"


class Silent:
    """A watcher, and who makes watchers; ``fails`` names what it fails at, once."""

    def __init__(self, fails: str = "") -> None:
        self._fails = fails

    def progress(self, *_about: object, **_more: object) -> Silent:
        return self

    def __getattr__(self, name: str) -> Any:
        def told(*_arguments: object) -> None:
            if name == self._fails:
                self._fails = ""
                raise RuntimeError("a fault")

        return told


def campaign(server: ForkServer, runs: Path, fails: str = "") -> list[Any]:
    jobs = load_jobs([REFUSED])
    runner = Campaign(Settings(runs=str(runs), times=2), ThisMachine(server), Silent(fails))  # type: ignore[arg-type]
    return asyncio.run(runner.run(jobs))


def test_a_fault_after_steps_keeps_what_they_gave(server: ForkServer, tmp_path: Path) -> None:
    broken, whole = campaign(server, tmp_path, "step_ends")
    assert (broken.value, whole.value) == (Value.ERROR, Value.PASSED)
    folder = Path(broken.directory)
    record = running.store.RunDirectory(folder).read(running.store.RECORD, RunRecord)
    assert "fault.txt" in record.reason
    assert "RuntimeError: a fault" in (folder / "fault.txt").read_text()
    assert len(record.actions) == 1
    assert [(capture.host, capture.complete) for capture in record.captures] == [("romeo", True), ("juliet", True)]


def test_a_fault_while_judging_costs_no_other_run_its_report(server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = running.conclude

    def fails_once(*stages: Any) -> Any:
        monkeypatch.setattr(running, "conclude", judge)
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "no")

    monkeypatch.setattr(running, "conclude", fails_once)
    broken, whole = campaign(server, tmp_path)
    assert (broken.value, whole.value) == (Value.ERROR, Value.PASSED)
    assert "fault.txt: UnicodeEncodeError" in broken.reason
    kept = sorted(path.name for path in next(tmp_path.glob(f"*/*-{broken.run_id}")).iterdir())
    assert {"record.json", "fault.txt", "romeo-tcp-connection-refused.pcap"} <= set(kept)


def test_hosts_that_cannot_be_told_to_be_up_are_not_kept_up(program: Program) -> None:
    with open("/dev/full", "w") as full:
        done = program.run("run", "connection-refused", "--keep", stdout=full)
    assert (done.code, done.err) == (3, "")
    assert not program.has("live.json")
    record = program.stage("record")
    assert record["reason"] == "cannot write to the standard output: No space left on device"
    assert [step["status"] for step in record["steps"]] == ["done", "done"]
    assert all(capture["complete"] for capture in record["captures"])
