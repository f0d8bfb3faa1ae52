"""What a whole scenario becomes."""

from __future__ import annotations

import pytest

from orchestrator.errors import InputProblems
from orchestrator.loading import load_scenario
from orchestrator.model.scenario import Needs, Timing
from orchestrator.model.words import actions as act
from orchestrator.model.words.values import Comparison

SOCK = "  - host: romeo\n    call: sock = socket.socket()\n"


def test_the_defaults(read):
    scenario = read(f"steps:\n{SOCK}")[0]
    assert (scenario.timeout_ns, scenario.on_failure, scenario.family, scenario.variant, scenario.alone) == (
        60_000_000_000,
        "stop",
        "ipv4",
        {},
        False,
    )
    assert [(wish.host, wish.filter) for wish in scenario.capture] == [("romeo", ""), ("juliet", "")]
    assert scenario.steps[0].name == ""


def test_the_keys_at_the_top(read):
    scenario = read(
        "about: A\ntags: [tcp]\ncapture: {juliet: tcp port 4000}\noffload: {tso: on, gro: off}\nalone: true\nwaits: 60s\ntimeout: 2min\n"
        "on_failure: continue\nneeds: {tools: [nc], features: [trace], kernel: '>= 6.5', sysctl: [net.ipv4.tcp_sack]}\n"
        f"sysctl:\n  romeo: {{net.ipv4.tcp_sack: 1}}\n  all: {{net.ipv4.tcp_sack: 0}}\nsteps:\n{SOCK}"
    )[0]
    assert [(wish.host, wish.filter) for wish in scenario.capture] == [("juliet", "tcp port 4000")]
    assert scenario.offload == {"tso": True, "gro": False}
    assert (scenario.alone, scenario.waits_ns, scenario.timeout_ns, scenario.on_failure) == (True, 60 * 10**9, 120 * 10**9, "continue")
    assert scenario.needs == Needs(tools=("nc",), features=("trace",), kernel=">= 6.5", sysctls=("net.ipv4.tcp_sack",))
    assert {wish.host: wish.value for wish in scenario.sysctl} == {"romeo": "1", "juliet": "0"}


def test_a_matrix_makes_variants(read):
    scenarios = read(
        "matrix: {family: [ipv4, ipv6], size: [1, 2]}\nvars: {port: 4000, twice: '${port}${size}'}\nsteps:\n  - host: romeo\n    call: "
        "['sock = socket.socket(socket.${AF})', 'sock.connect((\"juliet\", ${twice}))']\n  - host: romeo\n    iptables: -A INPUT -j DROP\n"
    )
    assert [scenario.label for scenario in scenarios] == ["x[ipv4,1]", "x[ipv4,2]", "x[ipv6,1]", "x[ipv6,2]"]
    made, connected = scenarios[3].steps[0].actions[0].action.calls
    assert made.arguments == ({"constant": "AF_INET6"},)
    assert connected.arguments == ({"tuple": ["juliet", 40002]},)
    assert [scenario.steps[1].actions[0].action.tool for scenario in scenarios] == ["iptables", "iptables", "ip6tables", "ip6tables"]


def test_references_stay_for_planning_and_escapes_are_undone(steps):
    made = steps("  - host: romeo\n    run: ping -c 1 ${juliet} $${HOME} $${juliet} ${juliet@lan} $x\n")
    assert made[0].actions[0].action.argv[3:] == ("${juliet}", "${HOME}", "$${juliet}", "${juliet@lan}", "$x")


def test_a_loop_is_unrolled(steps):
    made = steps(
        "  - repeat:\n      times: 2\n      as: i\n      steps:\n        - {host: romeo, call: 'sock[${i}] = socket.socket()'}\n"
        "        - repeat: {times: 2, as: j, steps: [{host: romeo, run: 'echo ${i}${j}'}]}\n"
    )
    assert [step.number for step in made] == [1, 2, 3, 4, 5, 6]
    assert [step.actions[0].action.calls[0].names for step in (made[0], made[3])] == [("sock[0]",), ("sock[1]",)]
    assert [made[index].actions[0].action.argv[1] for index in (1, 2, 4, 5)] == ["00", "01", "10", "11"]


def test_a_step_on_several_hosts(steps):
    made = steps("  - hosts: [juliet, romeo]\n    call: sock = socket.socket()\n  - host: juliet\n    call: sock.close()\n")
    assert [part.host for part in made[0].actions] == ["juliet", "romeo"]
    assert [step.name for step in made] == ["", ""]


