"""Every way to a host, to a session with its agent: over pipes, with a guardian, in a namespace, over SSH; and what is asked on each."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.agent import protocol
from orchestrator.connectors import bundle, local
from orchestrator.connectors.session import Session
from orchestrator.loading import load_inventory
from orchestrator.model.topology import Host, Network, Port, Topology
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.machines.cleaning import ask_to_clean
from orchestrator.testbeds.netns import Namespaces

if TYPE_CHECKING:
    from orchestrator.connectors.ssh import Connections
    from orchestrator.model.inventory import Machine
    from tests.sshlab.lab import SSHLab

Way = Callable[[], "asyncio._AsyncGeneratorContextManager[Session]"]
SECOND = 1_000_000_000
RUN = f"7e57{os.getpid():x}"  # what bears its id is killed in the end: no other test's, at the same time
PRIVATE_RUN = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o mode=755 tmpfs /run && exec "$@"', "sh")


@asynccontextmanager
async def over_pipes(python: str, before: tuple[str, ...] = ()) -> AsyncIterator[Session]:
    session, process = await local.start("here", [*before, python])
    await session.greeted()
    try:
        yield session
    finally:
        session.close()
        await asyncio.wait_for(process.wait(), 10)


@asynccontextmanager
async def guarded(python: str, before: tuple[str, ...] = ()) -> AsyncIterator[Session]:
    """An agent with its guardian, as on a real host; the folder of its lock is this test's own."""
    with tempfile.TemporaryDirectory() as folder:
        private = PRIVATE_RUN if os.geteuid() == 0 else ("env", f"XDG_RUNTIME_DIR={folder}")
        session, process = await local.start("here", [*before, *private, python], bundle.GUARDIAN)
        await session.greeted()
        await session.ask(protocol.GUARD, run=RUN, who="alice@laptop")
        try:
            yield session
        finally:
            session.close()
            await asyncio.wait_for(process.wait(), 10)
            assert os.listdir(folder) == []


@asynccontextmanager
async def in_namespace() -> AsyncIterator[Session]:
    server = ForkServer()
    port = Port(host="here", interface="eth1", addresses=("10.9.0.1/24",))
    other = Port(host="there", interface="eth1", addresses=("10.9.0.2/24",))
    network = Network(name="lan", subnets=("10.9.0.0/24",), ports=(port, other))
    testbed = Namespaces(server, Topology(name="pair", hosts=(Host(name="here"), Host(name="there")), networks=(network,)))
    try:
        await testbed.up()
        yield testbed.sessions["here"]
    finally:
        await testbed.down()
        server.close()


@asynccontextmanager
async def over_ssh(lab: SSHLab, python: str = "/usr/bin/python3") -> AsyncIterator[Session]:
    """An agent with its guardian on a machine behind a bastion, as root, taken for a run; afterwards nothing of it is there."""
    from orchestrator.connectors.ssh import Connections

    romeo = next(machine for machine in load_inventory(lab.inventory).machines if machine.name == "romeo")
    connections = Connections()
    try:
        session = await (await connections.to(replace(romeo, python=python))).start_agent("here", root=True)
        await session.ask(protocol.GUARD, run=RUN, who="alice@laptop")
        yield session
        await session.leave()
        await taken_back(connections, romeo)
    finally:
        await connections.close()
    files = lab.machines["romeo"].files
    assert [*files.glob("run/orchestrate"), *files.glob("tmp/*orchestrate*")] == []


async def taken_back(connections: Connections, machine: Machine) -> None:
    """Wait until the guardian has gone too, and ask what it has put back: until then it keeps its journal."""
    while True:
        session = await (await connections.to(machine)).start_agent("here", root=True)
        left = await ask_to_clean(session, "")
        await session.leave()
        if not any(run.alive for run in left.runs):
            return


def act(key: str, do: str, *, timeout_ns: int = 5 * SECOND, name: str | None = None, background: bool = False, **fields: object) -> dict:
    named = {"name": name} if name else {}
    return {"id": key, "timeout_ns": timeout_ns, "name": name, "background": background, "action": {"do": do, **fields, **named}}


async def prepare(session: Session, *actions: dict, **more: object) -> None:
    await session.ask(protocol.PREPARE, run=RUN, actions=list(actions), **more)


async def fire(session: Session, *keys: str, at: int = 0) -> list[dict]:
    return await session.ask(protocol.FIRE, actions=list(keys), at=at)
