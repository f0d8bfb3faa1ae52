"""Programs that do not want to end: they end with their host."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.integration import leftovers
from tests.integration.program import Program, scenario

pytestmark = pytest.mark.namespaces
DEAF = """
topology: two-hosts
steps:
  - host: juliet
    shell: trap '' INT TERM HUP; echo ready; while :; do sleep 1; done
    ready: {output: ready}
    as: deaf
  - {host: juliet, signal: {to: deaf, signal: TERM}}
  - {host: juliet, after: 100ms, run: pgrep -f while, returns: 0}
"""
DAEMONS = """
topology: two-hosts
steps:
  - {host: juliet, shell: 'setsid sleep 701 >/dev/null 2>&1 </dev/null & setsid -f env -i sleep 702; (sleep 703 &) ; exit 0', returns: 0}
  - host: juliet
    shell: |
      python3 -c 'import os, time
      if os.fork() == 0:
          os.setsid()
          if os.fork() == 0:
              for fd in range(3): os.close(fd)
              time.sleep(704)'
  - host: juliet
    run: pgrep -c -f "sleep.70[1-4]"
    stdout: ^[4-6]$  # parents of daemons may be on their way out
  - {host: romeo, run: pgrep -c sleep, returns: 1}
"""
BLOCKED = """
topology: two-hosts
steps:
  - {host: juliet, call: [server = socket.socket(), 'server.bind(("juliet", 4000))', server.listen(1)]}
  - {host: juliet, call: 'conn, addr = server.accept()', background: true, as: accepting}
  - {host: romeo, run: sleep 600, background: true, as: sleeping}
  - {host: romeo, call: sock = socket.socket()}
"""
FLOOD = """
topology: two-hosts
steps:
  - {host: romeo, start: "yes", as: flood}
  - {host: romeo, after: 300ms, call: sock = socket.socket()}
"""


@pytest.mark.parametrize(("name", "text"), [("deaf", DEAF), ("daemons", DAEMONS), ("blocked", BLOCKED), ("flood", FLOOD)])
def test_what_does_not_want_to_end_ends_with_its_host(program: Program, name: str, text: str) -> None:
    began = time.monotonic()
    done = program.run("run", scenario(program.folder, name, text), timeout=30)
    assert done.code == 0, done.out
    assert time.monotonic() - began < 5
    assert leftovers.wait_for_none() == []
    if name == "blocked":
        blocked = [action["id"] for action in program.stage("record")["actions"] if action["status"] == "blocked"]
        assert blocked == ["2.1", "3.1"]


def test_the_proof_sees_a_process_that_was_left(program: Program) -> None:
    """A proof that cannot fail would be decoration: a daemon of our own, with an empty environment, is seen."""
    subprocess.run(["setsid", "-f", "env", "-i", "sleep", "705"], check=True)
    (left,) = leftovers.processes()
    assert "sleep 705" in leftovers.describe([left])[0]
    os.kill(left, signal.SIGKILL)
