"""Words of ip(8) that alter addresses, routes or a link -> the undos, found by looking before; and how these are carried out.

What a change of another kind would need to be taken back is not known here, so such words are refused. The surprising fact: a link that
goes down takes its static routes and its IPv6 addresses with it, and an address its routes, so their undos put those back as well.
"""

from __future__ import annotations

from orchestrator.agent.doing.changes import ChangeRefused, command, read_sysctl
from orchestrator.agent.lean import socket

from . import routes
from .routes import pairs_of, plain, routes_through, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

    from .routes import Kind

    Undo = dict[str, Any]

_FAMILIES = {"-4": "-4", "-6": "-6", "inet": "-4", "inet6": "-6"}
_LEAST_MTU = 1280  # RFC 8200, section 5


def undos_of(loop: Loop, words: list[str]) -> Steps[list[Undo]]:
    """The undos of ``ip <words>``, in the order in which they are to be remembered (the last is carried out first), as a task.

    :raises ChangeRefused: it is no change that can be taken back, or it would not succeed as things are.
    """
    family, rest = _family(words)
    rest = [_own_name(word, words) if at and rest[at - 1] in ("dev", "oif") else word for at, word in enumerate(rest)]
    if len(rest) < 3:
        raise unknown(words)
    thing, verb, *more = rest
    for name, verbs in _KINDS.items():
        if thing and name.startswith(thing):
            for full, kind in verbs.items():
                if verb and full.startswith(verb):
                    return (yield from kind(loop, family or _family_of(more), more, words))
    raise unknown(words)


def _family(words: list[str]) -> tuple[str, list[str]]:
    if words and words[0] in ("-4", "-6"):
        return words[0], words[1:]
    if len(words) > 1 and words[0] in ("-f", "-family"):
        return _FAMILIES.get(words[1], ""), words[2:]
    return "", words


def _own_name(device: str, whole: list[str]) -> str:
    """The name by which the kernel shows an interface; ip(8) takes an alternative one too (ip-link(8), altname).

    :raises ChangeRefused: there is none of this name, of at most 15 letters.
    """
    try:
        return socket.if_indextoname(socket.if_nametoindex(device))
    except OSError:
        raise ChangeRefused(f"ip {' '.join(whole)}: there is no interface {device}") from None


def _family_of(words: list[str]) -> str:
    return "-6" if any(":" in word for word in words) else "-4"


# -- addresses


def _device(words: list[str], whole: list[str]) -> str:
    if "dev" not in words[:-1] or "peer" in words:
        raise unknown(whole)
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
        pairs = pairs_of(rest)
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
    bare, _slash, length = address.partition("/")
    return f"{plain(bare)}/{length or ('128' if ':' in bare else '32')}"


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
    undos = yield from routes_through(loop, device, family)
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
        return (yield from _set_mtu(loop, _own_name(words[0], whole), words[2], whole))
    if len(words) != 2 or words[1] not in ("up", "down"):
        raise unknown(whole)
    device, wanted = _own_name(words[0], whole), words[1] == "up"
    if (yield from _is_up(loop, device)) == wanted:
        return []
    undos: list[Undo] = []
    if not wanted:
        for family in ("-6", "-4"):
            undos += yield from routes_through(loop, device, family)
        addresses = yield from _addresses(loop, "-6", device)
        own = yield from _own_address(loop, device)
        undos += [_address_back("-6", words) for words in addresses.values() if words and words[0] != own]
    text = f"ip link set {device} {'down' if wanted else 'up'}"
    return [*undos, {"do": "link", "text": text, "device": device, "up": not wanted}]


def _own_address(loop: Loop, device: str) -> Steps[str]:
    """The link-local address that the kernel gives an interface by itself when it comes up, where that is made of its MAC (RFC 4291, A)."""
    shown = yield from _link(loop, device)
    mac = pairs_of(shown).get("link/ether", "").split(":")
    if len(mac) != 6 or read_sysctl(f"net.ipv6.conf.{device.replace('.', '/')}.addr_gen_mode") != "0":
        return ""
    first = int(mac[0], 16) ^ 2
    return _full(f"fe80::{first:02x}{mac[1]}:{mac[2]}ff:fe{mac[3]}:{mac[4]}{mac[5]}/64")


def _set_mtu(loop: Loop, device: str, size: str, whole: list[str]) -> Steps[list[Undo]]:
    """One that IPv6 can live with: below it the kernel takes IPv6 off the interface, with all that was set there."""
    old = pairs_of((yield from _link(loop, device)))["mtu"]
    if not size.isdigit() or int(size) < _LEAST_MTU:
        raise unknown(whole)
    if size == old:
        return []
    return [{"do": "mtu", "text": f"ip link set {device} mtu {old}", "device": device, "mtu": old, "ours": size}]


def _put_mtu_back(loop: Loop, undo: Undo) -> Steps[None]:
    """As it was, unless somebody has given it another one meanwhile."""
    if pairs_of((yield from _link(loop, undo["device"])))["mtu"] == undo["ours"]:
        yield from command(loop, ["ip", "link", "set", undo["device"], "mtu", undo["mtu"]])


def _turn_link(loop: Loop, undo: Undo) -> Steps[None]:
    """Up or down again, unless it is."""
    if (yield from _is_up(loop, undo["device"])) != undo["up"]:
        yield from command(loop, ["ip", "link", "set", undo["device"], "up" if undo["up"] else "down"])


_KINDS: dict[str, dict[str, Kind]] = {
    "route": routes.KINDS,
    "address": {"add": _add_address, "delete": _delete_address},
    "link": {"set": _set_link},
}
UNDOS = {
    **routes.UNDOS,
    "address out": _take_address_out,
    "address back": _put_address_back,
    "link": _turn_link,
    "mtu": _put_mtu_back,
}
