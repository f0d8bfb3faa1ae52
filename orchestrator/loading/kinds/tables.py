"""Mappings with a fixed table of keys: one table gives the checking reader and the JSON Schema.

Does not know what any key means. The surprising fact: a table knows only how keys go together (required, one of, never both); what needs
the rest of the file, such as whether a name was made before, is checked by whoever reads the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Never

from orchestrator.loading.kinds.scalars import Kind, Pen, Shape
from orchestrator.loading.source.documents import Mapping as MappingNode
from orchestrator.loading.source.documents import Node, Scalar
from orchestrator.loading.source.problems import Refused, listed, suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.words.values import Where


class Key(NamedTuple):
    """A key of a table: what may stand under it, and a sentence for the reader of the schema."""

    kind: Kind
    about: str


class Rules(NamedTuple):
    """How the keys of one mapping go together. ``needs`` maps a key to those of which one must stand beside it."""

    required: tuple[str, ...] = ()
    at_least_one: tuple[str, ...] = ()
    at_most_one: tuple[tuple[str, ...], ...] = ()
    needs: Mapping[str, tuple[str, ...]] = {}


class Fields:
    """A mapping as it was read: values by key, and where each stands. ``broken`` keys were given but could not be read, or not wholly."""

    __slots__ = ("_places", "_values", "broken", "where")

    def __init__(self, where: Where) -> None:
        self.where = where
        self.broken: set[str] = set()
        self._places: dict[str, Where] = {}
        self._values: dict[str, Any] = {}

    def put(self, key: str, value: Any, where: Where) -> None:
        """Note a value that was read."""
        self._values[key], self._places[key] = value, where

    def get(self, key: str, default: Any = None) -> Any:
        """The value under ``key``."""
        return self._values.get(key, default)

    def place(self, key: str) -> Where:
        """The place of the value under ``key``, of the mapping where the key is not given."""
        return self._places.get(key, self.where)

    def first(self, keys: tuple[str, ...]) -> str | None:
        """The first of ``keys`` that was read."""
        return next((key for key in keys if key in self._values), None)

    def __contains__(self, key: str) -> bool:
        return key in self._values


class Keys(Kind):
    """A mapping with a fixed table of keys; reads as :class:`Fields`. ``later`` are words of the language that cannot be done yet."""

    def __init__(
        self, what: str, table: Mapping[str, Key], rules: Rules | None = None, *, later: tuple[str, ...] = (), null: bool = False
    ) -> None:
        self.what = what
        self.table = table
        self.rules = rules or Rules()
        self._later = later
        self._null = null

    def read(self, node: Node, reader: Reader) -> Fields:
        """The fields that can be read."""
        return self.read_as(self.what, node, reader)

    def read_as(self, label: str, node: Node, reader: Reader) -> Fields:
        """The fields that can be read, the mapping called ``label`` in complaints: ``step 3``."""
        fields = Fields(reader.where(node))
        if self._null and isinstance(node, Scalar) and node.tag == "null":
            return fields
        if not isinstance(node, MappingNode):
            reader.refuse(
                node, f"{label} is a mapping of keys and values" + (f", like {next(iter(self.table))}: ..." if self.table else "")
            )
        for key, value in node.pairs:
            if key.text not in self.table:
                self._unknown(label, key, reader)
                fields.broken.add(key.text)
                continue
            before = len(reader.complaints)
            with suppress(Refused):
                fields.put(key.text, self.table[key.text].kind.read(value, reader), reader.where(value))
            if len(reader.complaints) > before:
                fields.broken.add(key.text)
        self._check_rules(label, {key.text: key for key, _ in node.pairs}, fields, reader)
        return fields

    def _unknown(self, label: str, key: Scalar, reader: Reader) -> None:
        if key.text in self._later:
            reader.complain(key, f"'{key.text}' belongs to the language but this version cannot do it yet")
        else:
            reader.complain(key, f"unknown key '{key.text}' in {label}{suggestion(key.text, self.table)}")

    def _check_rules(self, label: str, given: dict[str, Scalar], fields: Fields, reader: Reader) -> None:
        for key in self.rules.required:
            if key not in given:
                fields.broken.add(key)
                reader.complain(fields.where, f"{label} lacks '{key}'")
        guess = any(key not in self.table for key in given)
        if self.rules.at_least_one and not guess and not any(key in given for key in self.rules.at_least_one):
            reader.complain(fields.where, f"{label} lacks one of {listed(self.rules.at_least_one)}")
        for group in self.rules.at_most_one:
            both = [key for key in given if key in group]
            if len(both) > 1:
                reader.complain(given[both[1]], f"{listed(both, 'and')} cannot stand together in {label}")
        for key, partners in self.rules.needs.items():
            if key in given and not guess and not any(partner in given for partner in partners):
                reader.complain(given[key], f"'{key}' goes with {listed(partners)}")

    def shape(self, pen: Pen) -> Shape:
        """A closed object."""
        properties = {name: _described(key, pen) for name, key in self.table.items()}
        shape: Shape = {"type": ["object", "null"] if self._null else "object", "properties": properties, "additionalProperties": False}
        if self.rules.required:
            shape["required"] = list(self.rules.required)
        extra = [_present(self.rules.at_least_one)] if self.rules.at_least_one else []
        extra += [_not_together(group) for group in self.rules.at_most_one]
        if extra:
            shape["allOf"] = extra
        if self.rules.needs:
            shape["dependentSchemas"] = {key: _present(partners) for key, partners in self.rules.needs.items()}
        return shape


def _described(key: Key, pen: Pen) -> Shape:
    return {"description": key.about, **key.kind.shape(pen)}


def _present(keys: tuple[str, ...]) -> Shape:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _not_together(keys: tuple[str, ...]) -> Shape:
    """At most one of ``keys``: exactly one, or none."""
    return {"oneOf": [*({"required": [key]} for key in keys), {"not": _present(keys)}]}


class Forms(Kind):
    """A mapping that is one of several tables, told apart by the key that names the form.

    Earlier forms win, since their fields may bear a later form's name. Reads as the form's name and its :class:`Fields`.
    """

    def __init__(
        self, what: str, forms: Mapping[str, Keys], *, later: tuple[str, ...] = (), elsewhere: Mapping[str, str] | None = None
    ) -> None:
        self.what = what
        self._forms = forms
        self._later = later
        self._elsewhere = elsewhere or {}

    def read(self, node: Node, reader: Reader) -> tuple[str, Fields]:
        """The form and its fields."""
        if not isinstance(node, MappingNode):
            reader.refuse(node, f"{self.what} is a mapping, like {{{next(iter(self._forms))}: ...}}")
        given = {key.text: key for key, _ in node.pairs}
        for word, key in given.items():
            if word in self._later:
                reader.refuse(key, f"'{word}' belongs to the language but this version cannot do it yet")
            if word in self._elsewhere:
                reader.refuse(key, self._elsewhere[word])
        form = next((name for name in self._forms if name in given), None)
        if form is None:
            self._formless(node, given, reader)
        others = [name for name in given if name in self._forms and name != form and name not in self._forms[form].table]
        if others:
            reader.refuse(given[others[0]], f"{self.what} says one thing: '{form}' and '{others[0]}' are two")
        return form, self._forms[form].read(node, reader)

    def _formless(self, node: Node, given: dict[str, Scalar], reader: Reader) -> Never:
        for word, key in given.items():
            near = suggestion(word, self._forms)
            if near:
                reader.refuse(key, f"unknown key '{word}' in {self.what}{near}")
        reader.refuse(node, f"{self.what} says one of {listed(self._forms)}")

    def shape(self, pen: Pen) -> Shape:
        """Any of the tables."""
        return {"anyOf": [keys.shape(pen) for keys in self._forms.values()]}
