"""The document of an inventory -> ``Inventory``, each machine's variables put together as Ansible does it.

Does not open files and reaches no machine. The surprising fact: which of two values wins is a matter of depth. A group's depth is the
longest way down to it from ``all``; the deeper one wins, of two equally deep ones that whose name comes later, and a host's own always
(Ansible, "How variables are merged"). Of one variable of one host or group that is given twice, the later line wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from orchestrator.loading.keys.inventory import INVENTORY, VARIABLES
from orchestrator.loading.kinds.scalars import Marked
from orchestrator.loading.kinds.shapes import Entry
from orchestrator.loading.kinds.tables import Fields
from orchestrator.loading.notation.ssh import Arguments, Hop
from orchestrator.loading.source.documents import Mapping, Node
from orchestrator.loading.source.problems import Complaints, Refused
from orchestrator.loading.source.reader import Reader
from orchestrator.model.inventory import Inventory, Machine
from orchestrator.model.words.values import Where

_ALL, _UNGROUPED = "all", "ungrouped"
_PLAIN_ONE = "`ansible-inventory --list --yaml` writes what it finds as a plain one"
_STRAIGHT = ("none",)
_SUFFIXES = ("", ".yaml", ".yml", ".json")


def read_inventory(document: Node, path: str, complaints: Complaints) -> Inventory | None:
    """The inventory in ``document``; ``None`` where something is wrong with it, which goes to ``complaints``."""
    reader = Reader(path, complaints)
    before = len(complaints)
    with suppress(Refused):
        _check_outline(document, reader)
        tree = _Tree(reader)
        for entry in INVENTORY.read(document, reader):
            tree.group(entry)
        machines = tuple(_Reached(tree, reader).machines())
        if not machines and len(complaints) == before:
            reader.refuse(document, "there is no host in this inventory")
        if len(complaints) == before:
            return Inventory(path=path, machines=machines, groups={name: tuple(tree.members(name)) for name in tree.groups})
    return None


def _check_outline(document: Node, reader: Reader) -> None:
    """Refuse what is no mapping of groups at all: every line of it would be wrong."""
    if not isinstance(document, Mapping):
        reader.refuse(document, "an inventory is a mapping of groups, like all: {hosts: ...}; Ansible's ini form is not read here")
    for key, _ in document.pairs:
        if key.text == "plugin":
            reader.refuse(key, f"this configures a plugin (a dynamic inventory), which is not run here: {_PLAIN_ONE}")
        if key.text in ("hosts", "children", "vars"):
            reader.refuse(key, f"'{key.text}' stands inside a group: begin the file with 'all:', and indent the rest")


def form_problem(path: str, content: bytes) -> str:
    """Why Ansible would not take the file for YAML, or would run it; nothing where it would not."""
    suffix = path.rpartition("/")[2].lstrip(".").partition(".")[2].rpartition(".")[2]
    if content.startswith(b"#!"):
        return f"a program (a dynamic inventory) is not run here: {_PLAIN_ONE}"
    first = next((line for line in (raw.strip() for raw in content[:65536].splitlines()) if line and line[:1] not in b"#;"), b"")
    if suffix == "ini" or (first.startswith(b"[") and first.endswith(b"]") and b"," not in first):
        return "Ansible's ini form is not read here: `ansible-inventory --list --yaml` writes it as YAML"
    if suffix and f".{suffix}" not in _SUFFIXES:
        return f"Ansible takes a file for YAML if its name ends in .yaml, .yml or .json, not in .{suffix}: rename it"
    return ""


def beside_problem(kind: str, stem: str, inventory: Inventory) -> str:
    """Whom the file or folder ``stem`` in ``group_vars`` or ``host_vars`` would change for Ansible, as a sentence; nothing if nobody."""
    names = inventory.groups if kind == "group_vars" else {machine.name for machine in inventory.machines}
    if stem not in names:
        return ""
    whom = f"the machines of group '{stem}'" if kind == "group_vars" else f"the machine '{stem}'"
    return f"for Ansible this changes {whom}, and {kind} are not read here: move the variables into {inventory.path}, and this away"


class _Given:
    """What is said of one host or one group, wherever it stands."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.variables: dict[str, Marked] = {}
        self.hosts: dict[str, Where] = {}
        self.children: dict[str, Where] = {}

    def take(self, fields: Fields) -> None:
        """Add variables; of two of one name that in the later line stays."""
        for name in VARIABLES.table:
            if name in fields:
                new, old = Marked(fields.get(name), fields.place(name)), self.variables.get(name)
                if old is None or _order(new.where) > _order(old.where):
                    self.variables[name] = new


