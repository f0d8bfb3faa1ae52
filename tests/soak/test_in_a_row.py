"""Hundreds of runs in a row: every one passes at the first try, and the machine is afterwards as it was."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration import leftovers
from tests.integration.program import Program

SECTION_A = (
    "open-socket",
    "connection-refused",
    "udp-refused",
    "bind-listen",
    "connection-establishment",
    "handshake-options",
    "handshake-options-mtu",
    "send-receive",
    "connection-termination",
)
TIMES = 200
CACHED_NETWORKS = 40
pytestmark = [pytest.mark.namespaces, pytest.mark.demand]
_ON_FRESH_DISKS = """
mount --bind "$KEPT" /mnt || exit 99
for folder in /tmp /var/tmp /run /dev/shm; do mount -t tmpfs tmpfs $folder || exit 99; done
find /tmp /var/tmp /run /dev/shm > /mnt/before  # mount(8) keeps notes of its own
"$@"
code=$?
find /tmp /var/tmp /run /dev/shm > /mnt/after
exit $code
"""


@contextmanager
def unchanged_machine() -> Iterator[None]:
    """Processes, namespaces, files and settings are afterwards what they were."""
    networks, settings, files = leftovers.kernels_networks(), leftovers.settings(), leftovers.files()
    held = leftovers.namespaces()
    yield
    assert leftovers.wait_for_none() == []
    assert leftovers.files() == files
    assert leftovers.settings() == settings
    end = time.monotonic() + 30  # other people's runs on this machine come and go
    while (new := leftovers.namespaces() - held) and time.monotonic() < end:
        time.sleep(0.1)
    assert new == set()
    while (left := leftovers.kernels_networks()) > networks + CACHED_NETWORKS and time.monotonic() < end:
        time.sleep(0.1)
    assert left <= networks + CACHED_NETWORKS, "a run that left one network would have left hundreds"
    print(f"\n  the kernel's networks: {networks} before, {left} after")


def in_a_row(program: Program, *names: str) -> None:
    took, runs = [], 0
    with unchanged_machine():
        for number in range(TIMES):
            began = time.monotonic()
            done = program.run("run", *names, "--json")
            took.append(1000 * (time.monotonic() - began))
            reports = json.loads(done.out)["runs"]
            runs += len(reports)
            assert (done.code, done.err) == (0, ""), (number, [report for report in reports if report["value"] != "passed"])
    assert len(program.directories()) == runs
    middle, last = statistics.median(took), statistics.quantiles(took, n=100)[98]
    print(f"  {TIMES} processes, {runs} runs, all passed; median {middle:.0f} ms, p99 {last:.0f} ms, longest {max(took):.0f} ms")


def test_connection_refused_in_a_row(program: Program) -> None:
    in_a_row(program, "connection-refused")


def test_section_a_in_a_row(program: Program) -> None:
    in_a_row(program, *SECTION_A)


def test_section_a_in_a_row_as_an_ordinary_user(ordinary: Program) -> None:
    in_a_row(ordinary, *SECTION_A)


def test_one_process_runs_section_a_so_often(program: Program) -> None:
    """The process that makes hosts serves thousands of them, several at once, and leaves nothing in itself."""
    with unchanged_machine():
        done = program.run("run", *SECTION_A, "--times", str(TIMES), "--jobs", "2", "--json", timeout=1200)
        reports = json.loads(done.out)["runs"]
        bad = [report["label"] for report in reports if report["value"] != "passed"]
        assert (done.code, done.err, bad) == (0, "", [])
    print(f"  one process, {len(reports)} runs, all passed")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the program fresh disks")
def test_no_file_outside_the_runs(program: Program) -> None:
    program.before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _ON_FRESH_DISKS, "sh")
    program.env["KEPT"] = str(program.folder)
    names = (*SECTION_A, "netcat-client-closes", "syn-ack-dropped", "syn-rejected", "tcp-socket-lab", "established-count")
    done = program.run("run", *names, "--times", "10", "--runs", "/mnt/runs", timeout=300)
    assert done.code == 0, done
    assert (program.folder / "after").read_text() == (program.folder / "before").read_text()
