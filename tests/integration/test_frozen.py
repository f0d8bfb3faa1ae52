"""A host that freezes holds nobody up for ever: the barrier's deadline names it and what it was doing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.errors import TestbedError
from orchestrator.testbeds import forkserver
from tests.integration import leftovers
from tests.integration.program import Program, scenario, wait_until

pytestmark = [pytest.mark.namespaces, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to tell hosts apart from outside")]
STEPS = """
topology: two-hosts
steps:
  - {host: romeo, call: sock = socket.socket()}
  - {host: juliet, run: sleep 1}
  - {host: romeo, call: 'sock.connect(("juliet", 4000))', raises: ConnectionRefusedError, timeout: 1s}
"""
SAMPLE = """
topology: two-hosts
steps:
  - {host: juliet, run: sleep 1}
  - expect: [{host: romeo, socket: {local: ":4000"}, absent: true}]
"""


def named(pids: list[int], name: str) -> int:
    """The host that calls itself so."""
    return next(pid for pid in pids if called(pid) == name)


def called(pid: int) -> str:
    """What a host calls itself."""
    words = ["nsenter", "--target", str(pid), "--uts", "hostname"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def freeze(program: Program, path: Path) -> tuple[str, float]:
    """Freeze romeo while juliet sleeps for a second; gives the run's reason, and how long it took to tell."""
    process = program.start("run", path)
    wait_until(lambda: process.poll() is not None or any("sleep" in line for line in leftovers.describe(leftovers.processes(process.pid))))
    os.kill(named(program.wait_for_hosts(process), "romeo"), signal.SIGSTOP)
    began = time.monotonic()
    done = program.ended(process, 60)
    assert done.code == 3, done
    assert leftovers.wait_for_none() == []
    assert program.stage("record")["status"] == "error"
    reason = program.stage("report")["reason"]
    assert reason.split(":")[0] in done.out
    return reason, time.monotonic() - began


def test_a_frozen_host_is_named_with_what_it_was_doing(program: Program) -> None:
    reason, took = freeze(program, scenario(program.folder, "frozen", STEPS))
    assert reason == 'romeo: it did not report within 3.0 s; it was doing: sock.connect(("juliet", 4000))'
    assert took < 10
    record = program.stage("record")
    assert {host["name"]: bool(host.get("lost")) for host in record["hosts"]} == {"romeo": True, "juliet": False}
    complete = {capture["host"]: capture.get("complete", False) for capture in record["captures"]}
    assert complete == {"romeo": False, "juliet": True}


def test_a_fork_server_that_freezes_holds_the_controller_up_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "_ANSWER_S", 0.5)
    server = forkserver.ForkServer()
    try:
        wait_until(lambda: len(leftovers.processes(server._keeper)) == 1)
        (pid,) = leftovers.processes(server._keeper)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TestbedError, match=r"the process that makes hosts did not answer within 0\.5 s: it is stopped, or"):
            server.spawn("romeo", "")
        with pytest.raises(TestbedError, match="the process that makes hosts has ended"):
            server.spawn("juliet", "")
    finally:
        server.close()


@pytest.mark.demand  # links may take fifteen seconds to come up
def test_a_host_that_freezes_while_hosts_come_up_is_named(program: Program) -> None:
    """The other end of its link waits for it, and is not to blame."""
    process = program.start("run", scenario(program.folder, "frozen", STEPS))
    wait_until(lambda: any(called(pid) == "romeo" for pid in leftovers.hosts(process.pid)))
    os.kill(named(leftovers.hosts(process.pid), "romeo"), signal.SIGSTOP)
    done = program.ended(process, 60)
    assert done.code == 3, done
    assert program.stage("report")["reason"].startswith("romeo: ")
    assert "did not" in program.stage("report")["reason"]


@pytest.mark.demand  # a host may ask its tools for ten seconds
def test_a_frozen_host_that_was_to_look_is_named_too(program: Program) -> None:
    reason, took = freeze(program, scenario(program.folder, "frozen", SAMPLE))
    assert reason == "romeo: it did not report within 11.0 s; it was doing: ask ss what it sees"
    assert took < 20
