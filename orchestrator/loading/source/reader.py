"""A node's text with ``${name}`` put in, and complaints at a node's place.

Knows the names that may be put in, not the keys they stand under. The surprising fact: a host's name stays in the text as ``${juliet}``,
because its address is planning's to know; ``$${`` is an escaped ``${``, and stays escaped where a host's name follows, for the same
reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Never

from orchestrator.loading.source.documents import LARGEST_BYTES, Node, Scalar
from orchestrator.loading.source.problems import Complaints, Refused, suggestion
from orchestrator.model.words.values import Where

_REFERENCE = re.compile(r"(\$?)\$\{([^{}]*)(\}?)")


class Reader:
    """What a kind of value needs to read a node.

    ``names`` are the values to put in, ``None`` where the language has no substitution. ``hosts`` are the hosts there are, ``None`` where
    that is not known (the topology could not be read): then no host is called unknown.
    """

    __slots__ = ("complaints", "hosts", "names", "path")

    def __init__(
        self, path: str, complaints: Complaints, *, names: Mapping[str, str] | None = None, hosts: frozenset[str] | None = None
    ) -> None:
        self.path = path
        self.complaints = complaints
        self.names = names
        self.hosts = hosts

    def knowing(self, names: Mapping[str, str]) -> Reader:
        """The same, with more names."""
        return Reader(self.path, self.complaints, names={**(self.names or {}), **names}, hosts=self.hosts)

    def where(self, node: Node) -> Where:
        """The place of ``node``."""
        return Where(path=self.path, line=node.line, column=node.column)

    def complain(self, place: Node | Where, text: str) -> None:
        """Note a problem and go on."""
        self.complaints.add(place if isinstance(place, Where) else self.where(place), text)

    def refuse(self, place: Node | Where, text: str) -> Never:
        """Note a problem with a value that cannot be had.

        :raises Refused: always.
        """
        self.complain(place, text)
        raise Refused

    def substitutes(self, node: Scalar) -> bool:
        """Whether there is something to put into the text of ``node``."""
        return self.names is not None and "${" in node.text

    def text(self, node: Scalar) -> str:
        """The text of ``node``, everything known put in.

        :raises Refused: a name that nobody knows, or a text beyond all bounds.
        """
        if not self.substitutes(node):
            return node.text
        parts: list[str] = []
        begin = length = 0
        for found in _REFERENCE.finditer(node.text):
            parts += (node.text[begin : found.start()], self._value(found, node))
            begin, length = found.end(), length + len(parts[-1])
            if length > LARGEST_BYTES:
                self.refuse(node, "with everything put in, this text is longer than 1 MiB")
        return "".join((*parts, node.text[begin:]))

    def _value(self, found: re.Match[str], node: Scalar) -> str:
        """What stands for one ``${name}``."""
        escaped, name, closed = found.groups()
        is_host = self.hosts is None or name.partition("@")[0] in self.hosts
        if escaped:
            return found[0] if is_host and closed else found[0][1:]
        if not closed:
            self.refuse(node, "'${' is not closed by '}' (a '${' that is meant as it stands is written '$${')")
        names = self.names or {}
        if name in names:
            return names[name]
        if not is_host:
            self.refuse(node, f"nothing is called '{name}'{suggestion(name, (*names, *(self.hosts or ())))}")
        return found[0]
