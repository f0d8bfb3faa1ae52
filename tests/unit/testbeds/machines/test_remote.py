"""What a run tells of the machines that it lost."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from orchestrator.errors import Unreachable
from orchestrator.model.inventory import Machine
from orchestrator.model.record import HostRecord, RunRecord
from orchestrator.model.scenario import Needs
from orchestrator.model.topology import Host, Topology
from orchestrator.testbeds.machines.logins import login
from orchestrator.testbeds.machines.remote import PUT_BACK, RealHosts

SILENT = "its agent left: the controller was silent for 15 s"
FATES = {"romeo": {"fate": PUT_BACK}, "juliet": {"fate": PUT_BACK}, "router": {"lost": f"router: {SILENT}; and its machine did not say"}}


class Asked(RealHosts):
    """Machines that answer at once."""

    def __init__(self) -> None:
        super().__init__(None, {}, Topology(name="t", hosts=(), networks=()), "ipv4", "r")  # type: ignore[arg-type]
        self._guarded = True

    async def _ask_machine(self, host: HostRecord) -> HostRecord:
        return msgspec.structs.replace(host, **FATES[host.name])


@pytest.mark.parametrize(("before", "first"), [(f"romeo: {SILENT}", []), ("interrupted by SIGINT", ["interrupted by SIGINT"])])
def test_what_befell_several_hosts_alike_is_told_once(before: str, first: list[str]) -> None:
    hosts = tuple(HostRecord(name=name, lost=f"{name}: {SILENT}") for name in FATES)
    record = RunRecord(run_id="r", label="x", status="error", reason=before, start_ns=0, end_ns=1, hosts=hosts)
    told = asyncio.run(Asked().account(record))
    assert told.reason.splitlines() == [
        *first,
        f"romeo, juliet: {SILENT}; asked afterwards: {PUT_BACK}",
        f"router: {SILENT}; and its machine did not say",
    ]
    assert [host.fate for host in told.hosts] == [PUT_BACK, PUT_BACK, ""]


class Ways:
    """Leads by a bastion to machines that run nothing."""

    jumps = ("me@gate:22",)

    async def to(self, _machine: Machine) -> Ways:
        return self

    async def start_agent(self, host: str, *, root: bool) -> None:
        raise Unreachable(host, f"no agent ({root})")


def test_a_person_goes_by_the_bastions_that_the_run_went_by() -> None:
    machine = Machine(name="node7")
    hosts = RealHosts(Ways(), {"romeo": machine}, Topology(name="t", hosts=(Host(name="romeo"),), networks=()), "ipv4", "r")  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        asyncio.run(hosts.survey(Needs()))
    assert hosts.logins == {"romeo": login(machine, Ways.jumps)}
