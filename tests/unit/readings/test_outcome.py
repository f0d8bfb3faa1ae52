"""Why the engine's gate lets an action through or stops at it, in the words that a person reads."""

import pytest

from orchestrator.agent.protocol import encode_value
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, CallRecord
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.words.actions import Call, Calls, Run, Start, Wait
from orchestrator.model.words.expectations import Outcome
from orchestrator.model.words.values import Where
from orchestrator.readings import outcome

REFUSED = {"exceptions": ("ConnectionRefusedError", "OSError"), "errno": "ECONNREFUSED", "message": "[Errno 111] Connection refused"}
REFUSED_TEXT = "ConnectionRefusedError (ECONNREFUSED: [Errno 111] Connection refused)"

HERE = Where(path="x", line=1)


def planned(action, wanted=None, timeout_ns=5_000_000_000):
    return PlannedAction(id="1.1", host="romeo", action=action, where=HERE, timeout_ns=timeout_ns, outcome=wanted)


def calls(*texts):
    return Calls(calls=tuple(Call(text=text, method="m") for text in texts))


def call(text, status="done", **fields):
    return CallRecord(text=text, status=status, start_ns=0, end_ns=1, **fields)


def told(status="done", **fields):
    return ActionRecord(id="1.1", host="romeo", step=1, status=status, start_ns=0, end_ns=1, **fields)


def unmet(action, record, wanted=None, awaited=None):
    subject = planned(action, wanted)
    return outcome.unmet(subject, record, awaited or subject)


CONNECT, PING = calls("sock.connect()"), Run(argv=("ping",))


@pytest.mark.parametrize(("timeout_ns", "text"), [(5_000_000_000, "5"), (250_000_000, "0.25")])
def test_what_still_blocks_is_said_first(timeout_ns, text):
    subject = planned(CONNECT, Outcome(raises="OSError"), timeout_ns)
    assert outcome.unmet(subject, told("timeout", **REFUSED), subject) == f"still blocked after {text} s"


def test_nothing_was_expected_and_nothing_happened():
    assert unmet(CONNECT, told(calls=(call("sock.connect()"),))) == ""


def test_it_raised():
    raised = told("raised", **REFUSED)
    assert unmet(CONNECT, raised) == f"it raised {REFUSED_TEXT}"
    assert unmet(CONNECT, raised, Outcome(raises="TimeoutError")) == f"it raised {REFUSED_TEXT}"
    assert [unmet(CONNECT, raised, Outcome(raises=name)) for name in ("OSError", "ConnectionRefusedError", "ECONNREFUSED")] == [""] * 3


def test_it_raised_nothing():
    assert unmet(CONNECT, told(calls=(call("x", value=7),)), Outcome(raises="OSError")) == "it returned 7, OSError was expected"


def test_an_earlier_call_raised():
    record = told("raised", calls=(call("sock.bind()", "raised", **REFUSED),), **REFUSED)
    sentence = f"call 1 of 2, sock.bind(), raised {REFUSED_TEXT}"
    assert unmet(calls("sock.bind()", "sock.listen()"), record, Outcome(raises="OSError")) == sentence
    late = told("raised", calls=(call("a"), call("b", "raised", **REFUSED), call("c")), **REFUSED)
    assert outcome.early(calls("a", "b", "c"), late).startswith("call 2 of 3, b, raised ")
    assert outcome.early(calls("a", "b"), late) == ""
    assert outcome.early(PING, late) == ""


def test_a_wait_is_held_against_what_it_waited_for():
    awaited = planned(CONNECT, Outcome(raises="OSError"))
    assert unmet(Wait(on="connecting"), told("raised", **REFUSED), awaited=awaited) == ""
    assert unmet(Wait(on="connecting"), told("raised", **REFUSED)) == f"it raised {REFUSED_TEXT}"
    own = Outcome(raises="TimeoutError")
    assert unmet(Wait(on="connecting"), told("raised", **REFUSED), own, awaited) == f"it raised {REFUSED_TEXT}"


def returned(value):
    return Outcome(returns=encode_value(value), has_return=True)


def test_what_it_returned():
    record = told(calls=(call("a", value=1), call("b", value=encode_value(b"bye"))))
    assert unmet(calls("a", "b"), record, returned(b"bye")) == ""
    assert unmet(calls("a", "b"), record, returned(b"by")) == "it returned b'bye', b'by' was expected"
    assert unmet(calls("a", "b"), record, Outcome(any_return=True)) == ""


