"""One end of a socket as it is typed -> ``Place``: ``romeo``, ``romeo:4000``, ``:4000``, ``*:4000``, ``[fd00::1]:4000``, ``10.0.0.1:4000``.

Does not know which hosts there are; whoever asks checks the name.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from orchestrator.loading.notation.misread import Misread
from orchestrator.model.words.expectations import Place

_PLACE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.*]+)\]|(?P<host>[^\s\[\]:]*))(?::(?P<port>\*|[0-9]{1,7}))?")


def address(text: str) -> str | None:
    """``text`` as the kernel would print the address, or ``None`` if it is none."""
    for family in (AF_INET, AF_INET6):
        try:
            return inet_ntop(family, inet_pton(family, text))
        except (OSError, ValueError):
            continue
    return None


def no_address(text: str) -> str:
    """What is wrong with a text that is written like an IPv4 address and is none; empty for anything else."""
    if re.fullmatch(r"[0-9]+(?:\.[0-9]*)+", text) and not address(text):
        return f"'{text}' is no IPv4 address: that has four numbers between 0 and 255"
    return ""


def port_number(text: str, *, least: int = 1) -> int:
    """A port.

    :raises Misread: out of range.
    """
    if not least <= int(text) <= 65535:
        raise Misread(f"port {text} is out of range: ports are {least} to 65535")
    return int(text)


def place(text: str) -> Place:
    """The end that ``text`` describes; ``*`` leaves a part open, a bare number is a port.

    :raises Misread: it is no place.
    """
    if text.isascii() and text.isdigit():
        return Place(port=port_number(text[:8]))
    found = _PLACE.fullmatch(text)
    if not found or not text:
        raise Misread(f"'{text}' is no place of a socket: write host, host:port, ':port', '*:port' or '[IPv6 address]:port'")
    host, port = found["six"] or found["host"], found["port"]
    if found["six"] and not address(host):
        raise Misread(f"'{host}' is no IPv6 address")
    if wrong := no_address(host):
        raise Misread(wrong)
    return Place(
        host=None if host in ("", "*") else address(host) or host,
        port=None if port in (None, "*") else port_number(port),
    )
