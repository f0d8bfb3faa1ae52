"""Ladder lines to arrows between two hosts, with the states of both on either side.

It does not know where lines come from. Surprising: the text of a segment stands at its sender's end of the arrow, where it begins; and
where more than two hosts talk, each line carries the names instead of a heading.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.verdict import LadderLine
from orchestrator.model.words.values import Record
from orchestrator.reports.drawing.ink import Ink, Span, Style, cell, duration
from orchestrator.reports.telling.passages import left_out

_MARGIN, _TIME = 2, 10
_LEAST_ARROW, _NARROW_ARROW, _MOST_ARROW = 16, 28, 56
_HEAD, _TAIL = 9, 4


class _Columns(Record, frozen=True, kw_only=True):
    """How wide each column is; ``named``: the sides carry the names of their hosts."""

    named: bool
    time: int
    left: int
    right: int
    arrow: int


def ladder_rows(ink: Ink, ladder: Sequence[LadderLine], *, whole: bool = False) -> list[str]:
    """The ladder with its heading, nothing where nothing passed; unless ``whole``, at most fourteen lines."""
    if not ladder:
        return []
    lines = list(ladder) if whole else _shortened(ladder)
    pairs = {(line.left, line.right) for line in lines if not line.more}
    named = len(pairs) > 1
    columns = _columns(ink, lines, named=named)
    heading = [] if named else [_heading(ink, lines[0], columns)]
    last: dict[str, str] = {}
    return [*heading, *(_row(ink, line, lines[0].at_ns, columns, last) for line in lines)]


def _shortened(ladder: Sequence[LadderLine]) -> list[LadderLine]:
    if len(ladder) <= _HEAD + _TAIL + 1:
        return list(ladder)
    hidden = ladder[_HEAD:-_TAIL]
    count = sum(line.more or 1 for line in hidden)
    return [*ladder[:_HEAD], left_out(count, hidden[0].at_ns), *ladder[-_TAIL:]]


def _columns(ink: Ink, lines: Sequence[LadderLine], *, named: bool) -> _Columns:
    """The times give way first where the screen is narrow."""
    left = max(len(_side(line.left, line.left_state, named=named)) for line in lines)
    right = max(len(_side(line.right, line.right_state, named=named)) for line in lines)
    if not named:
        left, right = max(left, len(lines[0].left)), max(right, len(lines[0].right))
    room = ink.width - _MARGIN - left - right - 2
    time = _TIME if room - _TIME >= _NARROW_ARROW else 0
    return _Columns(named=named, time=time, left=left, right=right, arrow=max(min(room - time, _MOST_ARROW), _LEAST_ARROW))


def _side(host: str, state: str, *, named: bool) -> str:
    return f"{host} {state}".rstrip() if named else state


def _heading(ink: Ink, line: LadderLine, at: _Columns) -> str:
    return ink.line((" " * (_MARGIN + at.time), Style.PLAIN), (cell(line.left, at.left + at.arrow + 2) + line.right, Style.BOLD))


def _row(ink: Ink, line: LadderLine, since_ns: int, at: _Columns, last: dict[str, str]) -> str:
    if line.more:
        text = line.text.replace("...", "…").center(at.arrow)
        return ink.line((" " * (_MARGIN + at.time + at.left + 1), Style.PLAIN), (text, Style.DIM))
    left, right = (_side(host, state, named=at.named) for host, state in ((line.left, line.left_state), (line.right, line.right_state)))
    return ink.line(
        (" " * _MARGIN, Style.PLAIN),
        (f"{duration(line.at_ns - since_ns):>{at.time - 2}}  " if at.time else "", Style.DIM),
        (cell(left, at.left) + " ", _state_style(last, line.left, line.left_state)),
        *arrow_spans(line, at.arrow),
        (" " + cell(right, at.right), _state_style(last, line.right, line.right_state)),
    )


def _state_style(last: dict[str, str], host: str, state: str) -> Style:
    """A state that a host was in already is dimmed: what changes stands out."""
    known = last.get(host) == state
    last[host] = state
    return Style.DIM if known else Style.PLAIN


def arrow_spans(line: LadderLine, width: int) -> tuple[Span, ...]:
    """The arrow of exactly ``width`` columns; a lost segment ends in a cross short of its receiver."""
    text = f" {line.text} " if len(line.text) + 6 <= width else f" {cell(line.text, width - 6)} "
    shaft = _shaft(width - 2 - len(text), lost=line.lost)
    tone = Style.RED if line.lost else Style.DIM
    if line.rightward:
        return ("──", Style.DIM), (text, Style.PLAIN), (shaft, tone)
    return (shaft[::-1].replace("▶", "◀"), tone), (text, Style.PLAIN), ("──", Style.DIM)


def _shaft(length: int, *, lost: bool) -> str:
    if not lost:
        return "─" * (length - 1) + "▶"
    return ("─" * (length * 2 // 3) + "╳").ljust(length)
