"""A typed line of Python -> ``Call``: ``sock = socket.socket(...)``, ``conn, addr = server.accept()``, ``sock[3].close()``.

Held against the agent's own table of calls, so what can be typed is what can be done. Does not know which names are bound; that is a
matter of the steps before. The line is parsed and never evaluated.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from orchestrator.agent.protocol import CALLS, Rule
from orchestrator.loading.notation.literals import Constant, Joined, encode, literal, parse
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.source.problems import suggestion
from orchestrator.model.words.actions import Call

SOCKET_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}(?:\[[0-9]{1,6}\])?"
_RESERVED = frozenset({"socket", "struct", "None", "True", "False"})


def parse_call(text: str) -> Call:
    """The call that ``text`` types.

    :raises Misread: it is no single call of the table, or its arguments are not literals.
    """
    tree = parse(text.strip(), mode="exec")
    statements = getattr(tree, "body", [])
    if len(statements) != 1:
        raise Misread("one line is one call: several make a list")
    statement = statements[0]
    names: tuple[str, ...] = ()
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        names = _targets(statement.targets[0])
    elif not isinstance(statement, ast.Expr):
        raise Misread("this is no call: type one like sock.listen(1) or sock = socket.socket()")
    if not isinstance(statement.value, ast.Call):
        raise Misread("this is no call: type one like sock.listen(1) or sock = socket.socket()", statement.value.col_offset)
    return _call(text.strip(), names, statement.value)


def binds_socket(call: Call) -> bool:
    """Whether the first name of ``call`` becomes a socket."""
    return bool(call.names) and call.method in ("socket.socket", "accept")


def _call(text: str, names: tuple[str, ...], node: ast.Call) -> Call:
    receiver, method = _callee(node.func)
    rule = CALLS[method]
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise Misread(f"{method} takes its arguments here by position only", node.col_offset)
    if not rule.least <= len(node.args) <= rule.most:
        raise Misread(f"{method} takes {_wanted(rule)}, not {len(node.args)}", node.col_offset)
    if names and len(names) != rule.results:
        result = "two results: 'name, address = ...'" if rule.results == 2 else "one result"
        raise Misread(f"{method} gives {result}")
    values = [literal(argument) for argument in node.args]
    if rule.address is not None:
        _check_address(values[rule.address], node.args[rule.address], method)
    return Call(text=text, method=method, receiver=receiver, names=names, arguments=tuple(encode(value) for value in values))


def _wanted(rule: Rule) -> str:
    least, most = int(rule.least), int(rule.most)
    if least == most:
        return "no argument" if most == 0 else f"{most} argument{'s' if most > 1 else ''}"
    return f"{least} to {most} arguments"


def _callee(function: ast.expr) -> tuple[str, str]:
    """Whose method is called, and its name in the table."""
    if not isinstance(function, ast.Attribute):
        bare = isinstance(function, ast.Name) and f"socket.{function.id}" in CALLS
        hint = f": write socket.{ast.unparse(function)}(...)" if bare else ""
        raise Misread(f"a call is a socket's method or socket.socket{hint}", function.col_offset)
    name = function.attr
    if isinstance(function.value, ast.Name) and function.value.id == "socket":
        known = [method.removeprefix("socket.") for method, rule in CALLS.items() if rule.of == "module"]
        if name not in known:
            raise Misread(f"'socket.{name}' is not among the calls that can be typed{suggestion(name, known)}", function.col_offset)
        return "", f"socket.{name}"
    if name == "sleep":
        raise Misread("a pause is no call: say when the next step begins, with 'after: 1s'", function.col_offset)
    methods = [method for method, rule in CALLS.items() if rule.of == "socket"]
    if name not in methods:
        raise Misread(f"'{name}' is not among the socket calls that can be typed{suggestion(name, methods)}", function.col_offset)
    return _name(function.value), name


def _targets(target: ast.expr) -> tuple[str, ...]:
    if isinstance(target, ast.Tuple):
        return tuple(_name(item) for item in target.elts)
    return (_name(target),)


def _name(node: ast.expr) -> str:
    """The text of ``sock`` or ``sock[0]``."""
    match node:
        case ast.Name(id=name) if name not in _RESERVED and re.fullmatch(SOCKET_NAME, name):
            return name
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=index)) if type(index) is int:
            text = f"{name}[{index}]"
            if re.fullmatch(SOCKET_NAME, text) and name not in _RESERVED:
                return text
    raise Misread("a socket is called by a name, like sock, or by a name and a number, like sock[0]", node.col_offset)


def _check_address(value: Any, node: ast.expr, method: str) -> None:
    """``("juliet", 4000)``, with IPv6's two further numbers if need be."""
    offset = node.col_offset
    if not isinstance(value, tuple) or isinstance(value, Joined) or len(value) not in (2, 4) or type(value[0]) is not str:
        raise Misread(f'{method} takes an address in brackets of its own, like {method}(("juliet", 4000))', offset)
    least = 0 if method == "bind" else 1
    if type(value[1]) is not int:
        raise Misread("the port of an address is a number", offset)
    if not least <= value[1] <= 65535:
        raise Misread(f"port {value[1]} is out of range: ports are {least} to 65535", offset)


__all__ = ["SOCKET_NAME", "Constant", "binds_socket", "parse_call"]
