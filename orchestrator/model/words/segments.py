"""A line of ``packets``: what one segment on the wire must look like.

``romeo.4000 > juliet P. 1:13(12) ack 1 win * <nop,nop,TS val * ecr *> "Hello juliet"``

``None`` in any field means that the line leaves it open (left out, or written ``*``).
"""

from __future__ import annotations

from orchestrator.model.words.values import Record, Where


class End(Record, frozen=True, kw_only=True):
    """One end of a pattern: a host of the scenario, perhaps on one network (``router@right``), perhaps a port."""

    host: str
    network: str | None = None
    port: int | None = None


class OptionPattern(Record, frozen=True, kw_only=True):
    """A TCP option by its tcpdump name (``mss``, ``nop``, ``sackOK``, ``TS``, ``wscale``, ``sack``, ``eol``).

    ``values`` are its numbers as text, ``*`` for any: ``("1460",)``, ``("*", "*")`` for TS val and ecr.
    """

    name: str
    values: tuple[str, ...] = ()


class SegmentPattern(Record, frozen=True, kw_only=True, tag_field="line", tag="segment"):
    """One segment; every field that is set must fit.

    ``protocol`` is ``tcp``, ``udp`` or ``icmp`` (which stands for ICMPv6 on an IPv6 wire). ``flags`` is tcpdump's text. ``start``,
    ``end``, ``length`` and ``ack`` are payload bytes relative to each side's ISN, raw where no SYN was seen. ``options`` asks for exactly
    this list in this order; ``mss 1460`` alone inside the list is the whole list.
    """

    source: End
    destination: End
    protocol: str = "tcp"
    flags: str | None = None
    start: int | None = None
    end: int | None = None
    length: int | None = None
    ack: int | None = None
    window: int | None = None
    options: tuple[OptionPattern, ...] | None = None
    payload: bytes | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    optional: bool = False
    text: str = ""
    where: Where | None = None


class Gap(Record, frozen=True, kw_only=True, tag_field="line", tag="gap"):
    """The line ``...``: any number of further segments, none too."""

    where: Where | None = None
