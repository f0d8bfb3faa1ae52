"""One machine of a lab as a test sees it: what runs there, and what a test does to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.sshlab.machine import PATH
from tests.sshlab.plan import Blueprint
from tests.sshlab.state import State, collect

_NAMESPACES = ("--mount", "--net", "--uts", "--ipc", "--pid")
_BALLAST = ".ballast"


@dataclass(frozen=True, kw_only=True)
class Process:
    """``pid`` is the machine's own number, ``outer`` ours; ``state`` is that of proc(5) (``R``, ``S``, ``T``, ``Z``)."""

    pid: int
    outer: int
    parent: int
    user: int
    state: str
    argv: tuple[str, ...]


class Machine:
    """``plan`` is what it was made from (address, nics with their MACs), ``pid`` its process 1 as we see it."""

    def __init__(self, plan: Blueprint, *, pid: int, hub: int, disk: Path) -> None:
        self.plan, self.pid = plan, pid
        self.name = plan.name
        self.files = Path(f"/proc/{pid}/root")
        self.written = Path(f"/proc/{hub}/root{disk}/upper")
        """What was written anywhere on its root file system: the upper layer of its overlay."""

    def run(
        self, argv: list[str], *, user: str = "root", timeout_s: float = 60, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there without SSH; standard input is ``text`` or nothing."""
        home = "/root" if user == "root" else f"/home/{user}"
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        spaces = [*_NAMESPACES, *(["--time"] if self.plan.ahead_s else [])]
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), *spaces, f"--wdns={home}", "--", *become, *argv],
            env={"PATH": PATH, "HOME": home, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"},
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def processes(self, pattern: str = "") -> list[Process]:
        """Those with ``pattern`` in their words (joined by blanks), by their numbers."""
        space = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") == space:
                    found.append(_process(entry))
        return sorted((one for one in found if pattern in " ".join(one.argv)), key=lambda one: one.pid)

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """``pid`` is the machine's own."""
        os.kill(next(one.outer for one in self.processes() if one.pid == pid), number)

    def freeze(self, pattern: str) -> list[Process]:
        """Stop what has ``pattern`` in its words, process 1 excepted; gives whom. At least one must be there."""
        return self._signal(pattern, signal.SIGSTOP)

    def thaw(self, pattern: str) -> list[Process]:
        """Let it go on."""
        return self._signal(pattern, signal.SIGCONT)

    def _signal(self, pattern: str, number: signal.Signals) -> list[Process]:
        meant = [one for one in self.processes(pattern) if one.pid != 1]
        assert meant, f"no process on {self.name} has {pattern!r} in its words: {self.processes()}"
        for one in meant:
            os.kill(one.outer, number)
        return meant

    def wait_for_processes(self, pattern: str, *, gone: bool = False, within_s: float = 30) -> list[Process]:
        """Until there is one (or, ``gone``, none) with ``pattern`` in its words."""
        end = time.monotonic() + within_s
        while bool(found := [one for one in self.processes(pattern) if one.pid != 1]) == gone:
            assert time.monotonic() < end, f"{self.name}: {pattern!r} is {'still' if gone else 'not'} there: {self.processes()}"
            time.sleep(0.01)
        return found

    def fill_disk(self, path: str = "/tmp") -> int:
        """Fill the file system at ``path`` to its last byte; gives how many bytes it took. ``/``: the root file system."""
        folder = self.files / path.strip("/")
        taken = 0
        with (folder / _BALLAST).open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while written := file.write(b"x" * size):
                        taken += written
        return taken

    def free_disk(self, path: str = "/tmp") -> None:
        """Give back what :meth:`fill_disk` took."""
        (self.files / path.strip("/") / _BALLAST).unlink(missing_ok=True)

    def state(self, patience_s: float = 5) -> State:
        """All that a run must put back. Waits, with this bound, until sshd's sessions that are ending have ended."""
        end = time.monotonic() + patience_s
        while self.processes("sshd: ") != self.processes("[listener]") and time.monotonic() < end:
            time.sleep(0.01)
        return collect(self)

    def wait_for_state(self, before: State, within_s: float = 30) -> None:
        """Until its state is that of before again; the assertion shows what differs."""
        end = time.monotonic() + within_s
        while difference := before.difference(self.state(patience_s=0.1)):
            assert time.monotonic() < end, f"{self.name} is not what it was:\n{difference}"
            time.sleep(0.05)


def _process(entry: str) -> Process:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{entry}/status").read_text().splitlines() if ":" in line)
    words = Path(f"/proc/{entry}/cmdline").read_bytes().rstrip(bytes(1)).split(bytes(1))
    argv = tuple(word.decode(errors="replace") for word in words) if words != [b""] else (f"[{status['Name'].strip()}]",)
    numbers = status["NSpid"].split()
    return Process(
        pid=int(numbers[-1]),
        outer=int(entry),
        parent=int(status["PPid"]),
        user=int(status["Uid"].split()[0]),
        state=status["State"].split()[0],
        argv=argv,
    )
