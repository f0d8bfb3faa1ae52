"""What every folder of tests shares: hosts to talk to, and whether this machine can make them."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.testbeds.forkserver import ForkServer
from tests.sshlab.fixture import sshlab

__all__ = ["sshlab"]

ROOT = Path(__file__).resolve().parent.parent

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # so a shell starts what is to be in the background, and programs that we start inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked ``demand`` is left out unless ``-m`` names it: skipped is only what this machine cannot do."""
    if "demand" in (config.option.markexpr or ""):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("demand")])
    items[:] = [item for item in items if not item.get_closest_marker("demand")]


def interpreters() -> dict[str, str]:
    """Every Python on this machine that an agent may meet, by its version."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(8, 15):
        name = f"3.{minor}"
        paths = [*glob.glob(os.path.expanduser(f"~/.pyenv/versions/{name}.*/bin/python3")), shutil.which(f"python{name}")]
        for path in paths:
            if path and "shims" not in path and os.access(path, os.X_OK):
                found.setdefault(name, path)
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """A fork server of this test's own."""
    made = ForkServer()
    yield made
    made.close()
