"""Loading is cheap, and a good file does not pay for what only a bad one needs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.loading import load_scenario


def test_five_milliseconds(root):
    path, folders = root / "scenarios" / "connection-refused.yaml", [root / "topologies"]
    took = []
    for _ in range(10):
        begin = time.perf_counter()
        load_scenario(path, folders)
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.005


@pytest.mark.impure("a fresh interpreter tells what is imported")
def test_what_is_not_imported(root):
    code = (
        "import sys; from pathlib import Path; from orchestrator.loading import load_scenario;"
        "load_scenario(Path('scenarios/connection-refused.yaml'), [Path('topologies')]);"
        "print(*sorted({'difflib', 'jsonschema', 'asyncio', 'click', 'rich', 'orchestrator.loading.keys.schema'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(Path(root))}
    )
    assert not done.stdout.strip()
