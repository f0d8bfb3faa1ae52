"""The text of ``netstat -tuanp`` (net-tools) becomes one :class:`NetstatLine` per socket.

Knows nothing of expectations. What surprises: ``netstat`` writes IPv6 ends without brackets (``fd00::101:4000``, ``:::4001``) and
leaves the state of an unconnected UDP socket out, so that its columns move.
"""

from __future__ import annotations

import re

from orchestrator.model.words.values import Record

_LINE = r"((?:tcp|udp)6?)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+)\s*(?:([A-Z][A-Z0-9_]+)\b)?\s*(.*)"
_HEADERS = ("Active ", "Proto ")


class NetstatLine(Record, frozen=True, kw_only=True):
    """One socket. ``line`` is always whole; the other fields are empty where ``netstat`` printed a line of another form.

    ``protocol`` is ``tcp``, ``tcp6``, ``udp`` or ``udp6``; ``local`` and ``peer`` are as ``netstat`` writes them; ``holder`` is
    ``12/nc`` or ``-``.
    """

    line: str
    protocol: str = ""
    recv_q: int = 0
    send_q: int = 0
    local: str = ""
    peer: str = ""
    state: str = ""
    holder: str = ""


def entries(text: str) -> tuple[NetstatLine, ...]:
    """Every line of ``text`` but headers and empty ones, in order."""
    return tuple(_entry(line.rstrip()) for line in text.splitlines() if line.strip() and not line.startswith(_HEADERS))


def _entry(line: str) -> NetstatLine:
    found = re.fullmatch(_LINE, line)
    if found is None:
        return NetstatLine(line=line)
    protocol, recv_q, send_q, local, peer, state, holder = found.groups()
    return NetstatLine(
        line=line, protocol=protocol, recv_q=int(recv_q), send_q=int(send_q), local=local, peer=peer, state=state or "", holder=holder
    )
