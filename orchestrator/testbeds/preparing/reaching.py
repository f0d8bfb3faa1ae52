"""A machine of an inventory -> commands run there, over connections that Fabric makes; and why they cannot be.

The only module that imports Fabric and Paramiko. The surprising fact: neither is asked who is known. Fabric trusts every new host key, and
Paramiko passes over lines of known_hosts that revoke a key or name an authority; so each key, of each bastion too, is judged here.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from orchestrator.connectors import known_hosts as known
from orchestrator.errors import TestbedError, Unreachable
from orchestrator.model.inventory import Machine

try:
    import paramiko
    from fabric import Config, Connection
    from invoke.exceptions import AuthFailure, CommandTimedOut, Failure
except ImportError as error:
    raise TestbedError(
        f"machines are prepared with Fabric, which is not installed ({error}): python -m pip install 'lab-orchestrator[prepare]'"
    ) from error

PROMPT = "[sudo] password: "
_CONNECT_S = 20
_USERS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"


class Way:
    """The way to one machine, by its bastions."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._connection: Any = None

    def open(self) -> None:
        """Connect.

        :raises Unreachable: says why, and what to do.
        """
        name = self._machine.name
        try:
            self._connection = connection_to(self._machine)
            self._connection.open()
        except _Stranger as error:
            raise Unreachable(name, str(error)) from error
        except paramiko.PasswordRequiredException as error:
            raise Unreachable(name, "its private key wants a passphrase: let an agent hold it (ssh-add)") from error
        except paramiko.AuthenticationException as error:
            raise Unreachable(
                name, f"not let in ({error}): check ansible_user and ansible_ssh_private_key_file, or ssh-add the key"
            ) from error
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(name, f"cannot be reached ({reason}): check its address, port and bastion") from error

    def run(self, command: str, *, how: str = "run", **options: Any) -> Any:
        """What came of a command there; ``how``: run, or sudo.

        :raises TestbedError: sudo does not take the password, or it takes too long.
        :raises Unreachable: the connection ended.
        """
        try:
            return getattr(self._connection, how)(command, warn=True, pty=False, in_stream=False, **options)
        except AuthFailure as error:
            raise TestbedError("sudo did not take the password") from error
        except CommandTimedOut as error:
            raise TestbedError(f"`{command}` took longer than {options['timeout']} s") from error
        except (Failure, paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(self._machine.name, f"the connection ended ({error or type(error).__name__})") from error

    def close(self) -> None:
        """End the connection, and those to the bastions before it."""
        one = self._connection
        while isinstance(one, Connection):
            one.close()
            one = one.gateway


def connection_to(machine: Machine) -> Any:
    """A connection that is not open yet. What the inventory does not say, ``~/.ssh/config`` says, or the file behind ``-F``."""
    if machine.ssh_config and not os.path.isfile(machine.ssh_config[0]):
        raise FileNotFoundError(f"there is no file {machine.ssh_config[0]}, which is to be ssh's configuration")
    config = Config(overrides={"sudo": {"prompt": PROMPT}}, runtime_ssh_path=machine.ssh_config[0] if machine.ssh_config else None)
    keys = {"key_filename": list(machine.keys)} if machine.keys else {}
    options = {"config": config, "connect_timeout": _CONNECT_S}
    arguments = {"banner_timeout": _CONNECT_S, "auth_timeout": _CONNECT_S}
    straight = machine.jump == ("none",)
    way = False if straight else None  # `None` has Fabric look for a ProxyJump
    for hop in () if straight else machine.jump:
        way = Connection(hop, gateway=way, connect_kwargs={**arguments, **keys}, **options)
    made = Connection(
        machine.address or machine.name,
        user=machine.user or None,
        port=machine.port or None,
        gateway=way,
        connect_kwargs={**arguments, **keys},
        **options,
    )
    one = made
    while isinstance(one, Connection):
        _verify(one, machine.known_hosts)
        one = one.gateway
    return made


def _verify(connection: Any, files: tuple[str, ...]) -> None:
    """Let this connection talk only with whom a file of known hosts knows."""
    said = connection.ssh_config
    theirs = shlex.split(f"{said.get('userknownhostsfile', _USERS)} {said.get('globalknownhostsfile', _GLOBAL)}")
    try:
        entries = known.read(dict.fromkeys((*files, *map(os.path.expanduser, theirs))))
    except OSError as error:
        raise _Stranger(f"the host keys in {error.filename} cannot be read: {error.strerror}") from error
    name = said.get("hostkeyalias", "")
    judge = _Judge(known.held(entries, connection.host, connection.port, name), known.name_of(connection.host, connection.port, name))
    connection.connect_kwargs = {**connection.connect_kwargs, "transport_factory": judge.transport}
    connection.client.set_missing_host_key_policy(judge)


class _Stranger(paramiko.SSHException):  # type: ignore[misc,unused-ignore]
    """A server that nobody vouches for."""


class _Judge(paramiko.MissingHostKeyPolicy):  # type: ignore[misc,unused-ignore]
    """Judges every host key of one server: to Paramiko, which has read no file, all of them are missing."""

    def __init__(self, held: known.Held, name: str) -> None:
        self._held = held
        self._name = name

    def transport(self, sock: Any, **options: Any) -> Any:
        """A transport that asks first for keys of the kinds that are known, so that a server with several shows one of these."""
        made = paramiko.Transport(sock, **options)
        offers = made.get_security_options()
        labels = {known.label_of(entry.kind) for entry in self._held.keys or self._held.elsewhere}
        offers.key_types = sorted(offers.key_types, key=lambda kind: known.label_of(kind) not in labels)
        return made

    def missing_host_key(self, _client: Any, hostname: str, key: Any) -> None:
        """Refuse whom nobody vouches for.

        :raises _Stranger: says what there is against the key.
        """
        held, blob = self._held, key.asbytes()
        if held.vouches(blob):
            return
        text = known.objection(held, hostname, self._name, key.get_name(), blob)
        if held.authorities and not held.keys:
            authority = held.authorities[0]
            text += f"; certificates of the authority in {authority.path}:{authority.line} are not checked by `orchestrate prepare`"
        raise _Stranger(text)
