"""What a run could leave behind on this machine, and who belongs to it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

MARK = "ORCHESTRATE_TEST_RUN"
PATIENCE_S = 5.0


def processes(mark: str) -> list[int]:
    """Every process that has ``mark`` in its environment; forked ones keep it."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                if wanted in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
    return found


def namespaces(kind: str = "net") -> set[str]:
    """The namespaces that some process holds."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{entry}/ns/{kind}"))
    return found


def hosts(mark: str) -> list[int]:
    """The agents of a run: each is process 1 of a PID namespace two levels down."""
    found = []
    for pid in processes(mark):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("NSpid:"):
                    numbers = line.split()[1:]
                    if len(numbers) == 3 and numbers[-1] == "1":
                        found.append(pid)
    return found


def wait_for_none(mark: str) -> list[int]:
    """Wait, with a bound, until no process of the run is left; gives those that are."""
    end = time.monotonic() + PATIENCE_S
    while (left := processes(mark)) and time.monotonic() < end:
        time.sleep(0.01)
    return left
