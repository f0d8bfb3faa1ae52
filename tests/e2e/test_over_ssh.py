"""Every scenario that ships comes to the same verdicts on real machines behind a bastion as on namespaces; its mutants fail there too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.e2e.conftest import Controller, unchanged
from tests.e2e.test_scenarios import MUTANTS, SCENARIOS
from tests.integration.program import Done
from tests.sshlab.lab import SSHLab, why_not

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs

pytestmark = pytest.mark.namespaces
PATIENCE_S = 400
TOPOLOGY = {name: str(yaml.safe_load((ROOT / "scenarios" / f"{name}.yaml").read_text())["topology"]) for name in SCENARIOS}
TRIED = ("connection-refused", "syn-rejected", "send-receive", "netcat-client-closes", "handshake-options-mtu")
"""Mutants of these are tried over SSH: calls, rules, data, programs, a link's MTU."""
LONG = "time-wait-expires"
"""It waits for a minute, so it runs on machines of its own beside all others."""
Reports = dict[str, dict[str, Any]]


def reports(done: Done) -> list[dict[str, Any]]:
    assert done.out, done.err
    return json.loads(done.out)["runs"]


def told(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(verdict["expectation"], verdict["value"]) for verdict in report["verdicts"]]


@contextmanager
def begun(lab: SSHLab, folder: Path, *names: str) -> Iterator[Callable[[], list[Reports]]]:
    """Runs of these scenarios on namespaces and over SSH, side by side; called, it waits for the reports of both, by their labels."""
    controller = Controller(folder, lab)
    files = [ROOT / "scenarios" / f"{name}.yaml" for name in names]

    def ended() -> list[Reports]:
        return [{one["label"]: one for one in reports(controller.ended(process, PATIENCE_S))} for process in processes]

    with unchanged(lab):
        processes = [controller.start("run", *files, *options, "--json") for options in (("--jobs", "4"), controller.i)]
        try:
            yield ended
        finally:
            controller.close()


def assert_the_same(here: Reports, there: Reports) -> None:
    assert list(there) == list(here)
    assert {label: told(report) for label, report in there.items()} == {label: told(report) for label, report in here.items()}
    assert {label: report["value"] for label, report in there.items()} == dict.fromkeys(here, "passed")


@pytest.fixture(scope="module", autouse=True)
def long_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], list[Reports]]]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("long")
    with SSHLab(TOPOLOGY[LONG], at=folder / "lab", clocks=True) as lab, begun(lab, folder, LONG) as ended:
        yield ended


@pytest.mark.parametrize("topology", sorted(set(TOPOLOGY.values())))
def test_the_same_verdicts(topology: str, sshlab: Labs, tmp_path: Path) -> None:
    names = [name for name in SCENARIOS if TOPOLOGY[name] == topology and name != LONG]
    with begun(sshlab(topology, clocks=True), tmp_path, *names) as ended:
        assert_the_same(*ended())


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


def test_the_same_verdicts_after_a_minute(long_one: Callable[[], list[Reports]]) -> None:
    assert_the_same(*long_one())
