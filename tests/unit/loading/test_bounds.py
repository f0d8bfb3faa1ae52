"""The last value that is taken and the first that is refused."""

import json
from pathlib import Path

import msgspec
import pytest

from orchestrator.agent.protocol import MAX_FRAME_BYTES
from orchestrator.errors import InputProblems
from orchestrator.loading import load_scenario, load_topology, read_scenario
from orchestrator.loading.keys.topology import MOST_HOSTS
from orchestrator.loading.keys.words import COMPARISON, RETURNED
from orchestrator.loading.kinds.scalars import Pen
from orchestrator.loading.script import steps as script
from orchestrator.model.topology import Facts, Host, LiveHost, Network, Port, Testbed, Topology
from orchestrator.planning import plan
from orchestrator.testbeds.forkserver import MAX_MESSAGE_BYTES

SOCK = "steps: [{host: romeo, call: sock = socket.socket()}]\n"
TOOLS = "  - {snapshot: ss}\n"


def problems(error):
    return [f"{problem.line}:{problem.column}: {problem.text}" for problem in error.value.problems]


@pytest.mark.parametrize("title", ["caf\u00e9", "\ud7ff \ue000 \ufffd", "\U0001f600 \u65e5\u672c"])
def test_titles_in_every_script(two_hosts, title):
    (scenario,) = read_scenario(f"scenario: x\ntitle: {title}\ntopology: two-hosts\n{SOCK}", "x.yaml", two_hosts)
    assert scenario.title == title


@pytest.mark.parametrize(("path", "fits"), [("x.yaml", True), ("a/x.yml", True), ("x.txt", True), ("w.yaml", False), ("y.yaml", False)])
def test_a_scenario_is_called_as_its_file_is(two_hosts, path, fits):
    text = f"scenario: x\ntitle: X\ntopology: two-hosts\n{SOCK}"
    if fits:
        assert read_scenario(text, path, two_hosts)[0].path == path
    else:
        with pytest.raises(InputProblems) as caught:
            read_scenario(text, path, two_hosts)
        assert problems(caught) == [f"1:11: the scenario is called 'x', its file '{path}': they must be the same"]


@pytest.mark.parametrize("bytes_before", range(5))
def test_the_column_of_a_byte_that_is_not_utf8(tmp_path, bytes_before):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: b\n" + b"x" * bytes_before + b"\xe9")
    with pytest.raises(InputProblems) as caught:
        load_scenario(path, [])
    assert problems(caught) == [f"2:{bytes_before + 1}: the file is not UTF-8: byte 0xe9 cannot stand here"]


@pytest.mark.parametrize("before", ["", "x", "a: b\n", "a: b\nxxxxxxx", "# x\n\n\n", "# \u00e9\n\u00e9"])
def test_the_place_of_a_character_that_yaml_forbids(two_hosts, before):
    with pytest.raises(InputProblems) as caught:
        read_scenario(f"{before}\x07 and\nmore", "x.yaml", two_hosts)
    lines = before.split("\n")
    assert problems(caught) == [f"{len(lines)}:{len(lines[-1]) + 1}: the character U+0007 cannot stand in YAML"]


def test_only_what_needs_a_name_gets_one(steps):
    made = steps(
        "  - {host: romeo, call: sock = socket.socket()}\n"
        "  - {host: romeo, file: {name: f, text: x}}\n"
        "  - {host: romeo, run: 'true'}\n"
        "  - {host: romeo, iptables: -A INPUT -j DROP}\n"
        "  - {host: romeo, start: cat}\n"
        "  - {host: romeo, start: cat, as: kitten}\n"
        "  - {snapshot: ss}\n"
    )
    assert [step.actions[0].name for step in made] == [None, None, None, "rule-4", "program-5", "kitten", None]


@pytest.mark.parametrize("number", ["18446744073709551615", "-18446744073709551615", "9223372036854775807 * 2"])
def test_the_largest_numbers(steps, number):
    assert steps(f"  - host: romeo\n    call: [sock = socket.socket(), sock.send({number})]\n")


