"""Who is told how the steps of a run go. Told, never asked: what a watcher does changes nothing."""

from __future__ import annotations

from typing import Protocol

from orchestrator.model.plan import PlannedStep
from orchestrator.model.record import StepRecord


class Watcher(Protocol):
    """Who is told how the run goes."""

    def step_begins(self, step: PlannedStep) -> None:
        """A step fires."""

    def step_waits(self, step: PlannedStep, text: str, begins_in_s: float = 0) -> None:
        """What a step still waits for; one that has not begun does so after ``begins_in_s``."""

    def step_ends(self, step: PlannedStep, record: StepRecord) -> None:
        """A step is over."""
