"""What would be done can be read before it is done."""

import re

from msgspec.structs import replace

from orchestrator.model.plan import PlannedAction, PlannedStep
from orchestrator.model.topology import Facts
from orchestrator.model.words.actions import Call, Calls, Ready, Run, Start
from orchestrator.model.words.expectations import Outcome, PacketsExpectation
from orchestrator.model.words.segments import End, Gap, SegmentPattern
from orchestrator.model.words.values import Where
from orchestrator.reports.planned import render_plan

SETUP = {
    "romeo": ("ip link set eth1 up", "ip addr add 10.10.0.100/24 dev eth1"),
    "juliet": ("ip link set eth1 up",),
}


def test_a_plan_reads_like_this(plans, golden):
    golden("plan-syn-ack-lost.txt", render_plan(plans["lost"](), SETUP))
    golden("plan-connection-refused.txt", render_plan(plans["refused"]()))


def test_no_privileged_command_is_cut_or_left_out(plans):
    long = "iptables -A INPUT " + "-m comment --comment lab " * 20
    text = render_plan(plans["lost"](), {"romeo": (long.strip(),)})
    assert long.strip() in text
    for command in (
        "sysctl -w net.ipv4.tcp_syn_linear_timeouts=0",
        "ethtool -K eth1 tso off gro off",
        "--tcp-flags SYN,ACK SYN,ACK -j DROP",
    ):
        assert command in text


def test_colours_change_nothing_but_colours(plans):
    plan = plans["lost"]()
    assert re.sub("\x1b\\[[0-9;]*m", "", render_plan(plan, SETUP, colour=True)) == render_plan(plan, SETUP)


def test_what_a_program_must_do_and_what_must_be_captured_can_be_read(make_plan):
    at = Where(path="x.yaml", line=1)

    def planned(number, action, **fields):
        return PlannedAction(id=f"1.{number}", host="romeo", action=action, where=at, timeout_ns=1, **fields)

    actions = (
        planned(1, Run(argv=("ping", "-c", "1"))),
        planned(2, Run(argv=("grep", "x")), outcome=Outcome(returns=1, has_return=True)),
        planned(3, Run(argv=("nc",)), outcome=Outcome(any_return=True, has_return=True)),
        planned(4, Start(argv=("python3",), name="p", ready=Ready(output="^>"))),
    )
    lines = (SegmentPattern(source=End(host="romeo"), destination=End(host="juliet"), text="romeo > juliet S"), Gap())
    packets = PacketsExpectation(where=at, text="packets", capture="romeo", lines=lines)
    rows = render_plan(make_plan("x", "t", (PlannedStep(number=1, name="n", where=at, actions=actions, expect=(packets,)),))).splitlines()
    first = rows.index("   1  n") + 1
    assert [row.strip() for row in rows[first:]] == [
        "romeo   ping -c 1",
        "must end with exit status 0",
        "romeo   grep x",
        "must end with exit status 1",
        "romeo   nc",
        "romeo   python3 &",
        "ready when its output fits ^>",
        "expect  packets",
        "romeo > juliet S",
        "...",
    ]


def test_skips_and_bytes_are_told_in_plain_words(make_plan):
    at = Where(path="x.yaml", line=1)
    call = Calls(calls=(Call(text="sock.recv(3)", method="recv"),))
    outcome = Outcome(returns={"bytes": "Ynll"}, has_return=True)
    action = PlannedAction(id="1.1", host="romeo", action=call, where=at, timeout_ns=1, outcome=outcome)
    plan = make_plan("x", "t", (PlannedStep(number=1, name="", where=at, actions=(action,), skip="no netem"),), skip="no rights")
    text = render_plan(plan)
    assert "must return b'bye'" in text
    assert "would be skipped: no netem" in text
    assert "would be skipped: no rights" in text


def test_a_real_machine_is_told_with_its_interfaces(plans):
    plan = plans["refused"]()
    assert "machine " not in render_plan(plan)
    romeo, *others = plan.testbed.hosts
    facts = Facts(kernel="6.1.0", python="3.8.10")
    real = replace(romeo, machine="node7", interfaces={"eth1": "ens7"}, facts=facts)
    text = render_plan(replace(plan, testbed=replace(plan.testbed, hosts=(real, *others))))
    assert "machine node7, eth1 is ens7, kernel 6.1.0, Python 3.8.10" in text
