"""The fields of a step -> what each host does.

Does not know when, nor what must be seen afterwards. The surprising fact: a name belongs to a host, so ``hosts: [a, b]`` with ``as: x``
makes two things called ``x``, and only ``wait``, which needs no host, can be in doubt which is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.agent.protocol import CALLS
from orchestrator.loading.keys.steps import ACTIONS
from orchestrator.loading.kinds.scalars import Marked
from orchestrator.loading.kinds.tables import Fields
from orchestrator.loading.notation.places import address, no_address
from orchestrator.loading.script.names import BACKGROUND, DONE, OPEN, PROGRAM, RULE, Made, Names
from orchestrator.loading.script.scene import Scene
from orchestrator.loading.source.problems import listed, suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.scenario import HostAction
from orchestrator.model.words import actions as act
from orchestrator.model.words.expectations import Outcome

_SENDING = ("send", "sendall", "sendto")
_MOST_SHOWN = 60
_NO_HOST_NAMES = ("", "localhost", "<broadcast>")


class Making(NamedTuple):
    """What actions are made with. ``loose``: the step has a condition, so the names it makes may be made elsewhere too."""

    reader: Reader
    names: Names
    scene: Scene
    step: int
    loose: bool = False

    def made(self, kind: str) -> Made:
        """What this step makes."""
        return Made(kind, self.step, self.loose)


def host_actions(fields: Fields, hosts: tuple[str, ...], making: Making) -> tuple[HostAction, ...]:
    """What each of ``hosts`` does."""
    return tuple(_host_action(fields, host, making) for host in hosts)


def waiting_host(fields: Fields, making: Making) -> tuple[str, ...]:
    """The host of the thing that is waited for, where the step names none."""
    name, where = fields.get("wait"), fields.place("wait")
    owners = making.names.things.owners(name)
    if len(owners) > 1:
        making.reader.refuse(where, f"'{name}' is on {listed(owners, 'and')}: say which with 'host'")
    if not owners:
        if making.names.doubt.present:
            return ()
        making.reader.refuse(where, f"there is nothing called '{name}' to wait for{suggestion(name, making.names.known())}")
    return tuple(owners)


def _host_action(fields: Fields, host: str, making: Making) -> HostAction:
    key = fields.first((*ACTIONS, "snapshot", "wait")) or ""
    name = _name(key, fields, host, making)
    action = _action(key, fields, host, name or "", making)
    background = bool(fields.get("background")) and not isinstance(action, act.Start)
    if name is not None:
        making.names.things.define(host, name, making.made(_thing(action, background=background)), fields.place("as"), making.reader)
    return HostAction(
        host=host,
        action=action,
        where=fields.place(key),
        name=name,
        background=background,
        timeout_ns=fields.get("timeout"),
        outcome=_outcome(fields),
    )


def _thing(action: act.Action, *, background: bool) -> str:
    """What a name given to ``action`` stands for."""
    if isinstance(action, act.Iptables):
        return RULE
    if isinstance(action, act.Start):
        return PROGRAM
    return BACKGROUND if background else DONE


def _starts(fields: Fields) -> bool:
    """Whether the program keeps running beside the later steps."""
    return "start" in fields or ("shell" in fields and ("ready" in fields or bool(fields.get("background"))))


def _name(key: str, fields: Fields, host: str, making: Making) -> str | None:
    """The name that the author gave, or one of ours where the record needs one."""
    given: str | None = fields.get("as")
    if given is not None:
        return given
    if key == "iptables":
        return making.names.things.fresh(host, f"rule-{making.step}")
    return making.names.things.fresh(host, f"program-{making.step}") if _starts(fields) else None


def _outcome(fields: Fields) -> Outcome | None:
    key = fields.first(("raises", "returns", "stdout"))
    if key is None:
        return None
    returned = fields.get("returns")
    return Outcome(
        raises=fields.get("raises"),
        returns=returned["literal"] if isinstance(returned, dict) else None,
        has_return=isinstance(returned, dict),
        any_return=returned == "*",
        stdout=fields.get("stdout"),
        where=fields.place(key),
    )


def _action(key: str, fields: Fields, host: str, name: str, making: Making) -> act.Action:  # noqa: PLR0911  a case for each action
    value, where = fields.get(key), fields.place(key)
    match key:
        case "call":
            _check_bytes(fields, value, making)
            return act.Calls(calls=tuple(_call(marked, host, making) for marked in value))
        case "iptables":
            return act.Iptables(tool="ip6tables" if making.scene.family == "ipv6" else "iptables", words=value, name=name)
        case "remove":
            making.names.things.check(host, value, (RULE,), where, making.reader)
            making.names.things.forget(host, value)
            return act.Remove(name=value)
        case "start" | "run" | "shell":
            argv = ("/bin/sh", "-c", value) if key == "shell" else value
            return act.Start(argv=argv, name=name, ready=_ready(fields)) if _starts(fields) else act.Run(argv=argv)
        case "route" | "ip":
            return act.Ip(words=value)
        case "wait":
            making.names.things.check(host, value, (BACKGROUND, PROGRAM), where, making.reader)
            return act.Wait(on=value)
    return _other_action(key, fields, host, making)


def _other_action(key: str, fields: Fields, host: str, making: Making) -> act.Action:
    """The actions that are mappings."""
    value = fields.get(key)
    match key:
        case "type":
            _check_program(value, host, making)
            return act.Type(to=value.get("to", ""), text=value.get("text", ""), eof=bool(value.get("eof")))
        case "signal":
            _check_program(value, host, making)
            return act.Signal(to=value.get("to", ""), signal=value.get("signal", ""))
        case "file":
            return act.File(name=value.get("name", ""), text=value.get("text", ""), executable=bool(value.get("executable")))
        case "sysctl":
            return act.Sysctl(values={entry.key: entry.value for entry in value})
        case "offload":
            return act.Offload(values={entry.key: entry.value for entry in value})
    return act.Snapshot(tools=tuple(marked.value for marked in value))


def _check_program(fields: Fields, host: str, making: Making) -> None:
    if "to" in fields:
        making.names.things.check(host, fields.get("to"), (PROGRAM,), fields.place("to"), making.reader)


def _ready(fields: Fields) -> act.Ready:
    ready: Fields | None = fields.get("ready")
    return act.Ready(listening=ready.get("listening"), output=ready.get("output")) if ready else act.Ready()


def _call(marked: Marked, host: str, making: Making) -> act.Call:
    """The call, its names and its address checked."""
    call: act.Call = marked.value
    making.names.sockets.call(host, call, making.made(OPEN), marked.where, making.reader)
    index = CALLS[call.method].address
    if index is not None:
        _check_address(call.arguments[index]["tuple"][0], marked, making)
    return call


def _check_bytes(fields: Fields, calls: Sequence[Marked], making: Making) -> None:
    """Complain about text where a socket takes bytes, unless the step wants to see that very mistake."""
    shown = "raises" in fields.broken or fields.get("raises") in ("TypeError", "Exception")
    for marked in calls[:-1] if shown else calls:
        call: act.Call = marked.value
        if call.method in _SENDING and isinstance(call.arguments[0], str):
            making.reader.complain(marked.where, f"{call.method} takes bytes, not text: write {_as_bytes(call.arguments[0])}")


def _as_bytes(text: str) -> str:
    plain = text.isascii() and text.isprintable() and not set(text) & set('"\\')
    if len(text) > _MOST_SHOWN:
        return 'b"..." or "...".encode()'
    return f'b"{text}"' if plain else f"{text!r}.encode()"


def _check_address(text: str, marked: Marked, making: Making) -> None:
    """Complain about an address that is neither one nor a host's name."""
    if text in _NO_HOST_NAMES or "${" in text or address(text.partition("%")[0]):
        return
    if wrong := no_address(text):
        making.reader.refuse(marked.where, wrong)
    host, _, network = text.partition("@")
    making.scene.check_host(host, network or None, marked.where, making.reader)
