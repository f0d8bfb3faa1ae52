"""Host keys that a person trusts -> lines of a known_hosts file of ours, that plain ssh(1) can be pointed at.

Knows no connection. Lines of others stay as they are; the file is replaced by rename, so that nobody ever reads half of it.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.connectors.known_hosts import entry_of, stands_for


class Pin(NamedTuple):
    """A key to be written: what the file calls the server, and the key."""

    name: str
    kind: str
    blob: bytes


def pin(path: str, pins: Sequence[Pin], *, replace: bool = False) -> int:
    """Write the keys that do not stand there yet, all or none of them; gives how many were added. Lines of others are kept as they are.

    With ``replace`` the other keys of the pinned servers lose their place: the line goes, or only the name where it stands for more.

    :raises OSError: the file or its folder cannot be written.
    """
    real = os.path.realpath(path)
    lines = _lines(real)
    if replace:
        wanted = {(each.name, each.blob) for each in pins}
        names = {each.name for each in pins}
        lines = [kept for number, line in enumerate(lines, 1) if (kept := _without(real, number, line, names, wanted)) is not None]
    entries = [entry for number, line in enumerate(lines, 1) if (entry := entry_of(real, number, line)) is not None and not entry.marker]
    missing = [each for each in dict.fromkeys(pins) if not any(e.blob == each.blob and stands_for(e.names, each.name) for e in entries)]
    lines += [f"{each.name} {each.kind} {base64.b64encode(each.blob).decode('ascii')}" for each in missing]
    if missing or replace:
        _write(real, "".join(f"{line}\n" for line in lines))
    return len(missing)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _without(path: str, number: int, line: str, names: set[str], wanted: set[tuple[str, bytes]]) -> str | None:
    """The line without the names whose key is another now; ``None`` when nobody is left in it."""
    entry = entry_of(path, number, line)
    if entry is None or entry.marker:
        return line
    if entry.names.startswith("|"):
        gone = any(stands_for(entry.names, name) and (name, entry.blob) not in wanted for name in names)
        return None if gone else line
    listed = entry.names.split(",")
    left = [name for name in listed if name.lower() not in names or (name.lower(), entry.blob) in wanted]
    if left == listed:
        return line
    return f"{','.join(left)}{line.strip()[len(entry.names) :]}" if left else None


def _write(path: str, text: str) -> None:
    """Replace the file; it keeps its mode (host keys are public: 0644)."""
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644
    handle, temporary = tempfile.mkstemp(prefix=".known_hosts-", dir=os.path.dirname(path) or ".")
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
