"""An inventory and wishes -> a site of real machines for jobs; everything that can be wrong is told before any machine is reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.loading import load_inventory
from orchestrator.model.inventory import Checkup, Machine
from orchestrator.pipeline.jobs import Job
from orchestrator.planning.mapping import map_hosts
from orchestrator.testbeds.machines.doctor import examine
from orchestrator.testbeds.machines.remote import Connections, Machines

Ask = Callable[[str], Awaitable[str]]


def real_machines(path: str, wishes: Sequence[str], jobs: Sequence[Job], ask: Ask | None) -> Machines:
    """The machines of the inventory at ``path``, mapped by ``wishes``; ``ask`` asks a person for a passphrase, if one is there.

    :raises InputProblems: the inventory is not well formed.
    :raises UsageError: a topology of the jobs wants a host that no machine is for; or several runs were to go on at once.
    """
    inventory = load_inventory(Path(path))
    wrong: dict[str, None] = {}
    for job in jobs:
        try:
            map_hosts(inventory, job.topology, wishes)
        except UsageError as error:
            wrong[f"{job.topology.name}: {error}"] = None
    if wrong:
        raise UsageError("\n".join(wrong))
    return Machines(_connections(ask), lambda topology: map_hosts(inventory, topology, wishes))


async def examine_machines(machines: Sequence[Machine], ask: Ask | None) -> list[Checkup]:
    """A checkup of each machine; what cannot be reached is found to be so."""
    connections = _connections(ask)
    try:
        return await examine(connections, machines, lambda tool, _system: tool)
    finally:
        await connections.close()


def _connections(ask: Ask | None) -> Connections:
    """The ways to machines, over SSH; a library that other commands do without."""
    from orchestrator.connectors.ssh import Connections as OverSSH

    return OverSSH(ask)