def test_together(steps):
    made = steps(
        "  - hosts: [romeo, juliet]\n    call: sock = socket.socket()\n  - timeout: 1s\n    together:\n"
        "      - {host: romeo, call: sock.close(), timeout: 2s, returns: None}\n      - {host: juliet, call: sock.close()}\n"
    )
    assert made[1].together
    assert [part.timeout_ns for part in made[1].actions] == [2 * 10**9, 10**9]
    assert made[1].actions[0].outcome.has_return


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (
            "start: nc -l 4000\nas: server\nready: {listening: 4000}",
            act.Start(argv=("nc", "-l", "4000"), name="server", ready=act.Ready(listening=4000)),
        ),
        ("start: cat\nready: none", act.Start(argv=("cat",), name="program-1")),
        ("run: echo 'a b'", act.Run(argv=("echo", "a b"))),
        ("shell: echo $HOME | cat", act.Run(argv=("/bin/sh", "-c", "echo $HOME | cat"))),
        ("shell: cat\nbackground: true", act.Start(argv=("/bin/sh", "-c", "cat"), name="program-1")),
        ("shell: cat\nready: {output: x}\nas: c", act.Start(argv=("/bin/sh", "-c", "cat"), name="c", ready=act.Ready(output="x"))),
        ("iptables: -A INPUT -j DROP", act.Iptables(tool="iptables", words=("-A", "INPUT", "-j", "DROP"), name="rule-1")),
        ("file: {name: a.py, text: 'x', executable: true}", act.File(name="a.py", text="x", executable=True)),
        ("sysctl: {net.ipv4.tcp_sack: 0}", act.Sysctl(values={"net.ipv4.tcp_sack": "0"})),
        ("offload: {tso: on, gso: 'off'}", act.Offload(values={"tso": True, "gso": False})),
        ("route: add default via ${juliet}", act.Ip(words=("route", "add", "default", "via", "${juliet}"))),
        ("ip: link set eth1 down", act.Ip(words=("link", "set", "eth1", "down"))),
        ("snapshot: [ss, nstat]", act.Snapshot(tools=("ss", "nstat"))),
    ],
)
def test_actions(text, action, steps):
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    assert steps(f"  - host: romeo\n{lines}")[0].actions[0].action == action


def test_what_is_done_to_a_program(steps):
    made = steps(
        '  - {host: romeo, start: cat, as: cat}\n  - {host: romeo, type: {to: cat, text: "a\\n", eof: true}}\n'
        "  - {host: romeo, signal: {to: cat, signal: SIGINT}}\n  - wait: cat\n    stdout: a\n"
    )
    assert [step.actions[0].action for step in made[1:]] == [
        act.Type(to="cat", text="a\n", eof=True),
        act.Signal(to="cat", signal="INT"),
        act.Wait(on="cat"),
    ]
    assert made[3].actions[0].outcome.stdout == "a"


def test_a_rule_that_was_removed_frees_its_name(steps):
    rule = "  - {host: romeo, iptables: -A INPUT -j DROP, as: wall}\n"
    assert len(steps(f"{rule}  - {{host: romeo, remove: wall}}\n{rule}")) == 3


@pytest.mark.parametrize(
    ("returns", "value"), [("None", None), ("13", 13), ("1.5", 1.5), ("True", True), ("true", True), ("'\"a\"'", "a"), ("-1", -1)]
)
def test_returns(returns, value, steps):
    outcome = steps(f"{SOCK}    returns: {returns}\n")[0].actions[0].outcome
    assert (outcome.returns, outcome.has_return, outcome.any_return) == (value, True, False)
    assert type(outcome.returns) is type(value)


def test_returns_anything(steps):
    outcome = steps(f"{SOCK}    returns: '*'\n")[0].actions[0].outcome
    assert (outcome.has_return, outcome.any_return) == (False, True)


def test_times(steps):
    made = steps("  - {at: 1s, snapshot: ss, name: first}\n  - {after: 250ms, snapshot: ss}\n  - {after: first + 2s, snapshot: ss}\n")
    assert [step.timing for step in made] == [
        Timing(since="", delay_ns=10**9),
        Timing(since="-", delay_ns=250_000_000),
        Timing(since="first", delay_ns=2 * 10**9),
    ]


def test_names_made_under_a_condition_may_be_made_again(read):
    body = "".join(
        f"  - {{host: romeo, call: 'sock = socket.socket(socket.{af})', when: {{family: {family}}}}}\n"
        for family, af in (("ipv4", "AF_INET"), ("ipv6", "AF_INET6"))
    )
    scenarios = read(f"matrix: {{family: [ipv4, ipv6]}}\nsteps:\n{body}  - {{host: romeo, call: sock.close()}}\n")
    assert [scenario.steps[1].when.family for scenario in scenarios] == ["ipv6", "ipv6"]


def test_a_closed_name_may_be_used_again(steps):
    assert len(steps(f"{SOCK}  - {{host: romeo, call: sock.close()}}\n{SOCK}")) == 3


def test_the_column_inside_a_text(read):
    with pytest.raises(InputProblems) as caught:
        read(f'steps:\n{SOCK}  - host: romeo\n    call: sock.send(data)\n  - host: romeo\n    call: "sock.send(data)"\n')
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(8, 21), (10, 22)]


def test_a_topology_by_its_path(root, tmp_path):
    path = tmp_path / "x.yaml"
    (tmp_path / "two-hosts.yaml").write_text((root / "topologies" / "two-hosts.yaml").read_text())
    path.write_text(f"scenario: x\ntitle: X\ntopology: ./two-hosts.yaml\nsteps:\n{SOCK}")
    assert load_scenario(path, []).topology.name == "two-hosts"


def test_a_topology_beside_the_scenario(root):
    assert load_scenario(root / "scenarios" / "connection-refused.yaml", []).topology.name == "two-hosts"


def test_a_count_in_the_comparison(steps):
    made = steps(f"{SOCK}    expect:\n      - {{host: romeo, lsof: TCP, count: 20}}\n")
    assert made[0].expect[0].expectation.count == Comparison(operator="==", low=20)
