"""What the tests of loading share: the checkout, a topology, and a scenario around some steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.loading import load_topology, read_scenario

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def two_hosts():
    return load_topology(ROOT / "topologies" / "two-hosts.yaml")


@pytest.fixture
def read(two_hosts):
    """Read a scenario named ``x`` made of ``body``; gives its variants."""

    def reader(body, topology=two_hosts):
        return read_scenario(f"scenario: x\ntitle: X\ntopology: two-hosts\n{body}", "x.yaml", topology)

    return reader


@pytest.fixture
def steps(read):
    """Read some steps; gives the records of the only variant's steps."""
    return lambda text, **more: read(f"steps:\n{text}", **more)[0].steps


@pytest.fixture
def expected(read):
    """Read the expectations of the end, after romeo has made ``sock``; gives the expectations."""

    def reader(text):
        scenario = read(f"steps:\n  - host: romeo\n    call: sock = socket.socket()\nexpect:\n{text}")[0]
        return [guarded.expectation for guarded in scenario.expect]

    return reader


@pytest.fixture
def seen(steps):
    """Read the expectations of a step, after romeo has made ``sock``; gives the expectations."""

    def reader(text):
        made = steps(f"  - host: romeo\n    call: sock = socket.socket()\n    expect:\n{text}")
        return [guarded.expectation for guarded in made[0].expect]

    return reader
