"""Routes, addresses and links that a scenario changes: on every way to a host the change is made, and all is as before at the end.

The agents over pipes have a network of their own, so that nobody else's is touched.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial

import pytest

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from tests.conftest import interpreters
from tests.contract.ways import Way, act, fire, guarded, in_namespace, over_pipes, prepare

pytestmark = pytest.mark.namespaces
NETWORK = """
echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
echo {tried} >/proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
ip link add lab0 type veth peer lab1
ip address add 10.7.0.1/24 dev lab0
ip address add 10.7.0.2/24 dev lab0
ip address add 2001:db8:7::1/64 dev lab0 nodad
ip link set lab0 up
ip link set lab1 up
ip address add fe80::1/64 dev lab0 nodad
ip route add 10.9.0.0/16 via 10.7.0.9
ip route add 10.9.0.0/16 via 10.7.0.8 metric 50
ip route add 10.8.0.0/24 dev lab0
ip route add 10.12.0.0/16 via 10.8.0.9
ip route add 10.10.10.0/24 dev lab0 table 77
ip route add 10.11.0.0/16 via 10.10.10.9 dev lab0 onlink table 77
ip -6 route add 2001:db8:9::/48 via 2001:db8:7::9
ip -6 route add default via fe80::9 dev lab0
"""
LOOK = "ip -o address; ip -o -4 route show table all; ip -o -6 route show table all; ip -o link"
LOOKS = 200


PYTHONS = interpreters()
OLDEST, NEWEST = (pick(PYTHONS, key=lambda version: int(version.partition(".")[2])) for pick in (min, max))
OWN = ("unshare", "-n")
WAYS: dict[str, Way] = {"namespace": in_namespace}
if os.geteuid() == 0:
    WAYS["pipes"] = partial(over_pipes, PYTHONS[NEWEST], before=OWN)
    WAYS["guarded"] = partial(guarded, PYTHONS[OLDEST], before=OWN)


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


async def looks(session: Session) -> str:
    """All addresses, routes and links, in an order, without their numbers."""
    (shown,) = await fire(session, "look")
    assert shown["value"] == 0, shown
    lines = (" ".join(line.replace("\\", " ").split()) for line in shown["stdout"].splitlines())
    return "\n".join(sorted(line.partition(": ")[2] if line[:1].isdigit() and ": " in line else line for line in lines))


async def settled(session: Session, wanted: Callable[[str], bool]) -> str:
    """What it looks like when that is as ``wanted``, or at last."""
    shown = ""
    for _ in range(LOOKS):
        shown = await looks(session)
        if wanted(shown):
            break
        await asyncio.sleep(0.05)
    return shown


def _is_steady(shown: str) -> bool:
    links = [line for line in shown.splitlines() if line.startswith("lab")]
    own = [line for line in links if "inet6 fe80::" in line]
    return "tentative" not in shown and len(own) == 3 and sum("state UP" in line for line in links) == 2


def changed(way: Way, *lines: str, theirs: str = "", first: str = "", tried: bool = False) -> tuple[str, str, str, list[dict], dict]:
    """Do these lines one after another: what was before, then, and after the end; the results, and what was undone.

    What an administrator does ``first``, and in the midst of it (``theirs``), counts as before.
    ``tried``: the kernel tries an address for a second or two before it takes it (RFC 4862, section 5.4).
    """

    async def body() -> tuple[str, str, str, list[dict], dict]:
        async with asyncio.timeout(60), way() as session:
            changes = [act(f"{index}", "ip", words=line.split()) for index, line in enumerate(lines)]
            scripts = {"net": f"{NETWORK.format(tried=int(tried))}\n{first}", "look": LOOK, "theirs": theirs}
            await prepare(session, *(act(key, "run", argv=["/bin/sh", "-ec", script]) for key, script in scripts.items()), *changes)
            (made,) = await fire(session, "net")
            assert (made["value"], made["stderr"]) == (0, "")
            before = await settled(session, _is_steady)
            results = [(await fire(session, change["id"]))[0] for change in changes]
            if theirs:
                ours = await looks(session)
                (made,) = await fire(session, "theirs")
                assert (made["value"], made["stderr"]) == (0, "")
                more = set((await looks(session)).splitlines()) - set(ours.splitlines())
                assert more
                before = "\n".join(sorted([*before.splitlines(), *more]))
            then = await looks(session)
            told = await session.ask(protocol.FINISH)
            after = await settled(session, lambda shown: shown == before)
            return before, then, after, results, told

    return asyncio.run(body())


@pytest.mark.parametrize(
    "lines",
    [
        ["route add 10.20.0.0/16 via 10.7.0.9"],
        ["route add blackhole 10.20.0.0/16"],
        ["route append 10.9.0.0/16 via 10.7.0.7"],
        ["route replace 10.9.0.0/16 via 10.7.0.7"],
        ["route change 10.9.0.0/16 via 10.7.0.7 metric 50"],
        ["route del 10.9.0.0/16"],
        ["-6 route del default"],
        ["-6 route add unreachable 2001:db8:20::/48"],
        ["-6 route append 2001:db8:20::/48 via 2001:db8:7::8"],
        ["route replace 2001:db8:9::/48 via 2001:db8:7::8"],
        ["address add 10.21.0.1/16 dev lab0"],
        ["a add 2001:db8:21::1/64 dev lab0"],
        ["addr del 10.7.0.1/24 dev lab0"],
        ["address del 2001:db8:7::1/64 dev lab0"],
        ["link set lab0 down"],
        ["link set dev lab1 down"],
        ["l set lab0 mtu 1300"],
        ["link set lo down"],
        ["address add 10.21.0.1/16 dev lab0", "route add 10.22.0.0/16 via 10.21.0.9", "link set lab0 down"],
        ["link set lab0 mtu 1280", "route del 10.9.0.0/16", "link set lab0 down", "link set lab0 up", "route add 10.9.0.0/16 dev lab0"],
    ],
    ids="; ".join,
)
def test_a_change_is_made_and_taken_back(way: Way, lines: list[str]) -> None:
    before, then, after, results, told = changed(way, *lines)
    assert [result.get("message") for result in results if result["status"] != "done"] == []
    assert then != before
    assert told["not_undone"] == []
    assert after == before


def test_addresses_that_are_tried_first_come_back_too(way: Way) -> None:
    lines = ["link set lab0 down", "link set lab0 up", "link set dev lab1 down"]
    before, then, after, results, told = changed(way, *lines, tried=True)
    assert ([result["status"] for result in results], told["not_undone"]) == (["done"] * 3, [])
    assert then != before
    assert after == before


OURS = "route add 10.20.0.0/16 via 10.7.0.9"
LIKE = {
    "another metric": "ip route add 10.20.0.0/16 via 10.7.0.9 metric 100",
    "another protocol": "ip route append 10.20.0.0/16 via 10.7.0.9 proto static",
    "another table": "ip route add 10.20.0.0/16 via 10.7.0.9 table 77",
    "another source": "ip route append 10.20.0.0/16 via 10.7.0.9 src 10.7.0.2",
    "another kind": "ip route append blackhole 10.20.0.0/16",
}


@pytest.mark.parametrize("which", LIKE)
def test_a_like_route_that_somebody_adds_meanwhile_stays(way: Way, which: str) -> None:
    before, then, after, results, told = changed(way, OURS, theirs=LIKE[which])
    assert [result["status"] for result in results] == ["done"]
    assert told["not_undone"] == []
    assert then != before
    assert after == before


@pytest.mark.parametrize("which", ["another metric", "another protocol", "another table", "another kind"])
def test_a_like_route_that_was_there_stays(way: Way, which: str) -> None:
    before, then, after, results, told = changed(way, OURS.replace("add", "append"), first=LIKE[which])
    assert [result["status"] for result in results] == ["done"]
    assert told["not_undone"] == []
    assert then != before
    assert after == before


def test_a_like_route_of_the_newer_family_stays(way: Way) -> None:
    theirs = "ip -6 route add 2001:db8:20::/48 via 2001:db8:7::8 metric 5"
    before, then, after, _results, told = changed(way, "route add 2001:db8:20::/48 via 2001:db8:7::8", theirs=theirs)
    assert told["not_undone"] == []
    assert then != before
    assert after == before


@pytest.mark.parametrize("line", ["link set other0 down", "link set dev other0 mtu 1300", "route add 10.20.0.0/16 dev other0"])
def test_an_interface_may_have_another_name(way: Way, line: str) -> None:
    named = "ip link property add dev lab0 altname other0; ip route add 10.50.0.0/16 via 10.7.0.9 proto static"
    before, then, after, results, told = changed(way, line, first=named)
    assert ([result["status"] for result in results], told["not_undone"]) == (["done"], [])
    assert then != before
    assert after == before


@pytest.mark.parametrize("line", ["route del 10.50.0.0/16 via 10.7.0.9", "route replace 10.50.0.0/16 via 10.7.0.8"])
def test_of_several_routes_that_only_their_order_tells_apart_none_is_touched(way: Way, line: str) -> None:
    several = "ip route add 10.50.0.0/16 via 10.7.0.9; ip route append 10.50.0.0/16 via 10.7.0.7"
    before, then, _after, (result,), _told = changed(way, line, first=several)
    assert "there are several such routes" in result["message"]
    assert then == before


def test_the_last_change_is_taken_back_first(way: Way) -> None:
    lines = ["address add 10.21.0.1/16 dev lab0", "route add 10.22.0.0/16 via 10.21.0.9", "link set lab0 mtu 1300"]
    told = changed(way, *lines)[-1]
    assert told["undone"][:3] == [
        "ip link set lab0 mtu 1500",
        "ip -4 route del 10.22.0.0/16 via 10.21.0.9",
        "ip address del 10.21.0.1/16 dev lab0",
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("rule add from 10.7.0.1 table 77", "nobody knows how to take this back"),
        ("route flush table main", "nobody knows how to take this back"),
        ("link del lab0", "nobody knows how to take this back"),
        ("link set lab0 name lab9", "nobody knows how to take this back"),
        ("link set lab0 mtu 1000", "nobody knows how to take this back"),
        ("link set lab0 mtu much", "nobody knows how to take this back"),
        ("route add 10.20.0.0/16 nexthop via 10.7.0.9", "nobody knows how to take this back"),
        ("-6 route append 2001:db8:9::/48 via 2001:db8:7::8", "there is such a route already"),
        ("route append 10.9.0.0/16 via 10.7.0.9", "there is such a route already"),
        ("route add 10.20.0.0/16 via 10.7.0.9 met 5", "write metric instead of met"),
        ("route add 10.20.0.0/16 via 10.7.0.9 metric 0x10", "write 16 instead of 0x10"),
        ("route add 10.20.0.0/16 via 10.7.0.9 proto 0x4", "write 4 instead of 0x4"),
        ("route add 10.20.0.0/16 via inet 10.7.0.9", "nobody knows how to take this back"),
        ("route add 10.9.0.0/16 via 10.7.0.7", "there is such a route already"),
        ("route del 10.99.0.0/16", "there is no such route"),
        ("route add 10.20.0.0/16 via 192.0.2.1", "Nexthop has invalid gateway"),
        ("address add 10.7.0.1/24 dev lab0", "it has this address already"),
        ("address del 10.7.0.77/24 dev lab0", "it has no such address"),
        ("link set lab7 down", "lab7"),
    ],
)
def test_what_cannot_be_done_or_taken_back_is_refused_and_alters_nothing(way: Way, line: str, why: str) -> None:
    before, then, _after, (result,), told = changed(way, line)
    assert (result["status"], result["exceptions"][0]) == ("raised", "ChangeRefused")
    assert why in result["message"]
    assert then == before
    assert not [text for text in told["undone"] if text.startswith("ip ")]
