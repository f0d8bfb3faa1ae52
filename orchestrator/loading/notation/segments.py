"""A line of ``packets`` -> ``SegmentPattern`` or ``Gap``.

packetdrill's notation with the hosts in front: ``romeo.4000 > juliet P. 1:13(12) ack 1 win * <nop,nop,TS val * ecr *> "Hello juliet"``.
Does not know which hosts there are. The surprising fact: everything after the hosts may be left out, and what is left out fits anything.
"""

from __future__ import annotations

import ast
import re
from typing import Any, cast

from orchestrator.loading.notation.literals import parse
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.notation.places import port_number
from orchestrator.model.tcp import flags_bits, flags_text
from orchestrator.model.words.segments import End, Gap, OptionPattern, SegmentPattern

_END = r"([A-Za-z0-9-]{1,64})(?:@([A-Za-z0-9-]{1,64}))?(?:\.([0-9]{1,6}|\*))?"
_HEAD = re.compile(rf"(\?\s*)?{_END}\s*>\s*{_END}(?=\s|$)")
_NUMBER = r"(?:[0-9]{1,10}|\*)"
_SEQUENCE = re.compile(rf"({_NUMBER})(?::({_NUMBER}))?(?:\(({_NUMBER})\))?$")
_DATAGRAM = re.compile(rf"udp(?:\(({_NUMBER})\))?$")
_ICMP = re.compile(r"([0-9]{1,3}|\*)(?:/([0-9]{1,3}|\*))?$")
_TOKEN = re.compile(r"""\s*(<[^>]*>|b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|\S+)""", re.DOTALL)
_FORM = 'HOST[.PORT] > HOST[.PORT] [FLAGS] [BEGIN:END(LENGTH)] [ack N] [win N] [<options>] ["payload"]'
_OPTIONS = {"eol": 0, "nop": 0, "mss": 1, "wscale": 1, "sackok": 0, "sack": -1, "ts": 2, "tfo": -1}
_QUOTES = ('"', "'", 'b"', "b'")
_BEGINNINGS = ("<", *_QUOTES)
_LONGEST = 16_384
_SPELLING = {"sackok": "sackOK", "ts": "TS"}


def parse_line(text: str) -> SegmentPattern | Gap:
    """The pattern in ``text``, without its place.

    :raises Misread: it is not in the notation, or contradicts itself.
    """
    text = text.strip()
    if text == "...":
        return Gap()
    return parse_segment(text)


