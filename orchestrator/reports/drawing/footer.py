"""Runs side by side to one line below all others, which says what is still going on; only on a terminal.

It does not know how runs go. Surprising: the line is written without an end, so that whatever :func:`tell` writes next takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from orchestrator.reports.drawing.ink import Ink, Style, fit, is_screen, tell, wants_colour, width_of


class Footer:
    """Which of the runs called ``labels`` go on."""

    def __init__(self, stream: TextIO, labels: Sequence[str], *, wanted: bool) -> None:
        self._stream = stream
        self._all = len(labels)
        self._shown = wanted and len(labels) > 1 and is_screen(stream)
        self._going_on: list[str] = []

    def begins(self, label: str) -> None:
        """One more goes on."""
        self._going_on.append(label)
        self._draw()

    def ends(self, label: str) -> None:
        """One is over, whether it ever began or not."""
        if label in self._going_on:
            self._going_on.remove(label)

    def tell(self, row: str) -> None:
        """Write a line above."""
        tell(row, self._stream)
        self._draw()

    def clear(self) -> None:
        """Forget them all, and leave the line empty."""
        if self._shown and self._going_on:
            self._going_on.clear()
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self) -> None:
        if self._shown and self._going_on:
            text = f"{len(self._going_on)} of {self._all} going on: {', '.join(self._going_on)}"
            line = Ink(colour=wants_colour(self._stream), width=width_of(self._stream) - 1).line((text, Style.DIM))
            self._stream.write("\r\x1b[K" + fit(line, self._stream))
            self._stream.flush()
