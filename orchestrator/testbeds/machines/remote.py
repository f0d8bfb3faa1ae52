"""Real machines of an inventory -> the hosts of a run: surveyed by an agent that touches nothing, then guarded, prepared, and let go.

Knows no SSH; the connections outlive the run, the agents do not. The surprising fact: a machine is asked what became of a run when its host
was lost in the midst of it, because its guardian went on without us and knows what it put back.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.agent import protocol
from orchestrator.connectors.crowd import on_all
from orchestrator.connectors.session import Session
from orchestrator.errors import AgentLost, HostErrors, OrchestratorError, TestbedError
from orchestrator.model.inventory import Machine
from orchestrator.model.plan import HostPlan, Plan
from orchestrator.model.record import HostRecord, RunRecord
from orchestrator.model.scenario import Needs
from orchestrator.model.topology import LiveHost, Testbed, Topology
from orchestrator.model.words.actions import Run, Start
from orchestrator.testbeds.machines.cleaning import ask_to_clean
from orchestrator.testbeds.machines.logins import login
from orchestrator.testbeds.machines.matching import FORWARDING, Surveyed, match, survey_of
from orchestrator.testbeds.machines.ways import Connections

KIND = "ssh"
_SURVEY_S = 15.0
_GUARD_S = 10.0
_ACCOUNT_S = 6.0
"""With the silence before it less than half a minute, for which the others' connections stay open."""
_LEAVE_S = 2.0
_AGAIN_S = 1.0
PUT_BACK = "its machine was put back as it was: nothing of the run is left there"
"""A guardian that has put back everything leaves no journal either."""


class Machines:
    """A site of real machines: ``chosen`` gives the machine of each host of a topology."""

    at_once: int | None = 1

    def __init__(self, connections: Connections, chosen: Callable[[Topology], Mapping[str, Machine]]) -> None:
        self._connections = connections
        self._chosen = chosen

    def hosts(self, topology: Topology, family: str, run_id: str) -> RealHosts:
        """Hosts for one run."""
        return RealHosts(self._connections, self._chosen(topology), topology, family, run_id)

    async def close(self) -> None:
        """End all connections."""
        await self._connections.close()


