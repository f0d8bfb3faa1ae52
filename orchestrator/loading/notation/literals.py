"""A Python expression of literals -> a value of the wire. Parsed with ``ast``, never evaluated.

Beyond literals it knows ``+``, ``-``, ``*`` of literals (``b"x" * 1000``), ``"text".encode()``, ``struct.pack("ii", 1, 0)`` and the socket
module's constants, alone or joined by ``|``. The surprising fact: a constant stays a name, since its number is the host's to know.
"""

from __future__ import annotations

import ast
import struct
import warnings
from typing import Any, NoReturn

from orchestrator.agent.protocol import CONSTANTS, encode_value
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.source.problems import suggestion
from orchestrator.model.words.values import Json

LARGEST_VALUE = 1024 * 1024
_BIGGEST_NUMBER = 2**64
_SAMPLE = "write a literal (a number, text, bytes, a tuple), b'x' * 1000, 'text'.encode(), struct.pack(...) or socket.NAME"


class Constant(str):
    """The name of a constant of the socket module, until it is encoded."""

    __slots__ = ()


class Joined(tuple[Any, ...]):
    """Constants and numbers joined by ``|``, until they are encoded."""

    __slots__ = ()


def parse(text: str, mode: str = "eval") -> ast.AST:
    """The syntax tree of ``text``.

    :raises Misread: it is not Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" is the author's business
            return ast.parse(text, mode=mode)
    except SyntaxError as error:
        offset = max(0, (error.offset or 1) - 1) if error.lineno == 1 else 0
        words = (error.msg or "invalid syntax").lower()
        hint = " (inside {...} and [...] a text with commas needs quotes)" if "never closed" in words else ""
        raise Misread(f"this is not Python: {words}{hint}", offset) from None
    except (ValueError, RecursionError, MemoryError):
        raise Misread("this is not Python that can be read") from None


def wire_value(text: str) -> Json:
    """The literal ``text``, encoded.

    :raises Misread: it is no literal.
    """
    try:
        tree = parse(text)
    except Misread:
        tree = None
    if not isinstance(tree, ast.Expression):
        raise Misread(
            f"'{text}' is no Python literal: a number, 'text' in quotes of its own, b'bytes', a tuple, None, or \"*\" for anything"
        )
    return encode(literal(tree.body))


def encode(value: Any) -> Json:
    """``value`` as the wire holds it."""
    if isinstance(value, Constant):
        return {"constant": str(value)}
    if isinstance(value, Joined):
        return {"or": [encode(item) for item in value]}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    return encode_value(value)


def literal(node: ast.AST) -> Any:
    """The value of ``node``; constants as :class:`Constant` and :class:`Joined`.

    :raises Misread: it is more than literals, or too large.
    """
    try:
        return _bounded(_value(node), node)
    except RecursionError:
        raise Misread("this expression is nested too deeply") from None


def _value(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=value):
            return _constant(value, node)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return (tuple if isinstance(node, ast.Tuple) else list)(literal(item) for item in items)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = literal(operand)
            return _number(-number if isinstance(sign, ast.USub) else number, node) if _is_number(number) else _refuse(node)
        case ast.BinOp(left=left, op=operator, right=right):
            return _operation(literal(left), operator, literal(right), node)
        case ast.Attribute(value=ast.Name(id="socket"), attr=name):
            return _named(name, node)
    return _called(node) if isinstance(node, ast.Call) else _refuse(node)


def _constant(value: Any, node: ast.AST) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Misread("half a surrogate pair is no character", _offset(node)) from None
        return value
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise Misread("this number is too large", _offset(node))
    return value if value is None or isinstance(value, (bool, int, float, bytes)) else _refuse(node)


def _named(name: str, node: ast.AST) -> Constant:
    if name not in CONSTANTS:
        raise Misread(
            f"the socket module's '{name}' is not among the constants a scenario can name{suggestion(name, CONSTANTS)}", _offset(node)
        )
    return Constant(name)


def _operation(left: Any, operator: ast.operator, right: Any, node: ast.AST) -> Any:
    """``left operator right``, checked before it is worked out, so that no huge value is ever made."""
    if isinstance(operator, ast.BitOr) and _is_joinable(left) and _is_joinable(right):
        return Joined((*_joined(left), *_joined(right)))
    if _is_number(left) and _is_number(right):
        return _arithmetic(left, operator, right, node)
    if isinstance(operator, ast.Add) and type(left) is type(right) and isinstance(left, (str, bytes, tuple, list)):
        return left + right
    if isinstance(operator, ast.Mult) and isinstance(left, int) and isinstance(right, (str, bytes)):
        left, right = right, left
    if isinstance(operator, ast.Mult) and isinstance(left, (str, bytes)) and type(right) is int and not isinstance(left, Constant):
        if len(left) * right > LARGEST_VALUE:
            raise Misread("this value is larger than 1 MiB", _offset(node))
        return left * right
    return _refuse(node)


def _arithmetic(left: Any, operator: ast.operator, right: Any, node: ast.AST) -> Any:
    match operator:
        case ast.Add():
            return _number(left + right, node)
        case ast.Sub():
            return _number(left - right, node)
        case ast.Mult():
            return _number(left * right, node)
    return _refuse(node)


def _called(node: ast.Call) -> Any:
    """``"text".encode()`` and ``struct.pack(...)``."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="encode"), args=[], keywords=[]):
            _constant(text, node)
            return text.encode()
        case ast.Call(func=ast.Attribute(value=ast.Name(id="struct"), attr="pack"), args=[form, *items], keywords=[]):
            return _packed(literal(form), [literal(item) for item in items], node)
    return _refuse(node)


def _packed(form: Any, items: list[Any], node: ast.AST) -> bytes:
    if not isinstance(form, (str, bytes)) or isinstance(form, Constant):
        _refuse(node)
    try:
        if struct.calcsize(form) > LARGEST_VALUE:
            raise Misread("this value is larger than 1 MiB", _offset(node))
        return struct.pack(form, *items)
    except (struct.error, OverflowError, UnicodeEncodeError) as error:
        raise Misread(f"struct.pack cannot do this: {error}", _offset(node)) from None


def _number(value: Any, node: ast.AST) -> Any:
    if not -_BIGGEST_NUMBER < value < _BIGGEST_NUMBER:
        raise Misread("this number is too large", _offset(node))
    return value


def _bounded(value: Any, node: ast.AST) -> Any:
    if _is_number(value):
        return _number(value, node)
    if isinstance(value, (str, bytes, tuple, list)) and len(value) > LARGEST_VALUE:
        raise Misread("this value is larger than 1 MiB", _offset(node))
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_joinable(value: Any) -> bool:
    return isinstance(value, (Constant, Joined)) or type(value) is int


def _joined(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Joined) else (value,)


def _offset(node: ast.AST) -> int:
    return int(getattr(node, "col_offset", 0))


def _refuse(node: ast.AST) -> NoReturn:
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        raise Misread(f"'{node.id}' is a constant of the module: write socket.{node.id}", _offset(node))
    if isinstance(node, ast.Name):
        raise Misread(f"'{node.id}' is a name: an argument is a literal, the results of earlier calls cannot be passed on", _offset(node))
    raise Misread(f"this is more than a scenario can type: {_SAMPLE}", _offset(node))
