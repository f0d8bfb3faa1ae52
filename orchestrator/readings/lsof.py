"""The text of ``lsof -n -P -i`` becomes one :class:`OpenSocket` per line.

Knows nothing of expectations. What surprises: ``lsof`` tells of descriptors, not of sockets: a connection that waits to be
accepted, an orphan and a TIME_WAIT are not in it, and a socket held by two processes is there twice.
"""

from __future__ import annotations

import re

from orchestrator.model.words.values import Record

_LINE = r"(\S+)\s+(\d+)\s+(\S+)\s+(\d+)\S*\s+IPv[46]\s.*?\s(TCP|UDP)\s+(\S+)(?:\s+\((\w+)\))?\s*"


class OpenSocket(Record, frozen=True, kw_only=True):
    """One descriptor. ``line`` is always whole; the other fields are empty where ``lsof`` printed a line of another form.

    ``local`` and ``peer`` are as ``lsof`` writes them (``*:4000``), ``state`` too (``LISTEN``, ``SYN_SENT``).
    """

    line: str
    command: str = ""
    pid: int = 0
    user: str = ""
    fd: int = -1
    protocol: str = ""
    local: str = ""
    peer: str = ""
    state: str = ""


def entries(text: str) -> tuple[OpenSocket, ...]:
    """Every line of ``text`` but the header and empty ones, in order."""
    return tuple(_entry(line.rstrip()) for line in text.splitlines() if line.strip() and not line.startswith("COMMAND "))


def _entry(line: str) -> OpenSocket:
    found = re.fullmatch(_LINE, line)
    if found is None:
        return OpenSocket(line=line)
    command, pid, user, fd, protocol, name, state = found.groups()
    local, _, peer = name.partition("->")
    return OpenSocket(
        line=line,
        command=command,
        pid=int(pid),
        user=user,
        fd=int(fd),
        protocol=protocol.lower(),
        local=local,
        peer=peer,
        state=state or "",
    )
