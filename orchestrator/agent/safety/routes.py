"""Words of ip-route(8) that add, replace or delete a route -> the undos, found by looking before; and how these are carried out.

Also what words of ip(8) have in common, and the routes that go with an interface. The surprising fact: ip(8) deletes the first route that
is as its words say, and what they leave out may be anything, so a route that is taken out is named as fully as the kernel knows it.
"""

from __future__ import annotations

from orchestrator.agent.doing.changes import ChangeRefused, command
from orchestrator.agent.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

    Undo = dict[str, Any]
    Kind = Callable[[Loop, str, list[str], list[str]], Steps[list[Undo]]]

_TYPES = ("unicast", "blackhole", "unreachable", "prohibit", "throw")
_STATES = {"linkdown", "dead", "pervasive", "offload", "trap", "rt_offload", "rt_trap", "offload_failed", "notify"}
_DEFAULT_METRIC = {"-4": "0", "-6": "1024"}
_TELLING = ("via", "dev", "metric", "src", "proto")  # what makes one route of a prefix another one
_ALIKE = ("via", "dev", "metric", "proto")  # of these ip(8) deletes the one that it is told to, and of others the first that it meets
_ALIASES = {"oif": "dev", "priority": "metric", "preference": "metric", "protocol": "proto"}
_IN_FULL = ("via", "table", "src", "proto", "metric", "priority", "preference")


def unknown(words: list[str]) -> ChangeRefused:
    """Of words that are no change that can be taken back."""
    can = "route add, append, replace, change or del; address add or del; link set ... up, down or mtu"
    return ChangeRefused(f"ip {' '.join(words)}: nobody knows how to take this back; what can be is: {can}")


def _route(words: list[str], whole: list[str]) -> tuple[str, str, dict[str, str]]:
    """``(type and prefix's words, table, telling attributes)`` of a route's words."""
    words = words[:]
    kind = words.pop(0) if words[0] in _TYPES else ""
    if words and words[0] == "to":
        del words[0]
    if not words or "nexthop" in words or "nhid" in words:
        raise unknown(whole)
    prefix = words.pop(0)
    _must_be_in_full(words, whole)
    pairs = pairs_of([_ALIASES.get(word, word) for word in words])
    telling = {key: plain(pairs[key]) for key in _TELLING if key in pairs}
    return f"{kind} {prefix}".strip(), pairs.get("table", "main"), telling


def _must_be_in_full(words: list[str], whole: list[str]) -> None:
    """ip(8) takes ``met 5`` too, but we would not know our own route again.

    :raises ChangeRefused: a key is abbreviated.
    """
    for at, word in enumerate(words):
        full = next((full for full in _IN_FULL if full.startswith(word)), word)
        if words[at - 1 : at] in (["metric"], ["priority"], ["preference"], ["pref"], ["proto"], ["protocol"]) and word != _decimal(word):
            raise ChangeRefused(f"ip {' '.join(whole)}: write {int(word, 0)} instead of {word}, so that the route is known again")
        if words[at - 1 : at] == ["via"] and word in ("inet", "inet6"):
            raise unknown(whole)
        if word not in (full, "pref") and words[at - 1] not in ("dev", "oif", "table", "proto", "protocol"):
            raise ChangeRefused(f"ip {' '.join(whole)}: write {full} instead of {word}, so that the route is known again")


def _decimal(word: str) -> str:
    """A number as the kernel shows it; any other word as it is."""
    try:
        return str(int(word, 0) if not word.isdigit() else int(word))
    except ValueError:
        return word


def pairs_of(words: list[str]) -> dict[str, str]:
    """Each word with the one behind it, which is its value if it is a key."""
    return {words[i]: words[i + 1] for i in range(len(words) - 1)}


def plain(word: str) -> str:
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


def _metric(pairs: dict[str, str], family: str) -> str:
    """Its metric; 0 stands for the default, which is 0 in IPv4."""
    told = pairs.get("metric", "0")
    return _DEFAULT_METRIC[family] if told == "0" else told


