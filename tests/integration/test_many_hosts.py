"""A hundred hosts come up, and a signal in the middle of that leaves none of them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from orchestrator.errors import TOO_MANY_FILES
from tests.integration import leftovers
from tests.integration.program import Program, scenario, wait_until
from tests.integration.test_killed import ends_well

HOSTS = 100
pytestmark = pytest.mark.namespaces


def crowd(folder: Path) -> Path:
    """A scenario on a hundred hosts of one segment."""
    names = [f"h{number}" for number in range(HOSTS)]
    hosts = "\n".join(f"  {name}:" for name in names)
    ports = "\n".join(f"      {name}: [10.20.0.{number + 1}]" for number, name in enumerate(names))
    (folder / "crowd-network.yaml").write_text(
        f"topology: crowd-network\nhosts:\n{hosts}\nnetworks:\n  lan:\n    subnets: [10.20.0.0/24]\n    hosts:\n{ports}\n"
    )
    text = """topology: ./crowd-network.yaml
capture: [h0, h99]
steps:
  - host: h99
    call: [server = socket.socket(), 'server.bind(("h99", 4000))', server.listen(1)]
  - host: h0
    call: [sock = socket.socket(), 'sock.connect(("h99", 4000))']
expect:
  - packets: [h0 > h99 S, h99 > h0 S., h0 > h99 .]
"""
    return scenario(folder, "crowd", text)


def test_a_hundred_hosts_come_up_and_go(program: Program) -> None:
    done = program.run("run", crowd(program.folder))
    assert done.code == 0, done
    assert len(program.stage("record")["hosts"]) == HOSTS


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit (util-linux) is missing")
@pytest.mark.parametrize("limit", [24, 100])
def test_a_limit_of_open_files_is_told_with_what_to_do(program: Program, limit: int) -> None:
    program.before = ("prlimit", f"--nofile={limit}:{limit}")
    done = program.run("run", crowd(program.folder))
    assert done.code == 3, done
    assert program.stage("report")["reason"] == TOO_MANY_FILES
    assert "ulimit -n" in done.out
    assert leftovers.wait_for_none() == []


def interrupt(program: Program, moment: float) -> None:
    process = program.start("run", crowd(program.folder))
    wait_until(lambda: process.poll() is not None or leftovers.processes(process.pid))
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    done = ends_well(program, process, signal.SIGINT)
    assert time.monotonic() - began < 5, "a Ctrl-C is answered at once"
    if done.code == 130 and program.has("record.json") and program.stage("record")["status"] == "interrupted":
        assert program.stage("record")["reason"] == "interrupted by SIGINT"


@pytest.mark.parametrize("moment", [0.1, 0.2, 0.35, 0.5])
def test_control_c_while_they_come_up(program: Program, moment: float) -> None:
    interrupt(program, moment)


@pytest.mark.demand
@pytest.mark.parametrize("moment", [round(random.Random(number).uniform(0, 1.2), 4) for number in range(50)])
def test_control_c_at_many_moments(program: Program, moment: float) -> None:
    interrupt(program, moment)
