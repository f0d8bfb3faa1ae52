"""What was judged, and the report that carries it. Four values; a check that crashes is never a pass."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.model.words.values import Record, Where


class Value(StrEnum):
    """The lattice of verdicts, from best to worst."""

    PASSED = "passed"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    ERROR = "error"


EXIT_CODES = {Value.PASSED: 0, Value.SKIPPED: 2, Value.INCONCLUSIVE: 2, Value.FAILED: 1, Value.ERROR: 3}
"""What the process says when this is the worst verdict of a run."""

_BADNESS = {Value.PASSED: 0, Value.SKIPPED: 1, Value.INCONCLUSIVE: 2, Value.FAILED: 3, Value.ERROR: 4}


def worst(values: tuple[Value, ...]) -> Value:
    """The worst of ``values``; a skip beside a pass is a pass, none at all is inconclusive."""
    if not values:
        return Value.INCONCLUSIVE
    bad = max(values, key=_BADNESS.__getitem__)
    return Value.PASSED if bad is Value.SKIPPED and Value.PASSED in values else bad


class Verdict(Record, frozen=True, kw_only=True):
    """One expectation, judged. ``witness`` is ``application``, ``kernel``, ``wire`` or ``inferred`` (``harness`` for errors of ours).

    ``saw`` is what was seen instead, ``excerpt`` the lines of evidence beside it. ``reached`` is false where the run ended before the
    moment that this asks for, so that there was nothing to see.
    """

    value: Value
    text: str
    where: Where | None = None
    step: int | None = None
    witness: str = "harness"
    reason: str = ""
    saw: str = ""
    excerpt: tuple[str, ...] = ()
    reached: bool = True


class Verdicts(Record, frozen=True, kw_only=True):
    """All verdicts of a run."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def value(self) -> Value:
        """The worst of them."""
        return worst(tuple(verdict.value for verdict in self.verdicts))


class LadderLine(Record, frozen=True, kw_only=True):
    """One line of the ladder: a segment between two hosts, with the states they were in when it was seen, empty where unknown.

    ``more`` above 0 makes it a line that stands for so many left out.
    """

    at_ns: int
    left: str
    right: str
    rightward: bool
    text: str
    lost: bool = False
    left_state: str = ""
    right_state: str = ""
    more: int = 0


class StepLine(Record, frozen=True, kw_only=True):
    """One step as a report tells it. ``hosts`` and ``typed`` run in parallel: who typed which line.

    ``stopped_at`` is the index of the line that raised, was refused or never ended; -1 where all went on.
    """

    number: int
    name: str
    status: str
    took_ns: int
    hosts: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()
    stopped_at: int = -1


class Report(Record, frozen=True, kw_only=True):
    """What a person or a machine is told at the end.

    ``directory`` is the run's; ``captures`` are the plain names of the files in it; ``fingerprint`` the environment in a line. ``notes``
    are sentences on what was not as it should be, and is no verdict on anything.
    """

    run_id: str
    label: str
    title: str
    value: Value
    status: str
    reason: str = ""
    directory: str = ""
    start_ns: int
    took_ns: int
    fingerprint: str = ""
    captures: tuple[str, ...] = ()
    steps: tuple[StepLine, ...] = ()
    ladder: tuple[LadderLine, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
