"""The kinds of word the language has: times, names, comparisons, places, states, calls, segments.

Each joins a notation (which reads) with the pattern that the schema shows. The surprising fact: a kind without a pattern is a notation
too rich for one; there the schema takes any text and the loader alone refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from orchestrator.loading.kinds.scalars import Choice, Flag, HostName, Number, Plain, Word
from orchestrator.loading.notation import iproute, values
from orchestrator.loading.notation.calls import SOCKET_NAME, parse_call
from orchestrator.loading.notation.literals import wire_value
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.notation.places import place
from orchestrator.loading.notation.segments import parse_line, parse_segment
from orchestrator.loading.source.problems import suggestion
from orchestrator.model.scenario import FEATURES
from orchestrator.model.tcp import State, state_named


def _fitting(pattern: str, sentence: str) -> Callable[[str], str]:
    """A parser that takes exactly what fits ``pattern``, else says ``sentence``."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise Misread(f"{sentence}, not '{text}'")
        return text

    return parse


def named(what: str, pattern: str, sentence: str) -> Word:
    """A word that fits a pattern."""
    return Word(what, parse=_fitting(pattern, sentence), pattern=pattern)


def fits(pattern: str, text: str) -> bool:
    """Whether all of ``text`` fits ``pattern``."""
    return re.fullmatch(pattern, text) is not None


def label_problem(key: str) -> str:
    """What is wrong with a name for a host or a network of a topology; nothing where it is one."""
    if key in _RESERVED:
        return f"the name '{key}' is taken"
    if fits(LABEL_PATTERN, key):
        return ""
    return f"'{key}' is no name for a host or a network: letters, digits and inner hyphens, 32 characters at most"


def timed(text: str) -> tuple[str | None, int]:
    """``250ms`` as (None, ns); ``connecting`` and ``connecting + 1.5s`` as (name, ns).

    :raises Misread: the time is none.
    """
    found = re.fullmatch(values.TIMED, text)
    if not found:
        raise Misread(f"'{text}' is no time, and no name with a time, like 'connecting + 1.5s'")
    if found["delay"] or re.fullmatch(r"[-+]?[0-9.]+", text):
        return None, values.duration_ns(text)
    return found["name"], values.duration_ns(found["more"]) if found["more"] else 0


def _state(text: str) -> State:
    try:
        return state_named(text)
    except ValueError:
        raise Misread(f"there is no TCP state '{text}'{suggestion(text, State)}") from None


def _exception(text: str) -> str:
    if not re.fullmatch(EXCEPTION_PATTERN, text):
        raise Misread(f"an exception is a Python class like ConnectionRefusedError or an errno like ECONNREFUSED, not '{text}'")
    return text


def _returned(text: str) -> Any:
    """The wire's form of a literal, ``*`` for anything."""
    return text if text == "*" else {"literal": wire_value(_YAML_TRUTH.get(text, text))}


_RESERVED = ("all", "localhost", "none")
_YAML_TRUTH = {"true": "True", "false": "False"}
NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
EXCEPTION_PATTERN = r"[A-Z][A-Za-z0-9_.]{2,63}"
SYSCTL_PATTERN = r"net(?:\.[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*){1,20}"
LABEL_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"

TEXT = Word("text")
ANY_TEXT = Word("text", empty=True)
PLAIN = Plain()
FLAG = Flag()
HOST = HostName()
LABEL = named("a name", r"[a-z0-9][a-z0-9-]{0,63}", "a scenario is called by small letters, digits and hyphens")
TAG = named("a tag", r"[a-z0-9][a-z0-9-]{0,63}", "a tag has small letters, digits and hyphens")
NAME = named("a name", NAME_PATTERN, "a name begins with a letter and has letters, digits, '_', '.' and '-'")
VARIABLE = named("a name", VARIABLE_PATTERN, "such a name has letters, digits and '_'")
SOCKET_WORD = named("a socket's name", SOCKET_NAME, "a socket is called by a name, like sock, or by a name and a number, like sock[0]")
TIMED = Word("a time, or the name of a step or an action with a time", parse=timed)
DURATION = Word("a time", parse=values.duration_ns, pattern=values.DURATION)
COMPARISON = Word("a number or a comparison", parse=values.comparison, pattern=values.COMPARISON, accepts=("str", "int"))
KERNEL = Word("a kernel version", parse=values.kernel_version, pattern=values.KERNEL)
SYSCTL = named("a sysctl", SYSCTL_PATTERN, "only sysctls of the network can be used: their names begin with 'net.'")
STATE = Word("a TCP state", parse=_state)
PLACE = Word("a place of a socket", parse=place, accepts=("str", "int"))
CALL = Word("a socket call", parse=parse_call)
RULE = Word("the words of an iptables rule", parse=values.rule_words)
ROUTE = Word("the words behind 'ip route'", parse=iproute.route_words)
IP = Word("the words behind 'ip'", parse=iproute.ip_words)
COMMAND = Word("a program and its arguments", parse=values.split_words)
REGEX = Word("a regular expression", parse=values.regular_expression)
EXCEPTION = Word("an exception's name", parse=_exception, pattern=EXCEPTION_PATTERN)
RETURNED = Word("a Python literal", parse=_returned, accepts=("str", "int", "float", "bool"))
LINE = Word("a segment", parse=parse_line)
SEGMENT = Word("a segment", parse=parse_segment)
PORT = Number("a port", 1, 65535)
COUNTER = named("a counter's name", r"[A-Za-z][A-Za-z0-9]{1,63}", "a counter of nstat has letters and digits, like TcpExtListenOverflows")
FILE_NAME = named(
    "a plain file name",
    r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,100}",
    "a file has a plain name of letters, digits, '.', '_', '+' and '-', without a folder",
)
TOPOLOGY = named(
    "a topology",
    r"[A-Za-z0-9_./~-]{1,255}",
    "a topology is called by its name, like two-hosts, or by the path of a file that ends in .yaml",
)

_SIGNALS = ("INT", "TERM", "KILL", "HUP", "QUIT", "STOP", "CONT", "TSTP", "USR1", "USR2", "PIPE", "ALRM", "CHLD", "WINCH")
SIGNAL = Choice("a signal", {spelling + name: name for name in _SIGNALS for spelling in ("", "SIG")}, shown=_SIGNALS)
TOOL = Choice("a tool", {name: name for name in ("ss", "lsof", "netstat", "iptables", "nstat")})
ON_OFF = Choice("the switch of an offload", {"on": True, "off": False})
OFFLOADS = ("tso", "gso", "gro", "tx", "rx", "sg")
TIMER = Choice("a timer", {name: name for name in ("on", "keepalive", "timewait", "persist", "none", "off")})
FEATURE = Choice("a feature", {name: name for name in FEATURES})
PROTOCOL = Choice("a protocol", {"tcp": "tcp", "udp": "udp"})
FAMILY = Choice("a family", {"ipv4": "ipv4", "ipv6": "ipv6"})
WITNESS = Choice("a witness", {"trace": "trace"})
ON_FAILURE = Choice("what to do on a failure", {"stop": "stop", "continue": "continue"})
