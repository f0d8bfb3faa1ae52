"""A run that is killed at any moment leaves nothing, and keeps what it had where it still can."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.integration import leftovers

SCENARIO = Path(__file__).parent / "scenarios" / "long-enough.yaml"
pytestmark = pytest.mark.namespaces


def begin(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", str(SCENARIO), "--runs", str(folder / "runs")],
        env={**os.environ, leftovers.MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return process, mark


def record(folder: Path) -> dict | None:
    found = list((folder / "runs").glob("*/2*/record.json"))
    return json.loads(found[0].read_text()) if found else None


def moments(sample: int) -> list[float]:
    """Random instants from before the first import to after the last step; the same in every run of the tests."""
    chance = random.Random(9293)
    return [chance.uniform(0.02, 1.0) for _ in range(sample)]


def kill_controller(folder: Path, number: int, moment: float) -> None:
    process, mark = begin(folder)
    time.sleep(moment)
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=20)
    assert leftovers.wait_for_none(mark) == []
    assert not list((folder / "runs").glob("*/2*/live.json"))
    if number == signal.SIGKILL:
        return
    kept = record(folder)
    if process.returncode == 0:
        assert kept is not None
        assert kept["status"] == "completed"  # it was over before the signal came
        return
    assert process.returncode in (130, -number), out.decode()
    if kept is not None:
        assert kept["status"] == "interrupted"
        captures = list((folder / "runs").glob("*/2*/*.pcap"))
        assert len(captures) == len([capture for capture in kept.get("captures", ()) if capture.get("complete")])
        assert process.returncode == 130


def kill_agent(folder: Path, moment: float) -> None:
    process, mark = begin(folder)
    time.sleep(moment)
    victims: list[int] = []
    while process.poll() is None and not (victims := leftovers.hosts(mark)):
        time.sleep(0.005)
    if victims:
        os.kill(random.Random(moment).choice(victims), signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    assert leftovers.wait_for_none(mark) == []
    kept = record(folder)
    assert kept is not None
    if process.returncode == 0:
        assert kept["status"] == "completed"
        return
    assert process.returncode == 3, out.decode()
    assert kept["status"] == "error"
    assert "vanished" in kept["reason"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", moments(4))
def test_controller_killed(tmp_path: Path, number: int, moment: float) -> None:
    kill_controller(tmp_path, number, moment)


@pytest.mark.parametrize("moment", moments(4))
def test_agent_killed(tmp_path: Path, moment: float) -> None:
    kill_agent(tmp_path, moment)


@pytest.mark.demand
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", moments(50))
def test_controller_killed_at_many_moments(tmp_path: Path, number: int, moment: float) -> None:
    kill_controller(tmp_path, number, moment)


@pytest.mark.demand
@pytest.mark.parametrize("moment", moments(50))
def test_agent_killed_at_many_moments(tmp_path: Path, moment: float) -> None:
    kill_agent(tmp_path, moment)
