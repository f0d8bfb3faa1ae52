"""What an agent reads from the kernel's own tables is what iproute2 tells of them, on a host with all kinds of interfaces and routes."""

import json
import subprocess
import sys

import pytest

LINES = """\
link set lo up
link add ens7 type veth peer other
link set ens7 address 02:00:5e:10:00:01 mtu 1400 up
link set other up
address add 10.10.0.100/24 dev ens7
address add 10.10.0.7/32 peer 10.10.0.9 dev ens7
address add fd00:10:10::100/64 dev ens7 nodad
link add br0 type bridge
route add 10.9.0.0/16 via 10.10.0.1
route add 10.8.0.0/16 via inet6 fd00:10:10::1 dev ens7
route add blackhole 10.7.0.0/16
route add 10.6.0.0/16 via 10.10.0.1 table 77
route add default via 10.10.0.1
route add ::/0 via fd00:10:10::1
route add fd00:9::/48 via fd00:10:10::1
"""
PROGRAM = "import json; from orchestrator.agent.seeing import netlink; print(json.dumps([netlink.interfaces(), netlink.routes()]))"


@pytest.fixture
def told():
    """What we read, and what iproute2 tells, in a namespace of this test's own."""
    script = "ip -batch - && ip -j address show && ip -j -4 route show && ip -j -6 route show && exec " + f"{sys.executable} -c '{PROGRAM}'"
    words = ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec", script]
    done = subprocess.run(words, input=LINES, capture_output=True, text=True, check=False)
    if done.returncode != 0 and "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def interface(told):
    return {
        "name": told["ifname"],
        "index": told["ifindex"],
        "mac": told["address"] if told["link_type"] == "ether" else "",
        "mtu": told["mtu"],
        "up": "UP" in told["flags"],
        "addresses": [f"{address['local']}/{address['prefixlen']}" for address in told["addr_info"]],
    }


def route(told, version):
    to = told["dst"] if told["dst"] == "default" or "/" in told["dst"] else f"{told['dst']}/{32 if version == 4 else 128}"
    via = told.get("gateway", told.get("via", {}).get("host", ""))
    return {"version": version, "to": to, "via": via, "interface": told.get("dev", "")}


def ordered(rows):
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@pytest.mark.namespaces
def test_interfaces_and_routes_are_those_that_iproute2_tells(told):
    addresses, four, six, (interfaces, routes) = told
    assert ordered(interfaces) == ordered(interface(one) for one in addresses if one)
    wanted = [route(one, 4) for one in four if one.get("type") != "blackhole"] + [route(one, 6) for one in six]
    assert ordered(routes) == ordered(wanted)
    assert {"version": 4, "to": "10.8.0.0/16", "via": "fd00:10:10::1", "interface": "ens7"} in routes
    assert any(one["mac"] == "02:00:5e:10:00:01" and one["mtu"] == 1400 for one in interfaces)
