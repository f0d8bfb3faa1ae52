"""Machines that are not what a topology wants: set up for the length of a run where that is allowed, else told what to type, untouched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import Controller, unchanged
from tests.integration.program import scenario

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs

pytestmark = pytest.mark.namespaces
SIMPLE = """
topology: line
steps:
  - {host: romeo, call: sock = socket.socket()}
"""


@pytest.fixture
def bare(sshlab: Labs, tmp_path: Path) -> Iterator[Controller]:
    """Machines without addresses, routes and forwarding, which are afterwards as they were."""
    lab = sshlab("line", clocks=True, bare=True)
    made = Controller(tmp_path, lab)
    with unchanged(lab):
        yield made
        made.close()


def test_bare_machines_become_what_the_topology_wants_and_go_back(bare: Controller) -> None:
    done = bare.run("run", "tcp-socket-lab", *bare.i, "--json")
    assert done.code == 0, done
    undone = {host["name"]: " ; ".join(host["undone"]) for host in bare.stage("record")["hosts"]}
    assert "address" in undone["romeo"]
    assert "route" in undone["romeo"]
    assert "forwarding" in undone["router"]


def test_who_may_not_set_it_is_told_what_to_type_and_nothing_is_touched(bare: Controller) -> None:
    macs = bare.inventory.read_text()
    inventory = bare.folder / "strict.yaml"
    inventory.write_text(macs.replace("configure: true", "configure: false"))
    for command in ("run", "plan"):
        done = bare.run(command, scenario(bare.folder, "simple", SIMPLE), "-i", inventory)
        assert done.code == 3, done
        nic = bare.lab.machines["romeo"].plan.nics[0].name
        assert f"ip address add 10.10.1.100/24 dev {nic}" in done.err
        assert "ip route add 10.10.2.0/24 via 10.10.1.1" in done.err
        assert "sysctl -w net.ipv4.ip_forward=1" in done.err
        assert "configure: true" in done.err
    assert bare.directories() == []


MEANWHILE = """
topology: line
steps:
  - {host: juliet, call: [server = socket.socket(), 'server.bind(("juliet", 4000))', server.listen(1)]}
  - {host: juliet, call: server.accept(), background: true, timeout: 50s}
  - {host: romeo, run: "sleep 50", timeout: 55s}
"""


def test_what_an_administrator_set_meanwhile_is_left_alone(bare: Controller) -> None:
    romeo = bare.lab.machines["romeo"]
    nic = romeo.plan.nics[0].name
    process = bare.start("run", scenario(bare.folder, "meanwhile", MEANWHILE), *bare.i)
    romeo.wait_for_processes("sleep 50")
    for words in (f"address add 192.0.2.7/24 dev {nic}", f"route add 203.0.113.0/24 via 192.0.2.1 dev {nic}"):
        assert romeo.run(["ip", *words.split()]).returncode == 0
    process.terminate()
    done = bare.ended(process)
    assert done.code == 130, done
    record = bare.stage("record")
    assert not any(host.get("not_undone") for host in record["hosts"]), record["hosts"]
    told = romeo.run(["ip", "-o", "address", "show", "dev", nic]).stdout
    assert "192.0.2.7/24" in told
    assert "10.10.1.100" not in told
    romeo.run(["ip", "address", "del", "192.0.2.7/24", "dev", nic])
    romeo.run(["ip", "link", "set", nic, "down"])


def test_machines_whose_default_route_is_by_the_management_network(sshlab: Labs, tmp_path: Path) -> None:
    lab = sshlab("line", clocks=True, gateway=True)
    controller = Controller(tmp_path, lab)
    with unchanged(lab):
        done = controller.run("run", "tcp-socket-lab", *controller.i, "--json")
    assert done.code == 0, done


def test_bare_machines_with_such_a_default_route(sshlab: Labs, tmp_path: Path) -> None:
    lab = sshlab("line", clocks=True, gateway=True, bare=True)
    controller = Controller(tmp_path, lab)
    with unchanged(lab):
        done = controller.run("run", "tcp-socket-lab", *controller.i, "--json")
    assert done.code == 0, done


def test_an_interface_that_is_not_there(bare: Controller) -> None:
    mac = bare.lab.machines["romeo"].plan.nics[0].mac
    inventory = bare.folder / "wrong.yaml"
    inventory.write_text(bare.inventory.read_text().replace(mac, "02:00:5e:00:00:01"))
    done = bare.run("run", scenario(bare.folder, "simple", SIMPLE), "-i", inventory)
    assert done.code == 3, done
    assert "romeo: " in done.err
    assert "02:00:5e:00:00:01" in done.err
    assert mac in done.err  # what there is instead


def test_an_experiment_network_on_the_control_interface(bare: Controller) -> None:
    romeo = bare.lab.machines["romeo"].plan
    inventory = bare.folder / "wrong.yaml"
    inventory.write_text(bare.inventory.read_text().replace(romeo.nics[0].mac, romeo.mac))
    done = bare.run("run", scenario(bare.folder, "simple", SIMPLE), "-i", inventory)
    assert done.code == 3, done
    assert "ens3 carries the control connection" in done.err


def test_an_address_that_two_interfaces_have(sshlab: Labs, tmp_path: Path) -> None:
    lab = sshlab("two-hosts", clocks=True)
    controller = Controller(tmp_path, lab)
    romeo = lab.machines["romeo"]
    with unchanged(lab):
        romeo.run(["ip", "link", "add", "twin", "type", "veth", "peer", "name", "twin-end"])
        romeo.run(["ip", "address", "add", "10.10.0.100/24", "dev", "twin"])
        done = controller.run("run", "connection-refused", *controller.i)
        romeo.run(["ip", "link", "del", "twin"])
    assert done.code == 3, done
    assert "10.10.0.100" in done.err
    assert "twin" in done.err
    assert "romeo: " in done.err


def test_another_mtu_is_set_and_put_back(two_hosts: Controller) -> None:
    """Both topologies want the same addresses; the one that runs here wants an MTU of 1300."""
    done = two_hosts.run("run", "handshake-options-mtu", *two_hosts.i, "--json")
    assert done.code == 0, done
    undone = [text for host in two_hosts.stage("record")["hosts"] for text in host["undone"]]
    assert len([text for text in undone if text.endswith(" mtu 1500")]) == 2