def _order(where: Where) -> tuple[int, int]:
    return where.line, where.column


class _Tree:
    """Groups, hosts, and who is in which."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.groups: dict[str, _Given] = {_ALL: _Given(Where(path=reader.path, line=1))}
        self.hosts: dict[str, _Given] = {}

    def group(self, entry: Entry) -> None:
        """Take in one group, with all that is in it."""
        given = self.groups.setdefault(entry.key, _Given(entry.key_where))
        fields: Fields = entry.value
        given.take(fields.get("vars", Fields(entry.where)))
        for host in fields.get("hosts", ()):
            given.hosts.setdefault(host.key, host.key_where)
            known = self.hosts.setdefault(host.key, _Given(host.key_where))
            known.where = min(known.where, host.key_where, key=_order)
            known.take(host.value)
        for child in fields.get("children", ()):
            if child.key == _ALL or entry.key in self._below(child.key):
                self._reader.complain(child.key_where, f"the group '{child.key}' cannot be in '{entry.key}', which is in it")
                continue
            self.groups.setdefault(child.key, _Given(child.key_where))
            given.children.setdefault(child.key, child.key_where)
            self.group(child)

    def _below(self, name: str) -> set[str]:
        """A group and all that are in it, at any depth."""
        found, new = {name}, [name]
        while new:
            group = self.groups.get(new.pop())
            more = set(group.children) - found if group else set()
            found |= more
            new += more
        return found

    def _direct(self, name: str) -> Iterable[str]:
        """The hosts that are in a group itself; in ``ungrouped`` are those that are in no other, whatever is written there."""
        if name != _UNGROUPED:
            return self.groups[name].hosts
        grouped = {host for group, given in self.groups.items() if group not in (_ALL, _UNGROUPED) for host in given.hosts}
        return self.hosts.keys() - grouped

    def members(self, name: str) -> Iterator[str]:
        """The hosts of a group and of those in it, in the file's order."""
        inside = set(self.hosts) if name == _ALL else {host for group in self._below(name) for host in self._direct(group)}
        return (host for host in self.in_order() if host in inside)

    def in_order(self) -> list[str]:
        """All hosts, in the order in which the file first names them."""
        return sorted(self.hosts, key=lambda host: _order(self.hosts[host].where))

    def by_depth(self) -> list[str]:
        """All groups, those first over whose variables the later ones win."""
        depth = dict.fromkeys(self.groups, 1)
        depth[_ALL] = 0
        changed = [*self.groups]
        while changed:
            name = changed.pop()
            for child in self.groups[name].children:
                if depth[child] <= depth[name]:
                    depth[child] = depth[name] + 1
                    changed.append(child)
        return sorted(self.groups, key=lambda name: (depth[name], name))


