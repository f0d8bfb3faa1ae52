"""What cuts the control connection of a real host reverts by itself, and the run says so: an error, never a verdict about TCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.connectors.ssh import Connections
from orchestrator.errors import AgentError
from orchestrator.loading import load_inventory
from orchestrator.model.inventory import LeftRun, Machine
from orchestrator.testbeds.machines.cleaning import ask_to_clean
from tests.e2e.conftest import Controller
from tests.integration.program import scenario, wait_until
from tests.sshlab.machines import Machine as Host
from tests.sshlab.machines import Process

pytestmark = pytest.mark.namespaces
TEXT = """
topology: two-hosts
steps:
  - {{host: romeo, iptables: '{words}', as: the-rule}}
  - {{host: romeo, call: sock = socket.socket()}}
expect:
  - path: {{socket: sock, host: romeo, states: [CLOSED]}}
"""
CUTTING = {
    "what comes in": "-A INPUT -p tcp --dport 22 -j DROP",
    "what goes out": "-A OUTPUT -p tcp --sport 22 -j DROP",
    "only new connections": "-A INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP",
    "only the bastion": "-A INPUT -s {bastion} -j DROP",
    "reset": "-A INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset",
}


def ran(controller: Controller, words: str, code: int) -> dict[str, Any]:
    """The report of a run with this rule, and the words that a person reads of it."""
    text = TEXT.format(words=words.format(bastion=controller.bastion))
    done = controller.run("run", *controller.i, scenario(controller.folder, "cutting", text), "--json")
    assert done.code == code, done
    return json.loads(done.out)["runs"][0]


@pytest.mark.parametrize("which", CUTTING)
def test_a_rule_that_cuts_it(two_hosts: Controller, which: str) -> None:
    report = ran(two_hosts, CUTTING[which], 3)
    assert (report["value"], report["status"]) == ("error", "error")
    values = {verdict["value"] for verdict in report["verdicts"]}
    assert values <= {"error", "inconclusive", "skipped"}
    words = CUTTING[which].format(bastion=two_hosts.bastion)
    assert words in report["reason"], report["reason"]
    assert "cut the control connection" in report["reason"]
    assert "taken back" in report["reason"] or "takes it back" in report["reason"]
    again = two_hosts.run("run", *two_hosts.i, "connection-refused", "--json")
    assert again.code == 0, json.loads(again.out)["runs"][0]["reason"]


STEPS = """
topology: two-hosts
steps:
  - {host: romeo, iptables: '-I INPUT -p tcp --dport 22 -j ACCEPT', as: door}
  - {host: romeo, iptables: '-A INPUT -p tcp --dport 22 -j DROP', as: wall}
  - {host: romeo, remove: door}
"""


DOWN = """
topology: two-hosts
steps:
  - {host: romeo, ip: link set ens3 down}
  - {host: romeo, call: sock = socket.socket()}
expect:
  - path: {socket: sock, host: romeo, states: [CLOSED]}
