"""What an inventory's file becomes, beside what Ansible makes of it (tests/integration/test_ansible.py)."""

from __future__ import annotations

import random

import jsonschema
import pytest
import yaml

from orchestrator.errors import InputProblems
from orchestrator.loading import inventory_schema, load_inventory
from orchestrator.loading.inventory import read_inventory
from orchestrator.loading.keys.inventory import VARIABLES
from orchestrator.loading.source.documents import read_document
from orchestrator.loading.source.problems import Complaints, Enough, Refused

VALIDATOR = jsonschema.Draft202012Validator(inventory_schema())


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a text; gives the inventory."""
    monkeypatch.setenv("HOME", "/home/me")

    def loader(text, name="inventory.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return load_inventory(path)

    return loader


@pytest.fixture
def machine(load):
    """Load one host's variables; gives its machine."""
    return lambda text: load(f"all: {{hosts: {{romeo: {text}}}}}").machines[0]


def test_the_one_that_ships(root, monkeypatch):
    monkeypatch.chdir(root)
    inventory = load_inventory(type(root)("inventory.yaml"))
    assert [machine.name for machine in inventory.machines] == ["romeo", "juliet"]
    assert {machine.jump for machine in inventory.machines} == {("student@192.0.2.1",)}
    assert {machine.known_hosts for machine in inventory.machines} == {("known_hosts",)}
    assert VALIDATOR.is_valid(yaml.safe_load((root / "inventory.yaml").read_text()))


def test_the_page_names_every_variable_and_its_example_loads(root, load):
    page = (root / "docs" / "inventory.md").read_text()
    assert not [name for name in VARIABLES.table if f"`{name}`" not in page]
    bastion, romeo, juliet = load(page.partition("```yaml\n")[2].partition("```")[0]).machines
    assert (bastion.jump, bastion.user, romeo.jump) == (("none",), "student", ("student@bastion.example.org",))
    assert juliet.keys == ("/home/me/.ssh/sliver", "/home/me/.ssh/bastion")


def test_what_is_not_said_is_empty(load, tmp_path):
    (machine,) = load("all: {hosts: {romeo: }, vars: , children: }").machines
    assert (machine.address, machine.port, machine.user, machine.keys, machine.jump, machine.become) == ("", 0, "", (), (), None)
    assert (machine.python, machine.configure, machine.macs) == ("python3", False, {})
    assert machine.known_hosts == (f"{tmp_path}/known_hosts",)


def test_all_that_can_be_said(machine):
    said = machine(
        '{ansible_host: 192.0.2.1, ansible_port: "2222", ansible_user: ubuntu, ansible_ssh_private_key_file: ~/key, ansible_become: "no",'
        " ansible_become_method: sudo, ansible_become_user: root, ansible_connection: ssh, ansible_python_interpreter: /usr/bin/python3.8,"
        ' configure: on, macs: {lan: "02:00:5E:00:00:01"}, jump: "a,b@[fd00::1]:23", color: {any: [thing]}}'
    )
    assert (said.address, said.port, said.user, said.keys) == ("192.0.2.1", 2222, "ubuntu", ("/home/me/key",))
    assert (said.become, said.python, said.configure) == (False, "/usr/bin/python3.8", True)
    assert said.macs == {"lan": "02:00:5e:00:00:01"}
    assert said.jump == ("a", "b@[fd00::1]:23")
    assert (said.where.line, said.where.column) == (1, 15)


def test_arguments_of_ssh(machine):
    said = machine(
        "{ansible_ssh_common_args: '-o ProxyJump=me@b:23 -i k1 -o IdentityFile=\"~/k 2\" -p 24 -l you -q -Cv -o StrictHostKeyChecking=yes',"
        " ansible_ssh_extra_args: '-F conf -J other -o \"UserKnownHostsFile ~/a b\" -o ServerAliveInterval=5 -o Port=25 -o user=they',"
        " ansible_ssh_private_key_file: k0}"
    )
    assert said.jump == ("me@b:23",)
    assert said.keys == ("k0", "k1", "/home/me/k 2")
    assert (said.port, said.user, said.ssh_config) == (24, "you", ("conf",))
    assert said.known_hosts[1:] == ("/home/me/a", "b")