class _Reached:
    """Makes machines of hosts: each one's variables in force, and the way to it."""

    def __init__(self, tree: _Tree, reader: Reader) -> None:
        self._reader = reader
        self._tree = tree
        folder = reader.path.rpartition("/")[0]
        self._known_hosts = f"{folder}/known_hosts" if folder or reader.path.startswith("/") else "known_hosts"
        self._variables: dict[str, dict[str, Marked]] = {name: {} for name in tree.hosts}
        for group in tree.by_depth():
            for host in tree.members(group):
                self._variables[host].update(tree.groups[group].variables)
        for name, given in tree.hosts.items():
            self._variables[name].update(given.variables)

    def machines(self) -> Iterator[Machine]:
        """All that can be made, in the file's order."""
        for name in self._tree.in_order():
            with suppress(Refused):
                yield self._machine(name)

    def _value(self, name: str, key: str, default: Any) -> Any:
        given = self._variables[name].get(key)
        return default if given is None else given.value

    def _machine(self, name: str) -> Machine:
        said = self._arguments(name)
        hops, keys_on_the_way = self._way(name, ())
        own = self._value(name, "ansible_ssh_private_key_file", "")
        keys = dict.fromkeys((*((own,) if own else ()), *said.keys, *keys_on_the_way))
        return Machine(
            name=name,
            address=self._value(name, "ansible_host", ""),
            port=self._value(name, "ansible_port", said.port),
            user=self._value(name, "ansible_user", said.user),
            keys=tuple(keys),
            jump=hops,
            known_hosts=(self._known_hosts, *said.known_hosts),
            ssh_config=(said.config,) if said.config else (),
            become=self._value(name, "ansible_become", None),
            python=self._value(name, "ansible_python_interpreter", "python3"),
            configure=self._value(name, "configure", False),
            macs={entry.key: entry.value for entry in self._value(name, "macs", ())},
            where=self._tree.hosts[name].where,
        )

    def _arguments(self, name: str) -> Arguments:
        """What both variables for ssh say, the common one first: of what is said twice ssh takes the first."""
        common, extra = (self._value(name, f"ansible_ssh_{kind}_args", Arguments()) for kind in ("common", "extra"))
        merged = {field: getattr(common, field) or getattr(extra, field) for field in Arguments._fields}
        merged |= {"keys": (*common.keys, *extra.keys), "jump": extra.jump if common.jump is None else common.jump}
        return Arguments(**merged)

    def _way(self, name: str, behind: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The bastions before a machine, and the keys of those that are machines themselves; ``behind`` lie those asked about before.

        One ``none`` where the inventory says that there are none, so that ``~/.ssh/config`` is not asked.

        :raises Refused: the way leads in a circle.
        """
        given = self._variables[name].get("jump")
        if given is None:
            said = self._arguments(name).jump
            return () if said is None else said or _STRAIGHT, ()
        way: list[str] = []
        keys: list[str] = []
        for marked in given.value:
            for bastion in marked.value:
                if bastion.host not in self._variables:
                    way.append(str(bastion))
                    continue
                self._must_lead_on(bastion.host, (*behind, name), marked.where)
                more, their_keys = self._way(bastion.host, (*behind, name)) if not way else ((), ())
                way += (*(hop for hop in more if hop not in _STRAIGHT), str(self._as_hop(bastion)))
                keys += (*self._keys(bastion.host), *their_keys)
        return tuple(way) or _STRAIGHT, tuple(keys)

    def _must_lead_on(self, bastion: str, behind: tuple[str, ...], where: Where) -> None:
        if bastion in behind:
            self._reader.refuse(where, f"the way to '{bastion}' leads over '{bastion}' itself: give the bastion a jump of its own, or none")

    def _as_hop(self, bastion: Hop) -> Hop:
        """A machine of this inventory as a bastion; a user or a port that is said with its name wins."""
        name, said = bastion.host, self._arguments(bastion.host)
        user = bastion.user or self._value(name, "ansible_user", said.user)
        port = bastion.port or self._value(name, "ansible_port", said.port)
        return Hop(user, self._value(name, "ansible_host", name), port)

    def _keys(self, name: str) -> tuple[str, ...]:
        own = self._value(name, "ansible_ssh_private_key_file", "")
        return (*((own,) if own else ()), *self._arguments(name).keys)
