"""This machine -> what hosts made of it will have, of what a scenario needs. Touches nothing.

Knows nothing of how hosts are made. The surprising fact: an interface's own parameter (``net.ipv4.conf.eth1.rp_filter``) is not looked for
here, where nobody has that eth1: the kernel gives a new interface all that ``default`` has.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

import msgspec

from orchestrator.agent.seeing.survey import can, folders, which
from orchestrator.model.scenario import Needs
from orchestrator.model.topology import Facts, LiveHost, Testbed, Topology

KIND = "netns"
_OF_INTERFACE = re.compile(r"(net\.ipv[46]\.(?:conf|neigh))\.(?!(?:all|default|lo)\.)([^.]+)\.([^.]+)")


def survey(topology: Topology, needs: Needs) -> Testbed:
    """What this machine can do, of what is needed.

    Where nothing tells whether the kernel can impair links, it is taken to: the try that brings them up then tells.
    """
    facts = Facts(
        kernel=os.uname().release,
        python=sys.version.split()[0],
        tools={name: path for name in needs.tools if (path := which(name))},
        features=tuple(name for name in needs.features if can(name)),
    )
    values = {key: value for key in needs.sysctls if (value := _sysctl(key)) is not None}
    interfaces = {(port.host, port.interface) for network in topology.networks for port in network.ports}
    hosts = (
        LiveHost(name=host.name, facts=msgspec.structs.replace(facts, sysctls=dict(_held(values, host.name, interfaces))))
        for host in topology.hosts
    )
    return Testbed(kind=KIND, topology=topology, hosts=tuple(hosts))


def programs() -> set[str]:
    """Every program on a host's path; a folder that may be searched and not read tells none."""
    found: set[str] = set()
    for folder in folders():
        with contextlib.suppress(OSError):
            found.update(os.listdir(folder))
    return found


def _sysctl(key: str) -> str | None:
    """The value of a kernel parameter, for an interface's own that of ``default``; ``None`` where the kernel has none."""
    from orchestrator.agent.doing.changes import read_sysctl  # most runs ask for none, and do not pay for what it brings along

    return read_sysctl(_OF_INTERFACE.sub(r"\1.default.\3", key))


def _held(values: dict[str, str], host: str, interfaces: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The parameters that ``host`` will have: an interface's own only with the interface."""
    for key, value in values.items():
        own = _OF_INTERFACE.fullmatch(key)
        if own is None or (host, own[2]) in interfaces:
            yield key, value
