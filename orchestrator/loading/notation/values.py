"""Times, rates, shares, comparisons and command words: text -> integers and records.

Each pattern here is used twice, by the function below it and by the JSON Schema. Bare numbers are never a time: ``5`` could be seconds or
milliseconds, so a unit is wanted.
"""

from __future__ import annotations

import re
import shlex

from orchestrator.loading.notation.misread import Misread
from orchestrator.model.words.values import Comparison

_UNITS_NS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000, "h": 3_600_000_000_000}
_UNITS_BITS = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_DAY_NS = 24 * _UNITS_NS["h"]

DURATION = r"([0-9]{1,12})(?:\.([0-9]{1,9}))? ?(us|ms|s|min|h)"
RATE = r"([0-9]{1,12})(?:\.([0-9]{1,9}))? ?(bit|kbit|mbit|gbit)"
SHARE = r"([0-9]{1,3})(?:\.([0-9]{1,3}))? ?%"
COMPARISON = r"(?:(==|!=|<=|>=|<|>)? ?([0-9]{1,18})|([0-9]{1,18}) ?\.\. ?([0-9]{1,18}))"
KERNEL = r"(?:==|!=|<=|>=|<|>) ?[0-9]{1,5}(?:\.[0-9]{1,5}){0,3}"
TIMED = rf"(?P<delay>{DURATION})|(?P<name>\S(?:.*?\S)?)(?: ?\+ ?(?P<more>{DURATION}))?"

NO_TIME = "a time has a number and a unit, like 250ms, 1.5s or 2min, not '{}'"
_OF_A_SHELL = ("|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1", "&>")


def duration_ns(text: str) -> int:
    """``250ms``, ``1.5s``, ``2min`` as nanoseconds, a day at most.

    :raises Misread: it is no time.
    """
    found = re.fullmatch(DURATION, text)
    if not found:
        raise Misread(NO_TIME.format(text))
    nanoseconds = _scaled(found[1], found[2], _UNITS_NS[found[3]])
    if nanoseconds > _DAY_NS:
        raise Misread(f"'{text}' is longer than a day")
    return nanoseconds


def rate_bits(text: str) -> int:
    """``10mbit`` as bits per second.

    :raises Misread: it is no rate, or nothing at all would pass.
    """
    found = re.fullmatch(RATE, text)
    bits = _scaled(found[1], found[2], _UNITS_BITS[found[3]]) if found else 0
    if not 1 <= bits <= 10**12:
        raise Misread(f"a rate is like 10mbit or 512kbit, between 1bit and 1000gbit, not '{text}'")
    return bits


def loss_millis(text: str) -> int:
    """``1.5%`` as thousandths of a percent.

    :raises Misread: it is no share, or more than all.
    """
    found = re.fullmatch(SHARE, text)
    millis = _scaled(found[1], found[2], 1000) if found else -1
    if not 0 <= millis <= 100_000:
        raise Misread(f"a loss is between 0% and 100%, like 1.5%, not '{text}'")
    return millis


def _scaled(whole: str, fraction: str | None, unit: int) -> int:
    """``whole.fraction`` times ``unit``, without the roundings of floating point."""
    digits = fraction or ""
    scale: int = 10 ** len(digits)
    return int(whole + digits) * unit // scale


def comparison(text: str) -> Comparison:
    """``20``, ``>= 3``, ``1..4``.

    :raises Misread: it is no comparison, or holds for no number.
    """
    found = re.fullmatch(COMPARISON, text)
    if not found:
        raise Misread(f"a number is held against '20', '>= 3', '< 5', '!= 0' or '1..4', not '{text}'")
    operator, number, low, high = found.groups()
    if number is not None:
        return Comparison(operator=operator or "==", low=int(number))
    if int(low) > int(high):
        raise Misread(f"'{text}' holds for no number: the smaller one comes first")
    return Comparison(operator="..", low=int(low), high=int(high))


def kernel_version(text: str) -> str:
    """``>= 6.5`` with exactly one blank.

    :raises Misread: it is no comparison of kernel versions.
    """
    if not re.fullmatch(KERNEL, text):
        raise Misread(f"a kernel is asked for like '>= 6.5', not '{text}'")
    operator = text.rstrip("0123456789. ")
    return f"{operator} {text[len(operator) :].strip()}"


def split_words(text: str) -> tuple[str, ...]:
    """A program and its arguments, divided as a shell would divide them, but nothing else that a shell does.

    :raises Misread: an open quotation, or no word at all.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise Misread(f"the words of '{text}' cannot be divided: {str(error).lower()}") from None
    if not words or not words[0]:
        raise Misread("no program is named here")
    for word in _OF_A_SHELL:
        if word in words and word in text.split():  # with quotes it is meant as it stands
            raise Misread(f"'{word}' means something to a shell only: use 'shell', or put it in quotes")
    if any("\0" in word for word in words):
        raise Misread("an argument cannot hold a zero byte")
    return words


_NOT_INSERTIONS = {
    "-D": "to take a rule out again, name it with 'as' and use 'remove'",
    "--delete": "to take a rule out again, name it with 'as' and use 'remove'",
    **dict.fromkeys(
        ("-F", "-X", "-P", "-N", "-Z", "-E", "-R", "-L", "-S", "-C"),
        "only rules that can be taken out again are put in, with -A or -I",
    ),
    **dict.fromkeys(
        (
            "--flush",
            "--delete-chain",
            "--policy",
            "--new-chain",
            "--zero",
            "--rename-chain",
            "--replace",
            "--list",
            "--list-rules",
            "--check",
        ),
        "only rules that can be taken out again are put in, with -A or -I",
    ),
}


def rule_words(text: str) -> tuple[str, ...]:
    """The words of an iptables rule: one insertion, in any table.

    :raises Misread: it is not exactly one ``-A`` or ``-I``.
    """
    words = split_words(text)
    if words[0] in ("iptables", "ip6tables", "sudo"):
        raise Misread(f"leave out '{words[0]}': the tool of the address family is chosen for you")
    free = [word for before, word in zip(("", *words), words, strict=False) if before != "--comment"]
    for word in free:
        if word in _NOT_INSERTIONS:
            raise Misread(f"'{word}' cannot stand here: {_NOT_INSERTIONS[word]}")
    if sum(word in ("-A", "-I", "--append", "--insert") for word in free) != 1:
        raise Misread("a rule says once where it goes: '-A CHAIN ...' or '-I CHAIN ...'")
    return words


def regular_expression(text: str) -> str:
    """``text``, if it is a regular expression.

    :raises Misread: it is not.
    """
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise Misread(f"'{text}' is no regular expression: {error}") from None
    return text
