"""Machines of an inventory: looked at, then given what they lack.

Knows no SSH. The surprising fact: sudo's password is asked once for all of them, and only after all were looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from orchestrator.errors import OrchestratorError, TestbedError
from orchestrator.model.inventory import Machine
from orchestrator.testbeds.preparing.packages import Look, install_commands, look_command, packages, seen
from orchestrator.testbeds.preparing.reaching import PROMPT, Way

_AT_ONCE = 5
"""So many machines at one time: sshd drops some of ten that are not logged in yet (MaxStartups), and a bastion sees them all."""
_LOOK_S = 60
_INSTALL_S = 1800
READY, INSTALLED, WOULD_INSTALL, FAILED = "ready", "installed", "would install", "failed"


class Outcome(NamedTuple):
    """What became of one machine: one of the four words above, the packages and commands, and a sentence."""

    machine: str
    result: str
    packages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    text: str = ""


class Person(NamedTuple):
    """Who looks on: ``tell`` shows a line; ``ask`` puts a question whose answer nobody sees, ``None`` where nobody is there."""

    tell: Callable[[str], None]
    ask: Callable[[str], str] | None


def prepare(machines: Sequence[Machine], person: Person, *, dry_run: bool) -> tuple[Outcome, ...]:
    """Look at all machines, ask for sudo's password once if one wants it, and install what is missing; a few machines at one time.

    One machine's failure is its own outcome; only what ``person.ask`` raises ends it all.
    """
    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it would tell its own story on standard error
    reached = [_Reached(machine, person.tell) for machine in machines]
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        looked = list(pool.map(_looked, reached))
        password = None if dry_run else _password(reached, person)
        return tuple(pool.map(partial(_provided, password=password, dry_run=dry_run), reached, looked))
    finally:
        for one in reached:
            one.way.close()
        pool.shutdown(wait=False, cancel_futures=True)


def _looked(one: _Reached) -> Outcome | None:
    """A machine's failure to be looked at; ``None`` where it went well."""
    try:
        one.way.open()
        one.look_again()
    except OrchestratorError as error:
        return Outcome(one.machine.name, FAILED, text=_without_name(error, one.machine))
    return None


def _password(reached: Sequence[_Reached], person: Person) -> str | None:
    """What sudo will be answered, where one of the machines asks."""
    asking = [one.machine.name for one in reached if one.must_ask]
    if not asking or person.ask is None:
        return None
    return person.ask(f"sudo's password on {', '.join(asking)}: ")


def _provided(one: _Reached, failure: Outcome | None, *, password: str | None, dry_run: bool) -> Outcome:
    if failure is not None:
        return failure
    name = one.machine.name
    try:
        commands = tuple(f"{'' if one.look.root else 'sudo '}{command}" for command in install_commands(one.look))
        if not commands:
            return Outcome(name, READY, text="nothing to do")
        wanted = packages(one.look)
        if dry_run:
            for command in commands:
                one.tell(f"would run: {command}")
            return Outcome(name, WOULD_INSTALL, wanted, commands, f"lacks {', '.join(one.look.missing)}")
        one.install(password)
    except OrchestratorError as error:
        return Outcome(name, FAILED, text=_without_name(error, one.machine))
    return Outcome(name, INSTALLED, wanted, commands, f"lacked {', '.join(one.lacked)}")


def _without_name(error: OrchestratorError, machine: Machine) -> str:
    return str(error).removeprefix(f"{machine.name}: ")


class _Lines:
    """A stream that shows whole lines, each with a machine's name before it."""

    encoding = "utf-8"

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = ""

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).replace(PROMPT, "").replace("\r", "\n").split("\n")
        for line in lines:
            if line.strip():
                self._tell(line)

    def flush(self) -> None:
        """Lines are shown when they end."""


class _Reached:
    """One machine: its connection, and what was found there."""

    def __init__(self, machine: Machine, tell: Callable[[str], None]) -> None:
        self.machine = machine
        self.look = Look((), "", root=False, sudo="")
        self.lacked: tuple[str, ...] = ()
        self.way = Way(machine)
        self._tell = tell

    def tell(self, line: str) -> None:
        """Show a line as this machine's."""
        self._tell(f"{self.machine.name}: {line}")

    @property
    def must_ask(self) -> bool:
        """Whether sudo will want a password for what is to be done."""
        return bool(self.look.missing) and not self.look.root and self.look.sudo == "asks" and self.machine.become is not False

    def look_again(self) -> None:
        """See what is there now.

        :raises Unreachable: it does not answer.
        """
        self.look = seen(self.way.run(look_command(), hide=True, timeout=_LOOK_S).stdout)

    def install(self, password: str | None) -> None:
        """Install what is missing, and look whether it is there then.

        :raises TestbedError: there are no rights, or it failed.
        """
        self._must_be_allowed(password)
        self.lacked = self.look.missing
        for command in install_commands(self.look):
            self.tell(f"$ {command}")
            result = self._as_root(command, password)
            if result.exited != 0:
                raise TestbedError(f"`{command}` failed with exit status {result.exited}; its last words are above")
        self.look_again()
        if self.look.missing:
            raise TestbedError(f"installed, but still missing: {', '.join(self.look.missing)}")

    def _must_be_allowed(self, password: str | None) -> None:
        if self.look.root:
            return
        if self.machine.become is False:
            raise TestbedError("programs are installed by root, and the inventory says ansible_become: false")
        if not self.look.sudo:
            raise TestbedError("programs are installed by root, and there is no sudo: log in as root (ansible_user)")
        if self.look.sudo == "denied":
            raise TestbedError("programs are installed by root, and this user may not use sudo: let it (visudo), or log in as another")
        if self.look.sudo == "asks" and password is None:
            raise TestbedError("sudo asks for a password, and nobody is here to give it: call this at a terminal")

    def _as_root(self, command: str, password: str | None) -> Any:
        streams: dict[str, Any] = {"out_stream": _Lines(self.tell), "err_stream": _Lines(self.tell)}
        if self.look.root:
            return self.way.run(command, timeout=_INSTALL_S, **streams)
        if self.look.sudo == "free":
            return self.way.run(f"sudo -n {command}", timeout=_INSTALL_S, **streams)
        return self.way.run(command, how="sudo", password=password, timeout=_INSTALL_S, **streams)
