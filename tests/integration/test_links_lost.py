"""The namespace that holds the links is no host, and no step speaks of it; when it is gone, that is what the run tells."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration import leftovers
from tests.integration.program import Program, scenario, wait_until

pytestmark = pytest.mark.namespaces
STEPS = """
topology: segment-4
steps:
  - {host: juliet, run: sleep 1}
  - {host: romeo, call: sock = socket.socket()}
  - {host: romeo, call: 'sock.connect(("juliet", 4000))', raises: ConnectionRefusedError}
"""


def test_lost_links_are_an_error_of_the_testbed_and_no_failure(program: Program) -> None:
    process = program.start("run", scenario(program.folder, "links-lost", STEPS))
    wait_until(lambda: any("sleep" in line for line in leftovers.describe(leftovers.processes(process.pid))))
    (switch,) = leftovers.switches(process.pid)
    os.kill(switch, signal.SIGKILL)
    done = program.ended(process, 30)
    assert done.code == 3, done
    record = program.stage("record")
    assert record["status"] == "error"
    assert record["reason"] == "the hosts lost their links in the midst of the run: switch: its agent vanished"
    assert record["steps"][0]["status"] == "failed"
    assert {step["status"] for step in record["steps"][1:]} == {"missing"}
    assert not any(host.get("lost") for host in record["hosts"])
    assert "the hosts lost their links" in done.out
    assert leftovers.wait_for_none() == []