class RealHosts:
    """The hosts of one run on real machines."""

    def __init__(self, connections: Connections, machines: Mapping[str, Machine], topology: Topology, family: str, run_id: str) -> None:
        self.sessions: dict[str, Session] = {}
        self.processes: dict[str, int] = {}
        self.logins = {host.name: login(machines[host.name]) for host in topology.hosts}
        self._connections = connections
        self._machines = machines
        self._topology = topology
        self._family = family
        self._run_id = run_id
        self._found: dict[str, Surveyed] = {}
        self._guarded = False

    # -- before the plan

    async def survey(self, needs: Needs) -> Testbed:
        """Connect to every machine, start an agent that alters nothing, and ask it."""
        names = [host.name for host in self._topology.hosts]
        live = await on_all(names, lambda name: self._survey_one(name, needs))
        return Testbed(kind=KIND, topology=self._topology, hosts=tuple(live))

    async def _survey_one(self, name: str, needs: Needs) -> LiveHost:
        machine = self._machines[name]
        connection = await self._connections.to(machine)
        self.logins[name] = login(machine, connection.jumps)
        session = self.sessions[name] = await connection.start_agent(name, root=needs.rights or machine.configure)
        session.prove = lambda: self._connections.prove(machine)
        asked = session.ask(protocol.SURVEY, tools=needs.tools, features=needs.features, sysctls=FORWARDING, network=True)
        found = survey_of(await session.wait_for_answer(asked, _SURVEY_S, "tell what it has"), name)
        self._found[name] = found
        host = next(host for host in self._topology.hosts if host.name == name)
        live = match(self._topology, self._family, host, machine, found)
        return replace(live, facts=replace(live.facts, sysctls=await self._sysctls(session, live, needs)))

    @staticmethod
    async def _sysctls(session: Session, live: LiveHost, needs: Needs) -> dict[str, str]:
        """The parameters that are needed, asked for with the interfaces' names there, told with those of the topology."""
        wanted = {live.sysctl_key(key): key for key in needs.sysctls}
        if not wanted:
            return {}
        told = await session.wait_for_answer(session.ask(protocol.SURVEY, sysctls=list(wanted)), _SURVEY_S, "tell its parameters")
        return {wanted[key]: value for key, value in survey_of(told, live.name).sysctls.items() if key in wanted}

    # -- for a plan

    async def up(self, plan: Plan) -> None:
        """Take every machine for this run alone.

        :raises TestbedError: an offload is not as the plan wants it, and may not be set; or another run has the machine.
        """
        self.check(plan)
        self._guarded = True
        start = {action.host for step in plan.steps for action in step.actions if isinstance(action.action, Start | Run)}
        await on_all([host.name for host in self._topology.hosts], lambda name: self._guard(name, programs=name in start))

    def check(self, plan: Plan) -> None:
        """Whether every machine that was surveyed is as the plan wants it, or may be made so.

        :raises TestbedError: an offload is not, and may not be set.
        """
        live = {live.name: live for live in plan.testbed.hosts}
        wrong = {host.name: self._wrong_offloads(host, live[host.name]) for host in plan.hosts}
        failed = [error for error in wrong.values() if error is not None]
        if failed:
            raise failed[0] if len(failed) == 1 else HostErrors(wrong)

    async def _guard(self, name: str, *, programs: bool) -> None:
        session = self.sessions[name]
        asked = session.ask(protocol.GUARD, run=self._run_id, who=whoami(), programs=programs)
        await session.wait_for_answer(asked, _GUARD_S, "set up its guardian")

    def _wrong_offloads(self, host: HostPlan, live: LiveHost) -> TestbedError | None:
        """What has to be switched on a host where nothing may be."""
        states = {one.name: one.offloads for one in self._found[host.name].interfaces}
        wrong = {
            interface: {name: wanted for name, wanted in host.offload.items() if states.get(interface, {}).get(name, wanted) != wanted}
            for interface in host.interfaces
        }
        lines = [f"ethtool -K {interface} {_switched(switches)}" for interface, switches in wrong.items() if switches]
        if not lines or live.configure:
            return None
        return TestbedError(
            f"{host.name}: offloads are not as the run needs them, so what is captured would not be what is on the wire. Say"
            f" `configure: true` for {live.machine} in the inventory, and each run switches them and puts them back; or let its"
            f" administrator type: {'; '.join(lines)}"
        )

    def watch(self, on_broken: Callable[[OrchestratorError], None]) -> None:
        """A machine that is lost is lost for the run: the others need not wait until it is asked again."""
        for session in self.sessions.values():
            session.on_lost = on_broken

    # -- after the run

    async def account(self, record: RunRecord) -> RunRecord:
        """Ask the machines of lost hosts what became of the run; their guardians put back what was altered, with or without us."""
        lost = [host for host in record.hosts if host.lost] if self._guarded else []
        if not lost:
            return record
        others = [session.leave() for name, session in self.sessions.items() if all(name != host.name for host in lost)]
        asked, _left = await asyncio.gather(asyncio.gather(*map(self._ask_machine, lost)), asyncio.gather(*others))
        told = {host.name: host for host in asked}
        already = {host.lost for host in lost}
        before = [line for line in record.reason.splitlines() if line not in already]
        news = HostErrors({host.name: AgentLost(host.name, _whole_story(host)) for host in asked})
        return replace(record, hosts=tuple(told.get(host.name, host) for host in record.hosts), reason="\n".join([*before, str(news)]))

    async def _ask_machine(self, host: HostRecord) -> HostRecord:
        # A change that closed the door opens it again, but only when it was waited for in vain that somebody confirms it.
        patience_s = _ACCOUNT_S + (2 * protocol.CONFIRM_S if self.sessions[host.name].doubted else 0)
        try:
            async with asyncio.timeout(patience_s):
                await self.sessions[host.name].leave(_LEAVE_S)
                while True:
                    told = await self._asked_once(host.name)
                    if told is not None:
                        return replace(host, **told)
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            return replace(host, lost=f"{host.lost}; and its machine did not say within {patience_s:g} s what became of the run")
        except OrchestratorError as error:
            return replace(host, lost=f"{host.lost}; nor could its machine be asked what became of the run ({error})")

    async def _asked_once(self, name: str) -> dict[str, Any] | None:
        """What a machine says of this run; ``None`` while its guardian is still at work."""
        connection = await self._connections.to(self._machines[name])
        session = await connection.start_agent(name, root=True)
        try:
            left = await ask_to_clean(session, self._run_id)
        finally:
            await session.leave()
        ours = next((run for run in left.runs if run.run == self._run_id), None)
        if ours is None:
            return {"fate": PUT_BACK}
        if ours.alive:
            return None
        fate = ours.reason if ours.not_undone else f"{ours.reason}; all that was altered there is put back"
        return {"undone": ours.undone, "not_undone": ours.not_undone, "fate": fate}

    async def down(self) -> None:
        """End every agent, and wait until its guardian has gone too, so that the next run finds the machine free."""
        sessions, self.sessions = list(self.sessions.values()), {}
        await asyncio.gather(*(session.leave() for session in sessions))


def _whole_story(host: HostRecord) -> str:
    """How a host was lost, and what its machine said of it afterwards."""
    return host.lost.removeprefix(f"{host.name}: ") + (f"; asked afterwards: {host.fate}" if host.fate else "")


def _switched(switches: Mapping[str, bool]) -> str:
    return " ".join(f"{name} {'on' if on else 'off'}" for name, on in switches.items())


def whoami() -> str:
    """Who runs, for others to read: ``alice@laptop``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
