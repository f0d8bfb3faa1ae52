"""Every broken example gives exactly its messages, and the schema says what the example says of it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator.errors import InputProblems
from orchestrator.loading import inventory_schema, load_inventory, load_scenario, load_topology, read_scenario, schema, topology_schema

FOLDER = Path("tests/golden/problems")
CASES = sorted(path.stem for path in (Path(__file__).resolve().parents[3] / FOLDER).glob("*.yaml"))
SCHEMAS = {"scenario": schema, "topology": topology_schema, "inventory": inventory_schema}
VALIDATORS = {kind: jsonschema.Draft202012Validator(made()) for kind, made in SCHEMAS.items()}


def kind_of(case):
    return next((kind for kind in ("topology", "inventory") if case.startswith(f"{kind}-")), "scenario")


def load(case, path):
    kind = kind_of(case)
    if kind == "scenario":
        return load_scenario(path, [Path("topologies")])
    return load_topology(path) if kind == "topology" else load_inventory(path)


def test_there_are_enough_cases():
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES)
def test_messages_and_schema(case, root, monkeypatch):
    monkeypatch.chdir(root)
    path = FOLDER / f"{case}.yaml"
    head, *messages = path.with_suffix(".problems").read_text().splitlines()
    with pytest.raises(InputProblems) as caught:
        load(case, path)
    assert str(caught.value).replace(f"{FOLDER}/", "").splitlines() == messages
    assert head == f"# schema: {_schema_says(path.read_text(), kind_of(case))}"


def _schema_says(text, kind):
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return "cannot see it"
    return "accepts" if VALIDATORS[kind].is_valid(data) else "refuses"


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"scenario: latin\ntitle: caf\xe9\n")
    with pytest.raises(InputProblems, match=r"latin\.yaml:2:11: the file is not UTF-8: byte 0xe9 cannot stand here"):
        load_scenario(path, [])


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(InputProblems, match=r"large\.yaml:1:1: the file is larger than 1 MiB"):
        load_scenario(path, [])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputProblems, match=r"none\.yaml:1:1: the file cannot be read: no such file or directory"):
        load_scenario(tmp_path / "none.yaml", [])


def test_a_control_character(two_hosts):
    with pytest.raises(InputProblems, match=r"x\.yaml:2:8: the character U\+0007 cannot stand in YAML"):
        read_scenario("scenario: x\ntitle: \a\n", "x.yaml", two_hosts)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_tower_of_brackets_ends_in_a_problem_and_not_in_the_process(opening, two_hosts):
    with pytest.raises(InputProblems, match="nested deeper than 32 levels"):
        read_scenario(opening * (1024 * 1024 // len(opening)), "x.yaml", two_hosts)


def test_values_that_double_are_bounded(read):
    doubling = "".join(f"  v{n}: ${{v{n - 1}}}${{v{n - 1}}}\n" for n in range(1, 40))
    with pytest.raises(InputProblems, match="longer than 1 MiB"):
        read(f"vars:\n  v0: xxxxxxxxxxxxxxxx\n{doubling}steps: [{{snapshot: ss}}]\n")


def test_the_problems_of_scenario_and_topology_are_told_together(tmp_path):
    (tmp_path / "broken.yaml").write_text(
        "topology: broken\nhosts: {a: , b: }\nnetworks: {n: {subnets: 10.0.0.0/24, hosts: {a: 10.0.0.0, b: 10.0.0.2}}}\n"
    )
    path = tmp_path / "x.yaml"
    path.write_text("scenario: x\ntitle: X\ntopology: broken.yaml\nsteps: [{host: a, cal: x}]\n")
    with pytest.raises(InputProblems) as caught:
        load_scenario(path, [])
    assert [(Path(problem.path).name, problem.line) for problem in caught.value.problems] == [("broken.yaml", 3), ("x.yaml", 4)]


def test_problems_are_bounded(read):
    with pytest.raises(InputProblems) as caught:
        read("steps:\n" + "  - {wait: nobody}\n" * 1000)
    assert len(caught.value.problems) == 201
    assert caught.value.problems[-1].text == "and more: only the first 200 problems found are told"


def test_the_parser_without_libyaml_says_the_same(root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setattr("orchestrator.loading.source.documents._Loader", yaml.SafeLoader)
    differing = []
    for case in CASES:
        path = FOLDER / f"{case}.yaml"
        try:
            load(case, path)
        except InputProblems as error:
            told = str(error).replace(f"{FOLDER}/", "").splitlines()
            differing += [case] if told != path.with_suffix(".problems").read_text().splitlines()[1:] else []
    assert set(differing) <= {"open-quote", "tab", "colon-in-text"}
