"""Host keys that machines show -> lines for a person who compares them: whose, and the fingerprint whole below it. No judgement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.reports.drawing.ink import WIDEST, Ink, Style

if TYPE_CHECKING:
    from orchestrator.connectors.ssh.hostkeys.trusting import Shown

_STATES = {"new": Style.YELLOW, "changed": Style.RED}
_STATE = 9


def render_keys(keys: Sequence[Shown], colour: bool, width: int) -> str:  # noqa: FBT001  as render
    """Two lines for each, or more where they are narrow; nothing is cut."""
    ink = Ink(colour=colour, width=min(width, WIDEST))
    return "\n".join(row for key in keys for row in _rows(ink, key))


def _rows(ink: Ink, key: Shown) -> list[str]:
    whose = f"{key.who}  {key.label}  {key.place}" + (f"  {key.stands}" if key.stands else "")
    first = ink.wrapped(f"{key.state:<{_STATE}}", whose, _STATES.get(key.state, Style.PLAIN))
    return [*first, *ink.wrapped(" " * _STATE, key.fingerprint)]
