"""Lines against segments, in order: whether they are exactly these, and where they part if not.

Knows of a line only whether it fits, may be missing, or is a gap. The surprising fact: nothing is tried twice. All places in the
list where the matching may stand are carried along together, so that many gaps cost no more than one.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from orchestrator.checks.captured.lines import Line
from orchestrator.model.evidence import Segment


class Parting(Struct, frozen=True, kw_only=True):
    """Where the lines and the segments part.

    ``segment`` is the index of the first segment that nothing was left for, ``None`` where the segments ended too early. ``lines`` are the
    indexes of the lines that could have come there, none where nothing more was expected.
    """

    segment: int | None
    lines: tuple[int, ...]


def parting(lines: Sequence[Line | None], segments: Sequence[Segment]) -> Parting | None:
    """Where ``segments`` first fail to be what ``lines`` say (``None`` in them is a gap); ``None`` where they are exactly that."""
    places = _reached(lines, {0})
    furthest = places
    for index, segment in enumerate(segments):
        following: set[int] = set()
        for place in places:
            line = lines[place] if place < len(lines) else None
            if line is not None and line.fits(segment):
                following.add(place + 1)
            elif line is None and place < len(lines):
                following.add(place)
        places = _reached(lines, following)
        if not places:
            return Parting(segment=index, lines=_expected(lines, furthest))
        furthest = places
    return None if len(lines) in places else Parting(segment=None, lines=_expected(lines, furthest))


def _reached(lines: Sequence[Line | None], places: set[int]) -> set[int]:
    """Add every place that needs no further segment: past a gap, past a line that may be missing."""
    reached = set(places)
    for place in places:
        at = place
        while at < len(lines) and _may_be_missing(lines[at]):
            at += 1
            reached.add(at)
    return reached


def _may_be_missing(line: Line | None) -> bool:
    return line is None or line.pattern.optional


def _expected(lines: Sequence[Line | None], places: set[int]) -> tuple[int, ...]:
    return tuple(sorted(place for place in places if place < len(lines) and lines[place] is not None))
