"""JSON as the agent writes and reads it, without the module json; names of signals."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import lean

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_what_is_written_is_what_json_writes_and_reads(value):
    text = lean.encode(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert lean.decode(text.encode()) == value


@given(VALUES)
def test_white_space_counts_for_nothing(value):
    assert lean.decode(f"  {json.dumps(value, indent=1)}\r\n".encode()) == value


@pytest.mark.parametrize("line", [b"", b"{", b"{} x", b"[1,]", b'{"a":}', b"nope", b'"\\x"', b"\xff", b"'a'", b"{1: 2}"])
def test_what_is_no_json(line):
    with pytest.raises(ValueError):  # noqa: PT011  of any kind: the line is told by who reads it
        lean.decode(line)


def test_what_json_cannot_hold():
    with pytest.raises(TypeError, match="a bytes is no JSON"):
        lean.encode({"a": [b"x"]})
    assert math.isinf(lean.decode(lean.encode(math.inf).encode()))


def test_names_of_signals():
    assert lean.name_of_signal(signal.SIGKILL) == "SIGKILL"
    assert lean.name_of_signal(250) == "250"


@pytest.mark.impure("shows what an interpreter imports")
def test_what_it_spares():
    spared = ("json", "re", "enum", "socket", "signal", "ctypes")
    code = f"import sys; from orchestrator.agent import service, guardian; print(*set({spared}) & set(sys.modules))"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == []
