"""The floors of docs/house.md hold, and what ships alone needs nothing but Python's standard library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "orchestrator" / "agent"
BIN = Path(sys.executable).parent


def test_import_linter_keeps_every_contract():
    lint = subprocess.run([BIN / "lint-imports", "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "orchestrator.agent.x" if node.level == 1 else "." * node.level + (node.module or "")


@pytest.mark.parametrize("path", sorted(AGENT.rglob("*.py")), ids=lambda path: path.name)
def test_the_agent_imports_the_standard_library_and_itself(path):
    names = [name for name in imported(path) if not (name + ".").startswith("orchestrator.agent.")]
    assert [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names] == []


def test_the_agent_is_written_for_python_3_8():
    words = [BIN / "vermin", "--quiet", "--no-tips", "--violations", "--target=3.8-", AGENT]
    vermin = subprocess.run(words, capture_output=True, text=True, check=False)
    assert vermin.returncode == 0, vermin.stdout
