"""Records are saved without their defaults, so a default that changes changes what every run says that is kept.

``defaults.json`` holds them. A new field belongs there as soon as runs are kept with it; a default that would have to change there
needs a new field instead.
"""

import json
from pathlib import Path

import msgspec
import pytest

import orchestrator.model.evidence
import orchestrator.model.plan
import orchestrator.model.record
import orchestrator.model.verdict  # noqa: F401 - its records are found below Record
from orchestrator.model.words.values import Record

KEPT = json.loads(Path(__file__).with_name("defaults.json").read_text())


def every(kind):
    for below in kind.__subclasses__():
        yield below
        yield from every(below)


KINDS = {
    f"{kind.__module__}.{kind.__name__}".removeprefix("orchestrator.model."): kind
    for kind in every(Record)
    if kind.__module__.startswith("orchestrator.model.")
}


def default(field):
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else msgspec.NODEFAULT


@pytest.mark.parametrize("name", sorted(KEPT))
def test_what_a_record_leaves_unsaid_means_what_it_always_meant(name):
    defaults = {field.name: default(field) for field in msgspec.structs.fields(KINDS[name]) if field.name in KEPT[name]}
    said = {field: json.loads(msgspec.json.encode(value)) for field, value in defaults.items() if value is not msgspec.NODEFAULT}
    assert said == KEPT[name]
    assert {field: type(value) for field, value in said.items()} == {field: type(value) for field, value in KEPT[name].items()}  # 0, False
