"""What few authors write, and what it is answered with, letter for letter."""

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

from orchestrator.errors import InputProblems
from orchestrator.loading import load_scenario, load_topology
from orchestrator.loading.keys import words
from orchestrator.loading.kinds.scalars import Pen, surprise
from orchestrator.loading.kinds.shapes import Reference
from orchestrator.loading.notation.literals import LARGEST_VALUE, literal
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.notation.segments import parse_segment
from orchestrator.loading.script.wording import expectation_text
from orchestrator.loading.source import documents
from orchestrator.loading.source.documents import Scalar
from orchestrator.loading.source.problems import Complaints
from orchestrator.loading.source.reader import Reader

SOCK = "steps: [{host: romeo, call: sock = socket.socket()}]\n"
SAMPLE = "write a literal (a number, text, bytes, a tuple), b'x' * 1000, 'text'.encode(), struct.pack(...) or socket.NAME"
BOTH = "steps: [{hosts: [romeo, juliet], call: sock = socket.socket()}]\n"


def told(read, body):
    with pytest.raises(InputProblems) as caught:
        read(body)
    return [f"{problem.line}:{problem.column}: {problem.text}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "steps: [{host: 2026-01-01, snapshot: ss}]\n",
            "4:16: a host's name is wanted here, and YAML reads 2026-01-01 as a timestamp: put it in quotes",
        ),
        ("steps: [{host: 3, snapshot: ss}]\n", "4:16: a host's name is wanted here, and YAML reads 3 as a number: put it in quotes"),
        ("steps: [{host: [romeo], snapshot: ss}]\n", "4:16: a host's name is wanted here, not a list or a mapping"),
        ("steps: [{host: romeo, call: ''}]\n", "4:29: a socket call is wanted here, and the text is empty"),
        ("steps: [{host: romeo, start: nc, ready: {listening: [1]}}]\n", "4:53: a port is wanted here, not a list or a mapping"),
        ("steps: [{host: romeo, start: nc, ready: {listening: 0x10}}]\n", "4:53: a port is written in decimal digits, not '0x10'"),
        (f"{SOCK}on_failure: [stop]\n", "5:13: what to do on a failure is wanted here, not a list or a mapping"),
        (
            f"{SOCK}on_failure: 3\n",
            "5:13: what to do on a failure is 'stop' or 'continue', not '3'",
        ),
        (f"{SOCK}on_failure: ~\n", "5:13: what to do on a failure is wanted here, and nothing is given"),
        (f"{SOCK}sysctl: 3\n", "5:9: a mapping of hosts (or 'all') to sysctls is wanted here"),
        ("about: no steps\n", "1:1: the scenario lacks 'steps'"),
        (f"vars: 3\n{SOCK}", "4:7: a mapping of names to values is wanted here"),
        (f"matrix: {{family: [ipv4]}}\nvars: {{family: 3}}\n{SOCK}", "5:8: the name 'family' is taken by 'matrix'"),
        (f"matrix: {{port: [[1]]}}\n{SOCK}", "4:17: text or a number is wanted here, not a list"),
        (f"matrix: {{family: []}}\n{SOCK}", "4:18: a list of values is wanted here, and this one is empty"),
        ("steps: [{repeat: {times: 2}}]\n", "4:18: 'repeat' lacks 'steps'"),
        (f"capture: []\n{SOCK}expect: [{{packets: none}}]\n", "6:20: nothing is captured, so nothing can be judged: see 'capture'"),
        (
            'steps: [{host: romeo, call: ["sock = socket.socket()", "sock.send(struct.pack(3, 1))"]}]\n',
            f"4:67: this is more than a scenario can type: {SAMPLE}",
        ),
        (
            "steps: [{host: romeo, call: sock = socket.socket(), expect: [{host: romeo, socket: {peer: '[abc]:1'}, absent: true}]}]\n",
            "4:91: 'abc' is no IPv6 address",
        ),
        ('steps: [{snapshot: ss, after: "a\\nb"}]\n', "4:31: 'a\nb' is no time, and no name with a time, like 'connecting + 1.5s'"),
    ],
)
def test_a_problem(read, body, problem):
    assert told(read, body) == [problem]


def test_the_owner_of_a_connection_cannot_be_guessed(read, two_hosts, root):
    four = load_topology(root / "topologies" / "segment-4.yaml")
    body = f"{BOTH}expect: [{{packets: {{capture: hamlet, connection: sock, lines: none}}}}]\n"
    with pytest.raises(InputProblems, match="'juliet' and 'romeo' have a socket 'sock': say whose with 'host'"):
        read(body, topology=four)


def test_names_that_stand_for_no_host_are_taken_as_they_are(read):
    calls = "sock = socket.socket()", "sock.connect(('localhost', 1))", "sock.connect(('10.9.9.9', 1))", "sock.bind(('', 0))"
    (step,) = read(f"steps:\n  - host: romeo\n    call: [{', '.join(repr(call) for call in calls)}]\n".replace("\\'", "''"))[0].steps
    addresses = [call.arguments[0]["tuple"][0] for call in step.actions[0].action.calls[1:]]
    assert addresses == ["localhost", "10.9.9.9", ""]


