"""MAC addresses in texts.

The surprising fact: without quotes YAML 1.1 reads some of them (``52:54:00:12:34:56``) as a number to the base of 60 and others
(``02:00:00:00:00:01``) as text, so whoever reads one must refuse numbers.
"""

from __future__ import annotations

import re

from orchestrator.loading.notation.misread import Misread

_MAC = r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}"


def mac_of(text: str) -> str:
    """A MAC address of one interface, in small letters.

    :raises Misread: it is none, or that of a group (IEEE 802-2014 section 8.2: the lowest bit of the first octet), or of nobody.
    """
    if not re.fullmatch(_MAC, text):
        raise Misread(f"'{text}' is no MAC: write six pairs of hexadecimal digits, like 02:00:00:00:00:01")
    small = text.lower()
    if int(small[:2], 16) & 1:
        raise Misread(f"{small} is the MAC of a group (multicast), no interface has it: its first octet must be even")
    if small == "00:00:00:00:00:00":
        raise Misread(f"{small} is the MAC of nobody")
    return small


def like_a_mac(text: str) -> bool:
    """Whether ``text`` was probably meant for a MAC: pairs of hexadecimal digits, too few or too many perhaps, in anybody's notation.

    An IPv6 address of eight such groups is none; one with ``::`` neither.
    """
    if re.fullmatch(r"[0-9A-Za-z]{1,2}([:-][0-9A-Za-z]{1,2}){3,9}|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2}", text):
        return "-" in text or text.count(":") != 7
    return False
