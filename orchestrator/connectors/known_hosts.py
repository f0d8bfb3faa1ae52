"""known_hosts files -> who holds which host key, with file and line (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

Knows no connection. The surprising fact: a server on another port than 22 stands there as ``[host]:port``, but a key that stands for the
plain host is taken too, as ssh(1) does; a different key there says nothing about this port.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

PORT = 22
AUTHORITY = "cert-authority"
REVOKED = "revoked"


class Entry(NamedTuple):
    """One line of a known_hosts file: ``marker`` is empty, ``cert-authority`` or ``revoked``; ``line`` counts from 1."""

    path: str
    line: int
    marker: str
    names: str
    kind: str
    blob: bytes


class Held(NamedTuple):
    """What is known of one server: its own ``keys``, the ``authorities`` that may certify it, and what is ``revoked``."""

    keys: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()
    elsewhere: tuple[Entry, ...] = ()
    """What stands for the host without the port: good where it fits, no evidence where it does not."""

    def vouches(self, blob: bytes) -> bool:
        """Whether a server that shows this key, without a certificate, is the one that is known."""
        return all(entry.blob != blob for entry in self.revoked) and any(entry.blob == blob for entry in self.keys or self.elsewhere)


def name_of(host: str, port: int, alias: str = "") -> str:
    """How a known_hosts file calls the server."""
    if alias:
        return alias
    return host.lower() if port == PORT else f"[{host.lower()}]:{port}"


def fingerprint(blob: bytes) -> str:
    """``SHA256:...``, as ssh-keygen(1) prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def label_of(kind: str) -> str:
    """``ssh-ed25519`` -> ``ED25519``, as ssh-keygen(1) prints it."""
    for word in ("ed25519", "ecdsa", "rsa", "dss", "ed448"):
        if word in kind:
            return word.upper()
    return kind


def objection(held: Held, where: str, name: str, kind: str, blob: bytes) -> str:
    """What there is against a key that nobody vouches for: an unknown key and a changed one are two different things."""
    print_of = f"{label_of(kind)} key {fingerprint(blob)}"
    bad = [entry for entry in held.revoked if entry.blob == blob]
    if bad:
        return f"{where} shows the {print_of}, which {bad[0].path}:{bad[0].line} revokes: do not connect before you know why"
    if held.keys:
        stand = "; ".join(f"{label_of(e.kind)} {fingerprint(e.blob)} in {e.path}:{e.line}" for e in held.keys[:4])
        return (
            f"the host key of {where} has CHANGED: it shows the {print_of}, but known as {name} is {stand}. "
            "Somebody may be in between, or the machine was made anew: find out which first; only then `orchestrate trust --replace`"
        )
    return (
        f"the host key of {where} is not known: it shows the {print_of}. Compare it with what its administrator says, "
        "then pin it with `orchestrate trust`"
    )


def read(paths: Iterable[str]) -> tuple[Entry, ...]:
    """Every entry of these files, in their order; a file that is not there has none.

    :raises OSError: a file is there and cannot be read.
    """
    entries: list[Entry] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found = (entry_of(path, number, line) for number, line in enumerate(file, 1))
                entries += [entry for entry in found if entry is not None]
        except FileNotFoundError:
            continue
    return tuple(entries)


def entry_of(path: str, number: int, text: str) -> Entry | None:
    """The entry in a line, if it holds one that can be understood."""
    words = text.split()
    marker = words.pop(0)[1:] if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker not in {"", AUTHORITY, REVOKED}:
        return None
    try:
        return Entry(path, number, marker, words[0], words[1], base64.b64decode(words[2], validate=True))
    except binascii.Error:
        return None


def held(entries: Iterable[Entry], host: str, port: int, alias: str = "") -> Held:
    """What the entries say about one server."""
    name = name_of(host, port, alias)
    kinds: dict[str, list[Entry]] = {"": [], AUTHORITY: [], REVOKED: [], "elsewhere": []}
    for entry in entries:
        if stands_for(entry.names, name):
            kinds[entry.marker].append(entry)
        elif name.startswith("[") and entry.marker != AUTHORITY and stands_for(entry.names, host.lower()):
            kinds[entry.marker or "elsewhere"].append(entry)
    return Held(tuple(kinds[""]), tuple(kinds[AUTHORITY]), tuple(kinds[REVOKED]), tuple(kinds["elsewhere"]))


def stands_for(names: str, name: str) -> bool:
    """Whether the first field of a line means the server called ``name``: patterns with ``*``, ``?`` and ``!``, or a hash."""
    if names.startswith("|1|"):
        return _hashed(names, name)
    patterns = names.lower().split(",")
    if any(pattern.startswith("!") and _like(name.lower(), pattern[1:]) for pattern in patterns):
        return False
    return any(_like(name.lower(), pattern) for pattern in patterns)


def _like(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))  # brackets stand for themselves here


def _hashed(field: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in field[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), digest)
