"""The calls of a run become the life of each socket that the scenario names: what was done with it, and which ends it had.

Knows plan and record, no segments. The surprising fact: a name may be bound again once its socket is closed, so a socket is known
by its cookie, and an accepted one is born by its listener's call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from orchestrator.agent.protocol import decode_value
from orchestrator.model.plan import Plan
from orchestrator.model.record import CallRecord, RunRecord, SocketFacts
from orchestrator.model.words.actions import Call, Calls

_NO_CALL = Call(text="", method="")


class Deed(Struct, frozen=True, kw_only=True):
    """One call on one socket. ``target`` is the end that a connect aimed at, ``local`` the socket's own end just after the call."""

    method: str
    record: CallRecord
    arguments: tuple[object, ...] = ()
    target: str = ""
    local: str = ""

    @property
    def error(self) -> str:
        """The errno's name that it gave, by raising it or (``connect_ex``) by returning it; empty where all went well."""
        if self.record.errno or self.record.status != "done" or self.method != "connect_ex":
            return self.record.errno
        return _errno_name(self.record.value)


class NamedSocket:
    """One socket of the scenario's, from the call that made it. ``listener`` is the one whose ``accept`` did."""

    def __init__(self, host: str, name: str, made: CallRecord, listener: NamedSocket | None = None) -> None:
        self.host = host
        self.name = name
        self.made = made
        self.listener = listener
        self.cookie = 0
        self.protocol = "tcp"
        self.local = ""
        self.peer = ""
        self.deeds: list[Deed] = []

    def learn(self, facts: SocketFacts) -> None:
        """Take in what the kernel said of it; a closed or refused socket keeps what it had."""
        self.cookie = self.cookie or facts.cookie
        self.protocol = facts.protocol
        local, peer = plain_end(facts.local), plain_end(facts.peer)
        if local and not local.endswith(":0"):
            self.local = local
        self.peer = peer or self.peer

    def did(self, *methods: str) -> Iterator[Deed]:
        """The calls on it by these names, in order."""
        return (deed for deed in self.deeds if deed.method in methods)


def plain_end(end: str) -> str:
    """``[::ffff:10.0.0.1]:80`` as ``10.0.0.1:80``: the wire knows no mapped addresses (RFC 4291 section 2.5.5.2)."""
    if end.startswith("[::ffff:") and "." in end:
        return end[8:].replace("]", "")
    return end


def named_sockets(plan: Plan, record: RunRecord) -> tuple[NamedSocket, ...]:
    """Every socket that the calls of the run made, in the order of their making."""
    ledger = _Ledger(plan)
    for host, planned, told in _calls(plan, record):
        ledger.take(host, planned, told)
    for sample in record.samples:
        for facts in sample.sockets:
            ledger.learn(sample.host, facts)
    return tuple(ledger.made)


def _calls(plan: Plan, record: RunRecord) -> Iterator[tuple[str, Call, CallRecord]]:
    planned = {action.id: action.action for step in plan.steps for action in step.actions}
    pairs: list[tuple[str, Call, CallRecord]] = []
    for told in record.actions:
        action = planned.get(told.id)
        if not isinstance(action, Calls):
            continue  # a wait repeats the calls of what it waited for
        known: Sequence[Call] = action.calls
        pairs += [(told.host, known[index] if index < len(known) else _NO_CALL, call) for index, call in enumerate(told.calls)]
    return iter(sorted(pairs, key=lambda pair: pair[2].start_ns))


class _Ledger:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.made: list[NamedSocket] = []
        self.named: dict[tuple[str, str], NamedSocket] = {}
        self.by_cookie: dict[tuple[str, int], NamedSocket] = {}

    def take(self, host: str, planned: Call, told: CallRecord) -> None:
        method = (told.method or planned.method).removeprefix("socket.")
        name = planned.receiver or (told.sockets[0].name if told.sockets else "")
        if method == "socket":
            if told.status == "done":
                self._make(host, NamedSocket(host, planned.names[0] if planned.names else name, told))
        elif (sock := self.named.get((host, name))) is not None:
            sock.deeds.append(self._deed(host, method, name, planned, told))
            if method == "accept" and told.status == "done":
                self._make(host, NamedSocket(host, _accepted_name(planned, told), told, listener=sock))
        for facts in told.sockets:
            self.learn(host, facts)

    def learn(self, host: str, facts: SocketFacts) -> None:
        sock = self.by_cookie.get((host, facts.cookie)) or self.named.get((host, facts.name))
        if sock is None or (sock.cookie and facts.cookie and sock.cookie != facts.cookie):
            return
        sock.learn(facts)
        if sock.cookie:
            self.by_cookie[host, sock.cookie] = sock

    def _make(self, host: str, sock: NamedSocket) -> None:
        self.made.append(sock)
        self.named[host, sock.name] = sock

    def _deed(self, host: str, method: str, name: str, planned: Call, told: CallRecord) -> Deed:
        arguments = tuple(decode_value(argument) for argument in planned.arguments)
        local = next((plain_end(facts.local) for facts in told.sockets if facts.name == name), "")
        target = self._target(host, arguments) if method in {"connect", "connect_ex"} else ""
        return Deed(method=method, record=told, arguments=arguments, target=target, local=local)

    def _target(self, host: str, arguments: tuple[object, ...]) -> str:
        address = arguments[0] if arguments else None
        if not isinstance(address, tuple) or len(address) < 2:
            return ""
        text = str(address[0])
        known = self.plan.addresses(text) if text in {one.name for one in self.plan.hosts} else ()
        text = (known[0] if known else text) or next(iter(self.plan.addresses(host)), "")
        return plain_end(f"[{text}]:{address[1]}" if ":" in text else f"{text}:{address[1]}")


def _accepted_name(planned: Call, told: CallRecord) -> str:
    if planned.names:
        return planned.names[0]
    return told.sockets[-1].name if told.sockets else "_"


def _errno_name(value: object) -> str:
    if not isinstance(value, int) or value == 0:
        return ""
    import errno  # only connect_ex needs it

    return errno.errorcode.get(value, str(value))
