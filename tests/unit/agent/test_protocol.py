"""Values on the wire: what goes out comes back, and what is no value is refused as such."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent.protocol import CALLS, CONSTANTS, decode_value, encode_value

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.binary()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.lists(inner).map(tuple), max_leaves=20)


@given(VALUES)
def test_what_goes_out_comes_back(value):
    assert decode_value(json.loads(json.dumps(encode_value(value)))) == value


@pytest.mark.parametrize("value", [{}, {1, 2}, object(), b"x".join, 1j])
def test_what_no_scenario_holds_does_not_travel(value):
    with pytest.raises(ValueError, match="cannot travel"):
        encode_value(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"bytes": 5},
        {"bytes": "a"},
        {"tuple": "ab"},
        {"tuple": 5},
        {"constant": "os.system"},
        {"constant": ["AF_INET"]},
        {"or": 5},
        {"or": [1, "2"]},
        {"or": [{"bytes": "YQ=="}]},
        {"constant": "AF_INET", "or": []},
        {"unknown": 1},
    ],
)
def test_what_is_not_in_the_wires_form_is_a_value_error(value):
    with pytest.raises(ValueError, match=r"not a value of the wire|base64"):
        decode_value(value)


def test_constants_are_joined_bit_by_bit():
    assert decode_value({"or": [{"constant": "SOCK_STREAM"}, {"constant": "SOCK_NONBLOCK"}]}) == socket.SOCK_STREAM | socket.SOCK_NONBLOCK


def test_a_constant_may_be_shown_in_another_way():
    assert decode_value([{"constant": "AF_INET"}], "socket.{}".format) == ["socket.AF_INET"]


def test_the_numbers_are_this_kernels():
    # MSG_EOR and the like are everywhere the same; what this Python does not name cannot be compared.
    named = {name: int(getattr(socket, name)) for name in CONSTANTS if hasattr(socket, name) and name != "SOMAXCONN"}
    assert len(named) > 60
    assert {name: CONSTANTS[name] for name in named} == {name: number & 0xFFFFFFFF for name, number in named.items()}


def test_every_call_is_one_that_a_socket_has():
    assert [name for name, rule in CALLS.items() if rule.of == "socket" and not hasattr(socket.socket, name)] == []
    assert [name for name, rule in CALLS.items() if not 0 <= rule.least <= rule.most] == []
