"""What a doctor found on one machine of an inventory, before any lab is run there."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.model.words.values import Record


class Level(StrEnum):
    """How a finding bears on labs."""

    GOOD = "good"
    POOR = "poor"
    """Some labs will be skipped or tell less."""
    BAD = "bad"
    """No lab can run here."""


class Finding(Record, frozen=True, kw_only=True):
    """One thing that was looked at: ``subject`` (``python``, ``rights``, ``tools``, ...), what was seen, and what to do about it."""

    subject: str
    level: Level
    told: str
    advice: str = ""


class Checkup(Record, frozen=True, kw_only=True):
    """All that was found on one machine; ``packages`` are those to install there."""

    machine: str
    findings: tuple[Finding, ...]
    packages: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of its findings."""
        order = tuple(Level)
        return max((finding.level for finding in self.findings), key=order.index, default=Level.GOOD)
