"""Words of ip(8) that alter addresses, routes or a link -> the undos, found by looking before; and how these are carried out.

What a change of another kind would need to be taken back is not known here, so such words are refused. The surprising fact: a link that
goes down takes its static routes and its IPv6 addresses with it, and an address its routes, so their undos put those back as well.
"""

from __future__ import annotations

from orchestrator.agent.doing.changes import ChangeRefused, command, read_sysctl
from orchestrator.agent.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

    Undo = dict[str, Any]

_FAMILIES = {"-4": "-4", "-6": "-6", "inet": "-4", "inet6": "-6"}
_TYPES = ("unicast", "blackhole", "unreachable", "prohibit", "throw")
_STATES = {"linkdown", "dead", "pervasive", "offload", "trap", "rt_offload", "rt_trap", "offload_failed", "notify"}
_LEAST_MTU = 1280  # RFC 8200, section 5
_DEFAULT_METRIC = {"-4": "0", "-6": "1024"}
_TELLING = ("via", "dev", "metric", "src")  # what makes one route of a prefix another one


def undos_of(loop: Loop, words: list[str]) -> Steps[list[Undo]]:
    """The undos of ``ip <words>``, in the order in which they are to be remembered (the last is carried out first), as a task.

    :raises ChangeRefused: it is no change that can be taken back, or it would not succeed as things are.
    """
    family, rest = _family(words)
    if len(rest) < 3:
        raise _unknown(words)
    thing, verb, *more = rest
    for name, verbs in _KINDS.items():
        if thing and name.startswith(thing):
            for full, kind in verbs.items():
                if verb and full.startswith(verb):
                    return (yield from kind(loop, family or _family_of(more), more, words))
    raise _unknown(words)


def _unknown(words: list[str]) -> ChangeRefused:
    can = "route add, append, replace, change or del; address add or del; link set ... up, down or mtu"
    return ChangeRefused(f"ip {' '.join(words)}: nobody knows how to take this back; what can be is: {can}")


def _family(words: list[str]) -> tuple[str, list[str]]:
    if words and words[0] in ("-4", "-6"):
        return words[0], words[1:]
    if len(words) > 1 and words[0] in ("-f", "-family"):
        return _FAMILIES.get(words[1], ""), words[2:]
    return "", words


def _family_of(words: list[str]) -> str:
    return "-6" if any(":" in word for word in words) else "-4"


# -- routes


def _route(words: list[str], whole: list[str]) -> tuple[str, str, dict[str, str]]:
    """``(type and prefix's words, table, telling attributes)`` of a route's words."""
    words = words[:]
    kind = words.pop(0) if words[0] in _TYPES else ""
    if words and words[0] == "to":
        del words[0]
    if not words or "nexthop" in words or "nhid" in words:
        raise _unknown(whole)
    prefix = words.pop(0)
    pairs = _pairs(words)
    telling = {key: _plain(pairs[key]) for key in _TELLING if key in pairs}
    return f"{kind} {prefix}".strip(), pairs.get("table", "main"), telling


def _pairs(words: list[str]) -> dict[str, str]:
    """Each word with the one behind it, which is its value if it is a key."""
    return {words[i]: words[i + 1] for i in range(len(words) - 1)}


