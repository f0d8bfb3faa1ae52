"""The bytes of one YAML file -> one tree of nodes, each with its line and column.

Does not know what the keys mean. The surprising fact: the tree is built from parser events and not by ``yaml.compose``, because libyaml's
composer recurses in C and a file of brackets would end the process; here nesting is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Never, TypeAlias

import yaml

from orchestrator.loading.source.problems import Complaints, Refused
from orchestrator.loading.source.syntax import explained
from orchestrator.model.words.values import Where

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: slower, the same events
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

LARGEST_BYTES = 1024 * 1024
DEEPEST = 32
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
_TAG_PREFIX = "tag:yaml.org,2002:"


class Scalar(NamedTuple):
    """A single value. ``tag`` is YAML 1.1's idea of its type: ``str``, ``int``, ``float``, ``bool``, ``null``, ...

    ``begin`` is the column of the text's first character, 0 where the text does not stand in the file letter for letter.
    """

    line: int
    column: int
    text: str
    tag: str
    begin: int


class Sequence(NamedTuple):
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]


class Mapping(NamedTuple):
    """Keys and values, in the file's order; no key stands twice."""

    line: int
    column: int
    pairs: tuple[tuple[Scalar, Node], ...]

    def value(self, key: str) -> Node | None:
        """The node under ``key``."""
        return next((node for name, node in self.pairs if name.text == key), None)


Node: TypeAlias = Scalar | Sequence | Mapping


def read_document(content: bytes, path: str, complaints: Complaints) -> Node:
    """The one document in ``content``.

    :raises Refused: it is no YAML, too large, not UTF-8, or uses what the language leaves out (anchors, tags, several documents).
    """
    text = _decoded(content, path, complaints)
    composer = _Composer(path, complaints)
    try:
        return composer.document(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark, sentence = explained(error, text)
        complaints.add(_at(path, mark), sentence)
    except yaml.YAMLError as error:
        complaints.add(Where(path=path, line=1), f"this is not YAML: {error}")
    raise Refused


def _decoded(content: bytes, path: str, complaints: Complaints) -> str:
    """The text, without a byte order mark."""
    if len(content) > LARGEST_BYTES:
        complaints.add(Where(path=path, line=1), "the file is larger than 1 MiB")
        raise Refused
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        complaints.add(
            Where(path=path, line=line, column=column), f"the file is not UTF-8: byte 0x{content[error.start]:02x} cannot stand here"
        )
        raise Refused from None
    bad = _UNPRINTABLE.search(text)
    if bad:
        where = Where(path=path, line=text.count("\n", 0, bad.start()) + 1, column=bad.start() - text.rfind("\n", 0, bad.start()))
        complaints.add(where, f"the character U+{ord(bad[0]):04X} cannot stand in YAML")
        raise Refused
    return text


def _at(path: str, mark: Any) -> Where:
    """A parser's mark (from 0) as a place (from 1)."""
    return Where(path=path, line=mark.line + 1, column=mark.column + 1) if mark else Where(path=path, line=1)


class _Composer:
    """Turns events into nodes; every refusal is complained about first."""

    def __init__(self, path: str, complaints: Complaints) -> None:
        self._path = path
        self._complaints = complaints

    def document(self, events: Iterator[Any]) -> Node:
        """The node of the only document."""
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self._refuse(event, "a second document begins here: one file holds one")
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, events, 1)
        if root is None:
            self._complaints.add(Where(path=self._path, line=1), "the file is empty")
            raise Refused
        return root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        """The node that ``event`` begins, with all that is inside."""
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(
                event, "anchors (&) and aliases (*) are not part of the language: write it out, use 'vars', or put the text in quotes"
            )
        if event.tag == "!vault":
            self._refuse(event, "secrets of Ansible's vault cannot be read here: keep what is secret out of the file, and keys in files")
        if event.tag is not None:
            self._refuse(event, "tags (!) are not part of the language: put text that begins with '!' in quotes")
        if depth > DEEPEST:
            self._refuse(event, f"nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(line, column, tuple(self._items(events, depth)))
        return Mapping(line, column, tuple(self._pairs(events, depth)))

    def _items(self, events: Iterator[Any], depth: int) -> Iterator[Node]:
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event, events, depth + 1)

    def _pairs(self, events: Iterator[Any], depth: int) -> Iterator[tuple[Scalar, Node]]:
        """The pairs of a mapping; of a key that stands twice the first is kept."""
        lines: dict[str, int] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                return
            key = self._node(event, events, depth + 1)
            if not isinstance(key, Scalar):
                self._refuse(event, "a key must be text: put a value that begins with '?', '[' or '{' in quotes")
            value = self._node(next(events), events, depth + 1)
            if key.text in lines:
                self._complaints.add(
                    _at(self._path, event.start_mark), f"the key '{key.text}' stands twice (first in line {lines[key.text]})"
                )
                continue
            lines[key.text] = key.line
            yield key, value

    def _scalar(self, event: Any) -> Scalar:
        start, end, text = event.start_mark, event.end_mark, event.value
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            self._refuse(event, "half a surrogate pair is no character")
        quoted = event.style in ("'", '"')
        literal = start.line == end.line and end.column - start.column == len(text) + (2 if quoted else 0)
        begin = start.column + (2 if quoted else 1) if literal else 0
        return Scalar(start.line + 1, start.column + 1, text, _tag(text) if event.implicit[0] else "str", begin)

    def _refuse(self, event: Any, text: str) -> Never:
        self._complaints.add(_at(self._path, event.start_mark), text)
        raise Refused


def _tag(text: str) -> str:
    """What YAML 1.1 takes plain ``text`` for."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            return tag.removeprefix(_TAG_PREFIX)
    return "str"
