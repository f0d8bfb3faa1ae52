"""A leg -> its connection, as often as it is worth trying, and never more at a time than a server can bear.

sshd drops what comes beyond ten connections that are not let in yet (MaxStartups, sshd_config(5)); eight are tried at a time with each
server. Pauses grow and are never equal, so that fifty machines that boot together are not asked together.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncssh

from orchestrator.connectors.ssh.handshake import Handshake, closed, shake_hands
from orchestrator.connectors.ssh.keys import Ask, KeyRing
from orchestrator.connectors.ssh.refusals import Refused
from orchestrator.connectors.ssh.routes import Route

AT_ONE_SERVER = 8
AT_ALL = 32
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0

Place = tuple[tuple[str, int], ...]
Line = tuple[asyncssh.SSHClientConnection, Handshake]
T = TypeVar("T")


async def persist(attempt: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """What ``attempt`` comes to, tried again while what refuses it may pass and patience lasts.

    :raises Refused: the last refusal; where there were several, it tells how often and how long it was tried.
    """
    clock = asyncio.get_running_loop().time
    began, tries = clock(), 0
    while True:
        tries += 1
        try:
            return await attempt()
        except Refused as refusal:
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1)) * random.uniform(0.5, 1.5)  # noqa: S311  jitter, no secret
            spent = clock() - began
            if refusal.again and spent + pause <= patience_s:
                await asyncio.sleep(pause)
                continue
            if tries == 1:
                raise
            raise Refused(f"{refusal} (tried {tries} times in {spent:.0f} s)") from refusal


class Dialer:
    """Lines to servers. Those to bastions are shared: one for each route, opened with the first machine behind it.

    Legs that differ in known_hosts files or in keys are different routes, so no machine trusts a bastion on the word of another's files.
    """

    def __init__(self, ask: Ask | None, patience_s: float) -> None:
        self._ring = KeyRing(ask)
        self._patience_s = patience_s
        self._gates: dict[Place, asyncio.Semaphore] = {}
        self._all = asyncio.Semaphore(AT_ALL)
        self._bastions: dict[Route, asyncio.Task[Line]] = {}

    async def dial(self, route: Route, patience_s: float | None = None) -> Line:
        """A new line to the end of ``route``.

        :raises Refused: there is none.
        """
        return await persist(lambda: self._once(route), self._patience_s if patience_s is None else patience_s)

    def handshakes(self, route: Route) -> tuple[Handshake, ...]:
        """How the lines to the bastions of ``route`` are, first one first."""
        tasks = [self._bastions.get(route[:length]) for length in range(1, len(route))]
        return tuple(task.result()[1] for task in tasks if task is not None and _well(task))

    async def _once(self, route: Route) -> Line:
        keys = await self._ring.of(route[-1])
        tunnel = await self.bastion(route[:-1])
        async with self._all, self._gates.setdefault(_place(route), asyncio.Semaphore(AT_ONE_SERVER)):
            try:
                return await shake_hands(route[-1], keys, tunnel)
            except Refused as refusal:
                if tunnel is None or not tunnel.is_closed():
                    raise
                who = route[-2]
                raise Refused(f"the SSH connection to {who.who} ({who.place}) was lost: {refusal}", again=True) from refusal

    async def bastion(self, route: Route) -> asyncssh.SSHClientConnection | None:
        """The shared line to the last bastion of ``route``; ``None`` where there is none on the way.

        :raises Refused: it cannot be had.
        """
        if not route:
            return None
        task = self._bastions.get(route)
        if task is None or (task.done() and not (_well(task) and task.result()[1].lost is None)):
            task = self._bastions[route] = asyncio.ensure_future(self.dial(route))
        return (await asyncio.shield(task))[0]

    async def close(self) -> None:
        """End the lines to the bastions, the farthest first."""
        for route in sorted(self._bastions, key=len, reverse=True):
            await put_down(self._bastions[route])
        self._bastions.clear()


def _place(route: Route) -> Place:
    """What makes it the same server, whoever comes there."""
    return tuple((leg.host, leg.port) for leg in route)


def _well(task: asyncio.Task[Line]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def put_down(task: asyncio.Task[Line]) -> None:
    """End a line, or the attempt to have one."""
    if not task.done():
        task.cancel()
    await asyncio.wait([task])
    if _well(task):
        await closed(task.result()[0])
