"""Every scenario that ships comes to the same verdicts on real machines behind a bastion as on namespaces; its mutants fail there too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.e2e.conftest import Controller, unchanged
from tests.e2e.test_scenarios import MUTANTS, SCENARIOS
from tests.integration.program import Done

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs

pytestmark = pytest.mark.namespaces
PATIENCE_S = 400
TOPOLOGY = {name: str(yaml.safe_load((ROOT / "scenarios" / f"{name}.yaml").read_text())["topology"]) for name in SCENARIOS}
TRIED = ("connection-refused", "syn-rejected", "send-receive", "netcat-client-closes", "handshake-options-mtu")
"""Mutants of these are tried over SSH: calls, rules, data, programs, a link's MTU."""
Reports = dict[str, dict[str, Any]]


def reports(done: Done) -> list[dict[str, Any]]:
    assert done.out, done.err
    return json.loads(done.out)["runs"]


def told(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(verdict["expectation"], verdict["value"]) for verdict in report["verdicts"]]


@pytest.fixture(scope="module", params=sorted(set(TOPOLOGY.values())))
def both(request: pytest.FixtureRequest, sshlab: Labs, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Reports, Reports]:
    """The topology, and the reports of its scenarios by their labels: on namespaces, and over SSH by one controller process."""
    lab = sshlab(request.param, clocks=True)
    controller = Controller(tmp_path_factory.mktemp("both"), lab)
    files = [ROOT / "scenarios" / f"{name}.yaml" for name in SCENARIOS if TOPOLOGY[name] == request.param]
    with unchanged(lab):
        begun = [controller.start("run", *files, *options, "--json") for options in (("--jobs", "4"), controller.i)]
        here, there = (reports(controller.ended(process, PATIENCE_S)) for process in begun)
    return request.param, {one["label"]: one for one in here}, {one["label"]: one for one in there}


def test_the_same_verdicts(both: tuple[str, Reports, Reports]) -> None:
    _topology, here, there = both
    assert list(there) == list(here)
    assert {label: told(report) for label, report in there.items()} == {label: told(report) for label, report in here.items()}
    assert {label: report["value"] for label, report in there.items()} == dict.fromkeys(here, "passed")


def mutants(folder: Path, topology: str) -> list[Path]:
    files = []
    for name in TRIED:
        text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
        for number, mutant in enumerate(MUTANTS[name] if TOPOLOGY[name] == topology else []):
            path = folder / str(number) / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace(mutant["replace"], mutant["by"], 1))
            files.append(path)
    return files


@pytest.mark.parametrize("topology", sorted({TOPOLOGY[name] for name in TRIED}))
def test_mutants_fail(topology: str, sshlab: Labs, tmp_path: Path) -> None:
    lab = sshlab(topology, clocks=True)
    controller = Controller(tmp_path, lab)
    files = mutants(tmp_path, topology)
    with unchanged(lab):
        found = reports(controller.run("run", *files, *controller.i, "--json", timeout=PATIENCE_S))
    failed = {verdict["path"] for report in found for verdict in report["verdicts"] if verdict["value"] == "failed"}
    assert failed == {str(path) for path in files}
    assert {report["value"] for report in found} <= {"failed", "passed"}
