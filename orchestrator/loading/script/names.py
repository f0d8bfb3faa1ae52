"""Which names a scenario has made so far, host by host: sockets, rules, programs, background actions.

Knows nothing of YAML or of what the names do. The surprising fact: once a step could not be read, names that it may have made cannot be
called unknown any more, so from there on these complaints are left out; the others go on.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.agent.protocol import CALLS
from orchestrator.loading.notation.calls import binds_socket
from orchestrator.loading.source.problems import suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.words.actions import Call
from orchestrator.model.words.values import Where

OPEN, CLOSED, DATA = "open", "closed", "data"
RULE, PROGRAM, BACKGROUND, DONE = "rule", "program", "background action", "action"


class Made(NamedTuple):
    """What a name stands for, and the step that made it. ``loose``: only under a condition, so another step may make it too."""

    kind: str
    step: int
    loose: bool
    by: str = ""


class Doubt:
    """Whether some name may have been made in a step that could not be read."""

    def __init__(self, *, present: bool = False) -> None:
        self.present = present


class Sockets:
    """The names that calls have bound, host by host."""

    def __init__(self, doubt: Doubt, made: dict[tuple[str, str], Made]) -> None:
        self._doubt = doubt
        self._made = made

    def call(self, host: str, call: Call, made: Made, where: Where, reader: Reader) -> None:
        """Check the names that ``call`` uses, and note those that it makes; ``made`` says in which step."""
        if CALLS[call.method].of == "socket":
            self.check(host, call.receiver, where, reader)
            if call.method == "close" and (host, call.receiver) in self._made:
                self._made[host, call.receiver] = made._replace(kind=CLOSED)
        for index, name in enumerate(call.names):
            if name == "_":
                continue
            old = self._made.get((host, name))
            if old and old.kind == OPEN and not old.loose and not made.loose and not self._doubt.present:
                reader.complain(
                    where, f"{host}'s '{name}' is a socket that is open since step {old.step}: close it before the name is used again"
                )
            kind = OPEN if index == 0 and binds_socket(call) else DATA
            self._made[host, name] = made._replace(kind=kind, by=call.method)

    def check(self, host: str, name: str, where: Where, reader: Reader) -> None:
        """Complain unless ``name`` is a socket that was made on ``host``."""
        made = self._made.get((host, name))
        if made and made.kind == DATA:
            reader.complain(where, f"'{name}' holds what {made.by} gave, it is no socket")
        elif not made and not self._doubt.present:
            own = [known for owner, known in self._made if owner == host]
            reader.complain(where, f"{host} has made no socket '{name}' yet{suggestion(name, own) or _whose(self.owners(name))}")

    def owners(self, name: str) -> list[str]:
        """The hosts that have made a socket ``name``."""
        return sorted(host for (host, known), made in self._made.items() if known == name and made.kind != DATA)

    def copied(self, doubt: Doubt) -> Sockets:
        """The same names, to be changed apart."""
        return Sockets(doubt, dict(self._made))


class Things:
    """The names that ``as`` has given, host by host."""

    def __init__(self, doubt: Doubt, made: dict[tuple[str, str], Made]) -> None:
        self._doubt = doubt
        self._made = made

    def define(self, host: str, name: str, made: Made, where: Where, reader: Reader) -> None:
        """Note that ``name`` stands for something on ``host``."""
        old = self._made.get((host, name))
        if old and not old.loose and not made.loose and not self._doubt.present:
            reader.complain(where, f"{host}'s name '{name}' is taken since step {old.step}: every name is given once")
        self._made[host, name] = made

    def fresh(self, host: str, stem: str) -> str:
        """``stem``, or ``stem-2`` and so on where that is taken."""
        name, number = stem, 1
        while (host, name) in self._made:
            number += 1
            name = f"{stem}-{number}"
        return name

    def check(self, host: str, name: str, kinds: tuple[str, ...], where: Where, reader: Reader) -> None:
        """Complain unless ``name`` stands for one of ``kinds`` on ``host``."""
        made = self._made.get((host, name))
        if made is None and not self._doubt.present:
            own = [known for (owner, known), thing in self._made.items() if owner == host and thing.kind in kinds]
            hint = suggestion(name, own) or _whose(self.owners(name))
            reader.complain(where, f"{host} has no {' or '.join(kinds)} '{name}' yet{hint}")
        elif made is not None and made.kind not in kinds:
            article = "an" if made.kind == DONE else "a"
            reader.complain(where, f"'{name}' is {article} {made.kind} (step {made.step}), not a {' or a '.join(kinds)}")

    def forget(self, host: str, name: str) -> None:
        """The rule ``name`` was taken out: the name is free again."""
        self._made.pop((host, name), None)

    def owners(self, name: str) -> list[str]:
        """The hosts on which ``name`` stands for something."""
        return sorted(host for host, known in self._made if known == name)

    def known(self) -> set[str]:
        """Every name."""
        return {name for _, name in self._made}

    def copied(self, doubt: Doubt) -> Things:
        """The same names, to be changed apart."""
        return Things(doubt, dict(self._made))


class Names:
    """All the names made so far."""

    def __init__(self) -> None:
        self.doubt = Doubt()
        self.sockets = Sockets(self.doubt, {})
        self.things = Things(self.doubt, {})
        self.steps: set[str] = set()

    def aside(self) -> Names:
        """A copy for what is not meant in this variant: nothing there is unknown, and nothing made there stays."""
        other = Names()
        other.doubt = Doubt(present=True)
        other.sockets, other.things = self.sockets.copied(other.doubt), self.things.copied(other.doubt)
        other.steps = set(self.steps)
        return other

    def known(self) -> set[str]:
        """Every name that ``after`` can refer to."""
        return self.steps | self.things.known()


def _whose(hosts: list[str]) -> str:
    """``: romeo has one``, to stand at the end of a sentence."""
    return f": {' and '.join(hosts)} {'has' if len(hosts) == 1 else 'have'} one" if hosts else ""