"""


def test_the_interface_of_the_control_connection_set_down(two_hosts: Controller) -> None:
    done = two_hosts.run("run", *two_hosts.i, scenario(two_hosts.folder, "down", DOWN), "--json")
    assert done.code == 3, done
    report = json.loads(done.out)["runs"][0]
    assert (report["value"], report["status"]) == ("error", "error")
    assert {verdict["value"] for verdict in report["verdicts"]} <= {"error", "inconclusive", "skipped"}
    assert "ip link set ens3 down" in report["reason"]
    assert "cut the control connection" in report["reason"]
    assert "taken back" in report["reason"] or "takes it back" in report["reason"]


def test_a_rule_that_was_taken_out_and_had_kept_the_way_open(two_hosts: Controller) -> None:
    done = two_hosts.run("run", *two_hosts.i, scenario(two_hosts.folder, "door", STEPS), "--json")
    assert done.code == 3, done
    assert "wall without door: this cut the control connection, and was taken back" in json.loads(done.out)["runs"][0]["reason"]


def test_a_rule_that_does_not_cut_it_stays_until_the_end(two_hosts: Controller) -> None:
    report = ran(two_hosts, "-A INPUT -p tcp --dport 5555 -j DROP", 0)
    assert report["value"] == "passed"
    record = two_hosts.stage("record")
    romeo = next(host for host in record["hosts"] if host["name"] == "romeo")
    assert any("--dport 5555" in text for text in romeo["undone"])


async def told_by_its_guardian(connections: Connections, machine: Machine) -> None:
    """Who lost an agent asks what became of the run; until then its journal stays."""
    while True:
        session = await (await connections.to(machine)).start_agent("romeo", root=True)
        (run,) = (await ask_to_clean(session, "")).runs
        await session.leave()
        if not run.alive:
            assert (run.run, run.not_undone, bool(run.undone)) == ("c07", (), True)
            return


def of(controller: Controller) -> Machine:
    """Romeo, as the inventory has it."""
    return next(one for one in load_inventory(controller.inventory).machines if one.name == "romeo")


@asynccontextmanager
async def agent(controller: Controller) -> AsyncIterator[Session]:
    """The agent of romeo, which was taken for a run."""
    connections = Connections()
    machine = of(controller)
    try:
        session = await (await connections.to(machine)).start_agent("romeo", root=True)
        session.prove = lambda: connections.prove(machine)
        await session.ask(protocol.GUARD, run="c07", who="alice@laptop")
        yield session
        if session.lost is None:
            await session.ask(protocol.FINISH)
            await session.leave()
        else:
            await told_by_its_guardian(connections, machine)
    finally:
        await connections.close()


PLUMBING = {
    "a route into nothing": "route add blackhole {bastion}/32",
    "its address": "address del {own}/24 dev ens3",
    "its interface": "link set ens3 down",
}


@pytest.mark.parametrize("way", ["an action", "set up before the run"])
@pytest.mark.parametrize("which", PLUMBING)
def test_plumbing_that_cuts_it(two_hosts: Controller, which: str, way: str) -> None:
    words = PLUMBING[which].format(bastion=two_hosts.bastion, own=two_hosts.lab.machines["romeo"].plan.address).split()

    async def whole() -> str:
        async with asyncio.timeout(60), agent(two_hosts) as session:
            try:
                if way == "an action":
                    action = {"id": "1", "timeout_ns": 5_000_000_000, "action": {"do": "ip", "words": words}}
                    await session.ask(protocol.PREPARE, run="c07", actions=[action])
                    (result,) = await session.ask(protocol.FIRE, actions=["1"])
                    assert result["exceptions"][:2] == ["ControlCut", "ChangeRefused"]
                    return str(result["message"])
                await session.ask(protocol.PREPARE, run="c07", actions=[], setup=[{"words": words}])
            except AgentError as error:
                return str(error)
        raise AssertionError("nothing was told")

    told = asyncio.run(whole())
    assert " ".join(words) in told
    assert "cut the control connection" in told
    assert "taken back" in told or "takes it back" in told


def serving(machine: Host) -> set[int]:
    """The sshd processes there that serve somebody who has been let in."""
    return {one.pid for one in machine.processes("sshd: ubuntu") if one.user != 0}


def pythons(machine: Host) -> list[Process]:
    """What was launched there: guardians, agents, and who stayed behind from a guardian."""
    return [one for one in machine.processes("import os,_signal") if one.argv[0].endswith("python3")]


async def one_run(connections: Connections, machine: Machine) -> None:
    """An agent that takes the machine, alters nothing, and leaves in good order; the connection stays."""
    session = await (await connections.to(machine)).start_agent("romeo", root=True)
    await session.ask(protocol.GUARD, run="c07", who="alice@laptop")
    await session.ask(protocol.FINISH)
    await session.leave()


def test_a_connection_that_is_cut_after_the_end_does_not_stay(two_hosts: Controller) -> None:
    romeo = two_hosts.lab.machines["romeo"]

    async def whole() -> None:
        theirs, ours = Connections(), Connections()
        await theirs.to(of(two_hosts))
        await asyncio.to_thread(wait_until, lambda: serving(romeo))
        others = serving(romeo)
        await one_run(ours, of(two_hosts))
        (served,) = serving(romeo) - others
        two_hosts.lab.cut("romeo")
        try:
            await asyncio.to_thread(wait_until, lambda: served not in serving(romeo), 30)
            assert others <= serving(romeo)
        finally:
            two_hosts.lab.mend("romeo")
        await theirs.close()
        await ours.close()

    asyncio.run(asyncio.wait_for(whole(), 40))


def test_a_connection_that_serves_the_next_run_is_left_to_it(two_hosts: Controller) -> None:
    romeo = two_hosts.lab.machines["romeo"]

    async def whole() -> None:
        connections = Connections()
        await one_run(connections, of(two_hosts))
        served = serving(romeo)
        session = await (await connections.to(of(two_hosts))).start_agent("romeo", root=True)
        await asyncio.to_thread(wait_until, lambda: len(pythons(romeo)) == len(("guardian", "agent")), 30)
        assert serving(romeo) == served
        await session.leave()
        await connections.close()

    asyncio.run(asyncio.wait_for(whole(), 40))


TOOL = "$(readlink -f $(command -v iptables))"
HANGING = {
    "a tool that hangs": (
        "true",
        f"printf '#!/bin/sh\\nexec sleep 600\\n' > /run/hangs; chmod 755 /run/hangs; mount --bind /run/hangs {TOOL}",
        f"umount {TOOL}; rm /run/hangs",
    ),
    "a lock that somebody holds": (
        f"mount --bind $(readlink -f $(command -v iptables-legacy)) {TOOL}",
        "setsid flock /run/xtables.lock sleep 611 >/dev/null 2>&1 &",
        "pkill -f 'sleep 611'",
    ),
}
"""By what undos are kept: what is done before the run, in the midst of it, and at last."""
ALTERED = [
    {"do": "sysctl", "values": {"net.ipv4.tcp_sack": 0}},
    *(
        {"do": "iptables", "tool": "iptables", "words": f"-A INPUT -p tcp --dport {port} -j DROP".split(), "name": f"r{port}"}
        for port in range(80, 85)
    ),
]


@pytest.mark.parametrize("how", HANGING)
def test_undos_that_hang_do_not_keep_the_others_when_the_connection_is_cut_too(two_hosts: Controller, how: str) -> None:
    romeo = two_hosts.lab.machines["romeo"]
    begin, hang, let_go = (["sh", "-c", text] for text in HANGING[how])
    if "legacy" in begin[-1] and romeo.run(["sh", "-c", "command -v iptables-legacy"]).returncode:
        pytest.skip("this machine has no iptables-legacy, which is the one that takes a lock")
    sack = ["sysctl", "-n", "net.ipv4.tcp_sack"]
    before = romeo.run(sack).stdout

    async def whole() -> LeftRun:
        async with asyncio.timeout(100):
            connections = Connections()
            session = await (await connections.to(of(two_hosts))).start_agent("romeo", root=True)
            await session.ask(protocol.GUARD, run="c07", who="alice@laptop")
            actions = [
                {"id": str(at), "timeout_ns": 9_000_000_000, "name": one.get("name"), "action": one} for at, one in enumerate(ALTERED)
            ]
            await session.ask(protocol.PREPARE, run="c07", actions=actions)
            results = await session.ask(protocol.FIRE, actions=[one["id"] for one in actions])
            assert {result["status"] for result in results} == {"done"}
            assert romeo.run(sack).stdout != before
            assert romeo.run(hang).returncode == 0
            two_hosts.lab.cut("romeo")
            try:
                await asyncio.to_thread(wait_until, lambda: romeo.run(sack).stdout == before and not pythons(romeo), 30)
            finally:
                two_hosts.lab.mend("romeo")
                romeo.run(let_go)
            journal = (romeo.files / "run/orchestrate/c07.journal").read_text()
            (ended,) = (told for line in journal.splitlines() if "ended" in (told := json.loads(line)))
            assert (len(ended["not_undone"]), ended["undone"][-1:]) == (len(ALTERED) - 1, ["net.ipv4.tcp_sack = 1"])
            await connections.close()
            again = Connections()
            cleaner = await (await again.to(of(two_hosts))).start_agent("romeo", root=True)
            (run,) = (await ask_to_clean(cleaner, "")).runs
            await cleaner.leave()
            await again.close()
            return run

    assert romeo.run(begin).returncode == 0
    try:
        run = asyncio.run(whole())
    finally:
        romeo.run(["sh", "-c", f"umount {TOOL}; rm -f /run/xtables.lock"])
    assert "the controller was silent" in run.reason
    assert len([text for text in run.undone if "--dport" in text]) == len(ALTERED) - 1
    assert run.not_undone == ()
