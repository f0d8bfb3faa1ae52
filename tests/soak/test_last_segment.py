"""What is sent at the very end of a run is in every capture, every time: nothing is slept for, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.program import Program, scenario

TIMES = 100
pytestmark = [pytest.mark.namespaces, pytest.mark.demand]
TEXT = """
topology: {topology}
steps:
  - {{host: juliet, call: [server = socket.socket(), 'server.bind(("juliet", 4000))', server.listen(1)]}}
  - {{host: romeo, call: [sock = socket.socket(), 'sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)']}}
  - {{host: romeo, call: 'sock.connect(("juliet", 4000))'}}
  - host: romeo
    call:
{calls}
expect:
  - count: {{match: 'romeo > juliet.4000 P. "the last words"', is: 1, capture: romeo}}
  - count: {{match: 'romeo > juliet.4000 P. "the last words"', is: 1, capture: juliet}}
  - count: {{match: "romeo > juliet.4000 P.", is: {sent}, capture: romeo}}
  - count: {{match: "romeo > juliet.4000 P.", is: {sent}, capture: juliet}}
"""


def last_words(folder: Path, topology: str, before: int) -> Path:
    """A scenario whose last call is a send, after ``before`` others without a pause (nine fit the first congestion window)."""
    calls = ['sock.send(b"not yet")'] * before + ['sock.send(b"the last words")']
    lines = "\n".join(f"      - {call}" for call in calls)
    return scenario(folder, f"last-words-{topology}-{before}", TEXT.format(topology=topology, calls=lines, sent=before + 1))


@pytest.mark.parametrize("before", [0, 8])
@pytest.mark.parametrize("topology", ["two-hosts", "line", "segment-4"])
def test_the_last_segment_is_in_both_captures(program: Program, topology: str, before: int) -> None:
    done = program.run("run", last_words(program.folder, topology, before), "--times", str(TIMES), "--json", timeout=300)
    reports = json.loads(done.out)["runs"]
    lost = [report["directory"] for report in reports if report["value"] != "passed"]
    assert (done.code, done.err, len(reports), lost) == (0, "", TIMES, [])
    captures = [capture for run in program.directories() for capture in run.glob("*-tcp-last-words-*.pcap")]
    both = [path for path in captures if path.name.startswith(("romeo", "juliet"))]
    assert len(both) == 2 * TIMES
    assert all(path.read_bytes().count(b"the last words") == 1 for path in both)
    print(f"\n  {topology}, after {before} others: {TIMES} of {TIMES} in both captures")
