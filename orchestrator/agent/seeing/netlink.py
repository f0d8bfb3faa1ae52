"""The kernel's own tables of interfaces, addresses and routes, read over rtnetlink(7): no process, and no version of ip that can tell JSON.

Only reads. Each dump is one question and its answers. The surprising fact: a route of IPv4 may go by a neighbour of IPv6 (``RTA_VIA``).
"""

from __future__ import annotations

import os

from orchestrator.agent.lean import socket, struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_REQUEST_DUMP = 0x1 | 0x300
_DONE, _ERROR = 3, 2
_ETHERNET = 1
_UP = 0x1
_MAIN, _UNICAST = 254, 1
_PATIENCE_S = 5.0


def interfaces() -> list[dict[str, Any]]:
    """Each interface as ``{"name", "index", "mac", "mtu", "up", "addresses"}``, in the kernel's order; addresses with their prefix length.

    :raises OSError: the kernel does not answer.
    """
    found: dict[int, dict[str, Any]] = {}
    for body in _dump(_GETLINK, socket.AF_UNSPEC):
        _family, kind, index, flags = struct.unpack_from("=BxHiI", body)
        told = _attributes(body[16:])
        mac = told.get(1, b"") if kind == _ETHERNET else b""
        found[index] = {
            "name": told[3].rstrip(b"\0").decode(errors="replace"),
            "index": index,
            "mac": ":".join(f"{byte:02x}" for byte in mac),
            "mtu": struct.unpack("=I", told[4])[0],
            "up": bool(flags & _UP),
            "addresses": [],
        }
    for body in _dump(_GETADDR, socket.AF_UNSPEC):
        family, length, index = body[0], body[1], struct.unpack_from("=I", body, 4)[0]
        told = _attributes(body[8:])
        address = told.get(2, told.get(1))  # IFA_LOCAL, which a link of two ends has beside its peer's
        if address is not None and index in found and family in (socket.AF_INET, socket.AF_INET6):
            found[index]["addresses"].append(socket.inet_ntop(family, address) + "/" + str(length))
    return list(found.values())


def routes() -> list[dict[str, Any]]:
    """Each route of the main table that sends on, as ``{"version", "to", "via", "interface"}``; ``via`` is empty on a neighbouring network.

    :raises OSError: the kernel does not answer.
    """
    names = {interface["index"]: interface["name"] for interface in interfaces()}
    found = []
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        for body in _dump(_GETROUTE, family):
            length, table, kind = body[1], body[4], body[7]
            told = _attributes(body[12:])
            if (table, kind, body[0]) != (_MAIN, _UNICAST, family):
                continue
            to = socket.inet_ntop(family, told[1]) + "/" + str(length) if 1 in told else "default"
            interface = names.get(struct.unpack("=I", told[4])[0], "") if 4 in told else ""
            found.append({"version": version, "to": to, "via": _gateway(family, told), "interface": interface})
    return found


def _gateway(family: int, told: dict[int, bytes]) -> str:
    if 5 in told:
        return socket.inet_ntop(family, told[5])
    if 18 in told:
        (other,) = struct.unpack_from("=H", told[18])
        return socket.inet_ntop(other, told[18][2:])
    return ""


def _dump(kind: int, family: int) -> Iterator[bytes]:
    """The body of every answer to one question.

    :raises OSError: the kernel refused, or did not answer.
    """
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.settimeout(_PATIENCE_S)
        sock.bind((0, 0))
        body = struct.pack("=B15x", family)  # as long as the longest header; the kernel reads what it needs
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_DUMP, 1, 0) + body)
        yield from _answers(sock)
    finally:
        sock.close()


def _answers(sock: socket.socket) -> Iterator[bytes]:
    while True:
        data = memoryview(sock.recv(1 << 20))
        while len(data) >= 16:
            length, answer = struct.unpack_from("=IH", data)
            if answer == _DONE:
                return
            if answer == _ERROR:
                number = -struct.unpack_from("=i", data, 16)[0]
                raise OSError(number, os.strerror(number))
            yield bytes(data[16:length])
            data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by their number (rtnetlink(7)); of one that comes twice the last."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found
