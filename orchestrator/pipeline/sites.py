"""An inventory and wishes -> a site of real machines for jobs; everything that can be wrong is told before any machine is reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.loading import load_inventory
from orchestrator.pipeline.jobs import Job
from orchestrator.planning.mapping import map_hosts
from orchestrator.testbeds.remote import Machines

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
    from orchestrator.connectors.ssh import Connections

    return Machines(Connections(ask), lambda topology: map_hosts(inventory, topology, wishes))
