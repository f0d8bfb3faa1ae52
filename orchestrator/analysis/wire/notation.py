"""TCP options and segments become text in the language's notation, as tcpdump and packetdrill write them.

Knows names and numbers only, neither hosts nor connections. The surprising fact: options repeat from segment to segment (a time
stamp holds for a millisecond), so that each distinct run of option bytes is read once.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from orchestrator.model.evidence import Option
from orchestrator.model.tcp import flags_text

FLAGS = tuple(flags_text(bits) for bits in range(256))
"""The text of every combination of flags."""

Options: TypeAlias = tuple[tuple[Option, ...], str, bool]
"""A segment's options, their text (``" <mss 1460,sackOK>"``), and whether a SACK block, whose numbers may be relative, is among them."""

NO_OPTIONS: Options = ((), "", False)
_CACHED = 4096
_NAMES = {2: "mss", 3: "wscale", 4: "sackOK", 5: "sack", 8: "TS", 19: "md5", 28: "uto", 29: "ao", 30: "mptcp", 34: "tfo"}
_FORMS = {2: "!H", 3: "!B", 4: "!", 8: "!II", 28: "!H"}
"""What the options of fixed size hold; SACK holds pairs of edges, the others any bytes."""

_END, _NOP = Option(name="eol"), Option(name="nop")


class OptionReader:
    """Reads option bytes, each distinct run of them once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Options] = {}

    def read(self, raw: bytes, isn: int | None) -> Options:
        """The options in ``raw``; the edges of SACK blocks count from ``isn``, the data's own, where it is known."""
        known = self._known.get(raw)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            options = parse(raw)
            known = self._known[raw] = options, options_text(options), any(option.name == "sack" for option in options)
        if known[2] and isn is not None:
            shifted = tuple(_shifted(option, isn) for option in known[0])
            return shifted, options_text(shifted), True
        return known


def parse(raw: bytes) -> tuple[Option, ...]:
    """Each option in turn (RFC 9293 section 3.1); one of a wrong size is called ``malformed``, one that is cut ends the list."""
    options: list[Option] = []
    at, size = 0, len(raw)
    while at < size:
        kind = raw[at]
        if kind == 0:
            options.append(_END)
            break
        if kind == 1:
            options.append(_NOP)
            at += 1
            continue
        length = raw[at + 1] if at + 1 < size else 0
        if length < 2 or at + length > size:
            options.append(Option(name="malformed", values=tuple(raw[at:])))
            break
        options.append(_option(kind, raw[at + 2 : at + length]))
        at += length
    return tuple(options)


def _option(kind: int, body: bytes) -> Option:
    name = _NAMES.get(kind, f"unknown-{kind}")
    if kind == 5 and len(body) % 8 == 0:
        return Option(name=name, values=struct.unpack(f"!{len(body) // 4}I", body))
    form = _FORMS.get(kind)
    if kind == 5 or (form is not None and struct.calcsize(form) != len(body)):
        return Option(name="malformed", values=(kind, len(body) + 2, *body))
    return Option(name=name, values=tuple(body) if form is None else struct.unpack(form, body))


def _shifted(option: Option, isn: int) -> Option:
    if option.name != "sack":
        return option
    return Option(name="sack", values=tuple((edge - isn) & 0xFFFFFFFF for edge in option.values))


def options_text(options: tuple[Option, ...]) -> str:
    """`` <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>``, empty for none."""
    return f" <{','.join(_option_text(option) for option in options)}>" if options else ""


def _option_text(option: Option) -> str:
    values = option.values
    if option.name == "TS" and len(values) == 2:
        return f"TS val {values[0]} ecr {values[1]}"
    if option.name == "sack":
        return " ".join(("sack", *(f"{values[at]}:{values[at + 1]}" for at in range(0, len(values), 2))))
    if option.name in {"mss", "wscale", "uto"} and len(values) == 1:
        return f"{option.name} {values[0]}"
    return f"{option.name} 0x{bytes(values).hex()}" if values else option.name
