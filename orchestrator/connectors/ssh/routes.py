"""A machine -> the route to it: every leg with host, port, user, keys and known_hosts, as the inventory and the SSH configuration say.

The inventory's own values win. Opens nothing but configuration files. The surprising fact: asyncssh would follow a ``ProxyJump`` by itself,
with a bastion connection for each machine; the routes are resolved here so that all machines share one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import asyncssh

from orchestrator.connectors.ssh.refusals import Refused
from orchestrator.model.inventory import Machine

NONE = "none"
_LONGEST = 8
_PLACE = re.compile(r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<v6>[^]]+)]|(?P<host>[^@:\[\]\s]+))(?::(?P<port>\d{1,5}))?/?")


class Leg(NamedTuple):
    """One SSH server on the way. ``asked`` is what was asked for, which ``Host`` patterns match; ``host`` what its name came to."""

    who: str
    asked: str
    host: str
    port: int
    user: str
    alias: str = ""
    configs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    more_keys: tuple[str, ...] = ()
    """Offered after those: of a bastion, the machine's, because an inventory has no other place for a bastion's key."""
    agent: str = ""
    only: bool = False
    """Whether no other keys of the agent than those named may be offered (``IdentitiesOnly``)."""
    known_hosts: tuple[str, ...] = ()
    algorithms: bool = False
    """Whether the configuration chooses the host key algorithms (``HostKeyAlgorithms``)."""
    ciphers: bool = False
    """Whether it chooses the ciphers (``Ciphers``)."""

    @property
    def place(self) -> str:
        """``user@host:port``, for people."""
        return f"{self.user}@{self.host}" if self.port == asyncssh.DEFAULT_PORT else f"{self.user}@{self.host}:{self.port}"


Route = tuple[Leg, ...]


def route(machine: Machine) -> Route:
    """The bastions on the way, first one first, and the machine's own server at last.

    :raises Refused: the inventory or a configuration file says what cannot be understood.
    """
    configs = machine.ssh_config or _usual_configs()
    asked = machine.address or machine.name
    options = _options(asked, machine.user, machine.port, configs)
    files = machine.known_hosts
    jumps = machine.jump or _jumps(options)
    last = _leg(machine.name, asked, options, configs, files)
    if machine.keys:
        last = last._replace(keys=_home(machine.keys))
    bastions = _bastions([jump for jump in jumps if jump.lower() != NONE], configs, files)
    return (*(leg._replace(more_keys=_home(machine.keys)) for leg in bastions), last)


def _bastions(jumps: list[str], configs: tuple[str, ...], files: tuple[str, ...]) -> Route:
    """The legs to the last of these bastions, each reached through the one before; the first's own ``ProxyJump`` counts (ssh(1), -J)."""
    legs: list[Leg] = []
    seen: set[str] = set()
    while jumps:
        user, host, port = place(jumps[-1])
        if jumps[-1] in seen or len(legs) >= _LONGEST:
            raise Refused(f"the bastions on the way go round in a circle: {jumps[-1]} is reached through itself (ProxyJump)")
        seen.add(jumps.pop())
        options = _options(host, user, port, configs)
        legs.insert(0, _leg(f"bastion {host}", host, options, configs, files))
        jumps = jumps or list(_jumps(options))
    return tuple(legs)


def place(text: str) -> tuple[str, str, int]:
    """``[user@]host[:port]`` -> user, host, port; what is not said is empty or 0.

    :raises Refused: it is not in that form.
    """
    found = _PLACE.fullmatch(text.strip())
    if found is None or int(found["port"] or 0) > 65535 or (found["v6"] or found["host"]).startswith("-"):
        raise Refused(f"a jump host is written [user@]host[:port], not {text!r}")
    return found["user"] or "", found["v6"] or found["host"], int(found["port"] or 0)


def _jumps(options: asyncssh.SSHClientConnectionOptions) -> tuple[str, ...]:
    return tuple(part.strip() for part in options.tunnel.split(",") if part.strip()) if isinstance(options.tunnel, str) else ()


def _leg(who: str, asked: str, options: asyncssh.SSHClientConnectionOptions, configs: tuple[str, ...], files: tuple[str, ...]) -> Leg:
    config = options.config
    ours = [path for path in (*files, *_known_hosts(config.get)) if path]
    return Leg(
        who=who,
        asked=asked,
        host=options.host,
        port=options.port,
        user=options.username,
        alias=options.host_key_alias or "",
        configs=configs,
        keys=_home(cast("list[str]", config.get("IdentityFile", []))),
        agent=os.path.expanduser(cast("str", config.get("IdentityAgent", os.environ.get("SSH_AUTH_SOCK"))) or ""),
        only=bool(config.get("IdentitiesOnly")),
        known_hosts=_home(ours),
        algorithms=config.get("HostKeyAlgorithms") is not None,
        ciphers=config.get("Ciphers") is not None,
    )


def _home(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths, each once, with ``~`` written out."""
    return tuple(dict.fromkeys(os.path.expanduser(path) for path in paths))


def _known_hosts(get: Any) -> list[str]:
    """The files that ssh(1) would read (ssh_config(5): UserKnownHostsFile, GlobalKnownHostsFile)."""
    users = get("UserKnownHostsFile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"])
    return [*users, *get("GlobalKnownHostsFile", ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"])]


def _usual_configs() -> tuple[str, ...]:
    path = os.path.expanduser("~/.ssh/config")
    return (path,) if os.access(path, os.R_OK) else ()


def _options(host: str, user: str, port: int, configs: tuple[str, ...]) -> asyncssh.SSHClientConnectionOptions:
    """What the configuration says of one host, without its keys."""
    said: dict[str, Any] = {"config": list(configs), "host": host, "client_keys": None, "known_hosts": None}
    if user:
        said["username"] = user
    if port:
        said["port"] = port
    try:
        options = asyncssh.SSHClientConnectionOptions(**said)
        if options.config.has_match_final():
            options.update(host=options.host, reload=True, final=True)
    except OSError as error:
        raise Refused(f"the SSH configuration {error.filename or configs} cannot be read: {error.strerror}") from error
    except (ValueError, asyncssh.Error) as error:
        raise Refused(f"the SSH configuration is not understood: {error}") from error
    return options