def test_a_result_that_nobody_wants(read):
    calls = "[s = socket.socket(), '_, addr = s.accept()', 'c, _ = s.accept()', 'd, _ = s.accept()']"
    (step,) = read(f"steps: [{{host: juliet, call: {calls}}}]\n")[0].steps
    assert [call.names for call in step.actions[0].action.calls] == [("s",), ("_", "addr"), ("c", "_"), ("d", "_")]


def test_rules_without_a_name_get_one_each(read):
    rule = "{host: romeo, iptables: -A INPUT -j DROP}"
    steps = read(f"steps: [{rule}, {{together: [{rule}, {rule}, {rule}]}}]\n")[0].steps
    assert [acting.action.name for step in steps for acting in step.actions] == ["rule-1", "rule-2", "rule-2-2", "rule-2-3"]


def test_a_topology_that_is_no_yaml_is_told_once(tmp_path):
    (tmp_path / "broken.yaml").write_text("topology: [\n")
    path = tmp_path / "x.yaml"
    path.write_text(f"scenario: x\ntitle: X\ntopology: broken.yaml\n{SOCK}")
    with pytest.raises(InputProblems) as caught:
        load_scenario(path, [])
    assert {Path(problem.path).name for problem in caught.value.problems} == {"broken.yaml"}


def test_a_topology_is_called_as_its_file_is(tmp_path, root):
    path = tmp_path / "pair.yaml"
    path.write_text((root / "topologies" / "two-hosts.yaml").read_text())
    with pytest.raises(InputProblems) as caught:
        load_topology(path)
    (problem,) = caught.value.problems
    assert problem.text == "the topology is called 'two-hosts', its file 'pair.yaml': they must be the same"


# -- segments and literals


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("S" + " " * 16384 + "win 1", "this line is longer than 16384 characters"),
        ('P. "\\ud800"', "half a surrogate pair is no character"),
        ('P. "abc', 'the payload "abc is not closed by the quotation mark that opens it'),
        ("S 1:0(3)", "from 1 to 0 are -1 bytes, not 3"),
        ("S 0:5(3)", "from 0 to 5 are 5 bytes, not 3"),
        ("S 3:5(6)", "from 3 to 5 are 2 bytes, not 6"),
        ("P. b'\u00e9'", "the payload b'\u00e9' is not closed by the quotation mark that opens it"),
    ],
)
def test_a_segment_that_is_none(rest, problem):
    with pytest.raises(Misread) as caught:
        parse_segment(f"romeo > juliet {rest}")
    assert str(caught.value) == problem


def test_a_value_that_is_too_large_or_too_deep():
    with pytest.raises(Misread, match=r"^this value is larger than 1 MiB$"):
        literal(ast.Constant("x" * (LARGEST_VALUE + 1)))
    assert len(literal(ast.Constant("x" * LARGEST_VALUE))) == LARGEST_VALUE
    tower: ast.expr = ast.Constant(1)
    for _ in range(20_000):
        tower = ast.Tuple([tower])
    with pytest.raises(Misread, match=r"^this expression is nested too deeply$"):
        literal(tower)
    while isinstance(tower, ast.Tuple):  # or the interpreter takes it apart by recursion
        (tower,) = tower.elts


# -- kinds that no key uses in this way


def test_a_text_where_something_else_is_wanted():
    assert surprise(Scalar(1, 1, "abc", "str", 1), "a number") == "a number is wanted here, not the text 'abc'"


def test_a_kind_that_holds_itself():
    reader = Reader("x.yaml", Complaints())
    reference = Reference("port", lambda: words.PORT)
    assert reference.read(Scalar(1, 1, "80", "int", 1), reader) == 80
    pen = Pen(substitutes=False, definitions={})
    assert reference.shape(pen) == reference.shape(pen) == {"$ref": "#/$defs/port"}
    assert pen.definitions == {"port": {"type": "integer", "minimum": 1, "maximum": 65535}}


def test_what_has_no_words_of_its_own_is_called_by_its_kind():
    assert expectation_text(None) == ""


# -- parsers


def test_half_a_character_by_the_slower_parser(read, monkeypatch):
    monkeypatch.setattr(documents, "_Loader", yaml.SafeLoader)
    assert told(read, f'about: "\\ud800"\n{SOCK}') == ["4:8: half a surrogate pair is no character"]


def test_whatever_else_the_parser_dislikes(read, monkeypatch):
    def refuse(*_arguments, **_more):
        raise yaml.YAMLError("a reason of its own")

    monkeypatch.setattr(yaml, "parse", refuse)
    assert told(read, SOCK) == ["1:1: this is not YAML: a reason of its own"]


def test_without_libyaml(monkeypatch):
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    spec = importlib.util.spec_from_file_location("documents_without_libyaml", documents.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module._Loader is yaml.SafeLoader
