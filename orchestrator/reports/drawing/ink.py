"""Pieces of text and their colours to lines that fit a screen.

It does not know what the lines say. Surprising: text is always laid out with arrows and ticks; a stream that cannot show them gets the same
characters one for one in ASCII (:func:`fit`), so no alignment changes. Control characters, which a peer's payload may carry, never reach
the screen.
"""

from __future__ import annotations

import os
import shutil
from enum import StrEnum
from typing import TextIO, TypeAlias

from orchestrator.model.words.values import Record

WIDEST = 100
"""Beyond this many columns the end of a line is too far from its begin to be read with it."""


class Style(StrEnum):
    """ANSI's SGR parameters (ECMA-48 section 8.3.117)."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"
    BOLD_RED = "1;31"
    BOLD_GREEN = "1;32"
    BOLD_YELLOW = "1;33"


Span: TypeAlias = tuple[str, Style]

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_DIRECTIONS = {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_UNSAFE = {**_CONTROLS, **_DIRECTIONS, 0x0A: "\\n", 0x0D: "\\r"}

_ASCII = str.maketrans("─━│▶◀✓✗…·╳⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "--|><+x~.x|/-\\|/-\\|/")


class Ink(Record, frozen=True, kw_only=True):
    """How lines are drawn: in colours or not, at most ``width`` columns (0: never cut)."""

    colour: bool = False
    width: int = 80

    def line(self, *spans: Span) -> str:
        """One line of these spans, cut with an ellipsis where it is too long, without blanks at its end."""
        room = self.width
        used, painted = 0, []
        fits = not room or sum(len(clean(text)) for text, _ in spans) <= room
        for text, style in spans:
            piece = clean(text) if fits else clean(text)[: max(room - 1 - used, 0)]
            used += len(piece)
            painted.append((piece, style))
        return self._painted(painted if fits else [*painted, ("…", Style.DIM)])

    def _painted(self, spans: list[Span]) -> str:
        while spans and not spans[-1][0].strip():
            spans.pop()
        if spans:
            spans[-1] = (spans[-1][0].rstrip(), spans[-1][1])
        return "".join(f"\x1b[{style}m{text}\x1b[0m" if self.colour and style and text.strip() else text for text, style in spans)

    def wrapped(self, first: str, text: str, style: Style = Style.PLAIN) -> list[str]:
        """``text`` in whole words, the lines after the first set in as far as the label ``first``."""
        room = max(self.width - len(first), 20) if self.width else 0
        lines = [piece for line in text.splitlines() for piece in broken(line, room)] or [""]
        labels = [first, *[" " * len(first)] * (len(lines) - 1)]
        return [self.line((label, Style.DIM), (line, style)) for label, line in zip(labels, lines, strict=True)]


def clean(text: str) -> str:
    """``text`` without anything that would move the cursor or change the direction of writing."""
    return text.expandtabs(8).translate(_UNSAFE)


def broken(text: str, room: int) -> list[str]:
    """``text`` broken between words into pieces of at most ``room`` columns (0: in one piece)."""
    from textwrap import wrap  # only a report with something to explain needs it

    return (wrap(clean(text), room, break_on_hyphens=False) if room else [clean(text)]) or [""]


def cell(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns."""
    text = clean(text)
    return text.ljust(width) if len(text) <= width else text[: max(width - 1, 0)] + "…"


def duration(ns: int) -> str:
    """A time as a person says it: ``0.04 ms``, ``4.2 ms``, ``48 ms``, ``1.62 s``, ``2 min 05 s``."""
    ms = ns / 1e6
    if ms < 0.995:
        return f"{ms:.2f} ms" if ns else "0 ms"
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_995:
        return f"{ms / 1000:.2f} s"
    return f"{round(ms / 1000) // 60} min {round(ms / 1000) % 60:02d} s"


def wants_colour(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that shows colours to somebody who wants them (no-color.org)."""
    return is_screen(stream) and not os.environ.get("NO_COLOR")


def is_screen(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal on which the cursor can be moved."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def width_of(stream: TextIO) -> int:
    """How many columns a report may take on ``stream``: those of ``COLUMNS``, else of the terminal, else 80."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return shutil.get_terminal_size((80, 24)).columns if stream.isatty() else 80


def tell(text: str, stream: TextIO) -> None:
    """Write ``text`` as whole lines, now; on a terminal over what it put there by itself, which is the ``^C`` of a Ctrl-C."""
    over = "\r\x1b[K" if is_screen(stream) else ""
    stream.write(over + fit(text, stream) + "\n")
    stream.flush()


def fit(text: str, stream: TextIO) -> str:
    """``text`` in the characters that the encoding of ``stream`` has; one without an encoding keeps text as it is."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text
