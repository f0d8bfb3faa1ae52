"""A run keeps the scenario that it ran, whatever became of the file meanwhile."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.integration.program import Program, scenario

pytestmark = pytest.mark.namespaces
STEPS = """
topology: two-hosts.yaml
capture: []
steps:
  - {host: romeo, shell: "echo '# changed' >> FILE; echo '# changed' >> TOPOLOGY"}
"""


def test_inputs_are_those_that_were_read(program: Program) -> None:
    topology = program.folder / "two-hosts.yaml"
    topology.write_bytes((ROOT / "topologies" / "two-hosts.yaml").read_bytes())
    text = STEPS.replace("TOPOLOGY", str(topology))
    path = scenario(program.folder, "changes-itself", text.replace("FILE", str(program.folder / "changes-itself.yaml")))
    before = {file.name: file.read_bytes() for file in (path, topology)}
    assert program.run("run", path, "--times", "2").code == 0
    assert path.read_bytes() == before[path.name] + b"# changed\n" * 2
    for run in program.directories():
        assert {file.name: file.read_bytes() for file in (run / "inputs").iterdir()} == before