@pytest.mark.parametrize(
    "number", ["18446744073709551616", "-18446744073709551616", "1 - 18446744073709551617", "1e999", "4294967296 * 4294967296"]
)
def test_numbers_that_are_too_large(steps, number):
    with pytest.raises(InputProblems, match=r"this number is too large$"):
        steps(f"  - host: romeo\n    call: [sock = socket.socket(), sock.send({number})]\n")


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("zzz", "router is not on a network 'zzz': it is on 'left' and 'right'"),
        ("rigth", "router is not on a network 'rigth', did you mean 'right'?"),
    ],
)
def test_a_network_that_a_host_is_not_on(read, root, network, sentence):
    body = f"steps: [{{host: romeo, call: ['sock = socket.socket()', 'sock.connect((\"router@{network}\", 1))']}}]\n"
    with pytest.raises(InputProblems) as caught:
        read(body, topology=load_topology(root / "topologies" / "line.yaml"))
    assert [problem.text for problem in caught.value.problems] == [sentence]


@pytest.mark.parametrize("most", [3, 4])
def test_how_many_steps_there_may_be(read, monkeypatch, most):
    monkeypatch.setattr(script, "MOST_STEPS", most)
    body = f"steps:\n{TOOLS}  - repeat: {{times: 3, steps: [{{snapshot: ss}}]}}\n"
    if most == 4:
        assert [step.number for step in read(body)[0].steps] == [1, 2, 3, 4]
    else:
        with pytest.raises(InputProblems, match="with all loops and variants unrolled there are more than"):
            read(body)


def filed(letters):
    return (
        f"vars: {{big: '{'x' * 500_000}', rest: '{'x' * letters}'}}\nsteps:\n"
        "  - {hosts: [romeo, juliet], file: {name: small, text: x}}\n"
        "  - repeat: {times: 12, steps: [{host: romeo, file: {name: f, text: '${big}'}}]}\n"
        "  - {host: juliet, file: {name: f, text: '${big}'}}\n"
        "  - {host: romeo, file: {name: f, text: '${rest}'}}\n"
    )


ROOM = script.LARGEST_PROGRAM - 6_000_000 - 14 * 300


def test_how_much_one_host_may_be_told(read):
    made = read(filed(ROOM))[0].steps
    own = [acting.action for step in made for acting in step.actions if acting.host == "romeo"]
    most = ROOM + script.LARGEST_PROGRAM - sum(len(msgspec.json.encode(action)) + script._ENVELOPE_BYTES for action in own)
    assert len(read(filed(most))[0].steps) == 15
    with pytest.raises(InputProblems) as caught:
        read(filed(most + 1))
    assert problems(caught) == ["9:25: with this step, romeo would be told more than 6 MiB: make its texts fewer or shorter"]


@pytest.mark.parametrize("more", [0, 1])
def test_how_long_a_text_may_be_with_everything_put_in(read, more):
    text = "${a}${a}${a}${b}"
    body = (
        f"vars: {{a: '{'x' * (1 << 18)}', b: '{'y' * ((1 << 18) + more)}'}}\nsteps: [{{host: romeo, file: {{name: f, text: '{text}'}}}}]\n"
    )
    if more:
        with pytest.raises(InputProblems, match="with everything put in, this text is longer than 1 MiB"):
            read(body)
    else:
        assert len(read(body)[0].steps[0].actions[0].action.text) == 1 << 20


def test_what_one_host_is_told_fits_into_a_frame(read, two_hosts):
    text = "${juliet}" * 40_000
    body = f"vars: {{big: '{text}'}}\nsteps:\n  - repeat: {{times: %d, steps: [{{host: romeo, file: {{name: f, text: '${{big}}'}}}}]}}\n"
    for times in range(1, 20):
        try:
            scenario = read(body % times)[0]
        except InputProblems:
            break
        hosts = tuple(LiveHost(name=host.name, facts=Facts(kernel="6", python="3")) for host in two_hosts.hosts)
        planned = plan(scenario, Testbed(kind="netns", topology=two_hosts, hosts=hosts))
        assert sum(len(msgspec.json.encode(step.actions[0])) for step in planned.steps) < MAX_FRAME_BYTES - (1 << 20)
    assert 1 < times < 19


# -- topologies


