"""Every SSH connection of this process: one to each machine, one to each bastion on the way, and the agents started over them.

The border: whatever asyncssh or a system says above this line is an :class:`Unreachable` or an :class:`AgentLost` with one sentence. The
surprising fact: several hosts of a topology may be one machine's, and then share its connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import asyncssh

from orchestrator.connectors.bundle import Bundle, bundle
from orchestrator.connectors.session import GREETING_S, Session
from orchestrator.connectors.ssh.dialing import Dialer, Line, persist, put_down
from orchestrator.connectors.ssh.handshake import SILENT_S, Handshake, closed
from orchestrator.connectors.ssh.keys import Ask
from orchestrator.connectors.ssh.launch import ASKED, Launch, launch, why_not
from orchestrator.connectors.ssh.process import AgentProcess
from orchestrator.connectors.ssh.refusals import Refused, readable
from orchestrator.connectors.ssh.routes import Route, route
from orchestrator.errors import AgentError, AgentLost, Unreachable
from orchestrator.model.inventory import Machine

PATIENCE_S = 20.0
PROVE_S = 4.0
_PROCESS_S = 10.0


class Connections:
    """All connections of one process. ``ask`` asks a person for a passphrase; without it a locked key is not used."""

    def __init__(self, ask: Ask | None = None, *, patience_s: float = PATIENCE_S) -> None:
        self._dialer = Dialer(ask, patience_s)
        self._patience_s = patience_s
        self._lines: dict[Route, asyncio.Task[Line]] = {}
        self._packing: asyncio.Future[Bundle] | None = None

    async def to(self, machine: Machine) -> Connection:
        """The living connection to this machine, or a new one.

        :raises Unreachable: there is none, and why.
        """
        if self._packing is None:  # some 100 ms of compiling, while the network is waited for
            self._packing = asyncio.ensure_future(asyncio.to_thread(bundle))
        try:
            way = route(machine)
            task = self._lines.get(way)
            again = partial(self.to, machine) if task is not None and task.done() and _alive(task) else None
            if task is None or (task.done() and not _alive(task)):
                task = self._lines[way] = asyncio.ensure_future(self._dialer.dial(way))
            connection, handshake = await asyncio.shield(task)
            await asyncio.shield(self._packing)
        except Refused as refusal:
            raise Unreachable(machine.name, str(refusal)) from refusal
        return Connection(machine, connection, (*self._dialer.handshakes(way), handshake), self._patience_s, again)

    async def prove(self, machine: Machine) -> None:
        """One more connection to this machine, authenticated, closed again; bastions on the way keep their line.

        :raises Unreachable: it could not be had within ``PROVE_S``.
        """
        try:
            async with asyncio.timeout(PROVE_S):
                connection, _handshake = await self._dialer.dial(route(machine), PROVE_S)
        except Refused as refusal:
            raise Unreachable(machine.name, f"no fresh connection: {refusal}") from refusal
        except TimeoutError:
            raise Unreachable(machine.name, f"no fresh connection within {PROVE_S:g} s") from None
        await closed(connection, 1.0)

    async def close(self) -> None:
        """End every connection; the agents behind them undo and leave."""
        await asyncio.gather(*(put_down(task) for task in self._lines.values()))
        self._lines.clear()
        await self._dialer.close()
        if self._packing is not None:  # where the first handshake failed it may go on
            self._packing.cancel()
            await asyncio.wait([self._packing])


def _alive(task: asyncio.Task[Line]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result()[1].lost is None


class Connection:
    """The connection to ``machine``. ``again`` gives another one, where this one was there before: its machine may just be ending it."""

    def __init__(
        self,
        machine: Machine,
        connection: asyncssh.SSHClientConnection,
        legs: tuple[Handshake, ...],
        patience_s: float,
        again: Callable[[], Awaitable[Connection]] | None = None,
    ) -> None:
        self.machine = machine
        self._connection = connection
        self._legs = legs
        self._patience_s = patience_s
        self._again = again

    @property
    def user(self) -> str:
        """Whom the machine let in."""
        return self._legs[-1].leg.user

    @property
    def jumps(self) -> tuple[str, ...]:
        """The bastions on the way, first one first, by the names that the configuration knows."""
        legs = [handshake.leg for handshake in self._legs[:-1]]
        return tuple(f"{leg.user}@{f'[{leg.asked}]' if ':' in leg.asked else leg.asked}:{leg.port}" for leg in legs)

    async def start_agent(self, host: str, *, root: bool) -> Session:
        """Push an agent for ``host`` and wait for its greeting. ``root``: with ``sudo -n`` unless the user is root.

        :raises Unreachable: the machine does not run it; says what to do there.
        :raises AgentError: it does not greet, or it speaks another version.
        """
        try:
            return await self._start_agent(host, root=root)
        except Unreachable:
            if self._again is None or all(leg.lost is None for leg in self._legs):
                raise
        return await (await self._again()).start_agent(host, root=root)

    async def _start_agent(self, host: str, *, root: bool) -> Session:
        try:
            start = launch(self.machine, self.user, root=root)
            process = await persist(lambda: self._process(start), self._patience_s)
        except Refused as refusal:
            raise Unreachable(self.machine.name, str(refusal)) from refusal
        session = Session(host, process)
        process.send(start.pushed)
        try:
            await session.greeted(GREETING_S)
        except AgentLost as lost:
            session.close()
            text = await self._why_not(process) if process.left and not session.goodbye else str(lost).removeprefix(f"{host}: ")
            raise Unreachable(self.machine.name, text) from lost
        except BaseException as error:
            session.close()
            if isinstance(error, AgentError) and not process.begun:
                said = f"; it said: {process.last_words()}" if process.last_words() else ""
                raise Unreachable(self.machine.name, f"the agent was not begun within {GREETING_S:g} s by the login shell{said}") from error
            raise
        return session

    async def _why_not(self, process: AgentProcess) -> str:
        """Why the agent did not come up. Whom sudo does not know it asks for a password like others; of ``-v`` it tells the difference."""
        said = ""
        if ASKED in process.words:
            with suppress(OSError, asyncssh.Error, TimeoutError):
                async with asyncio.timeout(_PROCESS_S):
                    said = str((await self._connection.run("sudo -n -v", stdin=asyncssh.DEVNULL, errors="replace")).stderr)
        return why_not(self.machine, self.user, process, said)

    async def _process(self, start: Launch) -> AgentProcess:
        process = AgentProcess(start.marker, self._why_lost)
        bare: dict[str, Any] = {"encoding": None, "env": {}, "send_env": (), "request_pty": False, "x11_forwarding": False}
        try:
            async with asyncio.timeout(_PROCESS_S):
                await self._connection.create_session(lambda: process, start.command, **bare)
        except asyncssh.ChannelOpenError as error:
            raise self._no_channel(error) from error
        except TimeoutError:
            raise Refused(f"no process could be started there within {_PROCESS_S:g} s") from None
        except (OSError, asyncssh.Error) as error:
            raise Refused(self._why_lost(error)) from error
        return process

    def _no_channel(self, error: asyncssh.ChannelOpenError) -> Refused:
        lost = self._why_lost(error) if any(leg.lost is not None for leg in self._legs) else ""
        if error.code == asyncssh.OPEN_REQUEST_SESSION_FAILED:
            text = "the SSH server lets this user run no command (the account is for forwarding alone, or the server has no shell)"
        else:
            text = f"the SSH server opens no channel for a process: {readable(error.reason)} (MaxSessions in its sshd_config)"
        return Refused(lost or text, again=error.code == asyncssh.OPEN_RESOURCE_SHORTAGE and not lost)

    def _why_lost(self, error: Exception) -> str:
        """Which of the connections on the way ended, and how."""
        broken = next((leg for leg in self._legs if leg.lost is not None), self._legs[-1])
        who = f"to {broken.leg.who} ({broken.leg.place})"
        text = re.sub(r"^\[Errno \d+\] ", "", readable(broken.lost or str(error)))
        if "keepalive" in text:
            return f"the SSH connection {who} was lost: no answer for {SILENT_S} s"
        return f"the SSH connection {who} was lost: {text[:1].lower()}{text[1:]}"
