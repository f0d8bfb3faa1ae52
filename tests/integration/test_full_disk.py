"""A disk that is full, or not ours to write: one sentence, exit code 3, and no host left behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.program import Done, Program, scenario

pytestmark = [pytest.mark.namespaces, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")]
SIZE = 64 * 1024
BULK = """
topology: two-hosts
steps:
  - {host: juliet, shell: nc -l -p 4000 > /dev/null, ready: {listening: 4000}, as: server}
  - {host: romeo, shell: head -c 200000 /dev/zero | nc -N juliet 4000}
  - {host: romeo, after: 500ms, call: sock = socket.socket()}
"""


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


@pytest.fixture
def disk(program: Program) -> Iterator[Path]:
    """The folder of the runs, on a disk of 64 KiB."""
    program.runs.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", program.runs)
    yield program.runs
    subprocess.run(["umount", program.runs], check=True)


def fill(disk: Path, left: int) -> None:
    """Fill the disk up to ``left`` bytes."""
    (disk / "filler").write_bytes(bytes(SIZE - left))


def one_sentence(done: Done, what: str) -> None:
    assert done.code == 3, done
    (line,) = done.err.splitlines()
    assert line.startswith("cannot ")
    assert what in line


@pytest.mark.parametrize("pages", range(0, 16, 2))
def test_a_disk_that_is_full_sooner_or_later(program: Program, disk: Path, pages: int) -> None:
    fill(disk, pages * 4096)
    done = program.run("run", "connection-refused")
    if pages >= 12 and done.code == 0:
        return
    one_sentence(done, "the disk is full; free some space, or name another folder with --runs")
    assert not list(disk.glob("*/*/.*.part"))


def test_a_capture_larger_than_the_disk(program: Program, disk: Path) -> None:
    done = program.run("run", scenario(program.folder, "bulk", BULK))
    one_sentence(done, "the disk is full")
    assert ".pcap" in done.err


def test_two_runs_and_one_disk(program: Program, disk: Path) -> None:
    done = program.run("run", scenario(program.folder, "bulk", BULK), "connection-refused", "--jobs", "2")
    assert (done.code, done.err) == (3, "")
    assert "the disk is full; free some space" in " ".join(done.out.split())


def test_of_several_runs_one_that_cannot_be_kept_hinders_no_other(program: Program) -> None:
    program.runs.mkdir()
    (program.runs / "open-socket").write_text("in the way of its runs")
    done = program.run("run", "open-socket", "connection-refused", "bind-listen")
    assert (done.code, done.err) == (3, "")
    assert "cannot make" in done.out
    assert [program.stage("report", name)["value"] for name in ("connection-refused", "bind-listen")] == ["passed"] * 2


def test_a_disk_that_cannot_be_written(program: Program, disk: Path) -> None:
    mount("-o", "remount,ro", program.runs)
    one_sentence(program.run("run", "connection-refused"), "Read-only file system; name a folder that you may write with --runs")


def test_a_disk_that_cannot_be_written_any_more(program: Program, disk: Path) -> None:
    text = "topology: two-hosts\ncapture: []\nsteps:\n  - {host: romeo, run: sleep 1}\n"
    process = program.start("run", scenario(program.folder, "slow", text))
    assert program.wait_for_hosts(process)
    mount("-o", "remount,ro", program.runs)
    one_sentence(program.ended(process), "Read-only file system")


def test_a_folder_that_is_not_ours(ordinary: Program, tmp_path: Path) -> None:
    ordinary.runs = tmp_path / "runs"
    one_sentence(ordinary.run("run", "connection-refused"), "Permission denied; name a folder that you may write with --runs")


def test_output_that_cannot_be_written(program: Program) -> None:
    with open("/dev/full", "w") as full:
        done = program.run("run", "connection-refused", stdout=full)
    assert (done.code, done.err) == (3, "cannot write to the standard output: No space left on device\n")


def test_a_report_that_cannot_be_written(program: Program) -> None:
    done = program.run("run", "connection-refused", "--junit", "/dev/full")
    assert (done.code, done.err) == (3, "cannot write /dev/full: No space left on device\n")
