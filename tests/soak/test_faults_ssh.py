"""Faults at random moments on SSH labs, hundreds of them: the figures of docs/reliability.md.

``FAULTS=100`` of each kind, ``FAULTS_AT_ONCE=6`` labs at a time, ``FAULTS_KINDS=all`` or names with commas (the six of the promise),
``FAULTS_SEED=0`` the first seed.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.integration.faulting import KINDS, SIX, table, trials
from tests.sshlab.lab import why_not

pytestmark = [pytest.mark.namespaces, pytest.mark.demand]


def test_faults_at_random_moments(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    asked = os.environ.get("FAULTS_KINDS", "")
    kinds = tuple(KINDS) if asked == "all" else tuple(asked.split(",")) if asked else SIX
    first, times = int(os.environ.get("FAULTS_SEED", "0")), int(os.environ.get("FAULTS", "100"))
    wanted = [(name, seed) for seed in range(first, first + times) for name in kinds]
    began = time.monotonic()
    outcomes = trials(wanted, tmp_path / "trials", int(os.environ.get("FAULTS_AT_ONCE", "6")))
    print(f"\n{len(outcomes)} trials in {(time.monotonic() - began) / 60:.0f} minutes\n\n{table(outcomes)}")
    assert [str(outcome) for outcome in outcomes if outcome.troubles] == []
