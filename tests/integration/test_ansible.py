"""The same file means the same to real Ansible: the variables of each host, who is in which group, and the way to a machine."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.loading import load_inventory
from tests.integration.disposable import Disposable, key_pair, skip_unless_possible

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
pytest.importorskip("ansible", reason="ansible-core is not installed")


def ansible(folder, program, *words):
    """Run a program of Ansible's that keeps its files in ``folder`` and leaves no process."""
    (folder / "ansible.cfg").touch()  # nobody's own settings
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
    }
    run = subprocess.run([BIN / program, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def members(listed, group):
    """The hosts of a group and of those in it, in Ansible's listing."""
    entry = listed.get(group, {})
    return {*entry.get("hosts", ()), *(host for child in entry.get("children", ()) for host in members(listed, child))}


def check(path, folder):
    """What Ansible merges for each host, said of this host alone, is the machine that we make; groups hold the same."""
    listed = json.loads(ansible(folder, "ansible-inventory", "-i", str(path), "--list"))
    ours = load_inventory(path)
    merged = {machine.name: listed["_meta"]["hostvars"].get(machine.name, {}) for machine in ours.machines}
    (folder / "flat").mkdir(exist_ok=True)
    flat = folder / "flat" / "inventory.yaml"
    flat.write_text(yaml.safe_dump({"all": {"hosts": merged}}, sort_keys=False))
    assert [stripped(machine) for machine in ours.machines] == [stripped(machine) for machine in load_inventory(flat).machines]
    assert {name: set(hosts) for name, hosts in ours.groups.items()} == {name: members(listed, name) for name in ours.groups}
    assert set(merged) == members(listed, "all") != set()
    return listed


def stripped(machine):
    """A machine without what tells in which file it stands."""
    return type(machine)(**{field: getattr(machine, field) for field in machine.__struct_fields__ if field not in ("where", "known_hosts")})


@pytest.mark.parametrize(
    "path", [ROOT / "inventory.yaml", ROOT / "tests" / "golden" / "inventories" / "precedence.yaml"], ids=lambda path: path.stem
)
def test_variables_of_each_host(path, tmp_path):
    listed = check(path, tmp_path)
    assert listed["_meta"]["hostvars"]


def grown(chance):
    """An inventory of 30 hosts in 12 groups, nested at random without circles, variables everywhere."""

    def variables():
        names = {
            "ansible_user": lambda: f"u{chance.randrange(99)}",
            "ansible_port": lambda: chance.randrange(1, 99),
            "ansible_host": lambda: f"h{chance.randrange(99)}",
            "ansible_become": lambda: chance.random() < 0.5,
            "ansible_ssh_common_args": lambda: f"-J b{chance.randrange(99)}",
            "ansible_ssh_private_key_file": lambda: f"~/k{chance.randrange(99)}",
            "configure": lambda: chance.random() < 0.5,
            "macs": lambda: {f"n{chance.randrange(3)}": f"02:00:00:00:00:{chance.randrange(10, 99)}"},
        }
        return {name: made() for name, made in names.items() if chance.random() < 0.3}

    names = chance.sample([f"{letter}{number}" for letter in "abcz" for number in range(9)], 12)

    def group(rank, depth):
        inside = [other for other in range(rank + 1, 12) if chance.random() < 0.2] if depth < 4 else []
        parts = [
            ("vars", variables()),
            ("hosts", {f"m{number}": variables() or None for number in chance.sample(range(30), chance.randrange(5))}),
            ("children", {names[other]: group(other, depth + 1) for other in inside} or None),
        ]
        return dict(chance.sample(parts, chance.randrange(1, 4)))

    tree = {name: group(rank, 1) for rank, name in enumerate(names) if chance.random() < 0.6}
    top = {"vars": variables(), "hosts": {f"m{number}": variables() for number in range(30)}}
    pairs = [*tree.items(), ("all", top), ("ungrouped", {"vars": variables()})]
    chance.shuffle(pairs)
    return dict(pairs)


def sweep(seeds, folder):
    for seed in seeds:
        path = folder / "inventory.yaml"
        path.write_text(yaml.safe_dump(grown(random.Random(seed)), sort_keys=False))
        check(path, folder)


def test_inventories_that_grew_at_random(tmp_path):
    sweep(range(3), tmp_path)


@pytest.mark.demand
def test_100_inventories_that_grew_at_random(tmp_path):
    sweep(range(3, 103), tmp_path)


@pytest.mark.namespaces
def test_ansible_pings_through_the_bastion_of_the_same_file(tmp_path):
    skip_unless_possible()
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3 for Ansible's modules")
    key = key_pair(tmp_path)
    made = []
    try:
        for name, address in (("bastion", "127.0.0.1"), ("romeo", "127.0.0.2")):
            made.append(Disposable(tmp_path, name, address, key))
        bastion, romeo = made
        (tmp_path / "known_hosts").write_text(bastion.known_hosts.read_text() + romeo.known_hosts.read_text())
        config = tmp_path / "ssh_config"  # ssh hands -F to the jump leg too, and no other argument
        config.write_text(f"IdentityFile {key}\nIdentitiesOnly yes\nUserKnownHostsFile {tmp_path}/known_hosts\nStrictHostKeyChecking yes\n")
        path = tmp_path / "inventory.yaml"
        path.write_text(
            "all:\n"
            "  vars:\n"
            f"    ansible_ssh_common_args: -F {config} -o ProxyJump=root@127.0.0.1:{bastion.port}\n"
            f"    ansible_ssh_private_key_file: {key}\n"
            "    ansible_user: root\n"
            "    ansible_python_interpreter: /usr/bin/python3\n"
            "  hosts:\n"
            "    romeo:\n"
            "      ansible_host: 127.0.0.2\n"
            f"      ansible_port: {romeo.port}\n"
            '      macs: {lan: "02:00:00:00:00:01"}\n'
            "      configure: true\n"
        )
        told = ansible(tmp_path, "ansible", "-i", str(path), "all", "-m", "ping")
        assert "romeo | SUCCESS" in told
        assert '"ping": "pong"' in told
        assert all("Accepted publickey for root" in machine.log() for machine in made)
        (machine,) = load_inventory(path).machines
        assert (machine.address, machine.port, machine.user, machine.keys) == ("127.0.0.2", romeo.port, "root", (str(key),))
        assert (machine.jump, machine.ssh_config) == ((f"root@127.0.0.1:{bastion.port}",), (str(config),))
        assert machine.known_hosts == (str(tmp_path / "known_hosts"),)
    finally:
        for machine in made:
            machine.close()
