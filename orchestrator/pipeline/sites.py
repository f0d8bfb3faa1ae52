"""An inventory and wishes -> a site of real machines for jobs; everything that can be wrong is told before any machine is reached."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.loading import load_inventory
from orchestrator.model.inventory import Checkup, Left, Machine
from orchestrator.model.plan import Plan
from orchestrator.pipeline.jobs import Job, make_plan
from orchestrator.planning import needs
from orchestrator.planning.mapping import map_hosts
from orchestrator.testbeds.machines.cleaning import clean
from orchestrator.testbeds.machines.doctor import examine
from orchestrator.testbeds.machines.remote import Machines
from orchestrator.testbeds.machines.ways import Connections

if TYPE_CHECKING:
    from orchestrator.connectors.ssh.hostkeys.trusting import Fetched

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


async def plans_for(site: Machines, jobs: Sequence[Job]) -> list[Plan]:
    """What each job would do on the machines of ``site``, which are asked and not altered.

    :raises OrchestratorError: they cannot be reached, or cannot be what a topology wants.
    """
    plans = []
    try:
        for job in jobs:
            hosts = site.hosts(job.topology, job.scenario.family, os.urandom(4).hex())
            try:
                plan = make_plan(job, await hosts.survey(needs(job.scenario)))
                hosts.check(plan)
                plans.append(plan)
            finally:
                await hosts.down()
    finally:
        await site.close()
    return plans


async def examine_machines(machines: Sequence[Machine], ask: Ask | None) -> list[Checkup]:
    """A checkup of each machine; what cannot be reached is found to be so."""
    connections = _connections(ask)
    try:
        return await examine(connections, machines)
    finally:
        await connections.close()


async def clean_machines(machines: Sequence[Machine], ask: Ask | None, run: str, *, everything: bool) -> list[Left]:
    """Take back what runs left on these machines; the account of each."""
    connections = _connections(ask)
    try:
        return await clean(connections, machines, run, everything=everything)
    finally:
        await connections.close()


async def shown_keys(machines: Sequence[Machine], ask: Ask | None) -> Fetched:
    """The host keys that these machines and the bastions on the way show; what is behind a bastion that nobody trusts yet is not seen."""
    from orchestrator.connectors.ssh.hostkeys.trusting import fetch

    return await fetch(machines, ask)


def _connections(ask: Ask | None) -> Connections:
    """The ways to machines, over SSH; a library that other commands do without."""
    from orchestrator.connectors.ssh import Connections as OverSSH

    return OverSSH(ask)
