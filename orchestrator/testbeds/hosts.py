"""What a run asks of its hosts, wherever they are: namespaces of this machine, or real machines over SSH.

Surveyed first, which alters nothing; brought up for one plan; taken down whatever happened. A site is where the hosts of all runs of a
process come from, and what is kept between the runs (a process that makes hosts, connections).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from orchestrator.connectors.session import Session
from orchestrator.errors import OrchestratorError
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.scenario import Needs
from orchestrator.model.topology import Testbed, Topology


class Hosts(Protocol):
    """The hosts of one run."""

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The conversation with each host that is up."""

    @property
    def processes(self) -> Mapping[str, int]:
        """The process id of each host that is a process of this machine."""

    @property
    def logins(self) -> Mapping[str, Sequence[str]]:
        """The words of ssh(1) that lead to each host that is a machine of an inventory."""

    async def survey(self, needs: Needs) -> Testbed:
        """What the hosts have, of what is needed.

        :raises TestbedError: they cannot be reached, or cannot be what the topology wants.
        """

    async def up(self, plan: Plan) -> None:
        """Make them ready for the steps.

        :raises TestbedError: that cannot be; says what to do.
        """

    def watch(self, on_broken: Callable[[OrchestratorError], None]) -> None:
        """From now on tell what the run cannot go on without: the links of all hosts, a machine."""

    async def account(self, record: RunRecord) -> RunRecord:
        """The record, with what became of hosts that were lost, as far as that can be found out."""

    async def down(self) -> None:
        """Let go of them; afterwards nothing of the run is left on any."""


class Site(Protocol):
    """Where hosts come from."""

    at_once: int | None
    """So many runs may go on at one time; ``None``: as many as are asked for."""

    def hosts(self, topology: Topology, family: str, run_id: str) -> Hosts:
        """Hosts for one run.

        :raises UsageError: this site has none for such a topology.
        """

    async def close(self) -> None:
        """Let go of what is kept between runs."""
