"""Hundreds of runs through one controller process over SSH: it does not grow, and the machines are afterwards as they were."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.conftest import Controller, unchanged

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs

TIMES = 300
WARM = 60
NOISE_KB = 16
"""What a run may cost for good: its report, which is told at the end, and what the allocator makes of it."""
pytestmark = [pytest.mark.namespaces, pytest.mark.demand]


class Seen(NamedTuple):
    """The controller after so many ``runs``."""

    runs: int
    rss_kb: int
    descriptors: int


def seen(controller: Controller, process: subprocess.Popen[str]) -> Iterator[Seen]:
    """The process at each run that has come to its report, until it ends."""
    last = -1
    while process.poll() is None:
        runs = sum(1 for _ in controller.runs.glob("*/*/report.json"))
        if runs > last:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
                yield Seen(runs, rss, len(os.listdir(f"/proc/{process.pid}/fd")))
            except (OSError, StopIteration):
                return
            last = runs
        time.sleep(0.05)


def test_one_process_runs_so_often(sshlab: Labs, tmp_path: Path) -> None:
    lab = sshlab("two-hosts", clocks=True)
    controller = Controller(tmp_path, lab)
    out = tmp_path / "out.json"
    with unchanged(lab), out.open("w") as file:
        process = controller.start("run", "connection-refused", *controller.i, "--times", str(TIMES), "--json", stdout=file)
        found = list(seen(controller, process))
        _out, errors = process.communicate(timeout=60)
    reports = json.loads(out.read_text())["runs"]
    assert (process.returncode, errors) == (0, "")
    assert [report["value"] for report in reports] == ["passed"] * TIMES
    warm = [one for one in found if WARM <= one.runs < TIMES]
    first, last = warm[: len(warm) // 4], warm[-len(warm) // 4 :]
    grown = statistics.median(one.rss_kb for one in last) - statistics.median(one.rss_kb for one in first)
    apart = statistics.median(one.runs for one in last) - statistics.median(one.runs for one in first)
    per_run = grown / apart
    print(f"\n  {TIMES} runs: {warm[0].rss_kb} kB after {WARM}, {warm[-1].rss_kb} kB at the end, {per_run:.2f} kB a run;")
    print(f"  descriptors {sorted({one.descriptors for one in warm})}")
    assert per_run < NOISE_KB
    descriptors = {statistics.median(one.descriptors for one in part) for part in (first, last)}
    assert len(descriptors) == 1, descriptors
