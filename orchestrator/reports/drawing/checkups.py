"""Checkups of machines -> a table for a person. No judgement."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from msgspec.structs import replace

from orchestrator.model.inventory import Checkup, Finding, Level
from orchestrator.reports.drawing.ink import WIDEST, Ink, Style, broken

_SIGNS = {Level.GOOD: ("✓", Style.GREEN), Level.POOR: ("!", Style.YELLOW), Level.BAD: ("✗", Style.RED)}


def render_checkups(checkups: Sequence[Checkup], colour: bool, width: int) -> str:  # noqa: FBT001  as render
    """A block for each machine, and what to install where."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    blocks = ["\n".join(_block(ink, checkup)) for checkup in _together(checkups)]
    return "\n\n".join([*blocks, _tally(ink, checkups)])


def _together(checkups: Sequence[Checkup]) -> list[Checkup]:
    """Machines that are cut off by the same, such as a bastion that nobody knows, as one."""
    alike: dict[object, list[Checkup]] = {}
    for checkup in checkups:
        alike.setdefault(checkup.findings if len(checkup.findings) == 1 else checkup.machine, []).append(checkup)
    return [replace(same[0], machine=", ".join(checkup.machine for checkup in same)) for same in alike.values()]


def _block(ink: Ink, checkup: Checkup) -> list[str]:
    sign, style = _SIGNS[checkup.level]
    names = broken(checkup.machine, max(ink.width - 3, 20))
    rows = [ink.line((f"{' ' if index else sign}  ", style), (name, Style.BOLD)) for index, name in enumerate(names)]
    wide = max(len(finding.subject) for finding in checkup.findings)
    for finding in checkup.findings:
        rows += _finding(ink, finding, wide)
    return rows


def _finding(ink: Ink, finding: Finding, wide: int) -> list[str]:
    sign, style = _SIGNS[finding.level]
    begin = f"   {sign}  {finding.subject:<{wide}}  "
    room = max(20, ink.width - len(begin))
    told = [(line, Style.PLAIN) for line in wrap(finding.told, room)] + [(line, Style.DIM) for line in wrap(finding.advice, room)]
    return [ink.line((begin if not index else " " * len(begin), style), line) for index, line in enumerate(told)]


def _tally(ink: Ink, checkups: Sequence[Checkup]) -> str:
    ready = sum(checkup.level is not Level.BAD for checkup in checkups)
    return ink.line((f"{ready} of {len(checkups)} machine{'s' * (len(checkups) != 1)} can run labs", Style.BOLD))
