"""A real host is left as it was found, whoever dies: agent, guardian, controller, or two of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.agent import protocol
from orchestrator.agent.safety.processes import descendants, since
from orchestrator.errors import AgentError, AgentLost, Unreachable
from tests.integration.machine import PYTHON, Machine, Started, act, live, rule
from tests.integration.program import wait_until

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine with a network of its own needs root"),
]

IPTABLES = os.path.realpath(shutil.which("iptables") or "/usr/sbin/iptables")
SLEEP = shutil.which("sleep") or "/bin/sleep"
DAEMON = f"import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\nos.execve('{SLEEP}', ['{SLEEP}', '601'], {{}})"
EVERYTHING = [
    rule("1", "lose", "-A INPUT -p tcp --dport 80 -j DROP"),
    rule("2", "first", "-I INPUT 1 -p tcp --dport 81 -j REJECT --reject-with tcp-reset"),
    rule("3", "six", "-A INPUT -p tcp --dport 82 -j DROP", "ip6tables"),
    act("4", "sysctl", values={"net.ipv4.tcp_sack": 0, "net.ipv4.conf.eth1.log_martians": 1}),
    act("5", "offload", values={"tso": False, "gso": False}, interfaces=["eth1"]),
    act("6", "ip", words=["route", "add", "10.78.0.0/16", "via", "10.9.0.3"]),
    act("7", "ip", words=["route", "replace", "10.77.0.0/16", "via", "10.9.0.3"]),
    act("8", "ip", words=["address", "add", "10.9.0.9/24", "dev", "eth1"]),
    act("9", "ip", words=["-6", "route", "del", "fd77::/48"]),
    act("10", "file", name="x.txt", text="hi"),
    act("11", "start", name="sleeper", argv=["sleep", "600"]),
    act("12", "run", argv=[PYTHON, "-I", "-S", "-c", DAEMON]),
    act("13", "ip", words=["link", "set", "eth1", "down"]),
]
SETUP = [{"words": ["address", "add", "10.10.0.1/24", "dev", "eth2"]}, {"words": ["route", "add", "10.79.0.0/16", "via", "10.10.0.2"]}]


async def altered(machine: Machine) -> Started:
    """A run that has altered everything it can."""
    started = await machine.taken()
    await started.prepare(*EVERYTHING, private=True, setup=SETUP, sysctl={"net.ipv4.ip_forward": 1})
    for action in EVERYTHING:
        (result,) = await started.fire(action["id"])
        assert result["status"] == "done", result
    changed = machine.changed()
    assert set(changed) == {"rules", "routes", "addresses", "sysctls", "offloads", "files", "processes"}
    return started


async def asked(machine: Machine, **fields: object) -> dict:
    """What CLEAN answers another agent."""
    other = await machine.start()
    answer = await other.session.ask(protocol.CLEAN, **fields)
    other.session.close()
    assert await other.ended() is None
    return answer


def test_a_run_that_ends_as_it_should_leaves_nothing() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        answer = await started.session.ask(protocol.FINISH)
        assert answer["not_undone"] == []
        assert len(answer["undone"]) > len(EVERYTHING)
        started.session.close()
        assert await started.ended() is None
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_agent_killed() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        os.kill(started.agent, signal.SIGKILL)
        goodbye = await started.ended()
        assert goodbye is not None
        assert (goodbye["tell"], goodbye["reason"], goodbye["not_undone"]) == ("goodbye", "the agent was killed by SIGKILL", [])
        assert machine.changed(but_outcomes=True) == {}
        answer = await asked(machine)
        (told,) = answer["runs"]
        assert (told["run"], told["who"], told["alive"], told["reason"]) == (
            "7e57",
            "alice@laptop",
            False,
            "the agent was killed by SIGKILL",
        )
        assert told["undone"] == goodbye["undone"]
        assert (answer["rules"], told["not_undone"]) == ([], [])
        assert (await asked(machine))["runs"] == []
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_what_was_made_last_is_undone_first() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()
        rules = [rule(str(port), f"r{port}", f"-A INPUT -p tcp --dport {port} -j DROP") for port in (80, 81, 82)]
        await started.prepare(*rules)
        for action in rules:
            await started.fire(action["id"])
        os.kill(started.agent, signal.SIGKILL)
        goodbye = await started.ended()
        assert goodbye is not None
        assert [text.split("--dport ")[1][:2] for text in goodbye["undone"]] == ["82", "81", "80"]

    live(body)


def test_agent_frozen() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        os.kill(started.agent, signal.SIGSTOP)
        await machine.wait_restored(30)
        goodbye = await started.ended()
        assert goodbye is not None
        assert "the agent was stopped (SIGSTOP)" in goodbye["reason"]

    live(body)


def test_guardian_killed() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        started.process.kill()
        await machine.wait_restored(30)
        assert (await asked(machine))["runs"] == []
        assert started.session.goodbye == "its guardian has gone"
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_a_guardian_that_goes_together_with_the_way_to_the_controller_is_the_reason() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        os.kill(started.agent, signal.SIGSTOP)  # so that it hears of both at once
        leaving = asyncio.ensure_future(started.session.leave())
        await asyncio.sleep(0)
        started.process.kill()
        os.kill(started.agent, signal.SIGCONT)
        await leaving
        assert started.session.goodbye == "its guardian has gone"
        await machine.wait_restored(30, but_outcomes=False)

    live(body)


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def kill_both(started: Started, number: int = signal.SIGKILL) -> None:
    for pid in (started.process.pid, started.agent):
        os.kill(pid, signal.SIGSTOP)
    if number != signal.SIGSTOP:
        for pid in (started.process.pid, started.agent):
            os.kill(pid, number)


def test_both_killed_and_then_cleaned() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        escaped = [pid for pid in descendants(started.process.pid) if "601" in command(pid)]
        kill_both(started)
        await started.process.wait()
        with pytest.raises(AgentLost):
            await started.session.ask(protocol.BEAT)
        other = await machine.start()
        with pytest.raises(AgentError, match=r"romeo: run 7e57 of alice@laptop, since .* was not undone .*: orchestrate clean --run 7e57"):
            await other.session.ask(protocol.GUARD, run="abc", who="bob")
        answer = await other.session.ask(protocol.CLEAN)
        (told,) = answer["runs"]
        assert (told["reason"], told["not_undone"], told["alive"]) == ("its agent and its guardian were killed", [], False)
        await other.session.ask(protocol.GUARD, run="abc", who="bob")
        other.session.close()
        await other.ended()
        for pid in escaped:  # a daemon that empties its environment is out of the reach of everybody but the guardian
            os.kill(pid, signal.SIGKILL)
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_both_frozen_and_then_ended_by_name() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        kill_both(started, signal.SIGSTOP)
        (told,) = (await asked(machine))["runs"]
        assert (told["alive"], told["reason"]) == (True, "it is going on")
        assert (await asked(machine, run="abc"))["runs"][0]["alive"] is True
        (told,) = (await asked(machine, run="7e57"))["runs"]
        assert (told["alive"], told["not_undone"]) == (False, [])

    live(body)


@pytest.mark.parametrize("fields", [{"run": "7e57"}, {"all": True}], ids=["by name", "all"])
def test_a_living_run_is_ended_when_it_is_named(fields: dict) -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        (told,) = (await asked(machine, **fields))["runs"]
        assert (told["alive"], told["reason"], told["not_undone"]) == (False, f"signal {int(signal.SIGTERM)}", [])
        assert await started.ended() is None
        assert started.session.lost is not None
        assert f"signal {int(signal.SIGTERM)}" in str(started.session.lost)
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_controller_gone() -> None:
    async def body(machine: Machine) -> None:
        started = await altered(machine)
        started.session.close()
        assert await started.ended() is None
        assert machine.changed(but_outcomes=True) == {}
        (told,) = (await asked(machine))["runs"]
        assert told["reason"] == "the channel ended"
        assert len(told["undone"]) > len(EVERYTHING)

    live(body)


def test_a_change_that_was_about_to_be_made_is_not_undone_after_what_was_made_before() -> None:
    """Its guardian has its undo, which would switch off what was off at that moment, and the agent left before it knew."""

    async def body(machine: Machine) -> None:
        started = await machine.taken()
        on_again = act("1", "offload", values={"tso": True}, interfaces=["eth1"])
        await started.prepare(on_again, offload={"tso": False}, interfaces=["eth1"])
        assert "offloads" in machine.changed()
        started.process.send_signal(signal.SIGSTOP)
        firing = asyncio.ensure_future(started.fire("1"))
        await asyncio.sleep(0)  # it is asked
        started.session.close()
        await asyncio.to_thread(wait_until, lambda: not since(started.agent), 30)
        started.process.send_signal(signal.SIGCONT)
        with pytest.raises(AgentLost):
            await firing
        assert await started.ended() is None
        assert machine.changed(but_outcomes=True) == {}

    live(body)


def test_who_leaves_while_it_sets_up_stops_to_set_up() -> None:
    """Or what it alters at that moment would come after what takes it back."""

    async def body(machine: Machine) -> None:
        started = await machine.taken()
        setup = [{"words": ["address", "add", f"10.88.{number}.1/24", "dev", "eth1"]} for number in range(99)]
        preparing = asyncio.ensure_future(started.prepare(setup=setup))
        await asyncio.to_thread(wait_until, lambda: "addresses" in machine.changed(), 30)
        started.session.close()
        with pytest.raises(AgentLost):
            await preparing
        assert await started.ended() is None
        assert machine.changed(but_outcomes=True) == {}
        (told,) = (await asked(machine))["runs"]
        assert 0 < len(told["undone"]) < len(setup)
        assert told["not_undone"] == []

    live(body)


def test_a_run_that_altered_nothing_leaves_no_word() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()
        await started.prepare()
        started.session.close()
        assert await started.ended() is None
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_signal_that_asks_to_end() -> None:
    """systemd-logind sends it to all that a person left behind."""

    async def body(machine: Machine) -> None:
        started = await altered(machine)
        started.process.terminate()
        assert await started.ended() is None
        assert machine.changed(but_outcomes=True) == {}

    live(body)


def test_a_second_run_is_refused_and_told_by_whom() -> None:
    async def body(machine: Machine) -> None:
        first = await machine.taken()
        second = await machine.start()
        text = r"romeo: run 7e57 of alice@laptop, since 20..-..-.. ..:..:.. UTC, has this host: wait, or .* orchestrate clean --run 7e57"
        with pytest.raises(AgentError, match=text):
            await second.session.ask(protocol.GUARD, run="abc", who="bob@desk")
        first.session.close()
        await first.ended()
        await second.session.ask(protocol.GUARD, run="abc", who="bob@desk")
        second.session.close()
        await second.ended()
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_before_it_has_the_host_an_agent_is_harmless() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.start()
        for ask in (protocol.PREPARE, protocol.FIRE, protocol.LINES, protocol.CAPTURE):
            with pytest.raises(AgentError, match="guard comes first"):
                await started.session.ask(ask, run="abc", actions=[], interfaces=[])
        for run in ("", "x", "../a", "a" * 33, 7, None):
            with pytest.raises(AgentError, match="not the id of a run"):
                await started.session.ask(protocol.GUARD, run=run, who="bob")
        os.kill(started.agent, signal.SIGKILL)
        goodbye = await started.ended()
        assert goodbye == {"tell": "goodbye", "reason": "the agent was killed by SIGKILL", "undone": [], "not_undone": []}
        await machine.wait_restored(5, but_outcomes=False)

    live(body)


def test_a_full_disk_refuses_the_change_before_it_is_made() -> None:
    async def body(machine: Machine) -> None:
        machine.do("mount", "-o", "remount,size=1M", "/run")
        started = await machine.taken()
        rules = [rule(str(port), f"{port}-" + "x" * 150, f"-A INPUT -p tcp --dport {port} -j DROP") for port in range(1000, 1020)]
        await started.prepare(*rules)
        machine.do("sh", "-c", "cat /dev/zero > /run/full", check=False)
        results = [(await started.fire(action["id"]))[0] for action in rules]  # a page of the journal has room for some
        refused = [result for result in results if result["status"] == "raised"]
        assert len(refused) > 10
        assert all("No space left on device" in result["message"] for result in refused)
        text = machine.do("iptables-save")
        assert [f"--dport {result['id']}" in text for result in results] == [result["status"] == "done" for result in results]
        machine.do("rm", "/run/full")
        assert (await started.fire(refused[0]["id"]))[0]["status"] == "done"
        answer = await started.session.ask(protocol.FINISH)
        assert (len(answer["undone"]), answer["not_undone"]) == (len(rules) - len(refused) + 1, [])
        started.session.close()
        await started.ended()
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


@pytest.mark.parametrize("planted", ["ln -s /etc", "mkdir -m 777", "install -d -o nobody -m 700"])
def test_a_planted_folder_is_not_used(planted: str) -> None:
    async def body(machine: Machine) -> None:
        machine.do(*planted.split(), "/run/orchestrate")
        started = await machine.start()
        with pytest.raises(AgentError, match="/run/orchestrate"):
            await started.session.ask(protocol.GUARD, run="abc", who="bob")
        started.session.close()
        await started.ended()

    live(body)


def test_rules_of_a_dead_run_without_a_journal_go_by_their_label_and_no_others() -> None:
    async def body(machine: Machine) -> None:
        for tool in ("iptables", "ip6tables"):
            machine.do(*f"{tool} -A INPUT -p tcp --dport 9 -j DROP -m comment --comment".split(), "orchestrate:deaddead:it's-mine")
        machine.do("mkdir", "-m", "700", "/tmp/orchestrate-deaddead-0123456789abcdef")
        living = await machine.taken()
        await living.prepare(rule("1", "lose", "-A INPUT -p tcp --dport 80 -j DROP"))
        await living.fire("1")
        answer = await asked(machine)
        assert len(answer["rules"]) == 2
        assert all("orchestrate:deaddead:" in text for text in answer["rules"])
        assert "--dport 80" in machine.do("iptables-save")
        living.session.close()
        await living.ended()
        await asked(machine)
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


# -- commit confirmed


UNREACHED = Unreachable("romeo", "no connection")
CUTS = [
    rule("1", "in", "-A INPUT -p tcp --dport 22 -j DROP"),
    rule("1", "out", "-A OUTPUT -p tcp --sport 22 -j DROP"),
    rule("1", "new", "-I INPUT 1 -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP"),
    rule("1", "bastion", "-A INPUT -s 10.9.0.2 -j REJECT"),
    act("1", "ip", words=["route", "replace", "10.77.0.0/16", "dev", "lo"]),
    act("1", "ip", words=["route", "del", "10.77.0.0/16"]),
    act("1", "ip", words=["address", "del", "10.9.0.1/24", "dev", "eth1"]),
    act("1", "ip", words=["link", "set", "eth1", "down"]),
    act("1", "sysctl", values={"net.ipv4.ip_forward": 1}),
    act("1", "offload", values={"tso": False}, interfaces=["eth1"]),
]
AT_ONCE = 5


def cut_off(cut: dict) -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()

        async def prove() -> None:
            assert machine.changed().keys() - {"processes", "files"}  # it was made, and is asked about afterwards
            raise UNREACHED

        started.session.prove = prove
        await started.prepare(cut)
        (result,) = await started.fire("1")
        assert result["exceptions"][:2] == ["ControlCut", "ChangeRefused"]
        assert "this cut the control connection, and was taken back after 5 s" in result["message"]
        assert started.session.unproven == "romeo: no connection"
        assert machine.changed().keys() <= {"processes", "files"}
        assert (await started.session.ask(protocol.FINISH))["undone"] == []
        started.session.close()
        await started.ended()
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_what_cuts_the_control_connection_is_taken_back_and_told() -> None:
    """Several machines wait for their five seconds at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [(cut["action"], pool.submit(cut_off, cut)) for cut in CUTS]
    assert [(action, error) for action, done in tried if (error := done.exception())] == []


