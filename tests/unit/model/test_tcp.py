"""States and flags as the RFC, the kernel and the tools spell them."""

import pytest

from orchestrator.model.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, State, flags_bits, flags_text, state_named


def test_the_bits_of_the_header():
    """RFC 9293 section 3.1, from the right."""
    assert (FIN, SYN, RST, PSH, ACK, URG, ECE, CWR) == (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80)


def test_the_eleven_states():
    rfc = "CLOSED LISTEN SYN-SENT SYN-RECEIVED ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 CLOSE-WAIT CLOSING LAST-ACK TIME-WAIT"
    assert [state.value for state in State] == rfc.replace("-", "_").split()
    assert [state_named(name) for name in rfc.split()] == list(State)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("CLOSE", State.CLOSED),
        ("UNCONN", State.CLOSED),
        ("SYN-RECV", State.SYN_RECEIVED),
        ("SYN_RECV", State.SYN_RECEIVED),
        ("NEW_SYN_RECV", State.SYN_RECEIVED),
        ("ESTAB", State.ESTABLISHED),
        ("FIN-WAIT-1", State.FIN_WAIT_1),
        ("FIN_WAIT1", State.FIN_WAIT_1),
        ("FIN_WAIT2", State.FIN_WAIT_2),
        ("  time wait ", State.TIME_WAIT),
        ("last_ack", State.LAST_ACK),
    ],
)
def test_the_names_that_others_give(text, state):
    assert state_named(text) is state


@pytest.mark.parametrize("text", ["", "OPEN", "CLOSED2", "FIN"])
def test_nobody_calls_a_state_that(text):
    with pytest.raises(ValueError, match="is not a valid State"):
        state_named(text)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0, "none"),
        (SYN, "S"),
        (SYN | ACK, "S."),
        (FIN | PSH | ACK, "FP."),
        (RST | ACK, "R."),
        (ACK, "."),
        (URG | ACK, ".U"),
        (SYN | ECE | CWR, "SEW"),
        (0xFF, "FSRP.UEW"),
    ],
)
def test_flags_as_tcpdump_prints_them(bits, text):
    assert flags_text(bits) == text
    assert flags_bits(text) == bits


def test_flags_in_any_order_and_twice():
    assert flags_bits(".S") == SYN | ACK
    assert flags_bits("SS") == SYN


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "no flag at all is written 'none'"), ("SX", "no TCP flag is printed as 'X'"), ("s", "no TCP flag is printed as 's'")],
)
def test_letters_that_are_no_flags(text, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        flags_bits(text)
