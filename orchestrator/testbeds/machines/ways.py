"""What is asked of the ways to machines, whoever opens them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.connectors.session import Session
from orchestrator.model.inventory import Machine


class Connection(Protocol):
    """The way to one machine."""

    @property
    def jumps(self) -> Sequence[str]:
        """The bastions on it, first one first: ``user@host:port``."""

    async def start_agent(self, host: str, *, root: bool) -> Session:
        """An agent there, greeted."""


class Connections(Protocol):
    """The ways to all machines; each is opened once."""

    async def to(self, machine: Machine) -> Connection:
        """The way to a machine."""

    async def prove(self, machine: Machine) -> None:
        """Go the whole way once more, anew."""

    async def close(self) -> None:
        """End them all."""
