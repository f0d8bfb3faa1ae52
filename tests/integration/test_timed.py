"""When steps fire: at their times, at one instant on several hosts, and with what goes on behind them."""

from __future__ import annotations

import pytest

from tests.integration.program import Program, scenario

pytestmark = pytest.mark.namespaces
MS = 1_000_000
STEPS = """
topology: two-hosts
steps:
  - at: 100ms
    host: juliet
    call: [server = socket.socket(), 'server.bind(("juliet", 4000))', server.listen(1)]
  - at: 300ms
    together:
      - {host: juliet, call: 'conn, peer = server.accept()', background: true, as: accepting}
      - {host: juliet, call: other = socket.socket()}
      - {host: romeo, call: [sock = socket.socket(), 'sock.connect(("juliet", 4000))']}
  - wait: accepting
expect:
  - packets: [romeo > juliet S, juliet > romeo S., romeo > juliet .]
"""


def test_a_timed_first_step_and_a_step_on_two_hosts_with_one_behind(program: Program) -> None:
    done = program.run("run", scenario(program.folder, "timed", STEPS))
    assert done.code == 0, done
    record = program.stage("record")
    actions = {action["id"]: action for action in record["actions"]}
    assert {action["status"] for action in actions.values()} == {"done"}
    together = [actions[key] for key in ("2.1", "2.2", "2.3")]
    assert [action.get("background", False) for action in together] == [True, False, False]
    instants = {action["planned_ns"] for action in together}
    assert len(instants) == 1
    assert all(action["start_ns"] >= action["planned_ns"] for action in (actions["1.1"], *together))
    assert abs(instants.pop() - actions["1.1"]["planned_ns"] - 200 * MS) <= 1
    assert actions["1.1"]["planned_ns"] - record["start_ns"] > 100 * MS


def test_everything_has_its_time_on_one_line(program: Program) -> None:
    """Calls by the hosts' clocks, steps by the controller's, frames by the kernel's: each within the one that caused it."""
    assert program.run("run", scenario(program.folder, "timed", STEPS)).code == 0
    record, segments = program.stage("record"), program.stage("evidence")["segments"]
    steps = {step["number"]: step for step in record["steps"]}
    for action in record["actions"]:
        assert steps[action["step"]]["start_ns"] <= action["start_ns"] <= action["end_ns"]
    connect = next(call for action in record["actions"] for call in action.get("calls", ()) if call["text"].startswith("sock.connect"))
    syn, answer = [
        next(one for one in segments if one["capture"] == "romeo" and one.get("flags") == flags)["at_ns"] for flags in (0x02, 0x12)
    ]
    assert connect["start_ns"] <= syn <= answer <= connect["end_ns"] <= steps[2]["end_ns"]
    assert all(capture.get("clock_moved_ns", 0) < MS for capture in record["captures"])
