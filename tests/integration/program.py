"""The program under test, started as a person starts it: a process of its own, whose words, status and run folder are looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ROOT
from tests.integration import leftovers

_KEEPS_RUNS = ("run", "recheck", "show", "ls", "shell")
HERE = Path(__file__).parent / "scenarios"


class Done(NamedTuple):
    """What became of one command."""

    code: int
    out: str
    err: str


class Program:
    """``orchestrate`` with a folder for its runs. ``before`` are the words that lead its command line, ``python`` runs ``checkout``."""

    def __init__(self, folder: Path, *, before: Sequence[str] = (), python: str = sys.executable, path: str = "", **env: str) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.before = tuple(before)
        self.python = python
        self.env = {**os.environ, "PYTHONPATH": path or str(ROOT), **env}
        self.begun: list[subprocess.Popen[str]] = []

    def words(self, command: str, *arguments: str | Path) -> list[str]:
        """The whole command line."""
        runs = ["--runs", str(self.runs)] if command in _KEEPS_RUNS and "--runs" not in arguments else []
        return [*self.before, self.python, "-m", "orchestrator", command, *runs, *map(str, arguments)]

    def start(self, command: str, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Begin, in a session of its own."""
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.env, "cwd": "/", **options}
        process = subprocess.Popen(self.words(command, *arguments), text=True, start_new_session=True, **given)
        self.begun.append(process)
        return process

    def run(self, command: str, *arguments: str | Path, timeout: float = 60, **options: Any) -> Done:
        """Begin, and wait for the end."""
        return self.ended(self.start(command, *arguments, **options), timeout)

    @staticmethod
    def ended(process: subprocess.Popen[str], timeout: float = 60) -> Done:
        """Wait for the end of what was begun; it never ends in a traceback."""
        out, err = process.communicate(timeout=timeout)
        assert "Traceback" not in (err or ""), err
        assert "Traceback" not in (out or ""), out
        return Done(process.returncode, out or "", err or "")

    def close(self) -> None:
        """Whatever still runs is killed, for the next test's sake."""
        for process in self.begun:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()

    # -- what a run keeps

    def directories(self, scenario: str = "*") -> list[Path]:
        """The folders of the runs, oldest first."""
        return sorted((path for path in self.runs.glob(f"{scenario}/*Z-*") if not path.is_symlink()), key=lambda path: path.name)

    def stage(self, name: str, scenario: str = "*") -> dict[str, Any]:
        """One stage of the newest run."""
        return json.loads((self.directories(scenario)[-1] / f"{name}.json").read_text())

    def has(self, name: str) -> bool:
        """Whether the newest run kept a file so called."""
        found = self.directories()
        return bool(found) and (found[-1] / name).exists()

    # -- what a run does

    @staticmethod
    def wait_for_hosts(process: subprocess.Popen[str], count: int = 2) -> list[int]:
        """The agents, once there are so many of them; none if the run ends before."""
        while process.poll() is None:
            found = leftovers.hosts(process.pid)
            if len(found) >= count:
                return found
            time.sleep(0.005)
        return []


def wait_until(holds: Any, patience_s: float = 10.0) -> None:
    """Wait until ``holds()``, with a bound."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.005)


def scenario(folder: Path, name: str, text: str) -> Path:
    """A scenario of a test's own: ``text`` is what stands below its head."""
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"scenario: {name}\ntitle: {name.replace('-', ' ').capitalize()}\n{text}")
    return path