def parse_segment(text: str) -> SegmentPattern:
    """The pattern in ``text``, which may not be a gap.

    :raises Misread: it is not in the notation, or contradicts itself.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise Misread(f"this line is longer than {_LONGEST} characters")
    head = _HEAD.match(text)
    if not head:
        raise Misread(f"a segment is written {_FORM}")
    optional, *ends = head.groups()
    fields = _Fields(_tokens(text, head.end())).read()
    source, destination = _end(*ends[:3]), _end(*ends[3:])
    return SegmentPattern(source=source, destination=destination, optional=bool(optional), text=text, **fields)


def _end(host: str, network: str | None, port: str | None) -> End:
    return End(host=host, network=network, port=None if port in (None, "*") else port_number(port))


def _tokens(text: str, begin: int) -> list[tuple[str, int]]:
    """The words after the hosts, each with its offset."""
    return [(found[1], found.start(1)) for found in _TOKEN.finditer(text, begin)]


class _Fields:
    """Reads words into fields; every word may stand once and in the order of the notation."""

    def __init__(self, tokens: list[tuple[str, int]]) -> None:
        self._tokens = tokens
        self._fields: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The fields."""
        word = self._tokens[0][0] if self._tokens else ""
        if word.startswith("udp"):
            self._datagram()
        elif word == "icmp":
            self._icmp()
        else:
            self._segment()
        self._payload()
        if self._tokens:
            word, offset = self._tokens[0]
            raise Misread(f"'{word}' cannot stand here: a segment is written {_FORM}", offset)
        return self._fields

    def _take(self) -> tuple[str, int]:
        return self._tokens.pop(0)

    def _next(self, *beginnings: str) -> bool:
        return bool(self._tokens) and self._tokens[0][0].startswith(beginnings)

    def _datagram(self) -> None:
        word, offset = self._take()
        found = _DATAGRAM.match(word)
        if not found:
            raise Misread(f"a datagram is written udp or udp(12), not '{word}'", offset)
        self._fields |= {"protocol": "udp", "length": _number(found[1])}

    def _icmp(self) -> None:
        self._take()
        self._fields["protocol"] = "icmp"
        if self._tokens and not self._next(*_QUOTES):
            word, offset = self._take()
            found = _ICMP.match(word)
            if not found or any(number > 255 for number in (_number(found[1]), _number(found[2])) if number is not None):
                raise Misread(f"an ICMP message is written icmp TYPE/CODE, each 0 to 255, not '{word}'", offset)
            self._fields |= {"icmp_type": _number(found[1]), "icmp_code": _number(found[2])}

    def _segment(self) -> None:
        word = self._tokens[0][0] if self._tokens else ""
        if word and word not in ("ack", "win") and not word.startswith(_BEGINNINGS) and (word == "*" or not _SEQUENCE.match(word)):
            self._flags()
        if self._tokens and _SEQUENCE.match(self._tokens[0][0]):
            self._sequence()
        for keyword, field, most in (("ack", "ack", 2**32), ("win", "window", 2**32)):
            if self._tokens and self._tokens[0][0] == keyword:
                self._fields[field] = self._numbered(keyword, most)
        if self._next("<"):
            self._options()

    def _flags(self) -> None:
        word, offset = self._take()
        if word == "*":
            return
        try:
            self._fields["flags"] = flags_text(flags_bits(word))
        except ValueError as error:
            raise Misread(f"'{word}' are no TCP flags ({error}): tcpdump prints S, S., ., P., F., R., R, U", offset) from None

    def _sequence(self) -> None:
        word, offset = self._take()
        found = _SEQUENCE.match(word)
        start, end, length = (_number(part) for part in found.groups()) if found else (None, None, None)
        if None not in (start, end, length) and (end or 0) - (start or 0) != length:
            raise Misread(f"from {start} to {end} are {(end or 0) - (start or 0)} bytes, not {length}", offset)
        if length is None and start is not None and end is not None:
            length = end - start
        self._fields |= {"start": start, "end": end, "length": length}

    def _numbered(self, keyword: str, most: int) -> int | None:
        _, offset = self._take()
        word, offset = self._take() if self._tokens else ("", offset)
        if not re.fullmatch(_NUMBER, word) or (_number(word) or 0) >= most:
            raise Misread(f"after '{keyword}' comes a number or *, not '{word}'", offset)
        return _number(word)

    def _options(self) -> None:
        word, offset = self._take()
        inside = word[1:-1].strip() if word.endswith(">") else ""
        if inside in ("*", "..."):
            return
        if not word.endswith(">"):
            raise Misread("the options end with '>'", offset)
        self._fields["options"] = tuple(_option(part.strip(), offset) for part in inside.split(",")) if inside else ()

    def _payload(self) -> None:
        if not self._next(*_QUOTES):
            return
        word, offset = self._take()
        value = _quoted(word, offset)
        try:
            payload = value.encode() if isinstance(value, str) else value
        except UnicodeEncodeError:
            raise Misread("half a surrogate pair is no character", offset) from None
        length = self._fields.get("length")
        if length is not None and length != len(payload):
            raise Misread(f"this payload has {len(payload)} bytes, not {length}", offset)
        self._fields["payload"] = payload


def _quoted(word: str, offset: int) -> str | bytes:
    """The text in quotation marks, which is all that a word can be that begins with one."""
    try:
        return cast("str | bytes", ast.literal_eval(parse(word)))
    except Misread:
        raise Misread(f"the payload {word} is not closed by the quotation mark that opens it", offset) from None


def _number(text: str | None) -> int | None:
    return None if text in (None, "*") else int(text)


def _option(text: str, offset: int) -> OptionPattern:
    """``mss 1460``, ``nop``, ``TS val 1 ecr *``, ``sack 1:13``."""
    name, _, rest = text.partition(" ")
    key, values = name.lower(), re.findall(r"[0-9]+|\*|[^\s:{}0-9*]+", rest)
    if key == "ts":
        values = [value for value in values if value not in ("val", "ecr")]
    wanted = _OPTIONS.get(key)
    if wanted is None:
        raise Misread(f"'{text}' is no TCP option: there are mss, nop, wscale, sackOK, sack, TS, eol and tfo", offset)
    if any(not re.fullmatch(r"[0-9]{1,10}|\*", value) for value in values) or wanted not in (-1, len(values)):
        raise Misread(f"the option '{text}' is not written so: mss 1460, wscale 7, TS val 1 ecr 0, sack 1:13, a number may be *", offset)
    return OptionPattern(name=_SPELLING.get(key, key), values=tuple(values))
