"""What an inventory says in ssh's own words -> what a connection needs: ways by bastions, arguments of ``ssh``.

Opens nothing and connects to nothing. The surprising fact: of an argument that is given twice ssh takes the first (ssh_config(5)), so
this reader does too; only files of keys add up.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import NamedTuple

from orchestrator.loading.notation.misread import Misread

_USER = r"[A-Za-z0-9_][A-Za-z0-9_.\\@+-]{0,63}"
_HOP = re.compile(
    rf"(?:(?P<user>{_USER})@)?(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,252}}|\[[0-9A-Fa-f:.%A-Za-z]{{2,64}}\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_LETTERS = {"proxyjump": "J", "identityfile": "i", "port": "p", "user": "l", "userknownhostsfile": "K"}
_NO_EFFECT = (  # they change how long ssh waits, what it prints, or how Ansible shares a connection: not where it leads, nor who is trusted
    "addkeystoagent",
    "batchmode",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "forwardx11",
    "identitiesonly",
    "loglevel",
    "requesttty",
    "serveralivecountmax",
    "serveraliveinterval",
    "tcpkeepalive",
)
_ONLY = {  # options of which some values say what happens here anyway
    "forwardagent": ("no",),
    "kbdinteractiveauthentication": ("no",),
    "passwordauthentication": ("no",),
    "preferredauthentications": ("publickey",),
    "pubkeyauthentication": ("yes",),
    "stricthostkeychecking": ("yes", "ask"),
}
_INSTEAD = {
    "stricthostkeychecking": "host keys are always verified: leave it out, and let `orchestrate trust` pin them",
    "proxycommand": "ProxyCommand is not supported: name the bastion by -o ProxyJump=[user@]host[:port], or by 'jump'",
    "hostname": "the address belongs into ansible_host",
    "forwardagent": "an agent is not forwarded to machines that others use: reach what lies behind them by ProxyJump",
    "passwordauthentication": "passwords are not used: give a key, or let an agent hold it",
}
_FLAGS_WITHOUT_EFFECT = "CqTaxv"


class Hop(NamedTuple):
    """One bastion: ``[user@]host[:port]``."""

    user: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}"[0 if self.user else 1 :] + (f":{self.port}" if self.port else "")


class Arguments(NamedTuple):
    """What arguments of ssh say; what they do not say is empty. ``jump`` is ``None`` where nothing is said of bastions."""

    jump: tuple[str, ...] | None = None
    known_hosts: tuple[str, ...] = ()
    config: str = ""
    keys: tuple[str, ...] = ()
    port: int = 0
    user: str = ""


def port_number(text: str) -> int:
    """A TCP port.

    :raises Misread: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise Misread(f"a port is a number between 1 and 65535, not '{text}'")
    return int(text)


def hop(text: str) -> Hop:
    """``[user@]host[:port]``; an IPv6 address stands in brackets.

    :raises Misread: it is none.
    """
    found = _HOP.fullmatch(text)
    if not found:
        hint = ": put an IPv6 address into brackets" if text.count(":") > 1 else ""
        raise Misread(f"a bastion is written [user@]host[:port], not '{text}'{hint}")
    return Hop(found["user"] or "", found["host"].strip("[]"), port_number(found["port"]) if found["port"] else 0)


def hops(text: str) -> tuple[Hop, ...]:
    """Bastions with commas between them, the first one first; ``none`` for no bastion (ssh_config(5), ProxyJump).

    :raises Misread: one of them is none.
    """
    return () if text.strip().lower() == "none" else tuple(hop(part.strip()) for part in text.split(","))


def path_of(text: str) -> str:
    """The path of a file, ``~`` put in; a relative one is meant from the working directory, as ssh does.

    :raises Misread: it holds a token that only ssh knows.
    """
    if "%" in text:
        raise Misread(f"tokens of ssh (%h, %d, ...) are not put into paths here: write '{text}' out")
    return os.path.expanduser(text)


def arguments(text: str) -> Arguments:
    """The arguments that Ansible hands to ssh.

    :raises Misread: some mean nothing here; all of these are told, with what to do.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise Misread("the quotes in these arguments of ssh are not closed") from None
    said: dict[str, list[str]] = {letter: [] for letter in "JFilpK"}
    wrong: list[str] = []
    rest = iter(words)
    for word in rest:
        try:
            _note(word, rest, said)
        except Misread as error:
            wrong.append(str(error))
    try:
        made = _made(said)
    except Misread as error:
        wrong.append(str(error))
    if wrong:
        raise Misread("; ".join(wrong))
    return made


def _note(word: str, rest: object, said: dict[str, list[str]]) -> None:
    """Put what one word says, or it and the next, where it belongs."""
    letter, value = word[1:2], word[2:]
    if not word.startswith("-") or not letter:
        raise Misread(f"'{word}' is no option of ssh: neither a host nor a command belongs here")
    if letter in "oJFilp":
        value = value or next(rest, "")  # type: ignore[call-overload]
        if not value:
            raise Misread(f"-{letter} wants a value behind it")
        if letter == "o":
            letter, value = _option(value)
        if letter:
            said[letter].append(value)
    elif not set(word[1:]) <= set(_FLAGS_WITHOUT_EFFECT):
        raise Misread(f"the option {word} of ssh is not supported here: leave it out, or say it in ~/.ssh/config")


def _option(text: str) -> tuple[str, str]:
    """The letter that says the same as ``Name=value``, and the value; no letter where it has no effect here."""
    found = re.fullmatch(r"\s*([A-Za-z0-9]+)\s*[=\s]\s*(.*\S)\s*", text)
    if not found:
        raise Misread(f"'-o {text}' lacks a value: write -o Name=value")
    name, value = found[1].lower(), found[2]
    if name in _LETTERS:
        return _LETTERS[name], value
    if name not in _NO_EFFECT and value.lower() not in _ONLY.get(name, ()):
        unsupported = f"ssh's option {found[1]}={value} is not supported here: leave it out, or say it in ~/.ssh/config"
        raise Misread(_INSTEAD.get(name, unsupported))
    return "", ""


def _made(said: dict[str, list[str]]) -> Arguments:
    jump = tuple(str(bastion) for bastion in hops(said["J"][0])) if said["J"] else None
    files = said["K"][0].split() if said["K"] else []
    if any(file in ("/dev/null", "none") for file in files):
        raise Misread("UserKnownHostsFile must name a file of host keys: they are always verified, and `orchestrate trust` pins them")
    config = said["F"][0] if said["F"] else ""
    if config.startswith("~"):
        raise Misread(f"no shell puts a folder in for the ~ behind -F: write the whole path of '{config}'")
    return Arguments(
        jump=jump,
        known_hosts=tuple(path_of(file) for file in files),
        config=config,
        keys=tuple(path_of(file) for file in said["i"]),
        port=port_number(said["p"][0]) if said["p"] else 0,
        user=said["l"][0] if said["l"] else "",
    )
