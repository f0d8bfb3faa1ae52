"""What a scenario is read against: its topology, the address family of the variant, where segments are captured.

The surprising fact: all of it may be unknown (the topology could not be read), and then nothing is called wrong.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.loading.kinds.scalars import known_host
from orchestrator.loading.source.problems import listed, suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.topology import Topology
from orchestrator.model.words.values import Where


class Scene(NamedTuple):
    """``captured`` are the hosts with a capture, in the topology's order."""

    topology: Topology | None
    family: str
    hosts: tuple[str, ...]
    captured: tuple[str, ...]

    def check_host(self, host: str, network: str | None, where: Where, reader: Reader) -> None:
        """Complain unless there is such a host, on such a network.

        :raises Refused: there is none.
        """
        known_host(host, where, reader)
        if network is None or self.topology is None:
            return
        networks = [place.name for place, _ in self.topology.ports(host)]
        if network not in networks:
            reader.refuse(
                where, f"{host} is not on a network '{network}'{suggestion(network, networks) or ': it is on ' + listed(networks, 'and')}"
            )

    def check_capture(self, host: str, where: Where, reader: Reader) -> None:
        """Complain unless segments are captured on ``host``.

        :raises Refused: none are.
        """
        if self.topology is not None and host not in self.captured:
            reader.refuse(where, f"nothing is captured on {host}, so nothing can be judged there: name it under 'capture'")