def test_returns_holds_by_value_for_what_came_to_its_end():
    constant = Outcome(returns={"constant": "SHUT_RDWR"}, has_return=True)
    assert outcome.returns(constant, told(value=2))
    assert not outcome.returns(constant, told(value=1))
    assert not outcome.returns(constant, told("blocked", value=2))
    assert not outcome.returns(constant, told(value=2, **REFUSED))
    assert outcome.returns(Outcome(any_return=True), told(value=99))


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (told(value=0), ""),
        (told(), ""),
        (told(value=1, stderr=" no route \n", stdout="x"), "it ended with exit status 1: no route"),
        (told(value=-2, stdout="half\n"), "it ended with exit status -2: half"),
        (told(value=2, stderr="e" * 300), f"it ended with exit status 2: {'e' * 200}"),
    ],
)
def test_a_program_that_ends_badly(record, sentence):
    assert unmet(PING, record) == sentence


def test_an_exit_status_that_was_expected():
    assert unmet(PING, told(value=1), returned(1)) == ""
    assert unmet(PING, told(value=0), returned(1)) == "it returned 0, 1 was expected"
    assert unmet(CONNECT, told(value=3)) == ""


def test_what_it_wrote():
    record = told(value=0, stdout="first\n64 bytes from 10.0.0.1\n")
    assert unmet(PING, record, Outcome(stdout="^64 bytes")) == ""
    sentence = "it wrote 'first\\n64 bytes from 10.0.0.1\\n', which does not fit '^65'"
    assert unmet(PING, record, Outcome(stdout="^65")) == sentence
    long = told(value=0, stdout="x" * 300)
    assert unmet(PING, long, Outcome(stdout="y")) == f"it wrote {'x' * 200!r}, which does not fit 'y'"


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (told(value=3), "returned 3"),
        (told(calls=(call("a", value={"tuple": [{"socket": "conn"}, {"tuple": ["10.0.0.1", 4]}]}),)), "returned (conn, ('10.0.0.1', 4))"),
        (told("raised"), "raised an exception"),
        (told(exceptions=("OSError",)), "raised OSError"),
        (told("raised", exceptions=("OSError",), message="no"), "raised OSError (no)"),
        (told("raised", exceptions=("OSError",), errno="EIO"), "raised OSError (EIO)"),
    ],
)
def test_what_it_gave(record, text):
    assert outcome.gave(record) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("x", "'x'"),
        ({"tuple": [1]}, "(1,)"),
        ({"tuple": []}, "()"),
        ([1, 2], "[1, 2]"),
        ({"socket": "sock"}, "sock"),
        ({"strange": 1}, "{'strange': 1}"),
    ],
)
def test_values_are_written_as_python_does(value, text):
    assert outcome.literal(value) == text


# -- what a wait waits for


def step(number, action, name=None, host="romeo", skip=None):
    acting = PlannedAction(id=f"{number}.1", host=host, action=action, where=HERE, timeout_ns=1, name=name)
    return PlannedStep(number=number, name="", where=HERE, actions=(acting,), skip=skip)


def awaited(*steps):
    testbed = Testbed(kind="netns", topology=Topology(name="t", hosts=(), networks=()), hosts=())
    plan = Plan(scenario="x", label="x", title="", family="ipv4", testbed=testbed, hosts=(), steps=steps, timeout_ns=1)
    return {key: planned.id for key, planned in outcome.awaited(plan).items()}


@pytest.mark.parametrize(("skips", "key"), [((None, "not here"), "1.1"), (("not here", None), "2.1"), ((None, None), "2.1")])
def test_a_wait_is_for_the_last_action_of_its_name_that_is_meant_here(skips, key):
    steps = [step(number, CONNECT, name="conn", skip=skip) for number, skip in enumerate(skips, start=1)]
    assert awaited(*steps, step(3, Wait(on="conn")), step(4, CONNECT, name="conn")) == {"3.1": key}


def test_a_wait_is_for_a_program_of_its_own_host():
    programs = [step(1, Start(argv=("nc",), name="nc")), step(2, Start(argv=("nc",), name="nc"), host="juliet")]
    assert awaited(*programs, step(3, Wait(on="nc")), step(4, Wait(on="nc"), host="juliet")) == {"3.1": "1.1", "4.1": "2.1"}


def test_what_is_left_out_waits_for_nothing_and_is_not_waited_for():
    assert awaited(step(1, CONNECT, name="conn", skip="x"), step(2, Wait(on="conn"))) == {}
    assert awaited(step(1, CONNECT, name="conn"), step(2, Wait(on="conn"), skip="x")) == {}
