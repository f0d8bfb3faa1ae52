"""A topology -> hosts on this machine: anonymous Linux namespaces, each held by its agent. No server, no root.

Knows nothing of scenarios. When the testbed goes down the agents are killed, and the kernel takes back links, addresses and rules with
their namespaces: links are never deleted first, which would cost a grace period each (20 ms).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping

from orchestrator.agent import protocol
from orchestrator.agent.seeing.survey import which
from orchestrator.connectors.channel import SocketChannel
from orchestrator.connectors.session import Session
from orchestrator.errors import TOO_MANY_FILES, AgentError, AgentLost, OrchestratorError, Overdue, TestbedError, Unsupported
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.scenario import Needs
from orchestrator.model.topology import Testbed, Topology
from orchestrator.testbeds import iproute
from orchestrator.testbeds.forkserver import SWITCH, ForkServer
from orchestrator.testbeds.survey import survey

_UP_S = 60.0
_LINES_S = 15.0
_BEAT_S = 2.0
_AT_ONCE = 8
"""So many hosts are configured at one time: the kernel has one lock for all of it, and a crowd in front of that only costs."""
_KINDS = ("user", "pid", "net", "mnt", "uts", "ipc")
_PACKAGES = "iproute2 (Debian, Ubuntu) or iproute (Fedora)"


class ThisMachine:
    """A site: as many hosts as are asked for, made by one process."""

    at_once: int | None = None

    def __init__(self, server: ForkServer) -> None:
        self._server = server

    def hosts(self, topology: Topology, family: str, _run_id: str) -> Namespaces:
        """Hosts for one run."""
        return Namespaces(self._server, topology, family)

    async def close(self) -> None:
        """Whoever started the process ends it."""


class Namespaces:
    """A testbed of namespaces: down, up, down."""

    def __init__(self, server: ForkServer, topology: Topology, family: str = "ipv4") -> None:
        self.topology = topology
        self.family = family
        self.sessions: dict[str, Session] = {}
        self.processes: dict[str, int] = {}
        self.logins: dict[str, tuple[str, ...]] = {}
        """The hosts' process ids as this machine sees them."""
        self._server = server
        self._switch: Session | None = None
        self._handles: list[int] = []
        self._inside: dict[str, int] = {}

    async def survey(self, needs: Needs) -> Testbed:
        """What they will have."""
        return survey(self.topology, needs)

    async def up(self, _plan: Plan | None = None) -> None:
        """Make hosts and links, and wait until every link works.

        :raises TestbedError: the system does not permit it, or a tool is missing; says what to do.
        :raises Unsupported: this kernel cannot impair links as the topology asks.
        """
        if not which("ip"):
            raise TestbedError(f"hosts are connected by iproute2's ip, which is missing: install the package {_PACKAGES}")
        try:
            async with asyncio.timeout(_UP_S):
                await self._fork()
                await self._connect()
        except TimeoutError:
            await self.down()
            raise TestbedError(f"the hosts of topology {self.topology.name} were not up within {_UP_S:g} s") from None
        except BaseException:
            await self.down()
            raise

    async def _fork(self) -> None:
        text = self.topology.neighbours(self.family)
        try:
            self._switch = self._one(SWITCH, "")
            for host in self.topology.hosts:
                self.sessions[host.name] = self._one(host.name, text)
        except OSError as error:
            raise TestbedError(_what_to_permit(error)) from error
        try:
            await asyncio.gather(*(session.greeted() for session in [self._switch, *self.sessions.values()]))
        except AgentError as error:
            refused = [session.refusal for session in [self._switch, *self.sessions.values()] if session.refusal is not None]
            if not refused:
                raise
            raise TestbedError(_what_to_permit(refused[0])) from error

    def _one(self, name: str, hosts: str) -> Session:
        channel, handle, pid = self._server.spawn(name, hosts)
        self._handles.append(handle)
        self._inside[name] = pid
        if name != SWITCH:
            self.processes[name] = _outer_pid(handle)
        return Session(name or "switch", SocketChannel(channel))

    async def _connect(self) -> None:
        try:
            await self._wire()
        except AgentError as error:
            culprit = await self._culprit()
            if culprit is None or culprit is error:
                raise
            raise culprit from error

    async def _culprit(self) -> AgentError | None:
        """A host that has gone, or is frozen, makes other hosts' lines fail: that tells more than their words."""
        beats = (session.wait_for_answer(session.ask(protocol.BEAT), _BEAT_S, "answer a heartbeat") for session in self.sessions.values())
        answers = await asyncio.gather(*beats, return_exceptions=True)
        return next((answer for answer in answers if isinstance(answer, (AgentLost, Overdue))), None)

    async def _wire(self) -> None:
        if self._switch is None:
            raise TestbedError("the switch is missing")
        await self._ask(self._switch, "ip", iproute.switch_lines(self.topology, self._inside))
        limit = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._configure(name, session, limit) for name, session in self.sessions.items()))
        impaired = {name: lines for name in self.sessions if (lines := iproute.impairments(self.topology, name))}
        if impaired:
            await self._impair(impaired)

    async def _configure(self, name: str, session: Session, limit: asyncio.Semaphore) -> None:
        async with limit:
            interfaces = [port.interface for _network, port in self.topology.ports(name)]
            lines, settings = iproute.host_lines(self.topology, name), iproute.sysctls(self.topology, name)
            await self._ask(session, "ip", lines, sysctl=settings, interfaces=interfaces)

    async def _impair(self, impaired: Mapping[str, tuple[str, ...]]) -> None:
        try:
            await asyncio.gather(*(self._ask(self.sessions[name], "tc", lines) for name, lines in impaired.items()))
        except AgentLost:
            raise
        except AgentError as error:
            raise Unsupported(f"this kernel cannot impair the links of topology {self.topology.name}: {error}") from error

    @staticmethod
    async def _ask(session: Session, tool: str, lines: Iterable[str], **fields: object) -> None:
        await session.wait_for_answer(session.ask(protocol.LINES, tool=tool, lines=list(lines), **fields), _LINES_S, "bring its links up")

    def watch(self, on_broken: Callable[[OrchestratorError], None]) -> None:
        """From now on tell when the links of all hosts are lost; a host that is lost, its own session tells."""

        def lost(error: AgentLost) -> None:
            on_broken(TestbedError(f"the hosts lost their links in the midst of the run: {error}"))

        if self._switch is not None:
            self._switch.on_lost = lost
            if self._switch.lost is not None:
                lost(self._switch.lost)

    async def account(self, record: RunRecord) -> RunRecord:
        """Of a host that was lost nothing is left to be asked: the kernel has taken it back."""
        return record

    async def down(self) -> None:
        """Kill every host; the kernel does the rest at once, and frees its memory 50 to 90 ms later."""
        for session in [*self.sessions.values(), *([self._switch] if self._switch else [])]:
            session.close()
        for handle in self._handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        for handle in self._handles:
            os.close(handle)
        self.sessions, self._switch, self._handles = {}, None, []


