"""The real machines that an inventory names, and how each is reached. A machine is what a host of a topology is mapped to."""

from __future__ import annotations

from orchestrator.model.words.values import Record, Where


class Machine(Record, frozen=True, kw_only=True):
    """One machine of the inventory. What is empty (0, ``None``) was not said there: ``~/.ssh/config`` or the usual way decides.

    ``address`` and ``port`` are the SSH server's. ``keys`` are files of private keys: its own, then those of its bastions that are machines
    of the inventory too, which let nobody in by the others. ``jump`` are the bastions on the way to it, first one first, each
    ``[user@]host[:port]``. ``known_hosts`` and ``ssh_config`` are files beside the usual ones, the first of ``known_hosts`` the one in the
    inventory's folder, whether it is there or not. ``become``: whether sudo may be used. ``python`` is the interpreter for the agent.
    ``configure`` allows to set addresses, routes and forwarding that are missing. ``macs`` finds its interface on a network of the
    topology: network -> ``02:00:5e:10:00:01``.
    """

    name: str
    address: str = ""
    port: int = 0
    user: str = ""
    keys: tuple[str, ...] = ()
    jump: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    ssh_config: tuple[str, ...] = ()
    become: bool | None = None
    python: str = "python3"
    configure: bool = False
    macs: dict[str, str] = {}
    where: Where | None = None


class Inventory(Record, frozen=True, kw_only=True):
    """All machines of one file, in its order; ``groups`` are the names of machines by group."""

    path: str
    machines: tuple[Machine, ...]
    groups: dict[str, tuple[str, ...]] = {}
