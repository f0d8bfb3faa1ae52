"""Files of private keys -> keys that can sign, each read once and each passphrase asked once, whatever the number of machines.

A passphrase lives in this process's memory alone. What an SSH agent holds is not asked for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import asyncssh

from orchestrator.connectors.ssh.refusals import Refused
from orchestrator.connectors.ssh.routes import Leg

Ask = Callable[[str], Awaitable[str]]
Usable = asyncssh.SSHKey | tuple[asyncssh.SSHKey, str]
_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_TRIES = 3


class Keys(NamedTuple):
    """What one server is offered: keys, each perhaps with the file of its certificate, and the files that nobody could unlock.

    ``identities`` are the public halves of all of them, as far as they are known: which keys of an agent are meant.
    """

    usable: tuple[Usable, ...] = ()
    locked: tuple[str, ...] = ()
    identities: tuple[bytes, ...] = ()


class KeyRing:
    """The private keys of this user, as they are needed."""

    def __init__(self, ask: Ask | None) -> None:
        self._ask = ask
        self._read: dict[str, asyncio.Task[asyncssh.SSHKey | None]] = {}

    async def of(self, leg: Leg) -> Keys:
        """The keys for this server: those that it names, else the usual ones, and those of the machine behind it.

        :raises Refused: a key that is named cannot be read, or is no key.
        """
        usable: list[Usable] = []
        locked: list[str] = []
        identities: list[bytes] = []
        named = (*leg.keys, *leg.more_keys)
        for path in dict.fromkeys((*(leg.keys or _usual()), *leg.more_keys)):
            key = await self._key(path, leg.agent, needed=path in named)
            if key is None:
                locked.append(path)
                identities += _public_half(path)
            else:
                identities.append(key.public_data)
                usable.append(_with_certificate(key, path))
        return Keys(tuple(usable), tuple(locked), tuple(identities))

    async def _key(self, path: str, agent: str, *, needed: bool) -> asyncssh.SSHKey | None:
        task = self._read.get(path)
        if task is None:
            task = self._read[path] = asyncio.ensure_future(self._load(path, agent, needed=needed))
        try:
            return await asyncio.shield(task)
        finally:
            if task.done() and (task.cancelled() or task.exception() is not None):
                self._read.pop(path, None)

    async def _load(self, path: str, agent: str, *, needed: bool) -> asyncssh.SSHKey | None:
        try:
            return asyncssh.read_private_key(path)
        except OSError as error:
            raise Refused(f"the key file {path} cannot be read: {error.strerror}") from error
        except asyncssh.KeyEncryptionError:
            pass
        except asyncssh.KeyImportError as error:
            if "passphrase" not in str(error).lower():
                raise Refused(f"{path} is not a private key that can be used: {error}") from error
        if self._ask is None or not needed or await _in_agent(path, agent):
            return None
        return await self._unlocked(path, self._ask)

    @staticmethod
    async def _unlocked(path: str, ask: Ask) -> asyncssh.SSHKey:
        for _ in range(_TRIES):
            try:
                return asyncssh.read_private_key(path, await ask(f"Passphrase for {path}: "))
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                continue
        raise Refused(f"{path} was not unlocked: that was not its passphrase")


def _usual() -> list[str]:
    """The usual files that are there (ssh_config(5), IdentityFile)."""
    paths = [os.path.expanduser(f"~/.ssh/{name}") for name in _USUAL]
    return [path for path in paths if os.access(path, os.R_OK)]


def _with_certificate(key: asyncssh.SSHKey, path: str) -> Usable:
    """The key, with its certificate where one stands beside it."""
    certificate = f"{path}-cert.pub"
    return (key, certificate) if os.path.exists(certificate) else key


def _public_half(path: str) -> list[bytes]:
    """The public key that stands beside a private one."""
    try:
        return [asyncssh.read_public_key(f"{path}.pub").public_data]
    except (OSError, ValueError):
        return []


async def _in_agent(path: str, agent: str) -> bool:
    """Whether the agent can sign for this key, by its public half beside it."""
    public = _public_half(path)
    if not agent or not public:
        return False
    try:
        client = await asyncssh.connect_agent(agent)
        try:
            return any(pair.public_data in public for pair in await client.get_keys())
        finally:
            client.close()
            await client.wait_closed()
    except (OSError, ValueError, asyncssh.Error):
        return False
