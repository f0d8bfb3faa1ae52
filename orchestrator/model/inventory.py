"""The real machines that an inventory names, how each is reached, and what a doctor finds on one. A host of a topology is mapped to one."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.model.words.values import Record, Where


class Machine(Record, frozen=True, kw_only=True):
    """One machine of the inventory. What is empty (0, ``None``) was not said there: ``~/.ssh/config`` or the usual way decides.

    ``address`` and ``port`` are the SSH server's. ``keys`` are files of private keys: its own, then those of its bastions that are machines
    of the inventory too, which let nobody in by the others. ``jump`` are the bastions on the way to it, first one first, each
    ``[user@]host[:port]``, or ``none`` alone where no configuration may put any there. ``known_hosts`` and ``ssh_config`` are files beside
    the usual ones, the first of ``known_hosts`` the one in the inventory's folder, whether it is there or not. ``become``: whether sudo may
    be used. ``python`` is the interpreter for the agent. ``configure`` allows to set addresses, routes and forwarding that are missing, and
    offloads that are not as a run needs them. ``macs`` finds its interface on a network of the
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


class Level(StrEnum):
    """How a finding bears on labs."""

    GOOD = "good"
    POOR = "poor"
    """Some labs will be skipped or tell less."""
    BAD = "bad"
    """No lab can run here."""


class Finding(Record, frozen=True, kw_only=True):
    """One thing that was looked at: ``subject`` (``python``, ``rights``, ``tools``, ...), what was seen, and what to do about it."""

    subject: str
    level: Level
    told: str
    advice: str = ""


class Checkup(Record, frozen=True, kw_only=True):
    """All that was found on one machine; ``packages`` are those to install there."""

    machine: str
    findings: tuple[Finding, ...]
    packages: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of its findings."""
        order = tuple(Level)
        return max((finding.level for finding in self.findings), key=order.index, default=Level.GOOD)


class LeftRun(Record, frozen=True, kw_only=True):
    """A run that a machine knows of: whose (``who``) and since when, whether it goes on, else what became of it and was put back."""

    run: str
    who: str = ""
    since_ns: int = 0
    alive: bool = False
    undone: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()
    reason: str = ""


class Left(Record, frozen=True, kw_only=True):
    """What earlier runs left on one machine, and is gone now; ``problem`` says why that could not be found out.

    ``rules`` and ``folders`` bore the label of a run that nothing else was known of.
    """

    machine: str
    runs: tuple[LeftRun, ...] = ()
    rules: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    problem: str = ""
