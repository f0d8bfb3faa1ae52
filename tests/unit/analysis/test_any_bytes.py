"""Whatever the bytes are, evidence comes out: nothing crashes, nothing hangs, and damage is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

GOLDEN = sorted((Path(__file__).resolve().parents[2] / "golden" / "captures").glob("*.pcap"))
SEED = 9293


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One of: random bytes, a cut, some bytes changed, some taken out, some put in."""
    kind = dice.randrange(5)
    if kind == 0:
        return dice.choice((b"", data[:24])) + dice.randbytes(dice.randrange(200))
    if kind == 1:
        return data[: dice.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 20)):
        at = dice.randrange(len(changed))
        if kind == 2:
            changed[at] = dice.randrange(256)
        elif kind == 3:
            del changed[at : at + dice.randrange(1, 5)]
        else:
            changed[at:at] = dice.randbytes(dice.randrange(1, 5))
        if not changed:
            break
    return bytes(changed)


def survive(run, rounds: int) -> int:
    dice = random.Random(SEED)
    originals = [path.read_bytes() for path in GOLDEN]
    problems = 0
    for _ in range(rounds):
        captures = {host: mutated(dice.choice(originals), dice) for host in ("romeo", "juliet", "router")}
        evidence = run.evidence(captures)
        assert {one.host for one in evidence.captures} == set(captures)
        assert all(one.at_ns >= 0 and one.length >= 0 and one.text for one in evidence.segments)
        assert sum(1 for one in evidence.passages for index in (one.sent, one.received) if index is not None) <= len(evidence.segments)
        problems += sum(1 for one in evidence.captures if one.problem)
    return problems


def test_mutated_captures(run):
    assert survive(run, 500) > 100  # the mutations do hurt


@pytest.mark.demand
def test_ten_thousand_mutated_captures(run):
    assert survive(run, 10_000) > 2_000
