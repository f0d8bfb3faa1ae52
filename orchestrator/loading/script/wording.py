"""Expectations -> the short lines by which reports call them. Judges nothing, reads nothing."""

from __future__ import annotations

from orchestrator.model.words import expectations as exp

_LONGEST = 100


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def place_text(place: exp.Place) -> str:
    """``juliet:4000``, ``*:4000``."""
    host = place.host or "*"
    host = f"[{host}]" if ":" in host else host
    return host if place.port is None else f"{host}:{place.port}"


def socket_text(pattern: exp.SocketPattern) -> str:
    """Which socket is meant."""
    if pattern.name is not None:
        return f"socket {pattern.name}"
    ends = [f"{word} {place_text(place)}" for word, place in (("from", pattern.local), ("to", pattern.peer)) if place is not None]
    return f"socket {' '.join(ends)}"


def expectation_text(expectation: exp.AnyExpectation) -> str:
    """What is expected, in a line."""
    match expectation:
        case exp.SocketExpectation():
            return _cut(f"{expectation.host}: {socket_text(expectation.socket)}{_socket_fields(expectation)}")
        case exp.RuleExpectation(host=host, rule=rule, packets=packets, bytes=size):
            parts = [f"{word} {value}" for word, value in (("packets", packets), ("bytes", size)) if value is not None]
            return f"{host}: rule {rule} {', '.join(parts)}"
        case exp.ToolExpectation(host=host, tool=tool, pattern=pattern, count=count, absent=absent):
            return _cut(f"{host}: {tool} {'without' if absent else 'shows'} {pattern}") + (f", count {count}" if count else "")
        case exp.OutputExpectation(host=host, program=program, pattern=pattern):
            return _cut(f"{host}: {program} writes {pattern}")
        case exp.PathExpectation(host=host, socket=socket, states=states):
            return f"{host}: path of {socket} is {', '.join(states)}"
    return _wire_text(expectation)


def _socket_fields(expectation: exp.SocketExpectation) -> str:
    """The fields that are set, as they are typed."""
    named = {
        "state": " or ".join(expectation.states) or None,
        "recv_q": expectation.recv_q,
        "send_q": expectation.send_q,
        "timer": expectation.timer,
        "cwnd": expectation.cwnd,
        "count": expectation.count,
    }
    parts = [f"{word} {value}" for word, value in named.items() if value is not None]
    parts += ["absent"] if expectation.absent else []
    parts += [] if expectation.fd is None else ["with a descriptor" if expectation.fd else "without a descriptor"]
    protocol = "" if expectation.protocol == "tcp" else f" ({expectation.protocol})"
    return protocol + (f" {', '.join(parts)}" if parts else "")


def _wire_text(expectation: exp.AnyExpectation) -> str:
    match expectation:
        case exp.PacketsExpectation(capture=capture, lines=lines, connection=connection):
            what = "none" if not lines else f"{len(lines)} line{'s' if len(lines) > 1 else ''}"
            return f"packets in {capture}'s capture{f' of {connection}' if connection else ''}: {what}"
        case exp.CountExpectation(capture=capture, match=match, count=count):
            return _cut(f"count in {capture}'s capture of '{match.text}': {count}")
        case exp.IcmpExpectation(capture=capture, source=source, type=kind, code=code, count=count):
            number = f"{kind}/{'*' if code is None else code}"
            return f"icmp {number} from {source} in {capture}'s capture{f', count {count}' if count else ''}"
    return ""