def _plain(word: str) -> str:
    """An address as the kernel writes it; any other word as it is."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, word))
        except OSError:
            continue
    return word


def _routes(loop: Loop, family: str, table: str, *selector: str) -> Steps[list[str]]:
    """The routes that a selector of ip-route(8) shows, each as words with which it could be added again."""
    try:
        text = yield from command(loop, ["ip", family, "-o", "route", "show", "table", table, *selector])
    except ChangeRefused as error:
        if "does not exist" in str(error):  # a table that nobody has written into yet
            return []
        raise
    lines = []
    for line in text.splitlines():
        words = [word for word in line.replace("\\", " ").split() if word not in _STATES]
        for volatile in ("expires", "error"):
            if volatile in words:
                at = words.index(volatile)
                del words[at : at + 2]
        lines.append(" ".join(words))
    return lines


def _exact(loop: Loop, family: str, prefix: str, table: str) -> Steps[list[str]]:
    return (yield from _routes(loop, family, table, "exact", prefix.rpartition(" ")[2]))


def _metric(words: list[str], family: str) -> str:
    return _pairs(words).get("metric", _DEFAULT_METRIC[family])


def _is_meant(line: str, telling: dict[str, str]) -> bool:
    words = line.split()
    pairs = _pairs(words)
    return all(
        _plain(pairs.get(key, "")) == value or (key == "metric" and value == "0" and key not in pairs) for key, value in telling.items()
    )


def _route_out(family: str, prefix: str, table: str, telling: dict[str, str], before: list[str]) -> Undo:
    text = " ".join(["ip", family, "route", "del", prefix, *(word for pair in telling.items() for word in pair)])
    return {"do": "route out", "text": text, "family": family, "prefix": prefix, "table": table, "telling": telling, "before": before}


def _route_back(family: str, table: str, line: str) -> Undo:
    if "nexthop" in line:
        raise ChangeRefused(f"nobody knows how to put back a route of several next hops: {line}")
    return {"do": "route back", "text": f"ip {family} route add {line}", "family": family, "table": table, "line": line}


def _append_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    if before and family == "-6":  # the kernel joins them, so that taking one out would take both
        raise ChangeRefused(f"ip {' '.join(whole)}: nobody knows how to take this back, as there is such a route already: {before[0]}")
    return [_route_out(family, prefix, table, telling, before)]


def _add_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    for line in before:
        if _metric(line.split(), family) == _metric(more, family):
            raise ChangeRefused(f"ip {' '.join(whole)}: there is such a route already: {line}")
    return [_route_out(family, prefix, table, telling, before)]


def _replace_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    replaced = [line for line in before if _metric(line.split(), family) == _metric(more, family)]
    back = [_route_back(family, table, line) for line in replaced]
    return [*back, _route_out(family, prefix, table, telling, before)]


def _delete_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    meant = [line for line in before if _is_meant(line, telling)]
    if not meant:
        raise ChangeRefused(f"ip {' '.join(whole)}: there is no such route")
    return [_route_back(family, table, line) for line in meant]


def _take_route_out(loop: Loop, undo: Undo) -> Steps[None]:
    """Delete the route that we added: one that was not there before, and is as we made it."""
    now = yield from _exact(loop, undo["family"], undo["prefix"], undo["table"])
    for line in now:
        if line not in undo["before"] and _is_meant(line, undo["telling"]):
            yield from command(loop, ["ip", undo["family"], "route", "del", *line.split(), "table", undo["table"]])


def _put_route_back(loop: Loop, undo: Undo) -> Steps[None]:
    """Add a route again, unless it is there."""
    words = undo["line"].split()
    prefix = words[1] if words[0] in _TYPES else words[0]
    if undo["line"] not in (yield from _exact(loop, undo["family"], prefix, undo["table"])):
        yield from command(loop, ["ip", undo["family"], "route", "add", *words, "table", undo["table"]])


def _routes_through(loop: Loop, device: str, family: str) -> Steps[list[Undo]]:
    """Undos for the routes that would go with an interface, of every table; what the kernel makes by itself comes back by itself.

    Carried out last first: a route without a gateway must come before those whose gateway it leads to.
    """
    lines = yield from _routes(loop, family, "all")
    through = [line for line in lines if f" dev {device} " in f"{line} " and "proto kernel" not in line]
    through.sort(key=lambda line: "via" not in line.split())
    return [_route_back(family, *_of_table(line)) for line in through]


def _of_table(line: str) -> tuple[str, str]:
    """``(table, the other words)`` of a route as ``table all`` shows it, which does not name the main one."""
    words = line.split()
    if "table" not in words:
        return "main", line
    at = words.index("table")
    return words[at + 1], " ".join(words[:at] + words[at + 2 :])


# -- addresses


def _device(words: list[str], whole: list[str]) -> str:
    if "dev" not in words[:-1] or "peer" in words:
        raise _unknown(whole)
    return words[words.index("dev") + 1]


def _addresses(loop: Loop, family: str, device: str) -> Steps[dict[str, list[str]]]:
    """The addresses of an interface, each with the words with which it could be added again."""
    text = yield from command(loop, ["ip", family, "-o", "address", "show", "dev", device])
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        _number, name, _inet, address, *rest = line.replace("\\", " ").split()
        if rest[:1] == ["peer"]:
            found[address] = []  # and nobody knows how to put it back
            continue
        pairs = _pairs(rest)
        again = [address]
        for key in ("metric", "brd", "scope"):
            again += [key, pairs[key]] if key in pairs else []
        again += [flag for flag in ("nodad", "noprefixroute", "mngtmpaddr") if flag in rest]
        label = rest[rest.index("valid_lft") - 1] if "valid_lft" in rest else name
        again += ["label", label] if label.startswith(name + ":") else []
        if pairs.get("valid_lft", "forever") != "forever":
            again += ["valid_lft", pairs["valid_lft"].replace("sec", ""), "preferred_lft", pairs["preferred_lft"].replace("sec", "")]
        found[address] = [*again, "dev", device]
    return found


def _full(address: str) -> str:
    plain, _slash, length = address.partition("/")
    return f"{_plain(plain)}/{length or ('128' if ':' in plain else '32')}"


def _address_of(more: list[str]) -> str:
    return _full(more[1] if more[0] == "local" else more[0])


def _add_address(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    device, address = _device(more, whole), _address_of(more)
    if address in (yield from _addresses(loop, family, device)):
        raise ChangeRefused(f"ip {' '.join(whole)}: it has this address already")
    text = f"ip address del {address} dev {device}"
    return [{"do": "address out", "text": text, "family": family, "device": device, "address": address}]


def _delete_address(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    device, address = _device(more, whole), _address_of(more)
    before = yield from _addresses(loop, family, device)
    if not before.get(address):
        raise ChangeRefused(f"ip {' '.join(whole)}: it has no such address")
    undos = yield from _routes_through(loop, device, family)
    others = [words for other, words in before.items() if other != address and words]  # secondary ones may go with it
    return [*undos, *(_address_back(family, words) for words in [*reversed(others), before[address]])]


def _address_back(family: str, words: list[str]) -> Undo:
    return {"do": "address back", "text": f"ip address add {' '.join(words)}", "family": family, "words": words}


def _take_address_out(loop: Loop, undo: Undo) -> Steps[None]:
    """Take our address away, if it is there."""
    if undo["address"] in (yield from _addresses(loop, undo["family"], undo["device"])):
        yield from command(loop, ["ip", "address", "del", undo["address"], "dev", undo["device"]])


def _put_address_back(loop: Loop, undo: Undo) -> Steps[None]:
    """Give an interface its address again, unless it has it."""
    words = undo["words"]
    if words[0] not in (yield from _addresses(loop, undo["family"], words[-1])):
        yield from command(loop, ["ip", "address", "add", *words])


# -- links


def _link(loop: Loop, device: str) -> Steps[list[str]]:
    """What ``ip`` shows of it: number, name, flags, then pairs of words."""
    text = yield from command(loop, ["ip", "-o", "link", "show", "dev", device])
    return text.replace("\\", " ").split()


def _is_up(loop: Loop, device: str) -> Steps[bool]:
    shown = yield from _link(loop, device)
    return "UP" in shown[2].strip("<>").split(",")


def _set_link(loop: Loop, _family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    words = more[1:] if more[0] == "dev" else more
    if len(words) == 3 and words[1] == "mtu":
        return (yield from _set_mtu(loop, words[0], words[2], whole))
    if len(words) != 2 or words[1] not in ("up", "down"):
        raise _unknown(whole)
    device, wanted = words[0], words[1] == "up"
    if (yield from _is_up(loop, device)) == wanted:
        return []
    undos: list[Undo] = []
    if not wanted:
        for family in ("-6", "-4"):
            undos += yield from _routes_through(loop, device, family)
        addresses = yield from _addresses(loop, "-6", device)
        own = yield from _own_address(loop, device)
        undos += [_address_back("-6", words) for words in addresses.values() if words and words[0] != own]
    text = f"ip link set {device} {'down' if wanted else 'up'}"
    return [*undos, {"do": "link", "text": text, "device": device, "up": not wanted}]


def _own_address(loop: Loop, device: str) -> Steps[str]:
    """The link-local address that the kernel gives an interface by itself when it comes up, where that is made of its MAC (RFC 4291, A)."""
    shown = yield from _link(loop, device)
    mac = _pairs(shown).get("link/ether", "").split(":")
    if len(mac) != 6 or read_sysctl(f"net.ipv6.conf.{device.replace('.', '/')}.addr_gen_mode") != "0":
        return ""
    first = int(mac[0], 16) ^ 2
    return _full(f"fe80::{first:02x}{mac[1]}:{mac[2]}ff:fe{mac[3]}:{mac[4]}{mac[5]}/64")


def _set_mtu(loop: Loop, device: str, size: str, whole: list[str]) -> Steps[list[Undo]]:
    """One that IPv6 can live with: below it the kernel takes IPv6 off the interface, with all that was set there."""
    old = _pairs((yield from _link(loop, device)))["mtu"]
    if not size.isdigit() or int(size) < _LEAST_MTU:
        raise _unknown(whole)
    if size == old:
        return []
    return [{"do": "mtu", "text": f"ip link set {device} mtu {old}", "device": device, "mtu": old, "ours": size}]


def _put_mtu_back(loop: Loop, undo: Undo) -> Steps[None]:
    """As it was, unless somebody has given it another one meanwhile."""
    if _pairs((yield from _link(loop, undo["device"])))["mtu"] == undo["ours"]:
        yield from command(loop, ["ip", "link", "set", undo["device"], "mtu", undo["mtu"]])


def _turn_link(loop: Loop, undo: Undo) -> Steps[None]:
    """Up or down again, unless it is."""
    if (yield from _is_up(loop, undo["device"])) != undo["up"]:
        yield from command(loop, ["ip", "link", "set", undo["device"], "up" if undo["up"] else "down"])


_KINDS: dict[str, dict[str, Callable[[Loop, str, list[str], list[str]], Steps[list[Undo]]]]] = {
    "route": {"add": _add_route, "append": _append_route, "replace": _replace_route, "change": _replace_route, "delete": _delete_route},
    "address": {"add": _add_address, "delete": _delete_address},
    "link": {"set": _set_link},
}
UNDOS = {
    "route out": _take_route_out,
    "route back": _put_route_back,
    "address out": _take_address_out,
    "address back": _put_address_back,
    "link": _turn_link,
    "mtu": _put_mtu_back,
}
