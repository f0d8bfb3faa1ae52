"""What the documents show can be done: every scenario in them is accepted, and those of the how-to guide pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.program import Program

pytestmark = pytest.mark.namespaces
BLOCK = re.compile(r"^```yaml\n(scenario: (\S+).*?)^```$", re.MULTILINE | re.DOTALL)


def shown(program: Program, document: str) -> list[Path]:
    """The scenarios of a document as files; of one that grows under the same name the last form."""
    made = []
    for text, name in BLOCK.findall((ROOT / document).read_text()):
        path = program.folder / f"{name}.yaml"
        path.write_text(text)
        made.append(path)
    return list(dict.fromkeys(made))


@pytest.mark.parametrize("document", ["README.md", "docs/scenario-language.md", "docs/how-to-write-a-lab.md"])
def test_every_scenario_in_a_document_is_accepted(program: Program, document: str) -> None:
    paths = shown(program, document)
    assert paths
    done = program.run("validate", *paths)
    assert done.code == 0, done.err


def test_the_scenarios_of_the_how_to_guide_pass(program: Program) -> None:
    paths = shown(program, "docs/how-to-write-a-lab.md")
    assert len(paths) == 3
    done = program.run("run", *paths)
    assert done.code == 0, done.out
