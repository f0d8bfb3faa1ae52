"""Machines of an inventory -> a checkup of each: reached, asked by an agent that alters nothing, and let go.

What the answers mean is not known here. The surprising fact: a machine that gives no administrator's rights is asked once more without
them, because all that it can tell helps whoever has to mend it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from msgspec.structs import replace

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.errors import OrchestratorError
from orchestrator.model.inventory import Checkup, Machine
from orchestrator.testbeds.machines.diagnosis import FEATURES, Health, diagnose, health_of, unreached
from orchestrator.testbeds.machines.ways import Connection, Connections
from orchestrator.testbeds.preparing.packages import PACKAGES

_ASK_S = 15.0


async def examine(connections: Connections, machines: Sequence[Machine]) -> list[Checkup]:
    """A checkup of every machine, all at once."""
    return await asyncio.gather(*(_examine(connections, machine) for machine in machines))


async def _examine(connections: Connections, machine: Machine) -> Checkup:
    try:
        connection = await connections.to(machine)
        session, refusal = await _agent(connection, machine)
        try:
            health = await _ask(session, machine)
        finally:
            await session.leave()
    except OrchestratorError as error:
        return unreached(machine.name, str(error).removeprefix(f"{machine.name}: "))
    return diagnose(machine.name, replace(health, refusal=refusal))


async def _agent(connection: Connection, machine: Machine) -> tuple[Session, str]:
    """An agent there, with an administrator's rights if it gets them, and else why not."""
    try:
        return await connection.start_agent(machine.name, root=True), ""
    except OrchestratorError as error:
        return await connection.start_agent(machine.name, root=False), str(error).removeprefix(f"{machine.name}: ")


async def _ask(session: Session, machine: Machine) -> Health:
    asked = session.ask(protocol.SURVEY, health=True, tools=tuple(PACKAGES), features=FEATURES)
    health = health_of(await session.wait_for_answer(asked, _ASK_S, "tell of its health"), machine.name)
    before = time.time_ns()
    _monotonic, theirs = await session.wait_for_answer(session.ask(protocol.BEAT), _ASK_S, "tell its clock")
    return replace(health, ahead_ns=int(theirs) - (before + time.time_ns()) // 2)
