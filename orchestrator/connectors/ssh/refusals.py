"""What went wrong on the way to a server -> one sentence with what to do, and whether it is worth another try.

Worth it is what passes by itself: a machine that boots, a server that has too many unauthenticated connections just now. Who was not let
in, or met another key, would be refused again, and sshd punishes who insists (PerSourcePenalties, sshd_config(5)).
"""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import TYPE_CHECKING

import asyncssh

from orchestrator.connectors import known_hosts as known

if TYPE_CHECKING:
    from orchestrator.connectors.ssh.handshake import Handshake
    from orchestrator.connectors.ssh.routes import Leg

_PASSING = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH}
_PASSING_TEXTS = ("connection refused", "connection timed out", "no route to host", "connection reset")
_NO_SUCH_NAME = ("name or service not known", "no address associated", "unknown host", "name resolution")
_ADVICE = {
    errno.ECONNREFUSED: "nothing listens there, or a firewall says so; is it the right port, and is sshd running?",
    errno.ETIMEDOUT: "is it up, and does a firewall let its port through?",
    errno.EHOSTUNREACH: "is it up?",
}
PENALTY = "its sshd drops new connections: too many at once (MaxStartups), or a penalty for earlier failures (PerSourcePenalties)"


class Refused(Exception):
    """Something on the way said no. ``again``: it may pass by itself."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        self.again = again
        super().__init__(text)


def refused(error: Exception, leg: Leg, handshake: Handshake) -> Refused:  # noqa: PLR0911  a line for each kind of error
    """What it means that this ``error`` ended the ``handshake`` with the server of ``leg``."""
    where = f"{leg.who} ({leg.place})"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return Refused(host_key(leg, handshake))
    if isinstance(error, asyncssh.PermissionDenied):
        return Refused(not_let_in(leg, handshake))
    if isinstance(error, asyncssh.ChannelOpenError):
        return _not_forwarded(error, where)
    if isinstance(error, TimeoutError):
        return _hung(where, handshake)
    if isinstance(error, asyncssh.ConnectionLost) or (isinstance(error, OSError) and handshake.connected):
        return _dropped(str(error), where, handshake)
    if isinstance(error, OSError):
        return _no_way(error, leg, where)
    if isinstance(error, asyncssh.Error):
        return Refused(f"{where} ended the handshake: {readable(error.reason)}")
    return Refused(f"the SSH configuration for {where} does not work: {readable(str(error))}")


def host_key(leg: Leg, handshake: Handshake) -> str:
    """What there is against the key that was shown."""
    where = f"{leg.who} ({leg.place})"
    if handshake.offered is None:
        return f"{where} shows a host key that is revoked, or of no known form: do not connect before its administrator has said why"
    name = known.name_of(leg.host, leg.port, leg.alias)
    return known.objection(handshake.held, where, name, handshake.offered.kind, handshake.offered.blob)


def not_let_in(leg: Leg, handshake: Handshake) -> str:
    """Which keys were tried, and how to be let in."""
    named = ", ".join(dict.fromkeys((*leg.keys, *leg.more_keys)))
    tried = f"the keys {named}" if leg.keys else " and ".join(part for part in ("the usual keys of ~/.ssh", named) if part)
    text = f"{leg.who} does not let {leg.user} in ({leg.place}): it takes none of {tried}"
    text += " nor of the agent" if leg.agent else ", and no SSH agent is running"
    if handshake.locked:
        text += f"; {handshake.locked[0]} is locked by a passphrase: load it into an agent first (ssh-add {handshake.locked[0]})"
        return text
    name = "an IdentityFile for it in ~/.ssh/config" if leg.who.startswith("bastion") else "ansible_ssh_private_key_file"
    return f"{text}. Is the user right? Name the key ({name}), or put yours there: ssh-copy-id {_words(leg)}"


def _words(leg: Leg) -> str:
    """The place as ssh(1) and its friends take it."""
    port = "" if leg.port == known.PORT else f"-p {leg.port} "
    return f"{port}{leg.user}@{leg.host}"


def _not_forwarded(error: asyncssh.ChannelOpenError, where: str) -> Refused:
    """The last bastion could not, or would not, connect us on (RFC 4254, section 5.1)."""
    reason = readable(error.reason)
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return Refused(
            f"the bastion does not forward connections to {where}: {reason} (AllowTcpForwarding and PermitOpen in its sshd_config)"
        )
    text = f"the bastion cannot connect to {where}: {reason}"
    if any(words in reason.lower() for words in _NO_SUCH_NAME):
        return Refused(f"{text}; the bastion looks the name up, not this machine")
    again = error.code == asyncssh.OPEN_RESOURCE_SHORTAGE or any(
        words in reason.lower() for words in (*_PASSING_TEXTS, "connection closed")
    )
    return Refused(text, again=again)


def _hung(where: str, handshake: Handshake) -> Refused:
    if not handshake.connected:
        return Refused(f"{where} does not answer: no connection within {handshake.patience_s:g} s; {_ADVICE[errno.ETIMEDOUT]}", again=True)
    if not handshake.version:
        return Refused(
            f"{where} accepts connections but does not greet as an SSH server within {handshake.patience_s:g} s: is it the right port?"
        )
    return Refused(f"{where} did not finish the handshake within {handshake.patience_s:g} s")


def _no_way(error: OSError, leg: Leg, where: str) -> Refused:
    if isinstance(error, socket.gaierror):
        said = "`jump` or ProxyJump" if leg.who.startswith("bastion ") else "ansible_host"
        return Refused(
            f"the name {leg.host} of {leg.who} is not known here ({error.strerror}): correct {said}, or HostName in ~/.ssh/config"
        )
    numbers = (
        [error.errno] if error.errno else [int(found) for found in re.findall(r"\[Errno (\d+)\]", str(error))]
    )  # asyncio joins several
    first = numbers[0] if numbers else 0
    advice = f"; {_ADVICE[first]}" if first in _ADVICE else ""
    reason = os.strerror(first) if first else readable(str(error))
    return Refused(f"{where} cannot be connected to: {reason}{advice}", again=bool(_PASSING.intersection(numbers)))


def _dropped(reason: str, where: str, handshake: Handshake) -> Refused:
    if "timeout" in reason.lower():
        return _hung(where, handshake)
    if not handshake.version:
        return Refused(f"{where} hangs up before it greets: {PENALTY}", again=True)
    return Refused(f"{where} hung up in the middle of the handshake: {readable(reason)}")


def readable(text: str) -> str:
    """A foreign text, without what could move the cursor, and not too long."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:300]
