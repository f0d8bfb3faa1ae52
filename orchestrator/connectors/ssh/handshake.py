"""One leg -> one authenticated connection, over TCP or through a bastion; what it met on the way is remembered for the error.

Tries once. The host key is verified, always. What the files hold is looked up here and not by asyncssh, so that file and line can be told,
and so that a host that shows a key of another kind than the known one is one that has changed.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any, NamedTuple

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from orchestrator.connectors import known_hosts as known
from orchestrator.connectors.ssh.keys import Keys
from orchestrator.connectors.ssh.refusals import Refused, refused
from orchestrator.connectors.ssh.routes import Leg

KEEPALIVE_S = 5
KEEPALIVE_TIMES = 2
SILENT_S = KEEPALIVE_S * (KEEPALIVE_TIMES + 1)
PATIENCE_S = 10.0


class Offered(NamedTuple):
    """The host key that a server showed."""

    kind: str
    blob: bytes


class Handshake(asyncssh.SSHClient):
    """How far one connection came; later, why it ended."""

    def __init__(self, leg: Leg, held: known.Held, locked: tuple[str, ...] = ()) -> None:
        self.leg = leg
        self.held = held
        self.locked = locked
        self.patience_s = PATIENCE_S
        self.connected = False
        self.offered: Offered | None = None
        self.lost: str | None = None
        """Why the connection ended, "" where it was closed in good order."""
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def version(self) -> str:
        """How the server greeted."""
        return str(self._connection.get_extra_info("server_version", "")) if self._connection is not None else ""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The way is there; the server has not said anything yet."""
        self.connected = True
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        self.lost = "" if exc is None else str(exc)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Called with a key that the files do not hold for this name: good only where it stands for the host without its port."""
        self.offered = Offered(key.get_algorithm(), key.public_data)
        return self.held.vouches(key.public_data)

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Called with an authority that the files do not hold."""
        self.offered = Offered(key.get_algorithm(), key.public_data)
        return False


_QUICK = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Before all others: asyncssh does in one call for a packet what takes six with ChaCha20, its first choice."""


async def shake_hands(leg: Leg, keys: Keys, tunnel: asyncssh.SSHClientConnection | None) -> tuple[asyncssh.SSHClientConnection, Handshake]:
    """Connect to the server of ``leg`` and be let in.

    :raises Refused: it did not come to that.
    """
    handshake = Handshake(leg, held_for(leg), keys.locked)
    settings = {
        **identity(leg, handshake.held, tunnel),
        "client_factory": lambda: handshake,
        **_who_we_are(leg, keys),
        "preferred_auth": "publickey",
        "connect_timeout": PATIENCE_S,
        "login_timeout": PATIENCE_S,
        "agent_forwarding": False,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVE_TIMES,
        **({} if leg.ciphers else {"encryption_algs": _QUICK}),
    }
    try:
        connection = await asyncssh.connect(leg.asked, leg.port, **settings)
    except (OSError, ValueError, asyncssh.Error) as error:
        raise refused(error, leg, handshake) from error
    return connection, handshake


def _who_we_are(leg: Leg, keys: Keys) -> dict[str, Any]:
    """The keys, and the agent: with ``IdentitiesOnly`` no more of it than what was named (ssh_config(5))."""
    agent = leg.agent if not leg.only or keys.identities else ""
    if not agent and not keys.usable:
        return {"client_keys": None}
    return {"client_keys": list(keys.usable), "agent_path": agent or None, "agent_identities": list(keys.identities) if leg.only else None}


def held_for(leg: Leg) -> known.Held:
    """What the known_hosts files hold of this server.

    :raises Refused: one of them cannot be read.
    """
    try:
        return known.held(known.read(leg.known_hosts), leg.host, leg.port, leg.alias)
    except OSError as error:
        raise Refused(f"the host keys in {error.filename} cannot be read: {error.strerror}") from error


def identity(leg: Leg, held: known.Held, tunnel: asyncssh.SSHClientConnection | None) -> dict[str, Any]:
    """Who is to be reached, how, and by which host keys it is known, as asyncssh takes it."""
    trusted, authorities, revoked = (_public(entries) for entries in (held.keys, held.authorities, held.revoked))
    first = [name.decode() for key in trusted for name in key.sig_algorithms]
    rest = [name.decode() for name in (*(get_default_certificate_algs() if authorities else ()), *get_default_public_key_algs())]
    settings: dict[str, Any] = {
        "username": leg.user,
        "tunnel": tunnel,
        "config": list(leg.configs),
        "known_hosts": (trusted, authorities, revoked),
    }
    if not leg.algorithms:
        settings["server_host_key_algs"] = list(dict.fromkeys([*first, *rest]))
    return settings


def _public(entries: tuple[known.Entry, ...]) -> list[asyncssh.SSHKey]:
    keys = []
    for entry in entries:
        try:
            keys.append(asyncssh.import_public_key(f"{entry.kind} {base64.b64encode(entry.blob).decode()}"))
        except asyncssh.KeyImportError:
            continue  # a kind that asyncssh does not know; the server will not be asked for it
    return keys


async def closed(connection: asyncssh.SSHClientConnection, patience_s: float = 2.0) -> None:
    """End a connection, in good order where the other side still answers."""
    connection.close()
    try:
        async with asyncio.timeout(patience_s):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
        await connection.wait_closed()