def _is_ours(line: str, undo: Undo, keys: tuple[str, ...]) -> bool:
    """Whether a route is in ``keys`` as we made it: what we did not ask for it must not have, but for an interface, which it always has."""
    wanted = _whole(undo["prefix"].split(), undo["telling"], undo["family"])
    found = _whole(line.split(), pairs_of(line.split()), undo["family"])
    given = {"dev": "dev" in wanted, "proto": not wanted["proto"].isdigit()}  # a number is shown as a name
    return all(found.get(key) == wanted.get(key) for key in ("type", *keys) if given.get(key, True))


def _whole(words: list[str], pairs: dict[str, str], family: str) -> dict[str, str]:
    """A route's attributes, with those that go without saying."""
    usual = {"type": words[0] if words[0] in _TYPES else "unicast", "proto": "boot"}
    return dict(usual, **dict({key: plain(value) for key, value in pairs.items()}, metric=_metric(pairs, family)))


def _is_meant(line: str, telling: dict[str, str]) -> bool:
    words = line.split()
    pairs = pairs_of(words)
    return all(
        key == "proto" or plain(pairs.get(key, "")) == value or (key == "metric" and value == "0" and key not in pairs)
        for key, value in telling.items()
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
        raise _there_already(whole, before[0])
    undo = _route_out(family, prefix, table, telling, before)
    for line in before:
        if _is_ours(line, undo, _ALIKE):
            raise _there_already(whole, line)
    return [undo]


def _there_already(whole: list[str], line: str) -> ChangeRefused:
    return ChangeRefused(f"ip {' '.join(whole)}: nobody knows how to take this back, as there is such a route already: {line}")


def _add_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    for line in before:
        if _metric(pairs_of(line.split()), family) == _metric(telling, family):
            raise ChangeRefused(f"ip {' '.join(whole)}: there is such a route already: {line}")
    return [_route_out(family, prefix, table, telling, before)]


def _replace_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    replaced = [line for line in before if _metric(pairs_of(line.split()), family) == _metric(telling, family)]
    if replaced:
        _must_be_alone(replaced[0], before, family, whole)
    back = [_route_back(family, table, line) for line in replaced]
    return [*back, _route_out(family, prefix, table, telling, before)]


def _delete_route(loop: Loop, family: str, more: list[str], whole: list[str]) -> Steps[list[Undo]]:
    prefix, table, telling = _route(more, whole)
    before = yield from _exact(loop, family, prefix, table)
    meant = [line for line in before if _is_meant(line, telling)]
    if not meant:
        raise ChangeRefused(f"ip {' '.join(whole)}: there is no such route")
    _must_be_alone(meant[0], before, family, whole)
    return [_route_back(family, table, line) for line in meant]


def _must_be_alone(line: str, before: list[str], family: str, whole: list[str]) -> None:
    """Of several with one prefix and metric the kernel adds the first only.

    :raises ChangeRefused: there are several.
    """
    same = [other for other in before if _metric(pairs_of(other.split()), family) == _metric(pairs_of(line.split()), family)]
    if len(same) > 1:
        raise ChangeRefused(
            f"ip {' '.join(whole)}: nobody knows how to take this back, as there are several such routes: {'; '.join(same)}"
        )


def _take_route_out(loop: Loop, undo: Undo) -> Steps[None]:
    """Delete the route that we added: one that was not there before, and is as we made it; an administrator may have added others since."""
    now = yield from _exact(loop, undo["family"], undo["prefix"], undo["table"])
    for line in now:
        if line not in undo["before"] and _is_ours(line, undo, _TELLING):
            whose = [] if "proto" in line.split() else ["proto", "boot"]  # which ip(8) does not show, and without which any would do
            yield from command(loop, ["ip", undo["family"], "route", "del", *line.split(), *whose, "table", undo["table"]])
            return


def _put_route_back(loop: Loop, undo: Undo) -> Steps[None]:
    """Add a route again, unless it is there."""
    words = undo["line"].split()
    prefix = words[1] if words[0] in _TYPES else words[0]
    if undo["line"] not in (yield from _exact(loop, undo["family"], prefix, undo["table"])):
        yield from command(loop, ["ip", undo["family"], "route", "add", *words, "table", undo["table"]])


def routes_through(loop: Loop, device: str, family: str) -> Steps[list[Undo]]:
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


KINDS: dict[str, Kind] = {
    "add": _add_route,
    "append": _append_route,
    "replace": _replace_route,
    "change": _replace_route,
    "delete": _delete_route,
}
UNDOS = {"route out": _take_route_out, "route back": _put_route_back}