HARDENED = {
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.eth2.forwarding": "1",
    "net.ipv6.conf.eth2.forwarding": "1",
    "net.ipv6.conf.eth1.disable_ipv6": "0",
}


@pytest.mark.parametrize("how", ["finished", "killed"])
def test_forwarding_goes_back_with_all_that_the_kernel_sets_along(how: str) -> None:
    async def body(machine: Machine) -> None:
        for key, value in HARDENED.items():
            machine.do("sysctl", "-qw", f"{key}={value}")
        started = await machine.taken()
        forwarding = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
        await started.prepare(act("1", "sysctl", values={"net.ipv6.conf.all.disable_ipv6": 1}), sysctl=forwarding)
        (result,) = await started.fire("1")
        assert result["exceptions"][0] == "ChangeRefused"
        assert result["message"].endswith("nobody knows how to take this back, as addresses and routes go with it")
        assert {key: machine.do("sysctl", "-n", key).strip() for key in forwarding} == dict.fromkeys(forwarding, "1")
        if how == "killed":
            os.kill(started.agent, signal.SIGKILL)
        else:
            assert (await started.session.ask(protocol.FINISH))["not_undone"] == []
        started.session.close()
        await started.ended()
        await machine.wait_restored(10)
        assert {key: machine.do("sysctl", "-n", key).strip() for key in HARDENED} == HARDENED

    live(body)


