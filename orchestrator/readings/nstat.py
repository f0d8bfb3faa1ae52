"""The text of ``nstat -asz`` becomes a counter's value by its name.

Knows nothing of expectations. What surprises: the counters of single ICMP types (``IcmpMsgOutType3``, ``Icmp6InType1``) are printed
only once they have counted something, ``-z`` or not, so that a missing one is 0.
"""

from __future__ import annotations

import re

from orchestrator.errors import EvidenceError

_APPEARS_LATE = r"(IcmpMsg|Icmp6)(In|Out)Type\d+"


def counters(text: str) -> dict[str, int]:
    """Each counter's value since the host's network began.

    :raises EvidenceError: a line is not a name, a number and a rate.
    """
    values: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) < 2 or not words[1].isdecimal():
            raise EvidenceError(f"this is no line of nstat: {line!r}")
        values[words[0]] = int(words[1])
    return values


def increase(text: str, baseline: str, name: str) -> int | None:
    """By how much the counter ``name`` has grown since ``baseline`` (empty: since ever); ``None`` where the kernel has no such counter."""
    now = counters(text)
    if name not in now and not re.fullmatch(_APPEARS_LATE, name):
        return None
    return now.get(name, 0) - counters(baseline).get(name, 0)


def nearest(text: str, name: str) -> str:
    """The counter whose name comes nearest to ``name``; empty where none is near."""
    import difflib  # only for a name that is misspelt

    return next(iter(difflib.get_close_matches(name, counters(text), n=1, cutoff=0.65)), "")
