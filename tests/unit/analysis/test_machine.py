"""The state machine against the standard's own drawing, written here a second time, by hand."""

import itertools

import pytest

from orchestrator.analysis.histories.machine import ALLOWED, LAW, Event, follow, violations
from orchestrator.model.tcp import State

FIGURE_5 = """
CLOSED       | passive open                | LISTEN
CLOSED       | active open                 | SYN_SENT
LISTEN       | active open                 | SYN_SENT
LISTEN       | SYN received                | SYN_RECEIVED
LISTEN       | close                       | CLOSED
SYN_SENT     | SYN received                | SYN_RECEIVED
SYN_SENT     | SYN,ACK received            | ESTABLISHED
SYN_SENT     | close                       | CLOSED
SYN_SENT     | RST received                | CLOSED
SYN_SENT     | abort                       | CLOSED
SYN_RECEIVED | ACK of SYN received         | ESTABLISHED
SYN_RECEIVED | SYN,ACK received            | ESTABLISHED
SYN_RECEIVED | close                       | FIN_WAIT_1
SYN_RECEIVED | RST received                | CLOSED
SYN_RECEIVED | abort                       | CLOSED
ESTABLISHED  | close                       | FIN_WAIT_1
ESTABLISHED  | FIN received                | CLOSE_WAIT
ESTABLISHED  | RST received                | CLOSED
ESTABLISHED  | abort                       | CLOSED
FIN_WAIT_1   | ACK of FIN received         | FIN_WAIT_2
FIN_WAIT_1   | FIN received                | CLOSING
FIN_WAIT_1   | FIN and ACK of FIN received | TIME_WAIT
FIN_WAIT_1   | RST received                | CLOSED
FIN_WAIT_1   | abort                       | CLOSED
FIN_WAIT_2   | FIN received                | TIME_WAIT
FIN_WAIT_2   | RST received                | CLOSED
FIN_WAIT_2   | abort                       | CLOSED
CLOSE_WAIT   | close                       | LAST_ACK
CLOSE_WAIT   | RST received                | CLOSED
CLOSE_WAIT   | abort                       | CLOSED
CLOSING      | ACK of FIN received         | TIME_WAIT
CLOSING      | RST received                | CLOSED
CLOSING      | abort                       | CLOSED
LAST_ACK     | ACK of FIN received         | CLOSED
LAST_ACK     | RST received                | CLOSED
LAST_ACK     | abort                       | CLOSED
TIME_WAIT    | time-out of 2 MSL           | CLOSED
TIME_WAIT    | RST received                | CLOSED
TIME_WAIT    | abort                       | CLOSED
"""
ROWS = {
    (State(before), Event(event)): State(after)
    for before, event, after in ([cell.strip() for cell in line.split("|")] for line in FIGURE_5.strip().splitlines())
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_state_and_every_event(state, event):
    assert follow(state, event) == ROWS.get((state, event))


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        LAW[State.CLOSED, Event.CLOSE] = State.LISTEN


def test_a_reset_after_a_passive_open_leads_back_to_listen():
    assert follow(State.SYN_RECEIVED, Event.RCV_RST, passive=True) is State.LISTEN
    assert follow(State.ESTABLISHED, Event.RCV_RST, passive=True) is State.CLOSED


def test_violations_are_what_no_event_allows():
    good = (State.CLOSED, State.SYN_SENT, State.ESTABLISHED, State.FIN_WAIT_1, State.TIME_WAIT, State.CLOSED)
    assert violations(good) == ()
    assert violations((State.LISTEN, State.ESTABLISHED, State.LAST_ACK)) == (
        (State.LISTEN, State.ESTABLISHED),
        (State.ESTABLISHED, State.LAST_ACK),
    )
    assert (State.SYN_RECEIVED, State.LISTEN) in ALLOWED
