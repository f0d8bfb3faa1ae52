"""The fields of an expectation -> its record.

Does not judge and does not ask a host. The surprising fact: ``packets: none`` without a capture becomes one expectation for every capture
there is, because silence on one host proves nothing about the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from orchestrator.loading.kinds.scalars import Marked
from orchestrator.loading.kinds.tables import Fields
from orchestrator.loading.notation.places import address
from orchestrator.loading.script.names import PROGRAM, RULE, Names
from orchestrator.loading.script.scene import Scene
from orchestrator.loading.script.wording import expectation_text
from orchestrator.loading.source.problems import Refused, listed
from orchestrator.loading.source.reader import Reader
from orchestrator.model.scenario import Condition, Guarded
from orchestrator.model.words import expectations as exp
from orchestrator.model.words.segments import Gap, SegmentPattern
from orchestrator.model.words.values import Where

PATIENCE_NS = 1_000_000_000


class Asking(NamedTuple):
    """What expectations are made with; ``step`` is ``None`` at the end of a scenario."""

    reader: Reader
    names: Names
    scene: Scene
    step: int | None = None
    within_ns: int = PATIENCE_NS


def condition(fields: Fields | None) -> Condition | None:
    """The condition under ``when``."""
    if fields is None:
        return None
    return Condition(kernel=fields.get("kernel"), sysctl=fields.get("sysctl"), family=fields.get("family"))


def expectations(forms: Iterable[Marked], asking: Asking) -> tuple[Guarded, ...]:
    """The records of a list of expectations; one that cannot be made is complained about and left out."""
    made: list[Guarded] = []
    for marked in forms:
        form, fields = marked.value
        when = condition(fields.get("when"))
        meant = when is None or when.family in (None, asking.scene.family)
        ours = asking if meant else asking._replace(names=asking.names.aside())
        _check_names(form, fields, ours)
        if fields.broken:
            continue
        with suppress(Refused):
            made += (Guarded(expectation=_worded(expectation), when=when) for expectation in _made(form, fields, marked.where, ours))
    return tuple(made)


def _worded(expectation: exp.AnyExpectation) -> exp.AnyExpectation:
    return msgspec.structs.replace(expectation, text=expectation_text(expectation))


def _check_names(form: str, fields: Fields, asking: Asking) -> None:
    """Complain about names and hosts, also where another part of the expectation could not be read."""
    own = fields.get(form)
    if form == "path":
        form, fields = "socket", own if isinstance(own, Fields) else fields
    if form == "packets":
        lines = own.get("lines", ()) if isinstance(own, Fields) else own or ()
        for marked in lines:
            with suppress(Refused):
                _line(marked, asking)
    host, name = fields.get("host"), fields.get(form)
    if host is None or not isinstance(name, str):
        return
    if form == "socket":
        asking.names.sockets.check(host, name, fields.place(form), asking.reader)
    elif form in ("rule", "output"):
        asking.names.things.check(host, name, (RULE if form == "rule" else PROGRAM,), fields.place(form), asking.reader)


def _made(form: str, fields: Fields, where: Where, asking: Asking) -> list[exp.AnyExpectation]:
    """The records of one expectation."""
    if form == "packets":
        return list(_packets(fields, where, asking))
    if form in ("count", "icmp"):
        return [(_count if form == "count" else _icmp)(fields.get(form), where, asking)]
    if form == "path":
        return [_path(fields.get(form), where)]
    if form == "socket":
        return [_socket(fields, where, asking)]
    return [(_named if form in ("rule", "output") else _tool)(form, fields, where, asking)]


def _socket(fields: Fields, where: Where, asking: Asking) -> exp.SocketExpectation:
    host, wanted = fields.get("host"), fields.get("socket")
    if isinstance(wanted, str):
        pattern = exp.SocketPattern(name=wanted)
    else:
        pattern = exp.SocketPattern(local=_place("local", wanted, asking), peer=_place("peer", wanted, asking))
    return exp.SocketExpectation(
        where=where,
        host=host,
        socket=pattern,
        within_ns=fields.get("within", asking.within_ns),
        protocol=fields.get("protocol", "tcp"),
        states=tuple(marked.value for marked in fields.get("state", ())),
        absent=fields.get("absent", False),
        **{name: fields.get(name) for name in ("count", "recv_q", "send_q", "timer", "cwnd", "fd")},
    )


def _place(key: str, fields: Fields, asking: Asking) -> exp.Place | None:
    """An end of a socket, its host checked."""
    place: exp.Place | None = fields.get(key)
    if place and place.host and "${" not in place.host and not address(place.host):
        host, _, network = place.host.partition("@")
        asking.scene.check_host(host, network or None, fields.place(key), asking.reader)
    return place


def _named(form: str, fields: Fields, where: Where, asking: Asking) -> exp.AnyExpectation:
    """A rule's counters, a program's output."""
    host, name, within_ns = fields.get("host"), fields.get(form), fields.get("within", asking.within_ns)
    if form == "rule":
        packets, size = fields.get("packets"), fields.get("bytes")
        return exp.RuleExpectation(where=where, host=host, rule=name, within_ns=within_ns, packets=packets, bytes=size)
    return exp.OutputExpectation(where=where, host=host, program=name, within_ns=within_ns, pattern=fields.get("matches"))


def _tool(tool: str, fields: Fields, where: Where, asking: Asking) -> exp.ToolExpectation:
    return exp.ToolExpectation(
        where=where,
        host=fields.get("host"),
        tool=tool,
        pattern=fields.get(tool),
        within_ns=fields.get("within", asking.within_ns),
        count=fields.get("count"),
        absent=fields.get("absent", False),
    )


def _packets(fields: Fields, where: Where, asking: Asking) -> Iterable[exp.PacketsExpectation]:
    """One expectation, or one for each capture where none is named and nothing is expected."""
    wanted = fields.get("packets")
    given = wanted if isinstance(wanted, Fields) else None
    marked = given.get("lines") if given else wanted
    lines = tuple(_line(line, asking) for line in marked)
    connection = given.get("connection") if given else None
    for capture in _captures(given, lines, fields.place("packets"), asking):
        yield exp.PacketsExpectation(
            where=where,
            capture=capture,
            lines=lines,
            connection=connection,
            connection_host=_connection_host(given, capture, asking) if given and connection else None,
            step=asking.step,
        )


def _captures(given: Fields | None, lines: tuple[SegmentPattern | Gap, ...], where: Where, asking: Asking) -> tuple[str, ...]:
    """Whose captures judge ``lines``: the one named, else the first line's sender's, else every one."""
    if given and "capture" in given:
        asking.scene.check_capture(given.get("capture"), given.place("capture"), asking.reader)
        return (given.get("capture"),)
    first = next((line for line in lines if isinstance(line, SegmentPattern)), None)
    if first is not None:
        asking.scene.check_capture(first.source.host, first.where or where, asking.reader)
        return (first.source.host,)
    if not asking.scene.captured and asking.scene.topology is not None:
        asking.reader.refuse(where, "nothing is captured, so nothing can be judged: see 'capture'")
    return asking.scene.captured


def _connection_host(given: Fields, capture: str, asking: Asking) -> str:
    """Whose socket ``connection`` is."""
    name, where = given.get("connection"), given.place("connection")
    owners = asking.names.sockets.owners(name)
    if "host" in given or not owners:
        host: str = given.get("host", capture)
        asking.names.sockets.check(host, name, where, asking.reader)
        return host
    if len(owners) > 1 and capture not in owners:
        asking.reader.refuse(where, f"{listed(owners, 'and')} have a socket '{name}': say whose with 'host'")
    return owners[0] if len(owners) == 1 else capture


def _line(marked: Marked, asking: Asking) -> SegmentPattern | Gap:
    """The line, its hosts checked and its place noted."""
    return Gap(where=marked.where) if isinstance(marked.value, Gap) else _segment(marked.value, marked.where, asking)


def _segment(pattern: SegmentPattern, where: Where, asking: Asking) -> SegmentPattern:
    """The pattern, its hosts checked and its place noted."""
    for end in (pattern.source, pattern.destination):
        asking.scene.check_host(end.host, end.network, where, asking.reader)
    return msgspec.structs.replace(pattern, where=where)


def _count(fields: Fields, where: Where, asking: Asking) -> exp.CountExpectation:
    match = _segment(fields.get("match"), fields.place("match"), asking)
    capture = fields.get("capture", match.source.host)
    asking.scene.check_capture(capture, fields.place("capture"), asking.reader)
    return exp.CountExpectation(where=where, capture=capture, match=match, count=fields.get("is"), step=asking.step)


def _icmp(fields: Fields, where: Where, asking: Asking) -> exp.IcmpExpectation:
    source = fields.get("from")
    capture = fields.get("capture", next((host for host in asking.scene.captured if host != source), source))
    asking.scene.check_capture(capture, fields.place("capture"), asking.reader)
    return exp.IcmpExpectation(
        where=where,
        capture=capture,
        source=source,
        type=fields.get("type"),
        code=fields.get("code"),
        count=fields.get("count"),
        step=asking.step,
    )


def _path(fields: Fields, where: Where) -> exp.PathExpectation:
    host, socket = fields.get("host"), fields.get("socket")
    states = tuple(marked.value for marked in fields.get("states"))
    return exp.PathExpectation(where=where, host=host, socket=socket, states=states, witness=fields.get("witness"))
