"""What every notation raises: what is wrong with a text, and where in it."""

from __future__ import annotations


class Misread(ValueError):
    """A text is not in its notation. ``offset`` counts the characters before the trouble."""

    def __init__(self, text: str, offset: int = 0) -> None:
        self.offset = offset
        super().__init__(text)
