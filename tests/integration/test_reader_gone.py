"""Whoever reads the program's output may leave at any time: the run goes to its end, and its exit code is its verdict."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.program import Program, scenario

pytestmark = pytest.mark.namespaces
WRONG = """
topology: two-hosts
steps:
  - {host: romeo, call: [sock = socket.socket(), 'sock.connect(("juliet", 4000))'], raises: TimeoutError}
"""


def read_one_line(program: Program, *arguments: str | Path) -> tuple[int, str]:
    """As ``orchestrate ... | head -1`` does."""
    process = program.start(*arguments)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=30)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    return process.returncode, line


@pytest.mark.parametrize("options", [[], ["-v"], ["-vv"], ["--json"], ["--times", "3"]])
def test_a_reader_that_takes_one_line(program: Program, options: list[str]) -> None:
    code, line = read_one_line(program, "run", "connection-refused", *options)
    assert (code, bool(line.strip())) == (0, True)
    assert all((run / "report.json").exists() for run in program.directories())


def test_a_reader_that_leaves_does_not_turn_a_failure_into_a_pass(program: Program) -> None:
    assert read_one_line(program, "run", scenario(program.folder, "wrong", WRONG))[0] == 1
    assert read_one_line(program, "recheck", "wrong")[0] == 1


@pytest.mark.parametrize("options", [[], ["-v"], ["--json"]])
def test_no_reader_at_all(program: Program, options: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = program.run("run", "connection-refused", *options, stdout=theirs)
    os.close(theirs)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed(program: Program, closed: str) -> None:
    words = program.words("run", "connection-refused")
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *words], env=program.env, cwd="/", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert program.stage("report")["value"] == "passed"
    again = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *program.words("ls")], env=program.env, capture_output=True, check=False)
    assert (again.returncode, again.stderr) == (0, b"")
