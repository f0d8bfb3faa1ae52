"""What a host may be told to do. Each record's JSON is, field for field, what the agent takes.

The tag ``do`` is the agent's word for it. Text may hold ``${juliet}`` until planning has put the address there.
"""

from __future__ import annotations

from typing import TypeAlias

from orchestrator.model.words.values import Json, Record


class Act(Record, frozen=True, kw_only=True, tag_field="do"):
    """The base of every action."""


class Call(Record, frozen=True, kw_only=True):
    """One socket call, parsed. ``text`` is what was typed.

    ``receiver`` is the socket whose method it is, empty for the module's own (``socket.socket``). ``names`` are bound to the result: none,
    one, or two for ``conn, addr = server.accept()``; ``_`` discards. ``arguments`` are in the wire's form
    (``agent.protocol.encode_value``).
    """

    text: str
    method: str
    receiver: str = ""
    names: tuple[str, ...] = ()
    arguments: tuple[Json, ...] = ()


class Calls(Act, frozen=True, kw_only=True, tag="calls"):
    """Socket calls, run one after another without a round trip between them."""

    calls: tuple[Call, ...]


class Iptables(Act, frozen=True, kw_only=True, tag="iptables"):
    """Put a rule in. ``tool`` is ``iptables`` or ``ip6tables``, ``words`` the rule's own; ``name`` finds it again."""

    tool: str
    words: tuple[str, ...]
    name: str


class Remove(Act, frozen=True, kw_only=True, tag="remove"):
    """Take out the rule that was put in as ``name``."""

    name: str


class Ready(Record, frozen=True, kw_only=True):
    """When a started program counts as ready: ``listening`` on a port, ``output`` that fits a pattern, or at once (neither)."""

    listening: int | None = None
    output: str | None = None


class Start(Act, frozen=True, kw_only=True, tag="start"):
    """Start a program that keeps running; ``name`` types to it, signals it and waits for it."""

    argv: tuple[str, ...]
    name: str
    ready: Ready = Ready()


class Run(Act, frozen=True, kw_only=True, tag="run"):
    """Run a program to its end; its exit status is what it returns (negative: the signal that ended it)."""

    argv: tuple[str, ...]


class Type(Act, frozen=True, kw_only=True, tag="type"):
    """Write ``text`` to the input of the program ``to``, then end that input if ``eof``."""

    to: str
    text: str = ""
    eof: bool = False


class Signal(Act, frozen=True, kw_only=True, tag="signal"):
    """Send the signal named ``signal`` (``INT``, ``TERM``, ...) to the program ``to``."""

    to: str
    signal: str


class File(Act, frozen=True, kw_only=True, tag="file"):
    """Put ``text`` into the run's private folder on the host, under the plain name ``name``."""

    name: str
    text: str
    executable: bool = False


class Sysctl(Act, frozen=True, kw_only=True, tag="sysctl"):
    """Set kernel parameters (``net.*`` only); put back at the end."""

    values: dict[str, str]


class Offload(Act, frozen=True, kw_only=True, tag="offload"):
    """Switch offloads of the experiment interfaces (ethtool's short names: ``tso``, ``gso``, ``gro``, ``tx``, ``rx``).

    Put back at the end.
    """

    values: dict[str, bool]
    interfaces: tuple[str, ...] = ()


class Ip(Act, frozen=True, kw_only=True, tag="ip"):
    """Change a route, an address, or a link's state or MTU: the words behind ip(8). Put back at the end."""

    words: tuple[str, ...]


class Snapshot(Act, frozen=True, kw_only=True, tag="snapshot"):
    """Keep what these tools say now: ``ss``, ``lsof``, ``netstat``, ``iptables``, ``nstat``."""

    tools: tuple[str, ...]


class Wait(Act, frozen=True, kw_only=True, tag="wait"):
    """Wait until the background action or the program ``on`` has ended; its outcome is this action's."""

    on: str


Action: TypeAlias = Calls | Iptables | Remove | Start | Run | Type | Signal | File | Sysctl | Offload | Ip | Snapshot | Wait


def typed(action: Action) -> str:  # noqa: C901, PLR0911 - one line for each action of the language
    """The action in a line, as it was typed on the host: of calls the last one."""
    match action:
        case Calls():
            return action.calls[-1].text
        case Iptables():
            return " ".join((action.tool, *action.words))
        case Ip():
            return " ".join(("ip", *action.words))
        case Start() | Run():
            return " ".join(action.argv)
        case Type():
            return f"type to {action.to}"
        case Signal():
            return f"signal {action.signal} to {action.to}"
        case Wait():
            return f"wait for {action.on}"
        case Remove() | File():
            return f"{type(action).__name__.lower()} {action.name}"
        case Snapshot():
            return f"snapshot {' '.join(action.tools)}"
        case Sysctl() | Offload():
            return f"{type(action).__name__.lower()} {' '.join(f'{key}={value}' for key, value in action.values.items())}"