def test_variables_of_ansible_win_over_arguments(machine):
    said = machine("{ansible_ssh_common_args: -p 24 -l you -J none, ansible_port: 22, ansible_user: me}")
    assert (said.port, said.user, said.jump) == (22, "me", ("none",))


def test_the_interpreter_that_ansible_would_find(machine):
    assert machine("{ansible_python_interpreter: auto_silent}").python == "python3"


def test_a_bastion_that_is_a_machine_gives_its_address_and_key(load):
    inventory = load(
        "all:\n"
        "  vars: {ansible_user: ubuntu, ansible_ssh_private_key_file: sliver, jump: [gate, other@node]}\n"
        "  hosts:\n"
        "    node: {jump: none}\n"
        "    gate: {ansible_host: 'fd00::1', ansible_port: 23, ansible_user: me, ansible_ssh_private_key_file: gatekey,"
        " jump: outer, ansible_ssh_common_args: -J unused}\n"
        "    outer: {ansible_ssh_common_args: -J me@outermost -i o, jump: []}\n"
        "    romeo:\n"
        "    juliet: {jump: you@gate:24}\n"
        "    nurse: {jump: elsewhere}\n"
    )
    machines = {machine.name: machine for machine in inventory.machines}
    assert machines["romeo"].jump == ("ubuntu@outer", "me@[fd00::1]:23", "other@node")
    assert machines["romeo"].keys == ("sliver", "gatekey", "o")
    assert machines["juliet"].jump == ("ubuntu@outer", "you@[fd00::1]:24")
    assert machines["nurse"].jump == ("elsewhere",)
    assert machines["outer"].jump == machines["node"].jump == ("none",)


@pytest.mark.parametrize("said", ["jump: none", "jump: []", "ansible_ssh_common_args: -o ProxyJump=none"])
def test_no_bastion_is_not_the_same_as_nothing_said_of_bastions(machine, said):
    assert machine("{" + said + "}").jump == ("none",)
    assert machine("{ansible_user: me}").jump == ()


def test_a_bastion_by_name_has_its_own_way_by_proxy_jump(load):
    inventory = load(
        "all: {hosts: {gate: {ansible_ssh_common_args: -J outer, ansible_host: 192.0.2.1}, romeo: {jump: gate}}}",
    )
    assert inventory.machines[1].jump == ("outer", "192.0.2.1")


def test_a_later_line_wins_wherever_it_stands(load):
    inventory = load(
        "all:\n"
        "  children:\n"
        "    near: {hosts: {romeo: {ansible_user: first, ansible_port: 1}}}\n"
        "  hosts: {romeo: {ansible_user: second}}\n"
        "near: {vars: {ansible_host: a}}\n"
        "far: {hosts: {romeo: {ansible_port: 2}, juliet: }}\n"
        "ungrouped: {hosts: {nurse: , romeo: }, vars: {ansible_user: nobody}}\n"
    )
    romeo, juliet, nurse = inventory.machines
    assert (romeo.user, romeo.port, romeo.address) == ("second", 2, "a")
    assert (romeo.where.line, juliet.user, nurse.user) == (3, "", "nobody")
    assert inventory.groups == {
        "all": ("romeo", "juliet", "nurse"),
        "near": ("romeo",),
        "far": ("romeo", "juliet"),
        "ungrouped": ("nurse",),
    }


def test_the_deeper_group_wins_however_it_is_reached(load):
    inventory = load(
        "deep: {vars: {ansible_user: deep}}\n"
        "zoo: {children: {deep: {hosts: {romeo: }}}, vars: {ansible_user: zoo, ansible_port: 5}}\n"
        "yes_: {children: {zoo: }, hosts: {romeo: }, vars: {ansible_user: shallow, ansible_port: 6}}\n"
        "all: {vars: {ansible_user: all, ansible_host: all}}\n"
    )
    assert (inventory.machines[0].user, inventory.machines[0].port, inventory.machines[0].address) == ("deep", 5, "all")
    assert [inventory.groups[name] for name in ("deep", "zoo", "yes_", "all")] == [("romeo",)] * 4


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("hosts", "[web]\nromeo\n", "ini form"),
        ("hosts.ini", "all: {}", "ini form"),
        ("hosts.txt", "all: {}", r"not in \.txt: rename it"),
        ("hosts.yaml", "#!/usr/bin/python3\n", "a program"),
        ("hosts.yaml", "romeo ansible_host=192.0.2.1\n", "ini form"),
        ("hosts.yaml", "", "the file is empty"),
    ],
)
def test_other_forms_are_refused(load, name, text, told):
    with pytest.raises(InputProblems, match=told):
        load(text, name)


