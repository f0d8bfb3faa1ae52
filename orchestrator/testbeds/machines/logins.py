"""A machine of the inventory -> the words with which ssh(1) itself gets there, as we did. Pure.

The surprising fact: of the options of a command line, only that for the configuration travels to the ssh that ``-J``, or a ``ProxyJump`` of
the configuration, starts for a bastion; so the way is spelt out, one ``ProxyCommand`` in another. Host keys are verified, whatever the
configuration says of strangers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote

from orchestrator.model.inventory import Machine

_TARGET = "[%h]:%p"
_USUAL = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


def login(machine: Machine, jumps: Sequence[str] = ()) -> tuple[str, ...]:
    """``("ssh", "-F", ..., "198.18.0.10")``; a command may stand behind it. ``jumps``: the bastions that we went by."""
    place = [*(("-p", str(machine.port)) if machine.port else ()), *(("-l", machine.user) if machine.user else ())]
    return ("ssh", *_options(machine), *place, *_through(machine, jumps or machine.jump), machine.address or machine.name)


def _options(machine: Machine) -> tuple[str, ...]:
    """What holds for a machine and for its bastions."""
    config = ("-F", machine.ssh_config[0]) if machine.ssh_config else ()
    keys = (word for key in machine.keys for word in ("-i", key))
    known = (
        ("-o", f"GlobalKnownHostsFile={' '.join(map(_in_double_quotes, (*machine.known_hosts, *_USUAL)))}") if machine.known_hosts else ()
    )
    return (*config, *keys, "-o", "StrictHostKeyChecking=yes", *known)


def _in_double_quotes(path: str) -> str:
    """ssh_config(5): arguments with spaces are enclosed in double quotes."""
    return f'"{path}"' if " " in path else path


def _through(machine: Machine, jumps: Sequence[str]) -> tuple[str, ...]:
    """The way over ``jumps``; each ssh of it is told all that the last one is."""
    if tuple(jumps) in ((), ("none",)):
        return ("-J", "none") if jumps else ()
    *before, last = jumps
    place, _, port = last.removeprefix("ssh://").rpartition(":")
    if not place or not port.isdigit():
        place, port = last.removeprefix("ssh://"), ""
    words = ["ssh", *_options(machine), *_through(machine, before), *(("-p", port) if port else ())]
    words += ["-W", _TARGET, re.sub(r"[][]", "", place)]
    return ("-o", "ProxyCommand=" + " ".join(quote(word if word == _TARGET else word.replace("%", "%%")) for word in words))
