"""What the forms of an expectation become, and how reports call them."""

from __future__ import annotations

import pytest

from orchestrator.errors import InputProblems
from orchestrator.model.tcp import State
from orchestrator.model.words.expectations import Place, SocketPattern
from orchestrator.model.words.values import Comparison


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{host: romeo, socket: sock, absent: true}", "romeo: socket sock absent"),
        ("{host: juliet, socket: {peer: 'romeo:4000'}, state: SYN_RECV}", "juliet: socket to romeo:4000 state SYN_RECEIVED"),
        (
            "{host: juliet, socket: {local: 80}, state: [LISTEN, CLOSED], fd: false}",
            "juliet: socket from *:80 state LISTEN or CLOSED, without a descriptor",
        ),
        (
            "{host: romeo, socket: sock, recv_q: 12, send_q: '> 0', timer: on, cwnd: '1..9'}",
            "romeo: socket sock recv_q 12, send_q > 0, timer on, cwnd 1..9",
        ),
        ("{host: romeo, socket: sock, protocol: udp, count: '>= 2'}", "romeo: socket sock (udp) count >= 2"),
        ("{host: romeo, lsof: 'TCP.*LISTEN', absent: true}", "romeo: lsof without TCP.*LISTEN"),
        ("{host: romeo, netstat: ESTABLISHED, count: 20}", "romeo: netstat shows ESTABLISHED, count 20"),
        ("{host: romeo, nstat: TcpExtListenOverflows, count: '>= 1'}", "romeo: nstat shows TcpExtListenOverflows, count >= 1"),
        ("{packets: none}", "packets in romeo's capture: none"),
        ("{packets: [juliet > romeo S]}", "packets in juliet's capture: 1 line"),
        ("{packets: {capture: juliet, connection: sock, lines: [romeo > juliet S, ...]}}", "packets in juliet's capture of sock: 2 lines"),
        ("{count: {match: romeo > juliet S, is: '>= 3'}}", "count in romeo's capture of 'romeo > juliet S': >= 3"),
        ("{icmp: {from: juliet, type: 3, code: 3}}", "icmp 3/3 from juliet in romeo's capture"),
        ("{icmp: {from: juliet, type: 3, count: 2, capture: juliet}}", "icmp 3/* from juliet in juliet's capture, count 2"),
        ("{path: {host: romeo, socket: sock, states: [CLOSED, SYN_SENT], witness: trace}}", "romeo: path of sock is CLOSED, SYN_SENT"),
    ],
)
def test_how_they_are_called(text, words, seen):
    assert seen(f"      - {text}\n")[0].text == words


def test_a_sockets_fields(seen):
    one = seen("      - {host: romeo, socket: {local: '*:4000', peer: '[fd00::1]:80'}, state: FIN-WAIT-1, within: 3s, fd: true}\n")[0]
    assert one.socket == SocketPattern(local=Place(port=4000), peer=Place(host="fd00::1", port=80))
    assert (one.states, one.within_ns, one.fd, one.count) == ((State.FIN_WAIT_1,), 3 * 10**9, True, None)


def test_a_rule_and_a_program(steps):
    made = steps(
        "  - {host: romeo, iptables: -A INPUT -j DROP, as: wall}\n"
        "  - host: romeo\n    start: cat\n    as: cat\n    within: 2s\n    expect:\n"
        "      - {host: romeo, rule: wall, packets: '>= 2', bytes: 0}\n      - {host: romeo, output: cat, matches: a+}\n"
    )
    rule, output = (guarded.expectation for guarded in made[1].expect)
    assert (rule.packets, rule.bytes) == (Comparison(operator=">=", low=2), Comparison(operator="==", low=0))
    assert (rule.text, output.text) == ("romeo: rule wall packets >= 2, bytes 0", "romeo: cat writes a+")
    assert output.within_ns == 2 * 10**9


def test_a_step_bounds_the_wire_in_time_and_the_end_does_not(seen, expected):
    forms = "{packets: [romeo > juliet S]}", "{count: {match: romeo > juliet S, is: 1}}", "{icmp: {from: juliet, type: 3}}"
    assert [one.step for one in seen("".join(f"      - {form}\n" for form in forms))] == [1, 1, 1]
    assert [one.step for one in expected("".join(f"  - {form}\n" for form in forms))] == [None, None, None]


def test_silence_is_asked_of_every_capture(expected):
    assert [one.capture for one in expected("  - packets: none\n")] == ["romeo", "juliet"]
    assert [one.capture for one in expected("  - packets: {capture: juliet, lines: none}\n")] == ["juliet"]
    assert [one.capture for one in expected("  - packets: {capture: juliet, lines: []}\n")] == ["juliet"]


def test_whose_connection(expected, read):
    assert expected("  - packets: {capture: juliet, connection: sock, lines: none}\n")[0].connection_host == "romeo"
    steps = "steps: [{hosts: [romeo, juliet], call: sock = socket.socket()}]\n"
    both = f"{steps}expect:\n  - packets: {{capture: juliet, connection: sock, %slines: []}}\n"
    assert read(both % "")[0].expect[0].expectation.connection_host == "juliet"
    assert read(both % "host: romeo, ")[0].expect[0].expectation.connection_host == "romeo"


def test_a_condition(expected, read):
    scenario = read(
        "steps: [{snapshot: ss}]\nexpect:\n  - {packets: none, when: {kernel: '>= 6.5', sysctl: net.ipv4.tcp_sack, family: ipv4}}\n"
    )[0]
    assert scenario.expect[0].when.kernel == ">= 6.5"


def test_what_another_family_would_need_is_not_missed(read):
    body = (
        "matrix: {family: [ipv4, ipv6]}\nsteps:\n  - {host: romeo, call: six = socket.socket(socket.AF_INET6), when: {family: ipv6}}\n"
        "  - snapshot: ss\n    expect:\n      - {host: romeo, socket: six, state: CLOSED%s}\n"
    )
    assert len(read(body % ", when: {family: ipv6}")) == 2
    with pytest.raises(InputProblems, match="romeo has made no socket 'six' yet"):
        read(body % "")


def test_lines_know_their_place(expected):
    one = expected("  - packets:\n      - romeo > juliet S\n      - ...\n")[0]
    assert [str(line.where) for line in one.lines] == ["x.yaml:9:9", "x.yaml:10:9"]
