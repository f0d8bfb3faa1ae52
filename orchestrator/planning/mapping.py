"""Hosts that a topology wants + machines that an inventory names -> which machine becomes which host.

Knows names only: whether a machine can be that host is found on it. The surprising fact: a wish (``--map romeo=node7``) goes before equal
names, so that a machine called ``romeo`` may become juliet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.errors import UsageError
from orchestrator.model.inventory import Inventory, Machine
from orchestrator.model.topology import Topology


def map_hosts(inventory: Inventory, topology: Topology, wishes: Sequence[str]) -> dict[str, Machine]:
    """A machine for each host of ``topology``, in its order, by ``wishes`` (``host=machine``) and then by equal names.

    :raises UsageError: all that is wrong with the wishes, and every host that is left without a machine.
    """
    machines = {machine.name: machine for machine in inventory.machines}
    hosts = [host.name for host in topology.hosts]
    wrong: list[str] = []
    chosen: dict[str, str] = {}
    for wish in wishes:
        wrong += _taken(wish, hosts, machines, chosen)
    wished = set(chosen.values())
    chosen |= {host: host for host in hosts if host not in chosen and host in machines and host not in wished}
    if not wrong:  # a wish that failed leaves its host without a machine, which was said already
        wrong += _without(hosts, chosen, inventory)
    if wrong:
        raise UsageError("\n".join(wrong))
    return {host: machines[chosen[host]] for host in hosts}


def chosen(inventory: Inventory, limits: Sequence[str]) -> tuple[Machine, ...]:
    """The machines that ``limits`` name, by themselves or by a group; where it is empty all but bastions, which are only a way to others.

    :raises UsageError: the inventory has no such name.
    """
    machines = {machine.name for machine in inventory.machines}
    unknown = [name for name in limits if name not in machines and name not in inventory.groups]
    if unknown:
        known = ", ".join([*sorted(machines), *inventory.groups])
        raise UsageError(f"--limit {unknown[0]}: {inventory.path} has no such machine or group (there are {known})")
    if not limits:
        on_the_way = _on_the_way(inventory)
        return tuple(machine for machine in inventory.machines if not _is_bastion(machine, on_the_way))
    wanted = {name for limit in limits for name in ([limit] if limit in machines else inventory.groups[limit])}
    return tuple(machine for machine in inventory.machines if machine.name in wanted)


def _taken(wish: str, hosts: Sequence[str], machines: Iterable[str], chosen: dict[str, str]) -> list[str]:
    """Put one wish into ``chosen``, or say what is wrong with it."""
    host, equals, machine = (part.strip() for part in wish.partition("="))
    if not (host and equals and machine) or "=" in machine:
        return [f"--map {wish}: write HOST=MACHINE, like romeo=node7"]
    wrong = []
    if host not in hosts:
        wrong.append(f"--map {wish}: the topology has no host '{host}'{_meant(host, hosts)}")
    if machine not in machines:
        wrong.append(f"--map {wish}: the inventory has no machine '{machine}'{_meant(machine, machines)}")
    if host in chosen:
        wrong.append(f"--map {wish}: {host} is mapped already, to {chosen[host]}")
    other = next((name for name, used in chosen.items() if used == machine), "")
    if other and other != host:
        wrong.append(f"--map {wish}: {machine} is {other} already: a machine can be one host only")
    if not wrong:
        chosen[host] = machine
    return wrong


def _without(hosts: Sequence[str], chosen: dict[str, str], inventory: Inventory) -> list[str]:
    """A sentence about the hosts that no machine is for."""
    left = [host for host in hosts if host not in chosen]
    if not left:
        return []
    on_the_way = _on_the_way(inventory)
    free = [one.name for one in inventory.machines if one.name not in chosen.values() and not _is_bastion(one, on_the_way)]
    there = f"free there: {', '.join(free)}" if free else "none there is free"
    names = " and ".join(left)
    example = f"--map {left[0]}={free[0] if free else 'MACHINE'}"
    return [f"no machine of {inventory.path} is for {names}: name one so there, or say which by {example} ({there})"]


def _on_the_way(inventory: Inventory) -> set[str]:
    return {hop.rpartition("@")[2] for machine in inventory.machines for hop in machine.jump}


def _is_bastion(machine: Machine, on_the_way: set[str]) -> bool:
    """Whether the way to others leads over it: it may be a host, but nobody should be told so."""
    address = machine.address or machine.name
    return not on_the_way.isdisjoint({machine.name, address, f"{address}:{machine.port}", f"[{address}]:{machine.port}"})


def _meant(word: str, known: Iterable[str]) -> str:
    """``, did you mean 'romeo'?``, or which there are."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f", did you mean '{near[0]}'?" if near else f": there are {', '.join(names)}"
