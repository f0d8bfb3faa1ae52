"""Whatever stands in a file, only problems come out; and what the loader takes, the schema takes."""

from __future__ import annotations

import random
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator.errors import InputProblems
from orchestrator.loading import load_topology, read_scenario, schema
from orchestrator.loading.source.documents import read_document
from orchestrator.loading.source.problems import Complaints, Refused
from orchestrator.loading.topologies import read_topology

ROOT = Path(__file__).resolve().parents[3]
TOPOLOGY = load_topology(ROOT / "topologies" / "two-hosts.yaml")
WHOLE = (Path(__file__).parent / "whole.yaml").read_bytes()
SEEDS = (WHOLE, (ROOT / "docs" / "scenario-language.md").read_bytes().split(b"```yaml\n")[2].partition(b"```")[0])
PIECES = (
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b": ",
        b"- ",
        b"\n",
        b"\n  ",
        b"'",
        b'"',
        b"#",
        b"&a ",
        b"*a",
        b"!!x ",
        b"|\n",
        b">-\n",
        b"---\n",
        b"...\n",
        b"\t",
        b"\0",
    ),
    *(
        b"\xff",
        b"\xc3\xa9",
        b"\xe2\x80\xa8",
        b"${",
        b"}",
        b"${i}",
        b"${AF}",
        b"$${",
        b"null",
        b"true",
        b"0x1F",
        b"1:30",
        b"-1",
        b"1e9",
        b"99999999999999999999",
    ),
    *(
        b"romeo",
        b"julia",
        b"sock",
        b"host: ",
        b"steps:",
        b"expect:",
        b"repeat:",
        b"together:",
        b"when: {family: ipv6}\n",
        b"<<: ",
        b"=",
        b"? ",
        b"\\ud800",
        b"(" * 90,
    ),
)
VALIDATOR = jsonschema.Draft202012Validator(schema())


def mutated(chance):
    """A seed with one to four wounds."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        begin = chance.randrange(len(data) + 1)
        end = min(len(data), begin + chance.choice((0, 0, 1, 1, 2, 5, 30)))
        kind = chance.randrange(4)
        if kind == 0:
            data[begin:end] = b""
        elif kind == 1:
            data[begin:end] = chance.choice(PIECES)
        elif kind == 2:
            data[begin:begin] = data[chance.randrange(len(data) + 1) :][: chance.randint(1, 60)]
        else:
            data[begin:end] = bytes(chance.randrange(256) for _ in range(end - begin))
    return bytes(data)


def check(data):
    """Read ``data``; gives whether it was taken."""
    problems = ()
    try:
        read_scenario(data.decode("utf-8", "surrogateescape"), "mutant", TOPOLOGY)
    except InputProblems as error:
        problems = error.problems or pytest.fail("a refusal without a problem")
    assert all(problem.line >= 1 and problem.column >= 1 and problem.text for problem in problems)
    assert problems or VALIDATOR.is_valid(yaml.load(data, yaml.CSafeLoader)), data
    return not problems


def sweep(count, seed):
    chance = random.Random(seed)
    return sum(check(mutated(chance)) for _ in range(count))


def test_the_seed_itself_is_taken():
    assert check(WHOLE)


def test_500_wounded_files():
    assert sweep(500, 1) < 500


@pytest.mark.demand
def test_10000_wounded_files():
    taken = sweep(10_000, 2)
    assert 0 < taken < 10_000


def test_wounded_topologies():
    chance = random.Random(3)
    seed = (ROOT / "topologies" / "line.yaml").read_bytes()
    for _ in range(300):
        data = bytearray(seed)
        for _ in range(chance.randint(1, 3)):
            begin = chance.randrange(len(data))
            data[begin : begin + chance.choice((0, 1, 3, 20))] = chance.choice((*PIECES, b"/0", b"::", b".255", b"0.0.0.0/0"))
        complaints = Complaints()
        topology = None
        try:
            topology = read_topology(read_document(bytes(data), "line.yaml", complaints), "line.yaml", complaints)
        except Refused:
            assert len(complaints)
        assert (topology is None) == bool(len(complaints))