def _outer_pid(handle: int) -> int:
    """The process id behind a pidfd, in our own PID namespace (proc(5), fdinfo)."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("Pid:")), 0)


def _what_to_permit(error: OSError) -> str:
    """Why this machine lets nobody make hosts, and what its administrator can do."""
    if error.errno == errno.EMFILE:
        return TOO_MANY_FILES
    refused = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return f"this machine limits the number of namespaces ({refused}): sudo sysctl -w {_raised_limits()}"
    if os.geteuid() == 0:
        return (
            f"this machine refuses to make namespaces ({refused}). In a container, start it with --privileged, or with "
            "--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined"
        )
    if _text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        advice = "Ubuntu's AppArmor restricts user namespaces: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    elif _text("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        advice = "Debian's switch is off: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    else:
        advice = "a container or a chroot forbids them: run outside of it, or start the container with --privileged"
    return f"an ordinary user may not make hosts here ({refused}). {advice}; or run as root: sudo {sys.argv[0]} ..."


def _raised_limits() -> str:
    """The limits that have to be raised: those at 0, else all, because which of them was reached nobody says (namespaces(7))."""
    kinds = [kind for kind in _KINDS if _text(f"/proc/sys/user/max_{kind}_namespaces") == "0"] or _KINDS
    return " ".join(f"user.max_{kind}_namespaces=15000" for kind in kinds)


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def describe(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Every privileged line that would run to bring the hosts up, by host; ``switch`` stands for the namespace that holds the links."""
    pids = {host.name: 0 for host in topology.hosts}
    wires = tuple(_named(line, topology) for line in iproute.switch_lines(topology, pids))
    lines = {"switch": tuple(f"ip {line}" for line in wires)}
    for host in topology.hosts:
        settings = tuple(f"sysctl -w {key}={value}" for key, value in iproute.sysctls(topology, host.name).items())
        plain = tuple(f"ip {line}" for line in iproute.host_lines(topology, host.name))
        lines[host.name] = settings + plain + tuple(f"tc {line}" for line in iproute.impairments(topology, host.name))
    return lines


def _named(line: str, topology: Topology) -> str:
    """The line with hosts' names where process ids will stand."""
    names = iter([port.host for network in topology.networks for port in network.ports])
    words = line.split()
    return " ".join(next(names) if index and words[index - 1] == "netns" else word for index, word in enumerate(words))
