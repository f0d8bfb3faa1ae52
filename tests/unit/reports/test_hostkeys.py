"""Host keys as a person compares them."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from orchestrator.reports.telling.hostkeys import render_keys


class Key(NamedTuple):
    who: str
    state: str
    stands: str = ""
    place: str = "ubuntu@198.18.63.10"
    label: str = "ED25519"
    fingerprint: str = "SHA256:FERiGwfnPwpgM2YoJKLZxv5bFMjIciqIxWY0TbfTNAg"


KEYS = (Key("bastion gate.example.org", "known", "/home/me/.ssh/known_hosts:7"), Key("romeo", "new"))


def test_two_lines_for_each():
    assert render_keys(KEYS, colour=False, width=100).splitlines() == [
        "known    bastion gate.example.org  ED25519  ubuntu@198.18.63.10  /home/me/.ssh/known_hosts:7",
        f"         {KEYS[0].fingerprint}",
        "new      romeo  ED25519  ubuntu@198.18.63.10",
        f"         {KEYS[1].fingerprint}",
    ]


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_terminals_break_no_fingerprint(width):
    rows = render_keys(KEYS, colour=False, width=width).splitlines()
    assert all(len(row) <= width for row in rows)
    assert [row.strip() for row in rows if "SHA256" in row] == [key.fingerprint for key in KEYS]
    assert "/home/me/.ssh/known_hosts:7" in " ".join(rows)


def test_what_needs_an_eye_is_coloured():
    assert "\x1b[33m" in render_keys(KEYS, colour=True, width=80)
    assert "\x1b[33m" not in render_keys(KEYS[:1], colour=True, width=80)