def crowd(path, hosts):
    names = [f"h{number}" for number in range(hosts)]
    addresses = (f"10.0.{number >> 8}.{number & 255}" for number in range(1, hosts + 1))
    places = ", ".join(f"{name}: {address}" for name, address in zip(names, addresses, strict=True))
    hosts_text = ", ".join(f"{name}: " for name in names)
    path.write_text(f"topology: t\nhosts: {{{hosts_text}}}\nnetworks: {{n: {{subnets: 10.0.0.0/16, hosts: {{{places}}}}}}}\n")
    return path


def test_how_many_hosts_there_may_be(tmp_path):
    assert len(load_topology(crowd(tmp_path / "t.yaml", MOST_HOSTS)).hosts) == 800
    with pytest.raises(InputProblems) as caught:
        load_topology(crowd(tmp_path / "t.yaml", MOST_HOSTS + 1))
    assert [problem.text for problem in caught.value.problems] == ["a mapping of hosts may have 800 at most, and this one has 801"]


def test_the_names_of_the_most_hosts_fit_into_one_message():
    longest = tuple(Host(name="h" * 28 + f"{number:04}") for number in range(MOST_HOSTS))
    ports = tuple(
        Port(host=host.name, interface="eth1", addresses=(f"fd00:1111:2222:3333:4444:5555:6666:{number + 4096:x}/64",))
        for number, host in enumerate(longest)
    )
    whole = Topology(name="t", hosts=longest, networks=(Network(name="n", subnets=(), ports=ports),))
    message = json.dumps({"name": longest[0].name, "hosts": whole.neighbours("ipv6")})
    assert len(message) < MAX_MESSAGE_BYTES


@pytest.fixture
def network(tmp_path):
    """A network of two hosts with a subnet and more keys; gives its record."""

    def read(subnet="10.0.0.0/24", more=""):
        path = Path(tmp_path) / "t.yaml"
        hosts = "hosts: {a: 10.0.0.1, b: 10.0.0.2}"
        path.write_text(f"topology: t\nhosts: {{a: , b: }}\nnetworks: {{n: {{subnets: {subnet}, {hosts}{more}}}}}\n")
        return load_topology(path).networks[0]

    return read


@pytest.mark.parametrize("subnet", ["10.0.0.0/29", "10.0.0.0/30"])
def test_a_subnet_with_room_for_two(network, subnet):
    assert network(subnet).subnets == (subnet,)


@pytest.mark.parametrize("subnet", ["10.0.0.0/31", "10.0.0.0/32", "10.0.0.0"])
def test_a_subnet_without(network, subnet):
    with pytest.raises(InputProblems) as caught:
        network(subnet)
    assert problems(caught)[0] == f"3:25: '{subnet}' has no room for two hosts: give a prefix length, like 10.10.0.0/24"


@pytest.mark.parametrize(
    ("more", "link"),
    [
        ("", (0, 0, 0)),
        (", rate: 1bit", (1, 0, 0)),
        (", rate: 1000gbit", (10**12, 0, 0)),
        (", delay: 1ms", (0, 1_000_000, 0)),
        (", loss: 0.001%", (0, 0, 1)),
        (", loss: 100%", (0, 0, 100_000)),
    ],
)
def test_what_a_link_does(network, more, link):
    made = network(more=more).link
    assert (made.rate_bits, made.delay_ns, made.loss_millis) == link


@pytest.mark.parametrize("rate", ["0mbit", "1001gbit"])
def test_a_rate_that_no_link_has(network, rate):
    with pytest.raises(InputProblems) as caught:
        network(more=f", rate: {rate}")
    assert [problem.text for problem in caught.value.problems] == [
        f"a rate is like 10mbit or 512kbit, between 1bit and 1000gbit, not '{rate}'"
    ]


# -- what editors are told


def test_which_types_a_value_may_have():
    pen = Pen(substitutes=False, definitions={})
    assert COMPARISON.shape(pen)["anyOf"][1:] == [{"type": "integer", "minimum": 0}]
    assert RETURNED.shape(pen)["anyOf"][1:] == [{"type": "integer", "minimum": 0}, {"type": "number"}, {"type": "boolean"}]
