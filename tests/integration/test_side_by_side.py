"""Several runs at once, each with the same names and addresses: none of them disturbs another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import leftovers
from tests.integration.program import Program, scenario

RUNS = 4
pytestmark = pytest.mark.namespaces
SERVER = """
topology: two-hosts
steps:
  - host: juliet
    call:
      - server = socket.socket()
      - server.bind(("juliet", 4000))
      - server.listen(1)
"""
BLOCKED = (
    SERVER
    + """
  - {host: romeo, iptables: -I OUTPUT -p tcp --dport 4000 -j DROP, as: cut}
  - host: romeo
    call: [sock = socket.socket(), sock.settimeout(0.6), 'sock.connect(("juliet", 4000))']
    raises: TimeoutError
  - {host: romeo, remove: cut}
expect:
  - packets: none
"""
)
OPEN = (
    SERVER
    + """
  - {host: romeo, call: [sock = socket.socket(), 'sock.connect(("juliet", 4000))']}
  - {host: juliet, call: 'conn, addr = server.accept()'}
  - repeat:
      times: 6
      as: i
      steps: [{host: romeo, after: 100ms, call: 'sock.send(b"%s ${i}")'}]
  - {host: juliet, call: conn.recv(1000)}
expect:
  - count: {match: "romeo > juliet.4000 P.", is: 6}
  - count: {match: "romeo > juliet.4000 S", is: 1}
  - {count: {match: "romeo > juliet.4000 S", is: 1, capture: juliet}}
"""
)


def runs_that_could_meet(folder: Path) -> list[Path]:
    """Every second one blocks the very port that the others use."""
    return [scenario(folder, f"run-{n}", BLOCKED if n % 2 else OPEN % f"from run {n}") for n in range(RUNS)]


def met_only_themselves(program: Program) -> None:
    spans = []
    for number in range(RUNS):
        steps = program.stage("record", f"run-{number}")["steps"]
        spans.append((steps[0]["start_ns"], steps[-1]["end_ns"]))
        for capture in program.directories(f"run-{number}")[-1].glob("*.pcap"):
            data = capture.read_bytes()
            assert [n for n in range(RUNS) if b"from run %d" % n in data] == ([] if number % 2 else [number])
    assert max(start for start, _ in spans) < min(end for _, end in spans), "they were not there at the same time"


def test_processes_side_by_side(program: Program) -> None:
    processes = [program.start("run", path) for path in runs_that_could_meet(program.folder)]
    for process in processes:
        done = program.ended(process)
        assert done.code == 0, done
    met_only_themselves(program)


def test_jobs_side_by_side(program: Program) -> None:
    done = program.run("run", *runs_that_could_meet(program.folder), "--jobs", str(RUNS))
    assert done.code == 0, done
    met_only_themselves(program)


def test_the_machine_itself_is_not_touched(program: Program) -> None:
    """A lab whose port this machine blocks, and whose settings differ from this machine's."""
    before = leftovers.settings()
    assert program.run("run", "syn-dropped", "tcp-socket-lab", "--jobs", "2").code == 0
    assert leftovers.settings() == before
