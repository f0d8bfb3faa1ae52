"""The small values that every part of the language shares.

Addresses are normalised text (``str(ipaddress.ip_address(x))``): msgspec cannot decode a union of two foreign classes.
"""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

from msgspec import Struct

Json: TypeAlias = Any
"""A value of the wire: what ``agent.protocol.encode_value`` makes and JSON can hold."""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of every record: frozen, keyword-only, saved without its defaults."""


class Where(Record, frozen=True, kw_only=True, order=True):
    """A place in an input file; ``line`` and ``column`` count from 1."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Comparison(Record, frozen=True, kw_only=True):
    """What a number is held against: ``">= 3"``, ``"1..4"``, ``"20"``.

    ``operator`` is one of ``== != < <= > >= ..``; only ``..`` (both ends included) uses ``high``.
    """

    operator: str
    low: int
    high: int = 0

    def holds(self, number: int) -> bool:
        """Whether ``number`` is what was asked for."""
        if self.operator == "..":
            return self.low <= number <= self.high
        return bool(_OPERATORS[self.operator](number, self.low))

    def may_hold_above(self, number: int) -> bool:
        """Whether it holds for ``number`` or any greater one."""
        candidates = {number, number + 1, self.low, self.low + 1, self.high}
        return any(self.holds(candidate) for candidate in candidates if candidate >= number)

    def __str__(self) -> str:
        if self.operator == "..":
            return f"{self.low}..{self.high}"
        return str(self.low) if self.operator == "==" else f"{self.operator} {self.low}"