def test_a_name_without_a_suffix_is_as_good(load):
    assert load('{"all": {"hosts": {"romeo": {}}}}', "machines").machines
    assert load('{"all": {"hosts": {"romeo": {}}}}', "machines.json").machines


def test_a_folder_is_no_inventory(tmp_path):
    with pytest.raises(InputProblems, match="is a directory"):
        load_inventory(tmp_path)


def test_folders_of_variables_are_refused_where_they_would_change_something(load, tmp_path):
    for name in ("group_vars/all.yml", "group_vars/web", "group_vars/others.yaml", "host_vars/romeo.json", "host_vars/web.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "host_vars" / "node.example").mkdir()
    with pytest.raises(InputProblems) as caught:
        load("all: {hosts: {romeo: , node.example: }, children: {web: }}")
    assert [(problem.path.removeprefix(f"{tmp_path}/"), problem.text.partition(",")[0]) for problem in caught.value.problems] == [
        ("group_vars/all.yml", "for Ansible this changes the machines of group 'all'"),
        ("group_vars/web", "for Ansible this changes the machines of group 'web'"),
        ("host_vars/node.example", "for Ansible this changes the machine 'node.example'"),
        ("host_vars/romeo.json", "for Ansible this changes the machine 'romeo'"),
    ]


def test_a_folder_of_variables_that_nobody_may_read(load, monkeypatch):
    def denied(self):
        raise PermissionError(13, "Permission denied") if self.name == "host_vars" else FileNotFoundError

    monkeypatch.setattr("pathlib.Path.iterdir", denied)
    with pytest.raises(
        InputProblems, match=r"host_vars:1:1: Ansible's variables may be in there, and it cannot be read: Permission denied"
    ):
        load("all: {hosts: {romeo: }}")


PIECES = (b"{", b"}", b"[", b"]", b": ", b"\n  ", b"'", b'"', b"null", b"true", b"7", b"1:30", b"\xff", b"{{ x }}", b"!vault ", b"&a ")
PIECES += (b"all", b"romeo", b"jump: romeo", b"children:", b"hosts:", b"vars:", b"ansible_port: ", b"macs: ", b"-J a,b", b"-o ", b"none")
SEED = b"""all:
  vars: {ansible_user: ubuntu, ansible_ssh_common_args: '-o ProxyJump=a@b:22 -i k'}
  hosts:
    romeo: {ansible_host: 192.0.2.1, ansible_port: 22, jump: [gate, "x@[fd00::1]:23"], macs: {lan: "02:00:00:00:00:01"}}
    gate: {jump: none, configure: true, ansible_become: yes}
  children:
    web: {hosts: {romeo: }, children: {deep: {hosts: {gate: }, vars: {ansible_python_interpreter: auto}}}}
deep: {vars: {ansible_port: 5}}
"""


def test_wounded_inventories():
    chance = random.Random(4)
    taken = 0
    for _ in range(1500):
        data = bytearray(SEED)
        for _ in range(chance.randint(1, 3)):
            begin = chance.randrange(len(data))
            data[begin : begin + chance.choice((0, 1, 3, 20))] = chance.choice(PIECES)
        complaints = Complaints()
        inventory = None
        try:
            inventory = read_inventory(read_document(bytes(data), "i.yaml", complaints), "i.yaml", complaints)
        except (Refused, Enough):
            assert len(complaints)
        assert (inventory is None) == bool(len(complaints)), data
        taken += inventory is not None
        assert inventory is None or VALIDATOR.is_valid(yaml.load(bytes(data), yaml.CSafeLoader)), data
    assert 0 < taken < 1500
