"""Machines of an inventory -> nothing of dead runs on them, and an account of it.

What there is to take back the agent finds, by journals and labels; here it is only asked. The surprising fact: this is also how a run that
lost a host learns what its guardian did meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.errors import AgentError, OrchestratorError
from orchestrator.model.inventory import Left, Machine
from orchestrator.testbeds.machines.ways import Connections

_CLEAN_S = 65.0
"""More than an agent takes for it."""


async def clean(connections: Connections, machines: Sequence[Machine], run: str, *, everything: bool) -> list[Left]:
    """Clean every machine, all at once: of dead runs, or of ``run`` even where it is alive, or of ``everything``."""
    return await asyncio.gather(*(_clean(connections, machine, run, everything) for machine in machines))


async def _clean(connections: Connections, machine: Machine, run: str, everything: bool) -> Left:  # noqa: FBT001  as given
    try:
        connection = await connections.to(machine)
        session = await connection.start_agent(machine.name, root=machine.become is not False)
        try:
            return await ask_to_clean(session, run, everything=everything)
        finally:
            await session.leave()
    except OrchestratorError as error:
        return Left(machine=machine.name, problem=str(error).removeprefix(f"{machine.name}: "))


async def ask_to_clean(session: Session, run: str, *, everything: bool = False) -> Left:
    """Ask the agent on one machine.

    :raises AgentError: it could not, or what it told cannot be read.
    """
    asked = session.ask(protocol.CLEAN, run=run, all=everything)
    told = await session.wait_for_answer(asked, _CLEAN_S, "take back what runs left")
    try:
        return msgspec.convert({**told, "machine": session.host}, Left)
    except (TypeError, msgspec.ValidationError) as error:
        raise AgentError(session.host, f"what it says of runs there cannot be read: {error}") from None
