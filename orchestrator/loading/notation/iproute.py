"""Words of ip(8) -> the same words, if what they do can be taken back: a route, an address, a link's state or its MTU.

Does not know the host: whether there is such a link or route is told by the host itself. The surprising fact: ``ip`` takes the beginning of
a word for the word, so ``ip a add`` and ``ip addr add`` are right, and are left as they were typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.notation.places import address
from orchestrator.loading.notation.values import split_words

LEAST_MTU, MOST_MTU = 1280, 65535
_CAN = "route add, append, replace, change or del; address add or del; link set ... up, down or mtu"
_ROUTE_VERBS = ("add", "append", "replace", "change", "delete")
_ADDRESS_VERBS = ("add", "delete")
_KINDS = ("unicast", "blackhole", "unreachable", "prohibit", "throw")
_WITH_GATEWAY = {"via": "a gateway", "src": "a source", "dev": "an interface", "metric": "a number", "mtu": "a number", "table": "a table"}


def ip_words(text: str) -> tuple[str, ...]:
    """The words behind ``ip``: ``link set eth1 down``, ``address add 10.10.0.7/24 dev eth1``, ``-6 route del default``.

    :raises Misread: nobody would know how to take it back, or it is no such change at all.
    """
    words = split_words(text)
    if words[0] in ("ip", "sudo"):
        raise Misread(f"leave out '{words[0]}': these are the words behind ip")
    thing, *rest = (words[1:] or ("",)) if words[0] in ("-4", "-6") else words
    for name, check in _CHECKS.items():
        if thing and name.startswith(thing):
            check(rest)
            return words
    raise Misread(f"'{thing}' cannot stand here: only what can be taken back is done: {_CAN}")


def route_words(text: str) -> tuple[str, ...]:
    """``add 10.9.0.0/16 via 10.10.0.101`` as the words behind ``ip``, of which the first is ``route``.

    :raises Misread: as :func:`ip_words`.
    """
    words = split_words(text)
    if words[0] in ("ip", "sudo", "route", "-4", "-6"):
        raise Misread(f"leave out '{words[0]}': these are the words behind 'ip route'")
    _route(list(words))
    return ("route", *words)


def _verb(thing: str, words: list[str], verbs: tuple[str, ...]) -> list[str]:
    """What stands behind the verb."""
    if not words or not words[0] or not any(verb.startswith(words[0]) for verb in verbs):
        said = f"'{thing} {words[0]}'" if words else f"'{thing}' alone"
        raise Misread(f"{said} cannot stand here: only what can be taken back is done: {_CAN}")
    return words[1:]


def _route(words: list[str]) -> None:
    rest = _verb("route", words, _ROUTE_VERBS)
    if rest and rest[0] in _KINDS:
        del rest[0]
    if rest and rest[0] == "to":
        del rest[0]
    if not rest:
        raise Misread("a route says where to: a prefix like 10.9.0.0/16, an address, or default")
    _prefix(rest[0], ("default",))
    for word in ("nexthop", "nhid"):
        if word in rest:
            raise Misread(f"'{word}' cannot stand here: nobody would know how to take a route of several next hops back")
    for key, what in _WITH_GATEWAY.items():
        if rest[-1] == key:
            raise Misread(f"'{key}' at the end: {what} is missing")
    gateway = rest[rest.index("via") + 1 :][:1] if "via" in rest else []
    if gateway and gateway[0] not in ("inet", "inet6"):
        _is_address(gateway[0])


def _prefix(text: str, names: tuple[str, ...] = ()) -> None:
    """Complain unless it is an address, perhaps with a length."""
    if text in names or "${" in text:
        return
    bare, slash, length = text.partition("/")
    _is_address(bare)
    if slash and not (re.fullmatch(r"[0-9]{1,3}", length) and int(length) <= (128 if ":" in bare else 32)):
        raise Misread(f"'{text}' is no prefix: behind the '/' stands its length, at most {128 if ':' in bare else 32}")


def _is_address(text: str) -> None:
    if "${" not in text and not address(text):
        raise Misread(f"'{text}' is no address: write one, or ${{juliet}} for a host's")


def _address(words: list[str]) -> None:
    rest = _verb("address", words, _ADDRESS_VERBS)
    if rest and rest[0] == "local":
        del rest[0]
    if not rest or "dev" not in rest[1:-1]:
        raise Misread("an address has a prefix and an interface, like 'address add 10.10.0.7/24 dev eth1'")
    _prefix(rest[0])
    if "peer" in rest:
        raise Misread("'peer' cannot stand here: nobody would know how to take it back")


def _link(words: list[str]) -> None:
    rest = _verb("link", words, ("set",))
    if rest and rest[0] == "dev":
        del rest[0]
    match rest:
        case [_, "up" | "down"]:
            return
        case [_, "mtu", size] if "${" in size or (re.fullmatch("[0-9]{1,6}", size) and LEAST_MTU <= int(size) <= MOST_MTU):
            return
        case [_, "mtu", size]:
            raise Misread(f"an MTU is between {LEAST_MTU}, below which IPv6 leaves the link for good, and {MOST_MTU}, not '{size}'")
        case _:
            raise Misread("of a link one thing is set: 'link set eth1 up', 'link set eth1 down' or 'link set eth1 mtu 1300'")


_CHECKS: dict[str, Callable[[list[str]], None]] = {"route": _route, "address": _address, "link": _link}