ADVERTISE = """
from scapy.all import Ether, ICMPv6ND_RA, ICMPv6NDOptSrcLLAddr, IPv6, sendp
router = Ether(src="02:00:00:00:00:99", dst="33:33:00:00:00:01") / IPv6(src="fe80::99", dst="ff02::1", hlim=255)
sendp(router / ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99"), iface="eth2", verbose=False)
"""


def test_a_router_by_configuration_keeps_the_default_route_that_a_router_advertised() -> None:
    """The kernel throws such routes away when forwarding begins, unless accept_ra is 2 (ip-sysctl.rst)."""

    async def body(machine: Machine) -> None:
        machine.do("sysctl", "-qw", "net.ipv6.conf.eth1.accept_ra=1")
        in_its_network = machine.inside[:4]  # with our own files: its /tmp is not ours
        subprocess.run([*in_its_network, "--", sys.executable, "-c", ADVERTISE], check=True, timeout=30)  # noqa: ASYNC221  nothing else runs on this loop
        advertised = "default via fe80::99 dev eth1 proto ra"
        until = time.monotonic() + 10
        while advertised not in machine.do("ip", "-6", "route"):
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        started = await machine.taken()
        await started.prepare(sysctl={"net.ipv6.conf.all.forwarding": 1})
        assert machine.do("sysctl", "-n", "net.ipv6.conf.all.forwarding") == "1\n"
        assert (await started.session.ask(protocol.FINISH))["not_undone"] == []
        started.session.close()
        await started.ended()
        assert machine.do("sysctl", "-n", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth1.accept_ra") == "0\n1\n"
        assert advertised in machine.do("ip", "-6", "route")

    live(body)


def test_a_removed_rule_that_had_kept_the_way_open_is_told_and_the_others_go_too() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()
        proofs = []

        async def prove() -> None:
            proofs.append(machine.do("iptables", "-S", "INPUT"))
            if ":wall" in proofs[-1] and ":door" not in proofs[-1]:
                raise UNREACHED

        started.session.prove = prove
        door = rule("1", "door", "-I INPUT 1 -p tcp --dport 22 -j ACCEPT")
        await started.prepare(door, rule("2", "wall", "-A INPUT -p tcp --dport 22 -j DROP"), act("3", "remove", name="door"))
        for key in "12":
            assert (await started.fire(key))[0]["status"] == "done"
        (result,) = await started.fire("3")
        assert result["status"] == "raised", (result, proofs)
        assert result["exceptions"][0] == "ControlCut"
        assert result["message"] == "wall without door: this cut the control connection, and was taken back after 5 s"
        assert len(proofs) == 3
        assert machine.changed().keys() <= {"processes", "files"}
        started.session.close()
        await started.ended()
        await machine.wait_restored(10)

    live(body)


def test_what_is_confirmed_stays_until_the_end() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()
        proofs = []

        async def prove() -> None:
            proofs.append("rules" in machine.changed())

        started.session.prove = prove
        await started.prepare(rule("1", "in", "-A INPUT -p tcp --dport 22 -j DROP"))
        (result,) = await started.fire("1")
        assert (result["status"], proofs) == ("done", [True])
        await asyncio.sleep(protocol.CONFIRM_S + 3)  # longer than anybody waits for a confirmation
        assert "rules" in machine.changed()
        await started.session.ask(protocol.FINISH)
        started.session.close()
        await started.ended()
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_what_a_topology_wants_is_confirmed_as_one() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()

        async def prove() -> None:
            raise UNREACHED

        started.session.prove = prove
        with pytest.raises(AgentError, match="cut the control connection"):
            await started.prepare(setup=SETUP, sysctl={"net.ipv4.ip_forward": 1}, offload={"tso": False}, interfaces=["eth1"])
        assert machine.changed().keys() <= {"processes", "files"}
        started.session.close()
        await started.ended()

    live(body)


def test_an_agent_that_cannot_take_back_what_was_not_confirmed() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()

        async def prove() -> None:
            os.kill(started.agent, signal.SIGSTOP)
            raise UNREACHED

        started.session.prove = prove
        await started.prepare(rule("1", "in", "-A INPUT -p tcp --dport 22 -j DROP"))
        firing = asyncio.ensure_future(started.fire("1"))
        goodbye = await started.ended()
        assert goodbye is not None
        assert "not confirmed was: iptables -A INPUT -p tcp --dport 22" in goodbye["reason"]
        with pytest.raises(AgentLost, match="what had just been done there may have cut the control connection"):
            await firing
        assert machine.changed(but_outcomes=True) == {}

    live(body)


def test_a_connection_that_dies_of_a_change_is_told_afterwards() -> None:
    """As with a rule that rejects with a reset: there is nobody left to tell, but for who asks later."""

    async def body(machine: Machine) -> None:
        started = await machine.taken()

        async def prove() -> None:
            started.session.close()

        started.session.prove = prove
        await started.prepare(rule("1", "in", "-A INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset"))
        firing = asyncio.ensure_future(started.fire("1"))
        with pytest.raises(AgentLost):
            await firing
        await started.ended()
        (told,) = (await asked(machine))["runs"]
        assert "this was not confirmed, and may be what cut the control connection: iptables -A INPUT" in told["reason"]
        assert len(told["undone"]) == 1

    live(body)


@pytest.mark.parametrize(
    "words",
    ["route flush table main", "link set eth1 mtu 1279", "link delete eth1", "rule add from 10.0.0.0/8 table 7",
     "route add 10.77.0.0/16 via 10.9.0.2", "address add 10.9.0.1/24 dev eth1", "route del 10.99.0.0/16",
     "neigh flush all", "route add 10.80.0.0/16 nexthop via 10.9.0.2"],
)  # fmt: skip
def test_what_could_not_be_taken_back_is_refused(words: str) -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()
        await started.prepare(act("1", "ip", words=words.split()))
        (result,) = await started.fire("1")
        assert result["exceptions"][0] == "ChangeRefused"
        assert machine.changed().keys() <= {"processes", "files"}
        started.session.close()
        await started.ended()

    live(body)


def test_the_words_of_a_guardian_do_not_keep_it() -> None:
    """Nobody reads its standard error, and the pipe is full."""

    async def body(machine: Machine) -> None:
        unread, pipe = os.pipe()
        os.set_blocking(pipe, False)
        try:
            while True:
                os.write(pipe, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(pipe, True)
        started = await machine.taken(stderr=pipe)
        await started.prepare(rule("1", "lose", "-A INPUT -p tcp --dport 80 -j DROP"))
        await started.fire("1")
        assert set(machine.changed()) == {"rules", "files", "processes"}
        os.kill(started.agent, signal.SIGKILL)
        await machine.wait_restored(20, but_outcomes=False)
        for fd in (unread, pipe):
            os.close(fd)

    live(body)


def test_a_tool_that_hangs_does_not_keep_the_rest() -> None:
    async def body(machine: Machine) -> None:
        started = await machine.taken()
        actions = [act("1", "sysctl", values={"net.ipv4.tcp_sack": 0}), rule("2", "lose", "-A INPUT -p tcp --dport 80 -j DROP")]
        await started.prepare(*actions)
        for action in actions:
            await started.fire(action["id"])
        machine.do("sh", "-c", "printf '#!/bin/sh\nexec sleep 600\n' > /tmp/hangs; chmod 755 /tmp/hangs")
        machine.do("mount", "--bind", "/tmp/hangs", IPTABLES)
        os.kill(started.agent, signal.SIGKILL)
        goodbye = await started.ended()
        assert goodbye is not None
        assert goodbye["undone"] == ["net.ipv4.tcp_sack = 1"]
        assert len(goodbye["not_undone"]) == 1
        assert "--dport 80" in goodbye["not_undone"][0]
        machine.do("umount", IPTABLES)
        machine.do("rm", "/tmp/hangs")
        (told,) = (await asked(machine))["runs"]
        assert (len(told["undone"]), told["not_undone"]) == (2, [])
        await machine.wait_restored(10, but_outcomes=False)

    live(body)


def test_several_changes_at_once_are_confirmed_each_by_itself() -> None:
    """The second comes when the proof of the first has begun; only its own proof counts for it."""

    async def body(machine: Machine) -> None:
        started = await machine.taken()
        proofs = 0

        async def prove() -> None:
            nonlocal proofs
            proofs += 1

        started.session.prove = prove
        rules = [rule(str(port), f"r{port}", f"-A INPUT -p tcp --dport {port} -j DROP") for port in range(80, 90)]
        await started.prepare(*rules)
        results = await started.fire(*[action["id"] for action in rules])
        assert {result["status"] for result in results} == {"done"}
        assert 0 < proofs <= len(rules)
        started.session.close()
        await started.ended()

    live(body)


def test_nothing_of_the_tests_machines_is_left() -> None:
    shown = subprocess.run(["pgrep", "-af", "exec sleep 600"], capture_output=True, text=True, check=False).stdout
    assert "mount -t tmpfs" not in shown
