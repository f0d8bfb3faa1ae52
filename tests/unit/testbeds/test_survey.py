"""What this machine's hosts will have: parameters by host, abilities as it tells them."""

import os

import pytest

from orchestrator.model.scenario import FEATURES, Needs
from orchestrator.model.topology import Host, Network, Port, Topology
from orchestrator.testbeds import survey as surveying
from orchestrator.testbeds.survey import survey


def line():
    """romeo - router - juliet: only the router has an eth2."""
    ports = (("romeo", "eth1"), ("router", "eth1")), (("router", "eth2"), ("juliet", "eth1"))
    networks = tuple(
        Network(name=f"n{number}", subnets=(), ports=tuple(Port(host=host, interface=name, addresses=()) for host, name in two))
        for number, two in enumerate(ports)
    )
    return Topology(name="line", hosts=tuple(Host(name=name) for name in ("romeo", "router", "juliet")), networks=networks)


def having(key):
    return [host.name for host in survey(line(), Needs(sysctls=(key,))).hosts if key in host.facts.sysctls]


@pytest.mark.parametrize(
    ("key", "hosts"),
    [
        ("net.ipv4.ip_forward", ["romeo", "router", "juliet"]),
        ("net.ipv4.conf.eth1.rp_filter", ["romeo", "router", "juliet"]),
        ("net.ipv4.conf.eth2.rp_filter", ["router"]),
        ("net.ipv4.neigh.eth2.base_reachable_time_ms", ["router"]),
        ("net.ipv4.conf.all.rp_filter", ["romeo", "router", "juliet"]),
        ("net.ipv4.conf.lo.rp_filter", ["romeo", "router", "juliet"]),
        ("net.ipv4.conf.eth3.rp_filter", []),
        ("net.ipv4.conf.eth1.no_such_thing", []),
        ("net.ipv4.no_such_thing", []),
    ],
)
def test_who_has_a_parameter(key, hosts):
    assert having(key) == hosts


def test_an_interface_of_this_machine_is_no_hosts_interface():
    (own, *_more) = [name for name in os.listdir("/proc/sys/net/ipv4/conf") if name not in ("all", "default", "lo")] or ["eth0"]
    assert having(f"net.ipv4.conf.{own}.rp_filter") == [] or own in ("eth1", "eth2")


# -- abilities


def test_each_feature_of_the_language_has_its_probe():
    facts = survey(line(), Needs(features=FEATURES)).hosts[0].facts
    assert set(facts.features) <= set(FEATURES)
    assert ("root" in facts.features) == (os.geteuid() == 0)
    assert survey(line(), Needs()).hosts[0].facts.features == ()


# -- programs


def test_a_folder_that_may_not_be_read_hides_no_other(tmp_path, monkeypatch):
    (tmp_path / "tool").write_text("")
    locked = tmp_path / "locked"
    locked.mkdir()
    listed = os.listdir

    def refused(folder):
        if folder == str(locked):
            raise PermissionError(folder)
        return listed(folder)

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setenv("PATH", f"{locked}:{tmp_path}:/no/such/folder")
    assert "tool" in surveying.programs()
