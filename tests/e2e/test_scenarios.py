"""Every scenario that ships passes, and fails at the right line once one of its expectations is made false."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.namespaces
SCENARIOS = sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))
MUTANTS: dict[str, list[dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "mutants.yaml").read_text())
EACH = [(name, number) for name, mutants in MUTANTS.items() for number in range(len(mutants))]


Process = subprocess.Popen[str]


def start(files: list[Path], runs: Path) -> Process:
    words = [sys.executable, "-m", "orchestrator", "run", *map(str, files), "--jobs", "4", "--json", "--runs", str(runs)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: Process) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=600)
    assert out, err
    return json.loads(out)["runs"]


def mutants(folder: Path) -> list[Path]:
    files = []
    for name, number in EACH:
        mutant = MUTANTS[name][number]
        text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
        assert mutant["replace"] in text, f"{name} does not say {mutant['replace']!r} any more"
        path = folder / str(number) / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(mutant["replace"], mutant["by"], 1))
        files.append(path)
    return files


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    """The runs of the scenarios as they are, of which one waits for a minute, and beside them those of the mutants."""
    folder = tmp_path_factory.mktemp("scenarios")
    files = [ROOT / "scenarios" / f"{name}.yaml" for name in SCENARIOS]
    processes = (start(files, folder / "originals"), start(mutants(folder), folder / "mutants"))
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def originals(begun: tuple[Process, Process]) -> list[dict[str, Any]]:
    return ended(begun[0])


@pytest.fixture(scope="module")
def mutated(begun: tuple[Process, Process]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for report in ended(begun[1]):
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
