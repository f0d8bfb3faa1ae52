"""The kinds of single values: each reads a scalar and tells the JSON Schema what it reads.

A kind does not know under which key it stands. The surprising fact: where the language substitutes ``${name}``, every kind takes such a
text and reads what it becomes, so the schema must let such a text through wherever a number or a word of a fixed list stands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.source.documents import Mapping as MappingNode
from orchestrator.loading.source.documents import Node, Scalar
from orchestrator.loading.source.problems import listed, suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.words.values import Where

Shape = dict[str, Any]
"""A JSON Schema."""

_SUBSTITUTED: Shape = {"type": "string", "pattern": r"\$\{"}
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_BOOLS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class Pen(NamedTuple):
    """What a schema is written with: whether ``${name}`` may stand in texts, and the definitions that shapes refer to."""

    substitutes: bool
    definitions: dict[str, Shape]


class Kind(ABC):
    """What may stand under a key. ``what`` names it in a sentence: ``a time``."""

    what = "a value"

    @abstractmethod
    def read(self, node: Node, reader: Reader) -> Any:
        """The value of ``node``.

        :raises Refused: it is not of this kind; the reader's complaints say why.
        """

    @abstractmethod
    def shape(self, pen: Pen) -> Shape:
        """The JSON Schema of what :meth:`read` takes."""


class Marked(NamedTuple):
    """A value and its place."""

    value: Any
    where: Where


def surprise(node: Scalar, what: str) -> str:
    """Why a scalar that YAML takes for something else is not ``what``."""
    match node.tag:
        case "null":
            return f"{what} is wanted here, and nothing is given"
        case "bool":
            return f"{what} is wanted here, and YAML reads {node.text} as {str(_BOOLS.get(node.text.lower())).lower()}: put it in quotes"
        case "int" | "float":
            return f"{what} is wanted here, and YAML reads {node.text} as a number: put it in quotes"
        case "str":
            return f"{what} is wanted here, not the text '{node.text}'"
        case tag:
            return f"{what} is wanted here, and YAML reads {node.text} as a {tag}: put it in quotes"


class Word(Kind):
    """A text, read by ``parse`` (which raises :class:`Misread`); where ``accepts`` says so, also a number or a boolean as it is written.

    ``pattern`` is for the schema: what it refuses, ``parse`` must refuse too.
    """

    def __init__(
        self, what: str, *, parse: Callable[[str], Any] = str, pattern: str = "", accepts: tuple[str, ...] = ("str",), empty: bool = False
    ) -> None:
        self.what = what
        self._parse = parse
        self._pattern = pattern
        self._accepts = accepts
        self._empty = empty

    def read(self, node: Node, reader: Reader) -> Any:
        """The parsed text."""
        scalar = self._scalar(node, reader)
        text = reader.text(scalar)
        if not text and not self._empty:
            reader.refuse(scalar, f"{self.what} is wanted here, and the text is empty")
        try:
            return self._parse(text)
        except Misread as error:
            exact = scalar.begin and not reader.substitutes(scalar)
            column = scalar.begin + error.offset if exact and error.offset else scalar.column
            reader.refuse(Where(path=reader.path, line=scalar.line, column=column), str(error))

    def _scalar(self, node: Node, reader: Reader) -> Scalar:
        if not isinstance(node, Scalar):
            hint = " (put text that holds ': ' or begins with '?' in quotes)" if isinstance(node, MappingNode) else ""
            reader.refuse(node, f"{self.what} is wanted here, not a {'mapping' if hint else 'list'}{hint}")
        if node.tag not in self._accepts:
            reader.refuse(node, self._misfit(node))
        return node

    def _misfit(self, node: Scalar) -> str:
        """Why a scalar of another type cannot stand here: quotes are advised only where they would help."""
        if node.tag in ("int", "float"):
            try:
                self._parse(node.text)
            except Misread as error:
                return str(error)
        return surprise(node, self.what)

    def shape(self, pen: Pen) -> Shape:
        """A string, or the other types it accepts."""
        text: Shape = {"type": "string"}
        if self._pattern:
            text["pattern"] = f"^(?:{self._pattern})$" + (r"|\$\{" if pen.substitutes else "")
        elif not self._empty:
            text["minLength"] = 1
        if self._accepts == ("str",):
            return text
        return {"anyOf": [text, *(_number_shape(tag) for tag in self._accepts if tag != "str")]}


def _number_shape(tag: str) -> Shape:
    return {"type": "integer", "minimum": 0} if tag == "int" else {"type": _TYPES[tag]}


class Plain(Word):
    """Any single value, as the text it is written with."""

    def __init__(self, what: str = "text or a number") -> None:
        super().__init__(what, accepts=("str", "int", "float", "bool"), empty=True)

    def shape(self, pen: Pen) -> Shape:
        """Any scalar but null."""
        del pen
        return {"type": ["string", "number", "boolean"]}


class Number(Kind):
    """A whole number between ``low`` and ``high``, in decimal digits."""

    def __init__(self, what: str, low: int, high: int) -> None:
        self.what = what
        self._low = low
        self._high = high

    def read(self, node: Node, reader: Reader) -> int:
        """The number."""
        if not isinstance(node, Scalar):
            reader.refuse(node, f"{self.what} is wanted here, not a list or a mapping")
        text = reader.text(node)
        if node.tag != "int" and not reader.substitutes(node):
            reader.refuse(node, f"{self.what} is wanted here: a whole number between {self._low} and {self._high}, without quotes")
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and digits != "0") or len(digits) > 18:
            reader.refuse(node, f"{self.what} is written in decimal digits, not '{text}'")
        if not self._low <= int(text) <= self._high:
            reader.refuse(node, f"{self.what} is out of range: {text} is not between {self._low} and {self._high}")
        return int(text)

    def shape(self, pen: Pen) -> Shape:
        """An integer."""
        number = {"type": "integer", "minimum": self._low, "maximum": self._high}
        return {"anyOf": [number, _SUBSTITUTED]} if pen.substitutes else number


class Flag(Kind):
    """Yes or no."""

    what = "true or false"

    def read(self, node: Node, reader: Reader) -> bool:
        """The truth."""
        boolean = isinstance(node, Scalar) and (node.tag == "bool" or reader.substitutes(node))
        text = reader.text(node).lower() if boolean and isinstance(node, Scalar) else ""
        if text not in _BOOLS:
            reader.refuse(node, "true or false is wanted here, without quotes")
        return _BOOLS[text]

    def shape(self, pen: Pen) -> Shape:
        """A boolean."""
        return {"anyOf": [{"type": "boolean"}, _SUBSTITUTED]} if pen.substitutes else {"type": "boolean"}


class Choice(Kind):
    """One of some words, with what each means. ``on`` and ``off`` may stand without quotes, though YAML 1.1 takes them for booleans."""

    def __init__(self, what: str, words: Mapping[str, Any], *, shown: tuple[str, ...] = ()) -> None:
        self.what = what
        self._words = words
        self._shown = shown or tuple(words)

    def read(self, node: Node, reader: Reader) -> Any:
        """What the word means."""
        if not isinstance(node, Scalar):
            reader.refuse(node, f"{self.what} is wanted here, not a list or a mapping")
        text = reader.text(node)
        if node.tag == "bool" and ("on" in self._words or "off" in self._words):
            text = "on" if _BOOLS[text.lower()] else "off"
        if node.tag == "null":
            reader.refuse(node, surprise(node, self.what))
        if text not in self._words:
            reader.refuse(node, f"{self.what} is {listed(self._shown)}, not '{text}'{suggestion(text, self._words)}")
        return self._words[text]

    def shape(self, pen: Pen) -> Shape:
        """An enumeration."""
        known = [*self._words, *(value for word, value in (("on", True), ("off", False)) if word in self._words)]
        return {"anyOf": [{"enum": known}, _SUBSTITUTED]} if pen.substitutes else {"enum": known}


class HostName(Kind):
    """The name of a host of the topology."""

    what = "a host's name"

    def read(self, node: Node, reader: Reader) -> str:
        """The name."""
        if not isinstance(node, Scalar):
            reader.refuse(node, "a host's name is wanted here, not a list or a mapping")
        if node.tag != "str":
            reader.refuse(node, surprise(node, self.what))
        return known_host(reader.text(node), node, reader)

    def shape(self, pen: Pen) -> Shape:
        """A string: which hosts there are, only the topology knows."""
        del pen
        return {"type": "string", "minLength": 1}


def known_host(name: str, place: Node | Where, reader: Reader, also: tuple[str, ...] = ()) -> str:
    """``name``, if the topology has it; ``also`` are other words that may stand there.

    :raises Refused: it has not.
    """
    if not name or (reader.hosts is not None and name not in reader.hosts):
        known = [*also, *sorted(reader.hosts or ())]
        others = f": there are {listed(known, 'and')}" if known else ""
        reader.refuse(place, f"there is no host '{name}'{suggestion(name, known) or others}")
    return name
