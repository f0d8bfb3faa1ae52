"""The text of ``iptables-save -c`` or ``ip6tables-save -c`` becomes one :class:`FirewallRule` per rule.

Knows how our own rules are marked (a comment ``orchestrate:<run id>:<name>``) and nothing of expectations. What surprises: iptables
prints a rule in its own order of words, with matches added (``-m tcp``), so that a rule is found again by its comment only.
"""

from __future__ import annotations

import re

from orchestrator.errors import EvidenceError
from orchestrator.model.words.values import Record

MARK = "orchestrate"
_RULE = r"\[(\d+):(\d+)\] -A (\S+)\s*(.*)"
_WORD = r'"((?:[^"\\]|\\.)*)"|(\S+)'


class FirewallRule(Record, frozen=True, kw_only=True):
    """One rule with its counters.

    ``words`` are what stands after the chain; ``run_id`` and ``name`` are empty for a rule that is not ours.
    """

    table: str
    chain: str
    words: tuple[str, ...]
    packets: int
    bytes: int
    comment: str = ""
    run_id: str = ""
    name: str = ""
    line: str = ""


def rules(text: str) -> tuple[FirewallRule, ...]:
    """Every rule of every table in ``text``, in order.

    :raises EvidenceError: a rule has no counters (``iptables-save`` without ``-c``), or another line is none of ``iptables-save``'s.
    """
    found: list[FirewallRule] = []
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(("[", "-A")):
            found.append(_rule(table, line.rstrip()))
        elif line.strip() and line.strip() != "COMMIT" and not line.startswith(("#", ":")):
            raise EvidenceError(f"this is no line of iptables-save: {line!r}")
    return tuple(found)


def _rule(table: str, line: str) -> FirewallRule:
    parts = re.fullmatch(_RULE, line)
    if parts is None:
        raise EvidenceError(f"this rule has no counters, was it printed by iptables-save -c? {line!r}")
    packets, octets, chain, rest = parts.groups()
    words = tuple(plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in re.findall(_WORD, rest))
    comment = words[words.index("--comment") + 1] if "--comment" in words[:-1] else ""
    mark, _, owner = comment.partition(":")
    run_id, _, name = owner.partition(":") if mark == MARK else ("", "", "")
    return FirewallRule(
        table=table, chain=chain, words=words, packets=int(packets), bytes=int(octets), comment=comment, run_id=run_id, name=name, line=line
    )
