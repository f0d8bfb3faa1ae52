"""What an agent over SSH costs, beside asyncssh itself on the same real sshd in the same run. ``python -m benchmarks.ssh``, from the top.

Each figure of ours has its bare twin: a step beside a round trip of one process channel, a start beside a connection and an interpreter,
and fifty machines beside fifty times ``true``. Prints Markdown; asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh

from benchmarks.timing import machine, table
from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.connectors.ssh import Connections
from tests.integration.sshd import LOOPBACK, Server

ECHO = "import sys\nfor line in sys.stdin.buffer:\n sys.stdout.buffer.write(line)\n sys.stdout.buffer.flush()"
LINE = b'{"id":7,"ask":"fire","actions":["2"],"at":0}\n'
SOCKET = {"text": "sock = socket.socket()", "method": "socket.socket", "receiver": "", "names": ["sock"], "arguments": []}
NAME = {"text": "sock.getsockname()", "method": "getsockname", "receiver": "sock", "names": [], "arguments": []}
STEPS = [{"id": key, "timeout_ns": 2_000_000_000, "action": {"do": "calls", "calls": [one]}} for key, one in (("1", SOCKET), ("2", NAME))]
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
"""The system's own, as an inventory that says nothing has it."""


async def bare(server: Server) -> asyncssh.SSHClientConnection:
    """A connection as the documentation of asyncssh opens it."""
    return await asyncssh.connect(LOOPBACK, server.port, client_keys=[str(server.key)], known_hosts=str(server.known_hosts), config=[])


async def agent(connections: Connections, server: Server) -> Session:
    connection = await connections.to(server.machine(f"node{server.port}", python=PYTHON))
    return await connection.start_agent("romeo", root=True)


async def prepare(session: Session) -> None:
    await session.ask(protocol.GUARD, run=(run := secrets.token_hex(3)), who="benchmark", programs=False)
    await session.ask(protocol.PREPARE, run=run, actions=STEPS)


async def steps(server: Server, count: int) -> dict[str, list[float]]:
    """``count`` round trips and as many steps, in alternate blocks."""
    connections, connection = Connections(), await bare(server)
    session = await agent(connections, server)
    await prepare(session)
    await session.ask(protocol.FIRE, actions=["1"])
    echo = await connection.create_process(f"exec {PYTHON} -I -S -u -c '{ECHO}'", encoding=None)

    async def trip() -> None:
        echo.stdin.write(LINE)
        await echo.stdout.readline()

    async def step() -> None:
        await session.ask(protocol.FIRE, actions=["2"])

    async def beat() -> None:
        await session.ask(protocol.BEAT)

    figures: dict[str, list[float]] = {"one process channel, bare": [], "a step of one call": [], "a heartbeat": []}
    for _ in range(count // 50):
        for name, act in zip(figures, (trip, step, beat), strict=True):
            figures[name] += [await seconds(act) for _ in range(50)]
    session.close()
    await connections.close()
    connection.close()
    await connection.wait_closed()
    return figures


async def seconds(act: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


async def starts(server: Server, rounds: int) -> dict[str, list[float]]:
    """A connection and an interpreter, beside ours until the greeting."""
    figures: dict[str, list[float]] = {"asyncssh connects, python3 -I -S -c pass": [], "connected, pushed, greeted": []}
    for turn in range(rounds + 1):
        began = time.perf_counter()
        connection = await bare(server)
        await connection.run(f"{PYTHON} -I -S -c pass", check=True)
        first = time.perf_counter() - began
        connection.close()
        await connection.wait_closed()
        connections, began = Connections(), time.perf_counter()
        session = await agent(connections, server)
        second = time.perf_counter() - began
        session.close()
        await connections.close()
        if turn:
            for name, value in zip(figures, (first, second), strict=True):
                figures[name].append(value)
    return figures


async def many(servers: list[Server], rounds: int) -> dict[str, list[float]]:
    """Connect to all and run ``true``, beside ours with a scenario of two steps on all."""
    figures: dict[str, list[float]] = {"asyncssh, true on each": [], "agents, two steps on each": []}

    async def true(server: Server) -> asyncssh.SSHClientConnection:
        connection = await bare(server)
        await connection.run("true", check=True)
        return connection

    for turn in range(rounds + 1):
        gc.collect()
        began = time.perf_counter()
        lines = await asyncio.gather(*(true(server) for server in servers))
        first = time.perf_counter() - began
        for line in lines:
            line.close()
        await asyncio.gather(*(line.wait_closed() for line in lines))
        connections, began = Connections(), time.perf_counter()
        sessions = await asyncio.gather(*(agent(connections, server) for server in servers))
        await asyncio.gather(*(prepare(session) for session in sessions))
        for key in ("1", "2"):
            await asyncio.gather(*(session.ask(protocol.FIRE, actions=[key]) for session in sessions))
        second = time.perf_counter() - began
        for session in sessions:
            session.close()
        await connections.close()
        await settled(servers)
        if turn:
            for name, value in zip(figures, (first, second), strict=True):
                figures[name].append(value)
    return figures


async def settled(servers: list[Server], patience_s: float = 20.0) -> None:
    """Wait until no agent is left, so that it does not run on the next one's time."""
    for _ in range(int(patience_s / 0.05)):
        if not any(server.descendants() for server in servers):
            return
        await asyncio.sleep(0.05)


def ratio(figures: dict[str, list[float]]) -> float:
    first, second = (statistics.median(values) for values in list(figures.values())[:2])
    return second / first


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ssh", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10, help="figures of each way (default: 10)")
    parser.add_argument("--machines", type=int, default=50, help="how many sshd (default: 50)")
    chosen = parser.parse_args()
    os.environ.pop("SSH_AUTH_SOCK", None)
    print(f"{machine()}\n")
    servers: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        try:
            servers.append(Server(Path(folder) / "0", alone=True))
            one = asyncio.run(steps(servers[0], 100 * chosen.rounds))
            print(table("over SSH, ms", one, digits=3), f"\n\nstep / round trip: {ratio(one):.2f} (goal: at most 1.5)\n")
            start = asyncio.run(starts(servers[0], chosen.rounds))
            print(table("until the greeting, ms", start), f"\n\nours / twice the bare: {ratio(start) / 2:.2f} (goal: at most 1)\n")
            servers += [Server(Path(folder) / str(number), key=servers[0].key, alone=True) for number in range(1, chosen.machines)]
            all_ = asyncio.run(many(servers, max(1, chosen.rounds // 2)))
            print(table(f"{len(servers)} machines, ms", all_), f"\n\nours / asyncssh's: {ratio(all_):.2f} (goal: below 2)")
        finally:
            for server in servers:
                server.close()


if __name__ == "__main__":
    main()
