"""The kinds of value that hold others of one kind: lists, and mappings whose keys the author chooses.

The surprising fact: a value that cannot be read is left out and the reading goes on, so that all problems of a file are found at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from orchestrator.loading.kinds.scalars import Kind, Marked, Pen, Shape, known_host, surprise
from orchestrator.loading.source.documents import Mapping as MappingNode
from orchestrator.loading.source.documents import Node, Scalar, Sequence
from orchestrator.loading.source.problems import Refused
from orchestrator.loading.source.reader import Reader
from orchestrator.model.words.values import Where


class Entry(NamedTuple):
    """A pair of a mapping with free keys."""

    key: str
    value: Any
    key_where: Where
    where: Where


class ListOf(Kind):
    """A list; reads as a tuple of :class:`Marked`."""

    def __init__(self, item: Kind, what: str, *, least: int = 1) -> None:
        self.item = item
        self.what = what
        self._least = least

    def read(self, node: Node, reader: Reader) -> tuple[Marked, ...]:
        """The items that can be read."""
        if not isinstance(node, Sequence):
            hint = ": begin each item with '- '" if isinstance(node, MappingNode) else ""
            reader.refuse(node, f"{self.what} is wanted here{hint}")
        if len(node.items) < self._least:
            reader.refuse(node, f"{self.what} is wanted here, and this one is empty")
        marked = []
        for item in node.items:
            with suppress(Refused):
                marked.append(Marked(self.item.read(item, reader), reader.where(item)))
        return tuple(marked)

    def shape(self, pen: Pen) -> Shape:
        """An array."""
        return {"type": "array", "items": self.item.shape(pen), **({"minItems": self._least} if self._least else {})}


class OneOrMany(ListOf):
    """A list, or one item alone."""

    def read(self, node: Node, reader: Reader) -> tuple[Marked, ...]:
        """The items that can be read."""
        if isinstance(node, Sequence):
            return super().read(node, reader)
        return (Marked(self.item.read(node, reader), reader.where(node)),)

    def shape(self, pen: Pen) -> Shape:
        """An item or an array."""
        return {"anyOf": [self.item.shape(pen), super().shape(pen)]}


class ByForm(Kind):
    """One kind for a single value, another for a list, a third for a mapping; ``what`` says what may stand there."""

    def __init__(self, what: str, *, scalar: Kind | None = None, sequence: Kind | None = None, mapping: Kind | None = None) -> None:
        self.what = what
        self._kinds = {Scalar: scalar, Sequence: sequence, MappingNode: mapping}

    def read(self, node: Node, reader: Reader) -> Any:
        """What the kind for this form reads."""
        kind = self._kinds[type(node)]
        if kind is None or (isinstance(node, Scalar) and node.tag == "null"):
            reader.refuse(node, f"{self.what} is wanted here")
        return kind.read(node, reader)

    def shape(self, pen: Pen) -> Shape:
        """Any of the forms."""
        return {"anyOf": [kind.shape(pen) for kind in self._kinds.values() if kind is not None]}


class FreeKeys(NamedTuple):
    """Which keys an author may choose: those that fit ``pattern`` (the schema's word; ``check`` says in words what is wrong with a key).

    ``hosts`` wants hosts of the topology, or one of the words given there. ``most`` is how many there may be, 0 for any number. ``text``:
    others read the file too, for whom ``7`` or ``yes`` would be no name.
    """

    pattern: str = ""
    check: Callable[[str], str] | None = None
    hosts: tuple[str, ...] | None = None
    most: int = 0
    text: bool = False


class MapOf(Kind):
    """A mapping whose keys the author chooses; reads as a tuple of :class:`Entry`."""

    def __init__(self, value: Kind, what: str, keys: FreeKeys, *, least: int = 1) -> None:
        self._value = value
        self.what = what
        self._keys = keys
        self._least = least

    def holding(self, value: Kind) -> MapOf:
        """The same keys with other values."""
        return MapOf(value, self.what, self._keys, least=self._least)

    def read(self, node: Node, reader: Reader) -> tuple[Entry, ...]:
        """The pairs that can be read."""
        if not isinstance(node, MappingNode):
            reader.refuse(node, f"{self.what} is wanted here")
        if len(node.pairs) < self._least:
            reader.refuse(node, f"{self.what} is wanted here, and this one is empty")
        if self._keys.most and len(node.pairs) > self._keys.most:
            reader.refuse(
                node.pairs[self._keys.most][0], f"{self.what} may have {self._keys.most} at most, and this one has {len(node.pairs)}"
            )
        entries = []
        for key, value in node.pairs:
            with suppress(Refused):
                entries.append(self._entry(key, value, reader))
        return tuple(entries)

    def _entry(self, key: Scalar, value: Node, reader: Reader) -> Entry:
        if self._keys.text and key.tag != "str":
            reader.refuse(key, surprise(key, "a name"))
        wrong = self._keys.check(key.text) if self._keys.check else ""
        if wrong:
            reader.complain(key, wrong)
        elif self._keys.hosts is not None and key.text not in self._keys.hosts:
            known_host(key.text, key, reader, self._keys.hosts)
        read = self._value.read(value, reader)
        if wrong:
            raise Refused
        return Entry(key.text, read, reader.where(key), reader.where(value))

    def shape(self, pen: Pen) -> Shape:
        """An object with free keys."""
        names = {"propertyNames": {"pattern": f"^(?:{self._keys.pattern})$"}} if self._keys.pattern else {}
        least = {"minProperties": self._least} if self._least else {}
        most = {"maxProperties": self._keys.most} if self._keys.most else {}
        return {"type": "object", "additionalProperties": self._value.shape(pen), **names, **least, **most}


class OrNothing(Kind):
    """What another kind reads, or nothing at all behind the colon, which reads as an empty tuple."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def read(self, node: Node, reader: Reader) -> Any:
        """What the kind reads."""
        return () if isinstance(node, Scalar) and node.tag == "null" else self._kind.read(node, reader)

    def shape(self, pen: Pen) -> Shape:
        """As the kind, or null."""
        return {"anyOf": [self._kind.shape(pen), {"type": "null"}]}


class Later(Kind):
    """Read later by whoever knows more (the value of a counter, say): gives the node itself."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def read(self, node: Node, reader: Reader) -> Node:
        """The node."""
        del reader
        return node

    def shape(self, pen: Pen) -> Shape:
        """As what it will be read as."""
        return self._kind.shape(pen)


class Reference(Kind):
    """A kind that holds itself: the steps in a step."""

    def __init__(self, name: str, kind: Callable[[], Kind]) -> None:
        self._name = name
        self._kind = kind

    def read(self, node: Node, reader: Reader) -> Any:
        """What the kind reads."""
        return self._kind().read(node, reader)

    def shape(self, pen: Pen) -> Shape:
        """A reference to the definition, which is written at the first use."""
        if self._name not in pen.definitions:
            pen.definitions[self._name] = {}
            pen.definitions[self._name] = self._kind().shape(pen)
        return {"$ref": f"#/$defs/{self._name}"}
