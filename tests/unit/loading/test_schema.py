"""The schema lets through what the loader takes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator.loading import inventory_schema, load_scenario, load_topology, schema, topology_schema

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
TOPOLOGIES = sorted((ROOT / "topologies").glob("*.yaml"))


@pytest.mark.parametrize("made", [schema, topology_schema, inventory_schema])
def test_it_is_a_schema_and_json(made):
    jsonschema.Draft202012Validator.check_schema(made())
    assert json.loads(json.dumps(made()))["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenarios_that_ship(path):
    assert load_scenario(path, [ROOT / "topologies"]).scenarios
    jsonschema.validate(yaml.safe_load(path.read_text()), schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_topologies_that_ship(path):
    assert load_topology(path).hosts
    jsonschema.validate(yaml.safe_load(path.read_text()), topology_schema(), jsonschema.Draft202012Validator)


def test_a_text_with_a_reference_passes_where_a_number_stands():
    step = {"repeat": {"times": "${n}", "steps": [{"snapshot": "ss", "at": "${t}"}]}}
    jsonschema.validate({"scenario": "x", "title": "X", "topology": "t", "steps": [step]}, schema(), jsonschema.Draft202012Validator)


def test_every_key_has_a_description():
    def undescribed(shape, path):
        for name, inner in shape.get("properties", {}).items():
            if not inner.get("description"):
                yield f"{path}.{name}"
            yield from undescribed(inner, f"{path}.{name}")

    assert not [*undescribed(schema(), ""), *undescribed(schema()["$defs"]["step"], "step"), *undescribed(topology_schema(), "")]
    assert not [*undescribed(inventory_schema()["$defs"]["group"], "group")]
