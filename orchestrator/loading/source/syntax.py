"""A YAML parser's complaint -> where the trouble is, and a sentence that says what usually helps.

Knows both parsers of PyYAML, which differ in their words. The surprising fact: one complaint of theirs has several causes, and only the
line that it points to tells a wrong indentation from a wrong quote.
"""

from __future__ import annotations

import re
from typing import Any

_PLAIN = (
    (
        ("tab character", "'\\t'", "cannot start any token"),
        "a tab, '%', '@' or '`' cannot begin a value: indent with spaces, put such text in quotes",
    ),
    (("sequence entries are not allowed",), "'- ' is not allowed here: begin the list in a line of its own, or put the text in quotes"),
    (("node content",), "a value is missing before this"),
    (
        ("comment or line break", "comment or a line break", "chomping or indentation"),
        "behind '|' or '>' nothing stands: the text begins in the next line",
    ),
)
_OUT_OF_PLACE = ("'-' indicator", "did not find expected key", "<block end>")


def explained(error: Any, text: str) -> tuple[Any, str]:
    """The mark of the trouble in ``text`` (``None`` where nobody knows) and what is wrong, for a ``yaml.MarkedYAMLError``."""
    words = error.problem or error.context or "it cannot be read"
    begun = _of_what_began(words, error.context or "") if error.context_mark else ""
    if begun:
        return error.context_mark, begun
    mark = error.problem_mark or error.context_mark
    return mark, _of_what_came(words, _before(mark, text), error.context_mark)


def _of_what_began(words: str, context: str) -> str:
    """What is wrong with the thing whose reading had begun; nothing if the trouble lies elsewhere."""
    if "quoted scalar" in context and "end of" in words:
        return "the quotes that open here are not closed"
    if "unknown escape" in words:
        return "a backslash in \"...\" begins an escape, and this one is none: put regular expressions in '...'"
    return "this line lacks a ':', or stands in the wrong column" if "expected ':'" in words else ""


def _of_what_came(words: str, before: str, begin: Any) -> str:
    """What is wrong with that which came instead; ``before`` stands in front of it, ``begin`` is the mark of what it broke."""
    if begin and "expected ',' or " in words:
        return f"a ',' is missing before this, or the bracket that opens in line {begin.line + 1} is not closed"
    if any(part in words for part in _OUT_OF_PLACE):
        return _out_of_place(before)
    if "mapping values are not allowed" in words:
        return _no_key(before)
    return next((sentence for parts, sentence in _PLAIN if any(part in words for part in parts)), f"this is not YAML: {words}")


def _before(mark: Any, text: str) -> str:
    """What stands in the line before ``mark``."""
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text)
    return lines[mark.line][: mark.column] if mark and mark.line < len(lines) else ""


def _out_of_place(before: str) -> str:
    if before.strip():
        return "nothing can stand behind a value in quotes: a ' inside '...' is written '', or use \"...\""
    return "the indentation does not fit: all keys of one mapping, and all items of one list, begin in the same column"


def _no_key(before: str) -> str:
    if re.fullmatch(r"\s*[\w.-]+", before):
        return "the indentation does not fit: this line is indented too far, or the line before it lacks a ':'"
    return "': ' is not allowed here: put text that holds it in quotes"
