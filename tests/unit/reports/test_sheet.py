"""Actions become what a student would type."""

import pytest
from msgspec.structs import replace

from orchestrator.model.plan import PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, CallRecord
from orchestrator.model.words.actions import (
    Call,
    Calls,
    File,
    Ip,
    Iptables,
    Offload,
    Remove,
    Run,
    Signal,
    Snapshot,
    Start,
    Sysctl,
    Type,
    Wait,
)
from orchestrator.model.words.values import Where
from orchestrator.reports.telling.sheet import step_line, typed

AT = Where(path="x.yaml", line=1)


@pytest.mark.parametrize(
    ("action", "lines"),
    [
        (Calls(calls=(Call(text="a.close()", method="close"), Call(text="b.close()", method="close"))), ("a.close()", "b.close()")),
        (Iptables(tool="ip6tables", words=("-I", "INPUT", "-j", "DROP"), name="x"), ("ip6tables -I INPUT -j DROP",)),
        (Ip(words=("link", "set", "eth1", "down")), ("ip link set eth1 down",)),
        (Remove(name="x"), ("remove x",)),
        (Start(argv=("nc", "-l", "5555"), name="nc"), ("nc -l 5555 &",)),
        (Run(argv=("sh", "-c", "echo a b")), ("sh -c 'echo a b'",)),
        (Type(to="nc", text="bye\n"), ('"bye\\n" to nc',)),
        (Type(to="nc", text="bye", eof=True), ('"bye" and end of input to nc',)),
        (Type(to="nc", eof=True), ("end of input to nc",)),
        (Signal(to="nc", signal="INT"), ("kill -INT nc",)),
        (File(name="server.py", text="a\nb\n"), ("write server.py (2 lines)",)),
        (Sysctl(values={"net.ipv4.tcp_rmem": "1 2 3"}), ("sysctl -w net.ipv4.tcp_rmem='1 2 3'",)),
        (
            Offload(values={"tso": True, "gro": False}, interfaces=("eth1", "eth2")),
            ("ethtool -K eth1 tso on gro off", "ethtool -K eth2 tso on gro off"),
        ),
        (Snapshot(tools=("ss", "lsof")), ("ss, lsof",)),
        (Wait(on="connecting"), ("wait connecting",)),
    ],
)
def test_what_a_host_types(action, lines):
    assert typed(action) == lines


def planned(action, **more):
    return PlannedAction(id="1.1", host="romeo", action=action, where=AT, timeout_ns=1, **more)


def test_what_runs_in_the_background_ends_in_an_ampersand_once():
    call = planned(Calls(calls=(Call(text="a()", method="a"), Call(text="b()", method="b"))), background=True)
    program = planned(Start(argv=("nc",), name="nc"), background=True)
    step = PlannedStep(number=1, name="", where=AT, actions=(call, program))
    line = step_line(step)
    assert line.typed == ("a()", "b() &", "nc &")
    assert line.hosts == ("romeo",) * 3


@pytest.mark.parametrize(
    ("status", "calls", "stopped_at"), [("raised", 2, 3), ("timeout", 1, 2), ("blocked", 0, 2), ("done", 2, -1), ("running", 2, -1)]
)
def test_the_line_that_a_step_stopped_at(status, calls, stopped_at):
    listed = planned(Calls(calls=(Call(text="a()", method="a"), Call(text="b()", method="b"), Call(text="c()", method="c"))))
    first = replace(listed, id="1.1", action=Calls(calls=listed.action.calls[:2]))
    step = PlannedStep(number=1, name="", where=AT, actions=(first, replace(listed, id="1.2")))
    made = tuple(CallRecord(text="x", status="done", start_ns=0, end_ns=0) for _ in range(calls))
    told = ActionRecord(id="1.2", host="romeo", step=1, status=status, start_ns=0, end_ns=0, calls=made)
    assert step_line(step, None, {"1.2": told}).stopped_at == stopped_at


def test_a_step_that_planning_left_out_is_skipped():
    assert step_line(PlannedStep(number=1, name="", where=AT, skip="no netem")).status == "skipped"
