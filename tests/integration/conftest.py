"""A program for each test, and proof after each test that its runs left nothing; SSH servers, and a home that knows of none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.integration import leftovers
from tests.integration.program import Program
from tests.integration.sshd import Server

NOBODY = 65534
_PROBE = "import os, sys, click, msgspec, yaml; assert sys.version_info >= (3, 11); print(os.readlink('/proc/self/exe'))"
_PACKAGES = ("click", "msgspec", "yaml", "_yaml", "rich", "pygments", "markdown_it", "mdurl")


@pytest.fixture(scope="session", autouse=True)
def _adopted() -> None:
    leftovers.adopt()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program; at the end nothing that it began is left."""
    made = Program(tmp_path)
    yield from _watched(made)


def _watched(made: Program) -> Iterator[Program]:
    files = leftovers.files()
    yield made
    hung = [process.pid for process in made.begun if process.poll() is None]
    made.close()
    assert leftovers.wait_for_none() == []
    assert hung == []
    assert leftovers.files() - files == set()
    assert not list(made.runs.glob("*/*/live.json"))


@pytest.fixture(scope="session")
def everybody() -> Iterator[Path]:
    """A copy of the checkout and of what it imports, in a folder that every user of this machine can read."""
    with tempfile.TemporaryDirectory(prefix="for-everybody-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("orchestrator", "scenarios", "topologies"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for package in _PACKAGES:
            found = next((path for entry in sys.path if (path := Path(entry) / package).is_dir()), None)
            if found is not None:
                shutil.copytree(found, folder / package, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        yield folder


@pytest.fixture
def as_nobody(everybody: Path) -> tuple[tuple[str, ...], str, str]:
    """How an ordinary user starts the program: the words before it, an interpreter, and where it looks for modules."""
    if os.geteuid() != 0:
        return (), sys.executable, str(everybody)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is missing: nobody else than root can be tried")
    before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env")  # setpriv's own exec still has rights
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3")):
        environment = {**os.environ, "PYTHONPATH": str(everybody)}
        tried = subprocess.run([*before, python, "-B", "-c", _PROBE], env=environment, cwd="/", capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return before, tried.stdout.strip(), str(everybody)
    pytest.skip(f"no interpreter that an ordinary user can run has what is needed: {(tried.stderr.strip() or '?').splitlines()[-1]}")


@pytest.fixture
def ordinary(as_nobody: tuple[tuple[str, ...], str, str], tmp_path: Path) -> Iterator[Program]:
    """The program as an ordinary user, in a folder of that user's own."""
    before, python, path = as_nobody
    with tempfile.TemporaryDirectory(prefix="of-nobody-") as name:
        if before:
            os.chown(name, NOBODY, NOBODY)
        made = Program(Path(name), before=before, python=python, path=path, PYTHONDONTWRITEBYTECODE="1", HOME=name)
        yield from _watched(made)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers; the first word is the folder's name."""
    made: list[Server] = []

    def make(name: str, *lines: str, **fields: Any) -> Server:
        made.append(Server(tmp_path / name, *lines, **fields))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: nothing of this user's configuration or agent counts."""
    path = tmp_path / "home"
    (path / ".ssh").mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return path
