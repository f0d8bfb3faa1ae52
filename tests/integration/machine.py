"""A machine for the tests of what a real host needs: a network and a ``/run`` of its own, with an administrator's things on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.agent import protocol
from orchestrator.agent.safety.processes import since
from orchestrator.connectors import bundle, local
from orchestrator.connectors.session import Session

SECOND = 1_000_000_000
_MADE = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip link set lo up
ip link add eth1 type veth peer name eth2
ip address add 10.9.0.1/24 dev eth1
ip link set eth1 up
ip link set eth2 up
ip -6 address add fd09::1/64 dev eth1 nodad
ip route add 10.77.0.0/16 via 10.9.0.2
ip -6 route add fd77::/48 via fd09::2
iptables -A INPUT -p tcp --dport 1 -j ACCEPT -m comment --comment "an administrator's own"
iptables -A INPUT -p tcp --dport 2 -j ACCEPT -m comment --comment "orchestrate:lab of alice"
iptables -A INPUT -p tcp --dport 3 -j ACCEPT -m comment --comment "not orchestrate:abc:x"
iptables -A INPUT -p tcp --dport 4 -j ACCEPT -m comment --comment "orchestrate:ABC:x"
iptables -A INPUT -p tcp --dport 5 -j ACCEPT -m comment --comment "orchestrate:00000000: see the manual"
echo ready
exec sleep 600
"""
PYTHON = os.path.realpath(sys.executable)
"""Its own file: a virtual environment may be in a folder that the machine does not see."""
SYSCTLS = ("net.ipv4.ip_forward", "net.ipv4.tcp_sack", "net.ipv4.conf.eth1.log_martians", "net.ipv4.tcp_syn_retries")


class Machine:
    """It lives until :meth:`close`. An agent in it sees the processes of this machine, and only its own network and ``/run``."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", _MADE], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.inside = ("nsenter", "-t", str(self._holder.pid), "-n", "-m", "--")
        self.before = self.state()
        self.waiting: set[int] = set()

    def close(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):  # a guardian that was about to leave
                os.kill(pid, signal.SIGKILL)
        self._holder.wait(10)
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def do(self, *words: str, check: bool = True) -> str:
        return subprocess.run([*self.inside, *words], capture_output=True, text=True, check=check, timeout=20).stdout

    def processes(self) -> set[int]:
        """Everything that is in this network, alive."""
        ours = os.readlink(f"/proc/{self._holder.pid}/ns/net")
        found = set()
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/net") == ours and since(int(name)):
                    found.add(int(name))
        return found

    def state(self) -> dict[str, object]:
        """All that a run could alter, without what changes by itself."""
        rules = [re.sub(r"\[\d+:\d+\]", "", self.do(tool)) for tool in ("iptables-save", "ip6tables-save")]
        shown = [
            line for text in rules for line in text.splitlines() if line.startswith("-A") or (line[:1] == ":" and "ACCEPT" not in line)
        ]
        network = [sorted(self.do("ip", *words).splitlines()) for words in (("-4", "route"), ("-6", "route"))]
        addresses = [
            (device["ifname"], "UP" in device["flags"], sorted((fact["local"], fact["prefixlen"]) for fact in device["addr_info"]))
            for device in json.loads(self.do("ip", "-j", "address"))
        ]
        sysctls = [self.do("sysctl", "-n", key).strip() for key in SYSCTLS]
        offloads = [line for line in self.do("ethtool", "-k", "eth1").splitlines() if "segmentation" in line]
        files = sorted(line for line in self.do("find", "/run", "/tmp").splitlines() if "xtables" not in line)
        return {"rules": shown, "routes": network, "addresses": addresses, "sysctls": sysctls, "offloads": offloads, "files": files}

    def changed(self, *, but_outcomes: bool = False) -> dict[str, object]:
        """What is not as it was, processes included; ``but_outcomes``: an outcome may still wait to be asked for, and so its guardian."""
        now, before = self.state(), self.before
        if but_outcomes:
            now["files"] = [name for name in now["files"] if not name.endswith(".journal") and name != "/run/orchestrate"]  # type: ignore[attr-defined]
        changed: dict[str, object] = {key: now[key] for key in before if now[key] != before[key]}
        others = self.processes() - {self._holder.pid} - (self.waiting if but_outcomes else set())
        if others:
            changed["processes"] = {pid: _command(pid) for pid in others}
        return changed

    async def wait_restored(self, seconds: float = 30, *, but_outcomes: bool = True) -> None:
        """Wait until everything is as it was, with nobody helping."""
        until = time.monotonic() + seconds
        while changed := self.changed(but_outcomes=but_outcomes):
            assert time.monotonic() < until, changed
            await asyncio.sleep(0.1)

    async def start(self, stderr: int = asyncio.subprocess.PIPE) -> Started:
        session, process = await local.start("romeo", [*self.inside, PYTHON], bundle.GUARDIAN, stderr)
        hello = await session.greeted()
        return Started(self, session, process, hello["pid"])

    async def taken(self, stderr: int = asyncio.subprocess.PIPE) -> Started:
        started = await self.start(stderr)
        started.run = "7e57"
        await started.session.ask(protocol.GUARD, run=started.run, who="alice@laptop")
        return started


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()[-60:]
    return "gone meanwhile"


class Started:
    """An agent and its guardian on a machine."""

    def __init__(self, machine: Machine, session: Session, process: asyncio.subprocess.Process, agent: int) -> None:
        self.machine, self.session, self.process, self.agent = machine, session, process, agent
        self.run = ""

    async def prepare(self, *actions: dict, **more: object) -> None:
        await self.session.ask(protocol.PREPARE, run=self.run, actions=list(actions), **more)

    async def fire(self, *keys: str) -> list[dict]:
        return await self.session.ask(protocol.FIRE, actions=list(keys), at=0)

    async def ended(self) -> dict | None:
        """Wait until the guardian has done its work and hung up; gives its last words, if it had any."""
        assert self.process.stderr is not None
        said = await asyncio.wait_for(self.process.stderr.read(), 30)
        self.machine.waiting.add(self.process.pid)
        lines = said.decode().splitlines()
        assert len(lines) < 2, lines
        return json.loads(lines[0]) if lines else None


def act(key: str, do: str, *, name: str | None = None, timeout_ns: int = 5 * SECOND, **fields: object) -> dict:
    named = {"name": name} if name else {}
    return {"id": key, "timeout_ns": timeout_ns, "name": name, "background": False, "action": {"do": do, **fields, **named}}


def rule(key: str, name: str, words: str, tool: str = "iptables") -> dict:
    return act(key, "iptables", name=name, tool=tool, words=words.split())


def live(body: Callable[[Machine], object]) -> None:
    """A test on a machine of its own; at its end nothing of it is left."""
    machine = Machine()

    async def whole() -> None:
        async with asyncio.timeout(60):
            await body(machine)  # type: ignore[misc]

    try:
        asyncio.run(whole())
    finally:
        machine.close()
