"""What is wrong with an input, gathered while the reading goes on, and the word that was probably meant.

Knows nothing of YAML. The surprising fact: ``difflib`` is imported only when there is a problem, because a good file should not pay for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import InputProblems, Problem
from orchestrator.model.words.values import Where

MOST_PROBLEMS = 200
_MOST_NAMES = 500


class Refused(Exception):
    """A value could not be read. What is wrong with it was already said; whoever asked for the value goes on without it."""


class Enough(Exception):
    """So much is wrong with an input that reading on would help nobody."""


class Complaints:
    """The problems of one input (and of the topology that it names), up to a bound."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, where: Where, text: str) -> None:
        """Note that ``text`` is the matter at ``where``.

        :raises Enough: that was one too many.
        """
        if len(self._problems) == MOST_PROBLEMS:
            text = f"and more: only the first {MOST_PROBLEMS} problems found are told"
        self._problems.append(Problem(where.path, where.line, where.column, text))
        if len(self._problems) > MOST_PROBLEMS:
            raise Enough

    def settle(self) -> None:
        """Return if there is nothing to complain about.

        :raises InputProblems: every problem, in the order of lines.
        """
        if self._problems:
            raise InputProblems(self._problems)


def suggestion(word: str, known: Iterable[str]) -> str:
    """``, did you mean 'address'?`` or nothing; to stand at the end of a sentence."""
    near = nearest(word, known)
    return f", did you mean '{near}'?" if near else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.65) -> str:
    """The one of ``known`` that ``word`` probably means; empty where none is near (``cutoff`` of 1 would be the word itself)."""
    import difflib

    names = sorted(known)[:_MOST_NAMES]
    by_folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else ""


def listed(words: Iterable[str], last: str = "or") -> str:
    """``'a', 'b' or 'c'``, for sentences."""
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
