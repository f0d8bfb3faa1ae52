"""Every scenario that ships passes, and fails at the right line once one of its expectations is made false."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.namespaces
SCENARIOS = sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))
MUTANTS: dict[str, list[dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "mutants.yaml").read_text())
EACH = [(name, number) for name, mutants in MUTANTS.items() for number in range(len(mutants))]


def run(files: list[Path], runs: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "run", *map(str, files), "--jobs", "4", "--json", "--runs", str(runs)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["runs"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run([ROOT / "scenarios" / f"{name}.yaml" for name in SCENARIOS], tmp_path_factory.mktemp("originals"))


@pytest.fixture(scope="module")
def mutated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("mutants")
    files = []
    for name, number in EACH:
        mutant = MUTANTS[name][number]
        text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
        assert mutant["replace"] in text, f"{name} does not say {mutant['replace']!r} any more"
        path = folder / str(number) / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(mutant["replace"], mutant["by"], 1))
        files.append(path)
    found: dict[str, list[dict[str, Any]]] = {}
    for report in run(files, folder / "runs"):
        found.setdefault(_file_of(report), []).append(report)
    return found


def _file_of(report: dict[str, Any]) -> str:
    return next(verdict["path"] for verdict in report["verdicts"] if verdict["path"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_passes(name: str, originals: list[dict[str, Any]]) -> None:
    mine = [report for report in originals if report["label"].partition("[")[0] == name]
    assert mine, f"{name} did not run"
    for report in mine:
        bad = [verdict for verdict in report["verdicts"] if verdict["value"] not in ("passed", "skipped")]
        assert (report["value"], bad) == ("passed", []), report["label"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_a_mutant(name: str) -> None:
    assert MUTANTS.get(name), f"tests/e2e/mutants.yaml has none for {name}"


@pytest.mark.parametrize(("name", "number"), EACH)
def test_mutant_fails_at_its_line(name: str, number: int, mutated: dict[str, list[dict[str, Any]]]) -> None:
    reports = next(found for path, found in mutated.items() if path.endswith(f"/{number}/{name}.yaml"))
    mutant = MUTANTS[name][number]
    text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
    line = text[: text.index(mutant["replace"])].count("\n") + 1
    values = {report["value"] for report in reports}
    assert "failed" in values, f"{mutant['by']} was not noticed"
    assert values <= {"failed", "passed"}
    for report in reports:
        if report["value"] == "failed":
            judged = [verdict for verdict in report["verdicts"] if verdict["line"] and verdict["line"] <= line]
            nearest = max(verdict["line"] for verdict in judged)
            assert "failed" in {verdict["value"] for verdict in judged if verdict["line"] == nearest}
