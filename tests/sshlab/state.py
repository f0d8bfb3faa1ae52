"""What a run must put back on a machine -> one normalised record, so that before == after can be asserted, with a readable difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sshlab.machines import Machine


@dataclass(frozen=True)
class State:
    lines: tuple[str, ...]

    def difference(self, later: State) -> str:
        return ""


def collect(machine: Machine) -> State:
    return State(())
