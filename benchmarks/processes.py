"""A command -> the most memory that it and each of its descendants held, from ``/proc``. Knows nothing of what they do.

RSS counts shared pages in every process, PSS divides them: agents that are forked from one loaded process differ widely in the two.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLL_S = 0.01


def parents() -> dict[int, int]:
    """Each process and its parent; the command in ``stat`` may hold blanks, so count from its closing bracket."""
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                found[int(directory.name)] = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def descendants(root: int) -> list[int]:
    """Everything that ``root`` started, and what that started."""
    tree = parents()
    found = [root]
    for pid in found:
        found += [child for child, parent in tree.items() if parent == pid]
    return found[1:]


def held_kb(pid: int) -> tuple[int, int]:
    """RSS and PSS now; zeros for a process that has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.endswith("kB")}
    return fields.get("Rss", 0), fields.get("Pss", 0)


def peaks_mb(words: Sequence[str]) -> dict[str, float]:
    """Run ``words`` to the end; the peaks of the controller and of the largest process that it started."""
    peaks = {
        "controller, RSS": 0,
        "controller, PSS": 0,
        "largest process of its own, RSS": 0,
        "largest process of its own, PSS": 0,
        "all together, PSS": 0,
    }
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as controller:
        while controller.poll() is None:
            own = held_kb(controller.pid)
            agents = [held_kb(pid) for pid in descendants(controller.pid)]
            largest = max(agents, default=(0, 0))
            together = own[1] + sum(pss for _, pss in agents)
            peaks = {name: max(peak, now) for (name, peak), now in zip(peaks.items(), (*own, *largest, together), strict=True)}
            time.sleep(POLL_S)
        problem = controller.stderr.read() if controller.stderr else ""
    if controller.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with {controller.returncode}:\n{problem}")
    return {name: peak / 1024 for name, peak in peaks.items()}
