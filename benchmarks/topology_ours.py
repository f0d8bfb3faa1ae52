"""N hosts on one network with this project's own testbed: seconds up and down, as one line of JSON, like ``peers/topology_mininet.py``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from ipaddress import IPv4Address

from orchestrator.model.topology import Host, Network, Port, Topology
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.netns import Namespaces

FIRST = IPv4Address("10.20.0.1")


def star(count: int) -> Topology:
    """``count`` hosts on one segment."""
    names = [f"h{number}" for number in range(count)]
    ports = tuple(Port(host=name, interface="eth1", addresses=(f"{FIRST + index}/16",)) for index, name in enumerate(names))
    segment = Network(name="segment", subnets=("10.20.0.0/16",), ports=ports)
    return Topology(name="star", hosts=tuple(Host(name=name) for name in names), networks=(segment,))


async def ours(server: ForkServer, topology: Topology) -> tuple[float, float]:
    """When all hosts were up, when all were down."""
    hosts = Namespaces(server, topology)
    await hosts.up()
    up = time.perf_counter()
    await hosts.down()
    server.close()
    return up, time.perf_counter()


def main() -> None:
    topology = star(int(sys.argv[1]))
    began = time.perf_counter()
    up, down = asyncio.run(ours(ForkServer(), topology))
    print(json.dumps({"up_s": up - began, "down_s": down - up}))


if __name__ == "__main__":
    main()
