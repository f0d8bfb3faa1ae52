"""Commands -> seconds, and seconds -> a table. Interleaved, so that what the machine does meanwhile hits all of them alike.

Knows nothing of what it times. Surprising: the kernel goes on freeing namespaces for 50 to 90 ms after the last process of a lab has
gone, and who starts in that time pays for its predecessor; so each run is given a clear start.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

CLEAR_START_S = 0.2
SYSTEM_PYTHON = "/usr/bin/python3"
Figure = TypeVar("Figure")


class Way(NamedTuple):
    """One competitor: its name in the table, and the words that run it once. It must end with 0, or the figure would be worth nothing."""

    name: str
    words: Sequence[str]


def environment() -> dict[str, str]:
    """What every competitor gets: one plain Python with its byte code kept, and Debian's own distutils for Mininet.

    (setuptools' stand-in for distutils costs Mininet 120 ms.)
    """
    python = SYSTEM_PYTHON if os.path.exists(SYSTEM_PYTHON) else sys.executable
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHON": python, "SETUPTOOLS_USE_DISTUTILS": "stdlib"}


def seconds_of(way: Way) -> float:
    """Run ``way`` once, whole process."""
    time.sleep(CLEAR_START_S)
    began = time.perf_counter()
    done = subprocess.run(way.words, env=environment(), capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{way.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took


def interleaved(ways: Sequence[Way], rounds: int, measure: Callable[[Way], Figure]) -> dict[str, list[Figure]]:
    """A B C A B C ...: ``rounds`` figures of each. One round more goes first and is thrown away: it fills caches and writes byte code."""
    figures: dict[str, list[Figure]] = {way.name: [] for way in ways}
    for turn in range(rounds + 1):
        for way in ways:
            figure = measure(way)
            if turn:
                figures[way.name].append(figure)
    return figures


def table(title: str, figures: dict[str, list[float]], unit: float = 1e3, digits: int = 1) -> str:
    """A Markdown table in milliseconds (or what ``unit`` makes of seconds); ratios are to the first way's median."""
    base = statistics.median(next(iter(figures.values())))
    rows = [f"| {title} | median | min | max | times the first | n |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, values in figures.items():
        middle = statistics.median(values)
        low, high = min(values) * unit, max(values) * unit
        rows.append(f"| {name} | {middle * unit:.{digits}f} | {low:.{digits}f} | {high:.{digits}f} | {middle / base:.2f} | {len(values)} |")
    return "\n".join(rows)


def machine() -> str:
    """One line about where this was measured."""
    system = os.uname()
    return f"{os.cpu_count()} cores, Linux {system.release}, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.2f}"
