"""Which machine becomes which host."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.model.inventory import Inventory, Machine
from orchestrator.model.topology import Host, Topology
from orchestrator.planning.mapping import chosen, map_hosts


def mapped(machines, hosts, *wishes):
    inventory = Inventory(path="inventory.yaml", machines=tuple(Machine(name=name) for name in machines.split()))
    topology = Topology(name="t", hosts=tuple(Host(name=name) for name in hosts.split()), networks=())
    return {host: machine.name for host, machine in map_hosts(inventory, topology, wishes).items()}


def wrong(*words):
    with pytest.raises(UsageError) as caught:
        mapped(*words)
    return str(caught.value).splitlines()


def test_equal_names():
    found = mapped("juliet spare romeo", "romeo juliet")
    assert found == {"romeo": "romeo", "juliet": "juliet"}
    assert [*found] == ["romeo", "juliet"]


def test_wishes_go_before_names():
    assert mapped("romeo juliet", "romeo juliet", "romeo=juliet", "juliet = romeo") == {"romeo": "juliet", "juliet": "romeo"}
    assert mapped(
        "node1 juliet",
        "romeo juliet",
        "romeo=node1",
    ) == {"romeo": "node1", "juliet": "juliet"}


def test_all_that_is_wrong_with_wishes_is_told():
    told = wrong(
        "node1 node2", "romeo juliet", "romo=node1", "juliet=nod2", "romeo", "romeo=", "a=b=c", "romeo=node1", "juliet=node1", "romeo=node2"
    )
    assert told == [
        "--map romo=node1: the topology has no host 'romo', did you mean 'romeo'?",
        "--map juliet=nod2: the inventory has no machine 'nod2', did you mean 'node2'?",
        "--map romeo: write HOST=MACHINE, like romeo=node7",
        "--map romeo=: write HOST=MACHINE, like romeo=node7",
        "--map a=b=c: write HOST=MACHINE, like romeo=node7",
        "--map juliet=node1: node1 is romeo already: a machine can be one host only",
        "--map romeo=node2: romeo is mapped already, to node1",
    ]


def test_names_that_are_near_nothing():
    assert wrong("node1", "romeo", "tybalt=xyz") == [
        "--map tybalt=xyz: the topology has no host 'tybalt': there are romeo",
        "--map tybalt=xyz: the inventory has no machine 'xyz': there are node1",
    ]


def test_hosts_without_a_machine():
    assert wrong("juliet node1", "romeo juliet nurse") == [
        "no machine of inventory.yaml is for romeo and nurse: name one so there, or say which by --map romeo=node1 (free there: node1)"
    ]
    assert wrong("romeo", "romeo juliet") == [
        "no machine of inventory.yaml is for juliet: name one so there, or say which by --map juliet=MACHINE (none there is free)"
    ]


@pytest.mark.parametrize("hop", ["me@192.0.2.1:2222", "gate"])
def test_a_bastion_is_nobodys_advice(hop):
    gate = Machine(name="gate", address="192.0.2.1", port=2222)
    machines = (gate, Machine(name="node1", jump=(hop,)), Machine(name="node2", address="192.0.2.1", jump=(hop,)))
    with pytest.raises(UsageError, match=r"--map romeo=node1 \(free there: node1, node2\)"):
        map_hosts(Inventory(path="i", machines=machines), Topology(name="t", hosts=(Host(name="romeo"),), networks=()), ())
    inventory = Inventory(path="i", machines=machines)
    assert map_hosts(inventory, Topology(name="t", hosts=(Host(name="romeo"),), networks=()), ["romeo=gate"]) == {"romeo": gate}


def test_a_machine_that_was_wished_for_another_host_is_not_taken_by_name():
    assert wrong("romeo", "romeo juliet", "juliet=romeo")[0].startswith("no machine of inventory.yaml is for romeo:")


# -- which machines a command is for


def behind_a_bastion():
    machines = (
        Machine(name="gate", address="192.0.2.1"),
        Machine(name="romeo", jump=("student@192.0.2.1",)),
        Machine(name="juliet", jump=("student@192.0.2.1",)),
    )
    return Inventory(path="inventory.yaml", machines=machines, groups={"all": ("gate", "romeo", "juliet"), "lab": ("romeo", "juliet")})


@pytest.mark.parametrize(
    ("limits", "names"),
    [((), "romeo juliet"), (("lab",), "romeo juliet"), (("juliet", "gate"), "gate juliet"), (("all",), "gate romeo juliet")],
)
def test_a_bastion_is_only_meant_where_it_is_named(limits, names):
    assert [machine.name for machine in chosen(behind_a_bastion(), limits)] == names.split()


def test_a_name_that_is_not_there():
    with pytest.raises(
        UsageError, match=r"--limit jliet: inventory.yaml has no such machine or group \(there are gate, juliet, romeo, all, lab\)"
    ):
        chosen(behind_a_bastion(), ("jliet",))
