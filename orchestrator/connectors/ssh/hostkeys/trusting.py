"""Machines -> the host keys that they and the bastions on the way show, with what is known of each; and those that a person trusts, pinned.

Every kind of key that a server has is asked for, as ssh-keyscan(1) does, with a connection for each. What is behind a bastion can be seen
only through it: so its own key has to be trusted first, and :func:`fetch` is called once more after it was pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import asyncssh

from orchestrator.connectors import known_hosts as known
from orchestrator.connectors.ssh.dialing import Dialer, persist
from orchestrator.connectors.ssh.handshake import PATIENCE_S, Handshake, held_for
from orchestrator.connectors.ssh.hostkeys import pins
from orchestrator.connectors.ssh.keys import Ask
from orchestrator.connectors.ssh.refusals import Refused, refused
from orchestrator.connectors.ssh.routes import Leg, Route, route
from orchestrator.errors import TestbedError, Unreachable, UsageError
from orchestrator.model.inventory import Machine

NEW = "new"
KNOWN = "known"
CHANGED = "changed"
_AT_ONCE = 16
_KINDS = (("ssh-ed25519",), ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"), ("rsa-sha2-512", "rsa-sha2-256"))


class Shown(NamedTuple):
    """One host key that a server shows.

    ``who`` is the machine or bastion, ``place`` its user, host and port, ``name`` what known_hosts calls it. ``state`` is new, known or
    changed; ``stands`` is ``file:line`` of the known key, or of the one that it was before.
    """

    who: str
    place: str
    name: str
    kind: str
    blob: bytes
    state: str
    stands: str = ""

    @property
    def fingerprint(self) -> str:
        """``SHA256:...``."""
        return known.fingerprint(self.blob)

    @property
    def label(self) -> str:
        """``ED25519``, ``RSA``, ``ECDSA``."""
        return known.label_of(self.kind)


class Fetched(NamedTuple):
    """What was seen: ``keys``, the machines that are ``behind`` a bastion not trusted yet, and the ``failed``, each with why."""

    keys: tuple[Shown, ...]
    behind: tuple[str, ...] = ()
    failed: tuple[Unreachable, ...] = ()


async def fetch(machines: Sequence[Machine], ask: Ask | None = None, patience_s: float = 20.0) -> Fetched:
    """The host keys of these machines and of the bastions on the way, each server once, in the order of the machines."""
    scan = _Scan(Dialer(ask, patience_s), patience_s)
    try:
        await asyncio.gather(*(scan.machine(machine) for machine in machines))
    finally:
        await scan.close()
    order = [machine.name for machine in machines]
    behind = tuple(name for name in order if name in scan.behind)
    return Fetched(tuple(dict.fromkeys(key for keys in scan.seen.values() for key in keys)), behind, tuple(scan.failed))


def pin(path: str, keys: Iterable[Shown], *, replace: bool = False) -> int:
    """Write these keys into our known_hosts file; gives how many were not there. What has changed is written only to ``replace`` the old.

    :raises UsageError: a key has changed, and nobody said that it may.
    :raises TestbedError: the file cannot be written.
    """
    wanted = tuple(keys)
    changed = [key for key in wanted if key.state == CHANGED]
    if changed and not replace:
        first = changed[0]
        raise UsageError(
            f"the host key of {first.who} ({first.place}) has changed, the old one stands in {first.stands}: find out why first; "
            "only then `orchestrate trust --replace`"
        )
    try:
        return pins.pin(path, [pins.Pin(key.name, key.kind, key.blob) for key in wanted], replace=replace)
    except OSError as error:
        raise TestbedError(f"host keys cannot be written to {path}: {error.strerror}") from error


class _NoneOfThese(Refused):
    """The server ended the handshake after it had greeted: it has no such key, or it is ill."""


class _Scan:
    """One round over all machines; a server that several routes pass is asked once."""

    def __init__(self, dialer: Dialer, patience_s: float) -> None:
        self.seen: dict[Route, tuple[Shown, ...]] = {}
        self.behind: set[str] = set()
        self.failed: list[Unreachable] = []
        self._dialer = dialer
        self._patience_s = patience_s
        self._asked: dict[Route, asyncio.Task[tuple[Shown, ...]]] = {}
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def machine(self, machine: Machine) -> None:
        """Every server on the way to this machine, as far as they are trusted, and its own."""
        try:
            way = route(machine)
            for length in range(1, len(way) + 1):
                keys = await self._server(way[:length])
                if length < len(way) and not any(key.state == KNOWN for key in keys):
                    self.behind.add(machine.name)
                    return
        except Refused as refusal:
            self.failed.append(Unreachable(machine.name, str(refusal)))

    async def _server(self, way: Route) -> tuple[Shown, ...]:
        if way not in self._asked:
            self.seen[way] = ()
            self._asked[way] = asyncio.ensure_future(self._ask(way))
        return await asyncio.shield(self._asked[way])

    async def _ask(self, way: Route) -> tuple[Shown, ...]:
        async with self._limit:
            best = await self._persisted(way, tuple(kind for kinds in _KINDS for kind in kinds))
            keys = [best]
            for kinds in _KINDS:
                if not set(kinds).intersection(name.decode() for name in best.sig_algorithms):
                    keys += await self._another(way, kinds)
        self.seen[way] = judged(way[-1], keys, held_for(way[-1]))
        return self.seen[way]

    async def _another(self, way: Route, kinds: tuple[str, ...]) -> list[asyncssh.SSHKey]:
        """A key of these kinds too, if the server has one: that it hangs up now, when it has shown a key before, means that it has none."""
        try:
            return [await self._persisted(way, kinds)]
        except _NoneOfThese:
            return []

    async def _persisted(self, way: Route, kinds: tuple[str, ...]) -> asyncssh.SSHKey:
        return await persist(lambda: self._key(way, kinds), self._patience_s)

    async def _key(self, way: Route, kinds: tuple[str, ...]) -> asyncssh.SSHKey:
        """The first key of these kinds that the server has."""
        leg, tunnel = way[-1], await self._dialer.bastion(way[:-1])
        handshake = Handshake(leg, known.Held())
        try:
            options = asyncssh.SSHClientConnectionOptions(
                config=list(leg.configs), host=leg.asked, client_keys=None, client_factory=lambda: handshake, login_timeout=PATIENCE_S
            )
            async with asyncio.timeout(PATIENCE_S):
                key = await asyncssh.get_server_host_key(leg.asked, leg.port, tunnel=tunnel, options=options, server_host_key_algs=kinds)
        except (OSError, ValueError, asyncssh.Error) as error:
            found = refused(error, leg, handshake)
            ended = isinstance(error, (ConnectionError, asyncssh.DisconnectError)) and bool(handshake.version)
            raise (_NoneOfThese(str(found)) if ended else found) from error
        if key is None:
            raise Refused(f"{leg.who} ({leg.place}) shows no host key")
        return key

    async def close(self) -> None:
        """End what is under way, and the lines to the bastions."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        await self._dialer.close()


def judged(leg: Leg, keys: Sequence[asyncssh.SSHKey], held: known.Held) -> tuple[Shown, ...]:
    """What is known of the keys that a server shows. A kind that was not known is new only where another key of the server is."""
    trusted = {entry.blob: entry for entry in (*held.elsewhere, *held.keys)}
    same = any(key.public_data in trusted for key in keys)
    name = known.name_of(leg.host, leg.port, leg.alias)
    shown = []
    for key in keys:
        kind, blob = key.get_algorithm(), key.public_data
        before = [entry for entry in held.keys if entry.kind == kind or not same]
        old = [trusted[blob]] if blob in trusted else before
        state = KNOWN if blob in trusted else CHANGED if before else NEW
        stands = ", ".join(f"{entry.path}:{entry.line}" for entry in old)
        shown.append(Shown(leg.who, leg.place, name, kind, blob, state, stands))
    return tuple(shown)
