"""What actions gave: each judgement that passes beside one that fails."""

import pytest

from orchestrator.agent.protocol import encode_value
from orchestrator.checks.application import judge_outcome
from orchestrator.checks.ledger import Ledger
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, CallRecord, RunRecord
from orchestrator.model.topology import Testbed, Topology
from orchestrator.model.verdict import Value
from orchestrator.model.words import actions
from orchestrator.model.words.actions import typed
from orchestrator.model.words.expectations import Outcome
from orchestrator.model.words.values import Where
from orchestrator.readings.outcome import literal

HERE, THERE = Where(path="x.yaml", line=3), Where(path="x.yaml", line=4)
REFUSED = {
    "exceptions": ("ConnectionRefusedError", "ConnectionError", "OSError", "Exception"),
    "errno": "ECONNREFUSED",
    "message": "[Errno 111] Connection refused",
}
REFUSED_TEXT = "ConnectionRefusedError (ECONNREFUSED: [Errno 111] Connection refused)"


def calls(*texts: str) -> actions.Calls:
    return actions.Calls(calls=tuple(actions.Call(text=text, method=text) for text in texts))


def call(text: str, status: str = "done", **fields) -> CallRecord:
    return CallRecord(text=text, status=status, start_ns=0, end_ns=1, **fields)


def planned(action: actions.Action, key: str = "1.1", outcome: Outcome | None = None, **fields) -> PlannedAction:
    return PlannedAction(id=key, host="romeo", action=action, where=HERE, timeout_ns=5_000_000_000, outcome=outcome, **fields)


def told(key: str = "1.1", status: str = "done", **fields) -> ActionRecord:
    return ActionRecord(id=key, host="romeo", step=1, status=status, start_ns=0, end_ns=1, **fields)


def judged(subject: PlannedAction, *records: ActionRecord, others: tuple[PlannedAction, ...] = (), status: str = "completed"):
    in_order = sorted((subject, *others), key=lambda planned: isinstance(planned.action, actions.Wait))
    step = PlannedStep(number=1, name="", where=HERE, actions=tuple(in_order))
    testbed = Testbed(kind="netns", topology=Topology(name="t", hosts=(), networks=()), hosts=())
    plan = Plan(scenario="x", label="x", title="", family="ipv4", testbed=testbed, hosts=(), steps=(step,), timeout_ns=1)
    record = RunRecord(run_id="r", label="x", status=status, start_ns=0, end_ns=1, actions=records)
    return judge_outcome(1, subject, Ledger(plan, record))


def only(verdicts):
    (verdict,) = verdicts
    return verdict


# -- raises


@pytest.mark.parametrize("name", ["ConnectionRefusedError", "OSError", "ECONNREFUSED"])
def test_what_it_raised_was_expected(name):
    connect = planned(calls("sock.connect(...)"), outcome=Outcome(raises=name, where=THERE))
    verdict = only(judged(connect, told(status="raised", calls=(call("sock.connect(...)", "raised", **REFUSED),), **REFUSED)))
    assert verdict.value is Value.PASSED
    assert verdict.text == f"romeo: sock.connect(...) raises {name}"
    assert (verdict.where, verdict.step, verdict.witness) == (THERE, 1, "application")


def test_it_raised_something_else():
    connect = planned(calls("sock.connect(...)"), outcome=Outcome(raises="TimeoutError"))
    verdict = only(judged(connect, told(status="raised", **REFUSED)))
    assert (verdict.value, verdict.where) == (Value.FAILED, HERE)
    assert verdict.saw == f"raised {REFUSED_TEXT}"
    assert verdict.reason == f"it {verdict.saw}"


def test_it_raised_nothing():
    connect = planned(calls("sock.connect(...)"), outcome=Outcome(raises="OSError"))
    verdict = only(judged(connect, told(calls=(call("sock.connect(...)"),))))
    assert (verdict.value, verdict.saw) == (Value.FAILED, "returned None")


def test_an_errno_that_is_not_known_is_not_the_empty_name():
    verdict = only(judged(planned(calls("x"), outcome=Outcome(raises="")), told()))
    assert verdict.value is Value.FAILED


def test_what_raised_without_being_expected_has_failed():
    verdict = only(judged(planned(calls("sock.connect(...)")), told(status="raised", **REFUSED)))
    assert (verdict.value, verdict.text) == (Value.FAILED, "romeo: sock.connect(...)")
    assert verdict.reason == f"it raised {REFUSED_TEXT}, which nobody expected"


def test_what_a_tool_refused_is_told_in_its_own_words():
    words = """iptables v1.8.9 (nf_tables): Chain 'DORP' does not exist"""
    told_of = told(status="raised", exceptions=("ChangeRefused",), message=f"{words}\nTry `iptables -h' or 'iptables --help' for more.")
    rule = actions.Iptables(tool="iptables", words=("-A", "INPUT", "-j", "DORP"), name="r")
    assert only(judged(planned(rule), told_of)).reason == words


@pytest.mark.parametrize(("words", "hint"), [((), ": did you forget '-p tcp'?"), (("-p", "tcp"), ""), (("--protocol", "tcp"), "")])
@pytest.mark.parametrize("option", ["--sport", "--dport"])
def test_a_port_without_a_protocol(words, hint, option):
    said = f'iptables v1.8.9 (nf_tables): unknown option "{option}"'
    rule = actions.Iptables(tool="iptables", words=("-A", "INPUT", *words, option, "80"), name="r")
    told_of = told(status="raised", exceptions=("ChangeRefused",), message=said)
    assert only(judged(planned(rule), told_of)).reason == said + hint


def test_an_exception_of_which_nothing_is_known():
    verdict = only(judged(planned(actions.Remove(name="r")), told(status="raised")))
    assert verdict.reason == "it raised an exception, which nobody expected"


def test_an_earlier_call_that_raised_fails_whatever_is_expected():
    subject = planned(calls("sock.bind(...)", "sock.listen()"), outcome=Outcome(raises="OSError"))
    verdict = only(judged(subject, told(status="raised", calls=(call("sock.bind(...)", "raised", **REFUSED),), **REFUSED)))
    assert verdict.value is Value.FAILED
    assert verdict.reason == f"call 1 of 2, sock.bind(...), raised {REFUSED_TEXT}"
    last = (call("sock.bind(...)"), call("sock.listen()", "raised", **REFUSED))
    assert only(judged(subject, told(status="raised", calls=last, **REFUSED))).value is Value.PASSED


# -- what it gave back


@pytest.mark.parametrize("value", [None, 3, b"bye\n", "text", (1, 2), [1, b"x"], ("10.10.0.100", 40000)])
def test_what_it_returned_was_expected(value):
    subject = planned(calls("sock.recv(100)"), outcome=Outcome(returns=encode_value(value), has_return=True))
    verdict = only(judged(subject, told(calls=(call("sock.recv(100)", value=encode_value(value)),))))
    assert (verdict.value, verdict.text) == (Value.PASSED, f"romeo: sock.recv(100) returns {value!r}")


@pytest.mark.parametrize(("wanted", "given"), [(None, 0), (b"bye", b"by"), (b"bye", "bye"), ((1, 2), [1, 2]), (0, None)])
def test_it_returned_something_else(wanted, given):
    subject = planned(calls("sock.recv(100)"), outcome=Outcome(returns=encode_value(wanted), has_return=True))
    verdict = only(judged(subject, told(calls=(call("sock.recv(100)", value=encode_value(given)),))))
    assert (verdict.value, verdict.saw) == (Value.FAILED, f"returned {given!r}")


def test_a_constant_is_its_number():
    subject = planned(calls("sock.getsockopt(...)"), outcome=Outcome(returns={"constant": "SOCK_DGRAM"}, has_return=True))
    assert only(judged(subject, told(calls=(call("x", value=2),)))).value is Value.PASSED
    assert only(judged(subject, told(calls=(call("x", value=1),)))).value is Value.FAILED


def test_the_last_call_of_a_list_speaks():
    subject = planned(calls("a", "b"), outcome=Outcome(returns=2, has_return=True))
    assert only(judged(subject, told(calls=(call("a", value=1), call("b", value=2))))).value is Value.PASSED
    assert only(judged(subject, told(calls=(call("a", value=2), call("b", value=1))))).value is Value.FAILED


def test_any_value_will_do_but_no_exception():
    subject = planned(calls("server.accept()"), outcome=Outcome(has_return=True, any_return=True))
    accepted = {"tuple": [{"socket": "conn"}, {"tuple": ["10.10.0.100", 40000]}]}
    assert only(judged(subject, told(calls=(call("server.accept()", value=accepted),)))).value is Value.PASSED
    verdict = only(judged(subject, told(status="raised", **REFUSED)))
    assert (verdict.value, verdict.text) == (Value.FAILED, "romeo: server.accept() returns")


def test_values_in_words():
    assert literal({"tuple": [{"socket": "conn"}, {"tuple": ["10.10.0.100", 40000]}]}) == "(conn, ('10.10.0.100', 40000))"
    assert literal({"tuple": [1]}) == "(1,)"
    assert literal({"odd": 1}) == "{'odd': 1}"


def test_what_went_well_unasked_leaves_no_verdict():
    assert judged(planned(calls("sock.listen()")), told()) == ()


# -- programs


def test_a_run_must_end_well_unless_its_status_is_asked_for():
    run = actions.Run(argv=("nc", "-z", "juliet"))
    assert judged(planned(run), told(value=0)) == ()
    verdict = only(judged(planned(run), told(value=1, stderr="no route\n")))
    assert (verdict.value, verdict.text) == (Value.FAILED, "romeo: nc -z juliet")
    assert (verdict.reason, verdict.excerpt) == ("it ended with exit status 1", ("no route",))
    assert only(judged(planned(run), told(value=-9))).reason == "it was ended by signal 9"
    asked = planned(run, outcome=Outcome(returns=1, has_return=True))
    assert only(judged(asked, told(value=1))).value is Value.PASSED
    assert only(judged(asked, told(value=0))).value is Value.FAILED


def test_output():
    run = planned(actions.Run(argv=("fuser",)), outcome=Outcome(stdout="^4000/tcp"))
    assert only(judged(run, told(value=0, stdout="a\n4000/tcp: 12\n"))).value is Value.PASSED
    verdict = only(judged(run, told(value=0, stdout="a 4000/tcp\nb\n")))
    assert (verdict.value, verdict.text) == (Value.FAILED, "romeo: fuser writes '^4000/tcp'")
    assert verdict.saw == "wrote 2 lines, the last is 'b'"
    assert verdict.excerpt == ("a 4000/tcp", "b")
    assert only(judged(run, told(value=0))).saw == "wrote nothing"


def test_output_that_was_not_kept_whole_cannot_fail_for_what_it_lacks():
    run = planned(actions.Run(argv=("fuser",)), outcome=Outcome(stdout="^4000/tcp", returns=0, has_return=True))
    returned, wrote = judged(run, told(value=0, stdout="a\n", clipped=True))
    assert (returned.value, wrote.value) == (Value.PASSED, Value.INCONCLUSIVE)
    assert wrote.saw == "wrote one line, 'a', and more that was not kept"
    assert [one.value for one in judged(run, told(value=0, stdout="4000/tcp\n", clipped=True))] == [Value.PASSED] * 2
    assert judged(run, told(value=1, stdout="a\n", clipped=True))[0].value is Value.FAILED


@pytest.mark.parametrize(("clipped", "value"), [(False, Value.FAILED), (True, Value.INCONCLUSIVE)])
def test_a_program_that_never_said_that_it_was_ready(clipped, value):
    start = planned(actions.Start(argv=("nc",), name="nc", ready=actions.Ready(output="listening")))
    verdict = only(judged(start, told(status="timeout", stdout="x", clipped=clipped)))
    assert (verdict.value, verdict.saw) == (value, "timeout")
    assert ("not all of it was kept" in verdict.reason) == clipped


def test_good_output_does_not_excuse_a_bad_end():
    run = planned(actions.Run(argv=("fuser",)), outcome=Outcome(stdout="x"))
    assert [verdict.value for verdict in judged(run, told(value=2, stdout="x"))] == [Value.PASSED, Value.FAILED]


def test_all_that_is_asked_is_judged():
    run = planned(actions.Run(argv=("fuser",)), outcome=Outcome(stdout="x", returns=0, has_return=True))
    assert [verdict.value for verdict in judged(run, told(value=0, stdout="y"))] == [Value.PASSED, Value.FAILED]


START = actions.Start(argv=("nc", "-l"), name="server", ready=actions.Ready(listening=5555))


def test_a_program_that_cannot_be_started():
    missing = {"exceptions": ("FileNotFoundError", "OSError", "Exception"), "errno": "ENOENT", "message": "nc"}
    verdict = only(judged(planned(START), told(status="raised", **missing)))
    assert (verdict.value, verdict.reason) == (Value.FAILED, "it raised FileNotFoundError (ENOENT: nc), which nobody expected")


@pytest.mark.parametrize(
    ("ready", "reason"),
    [
        (actions.Ready(listening=5555), "was not ready within 5 s: nobody listens on port 5555"),
        (actions.Ready(output="up"), "was not ready within 5 s: its output does not fit 'up'"),
        (actions.Ready(), "was not ready within 5 s: it did not start"),
    ],
)
def test_a_program_that_is_not_ready_in_time(ready, reason):
    start = planned(actions.Start(argv=("nc", "-l"), name="server", ready=ready))
    verdict = only(judged(start, told(status="timeout", stderr="nc: oh\n")))
    assert (verdict.value, verdict.reason, verdict.excerpt) == (Value.FAILED, reason, ("nc: oh",))


def test_the_exit_status_of_a_started_program_is_what_its_wait_saw():
    wait = planned(actions.Wait(on="server"), "2.1")
    start = planned(START, outcome=Outcome(returns=0, has_return=True))
    assert only(judged(start, told(), told("2.1", value=0), others=(wait,))).value is Value.PASSED
    assert only(judged(start, told(), told("2.1", value=1), others=(wait,))).value is Value.FAILED
    assert only(judged(start, told(), told("2.1", "timeout"), others=(wait,))).saw == "returned None"


def test_a_started_program_that_nobody_saw_end():
    wait = planned(actions.Wait(on="server"), "2.1")
    start = planned(START, outcome=Outcome(stdout="up"))
    assert only(judged(start, told(stdout="up\n"), others=(wait,))).value is Value.PASSED
    assert only(judged(start, told(stdout="down\n"), others=(wait,))).value is Value.FAILED


def test_the_output_of_a_started_program_is_what_its_wait_saw_if_it_saw_any():
    wait = planned(actions.Wait(on="server"), "2.1")
    start = planned(START, outcome=Outcome(stdout="late"))
    verdict = only(judged(start, told(stdout="early\n"), told("2.1", value=0, stdout="early\nlate\n", stderr="oh\n"), others=(wait,)))
    assert (verdict.value, verdict.excerpt) == (Value.PASSED, ("early", "late", "oh"))
    kept = only(judged(start, told(stdout="late\n", stderr="oh\n"), told("2.1", value=0), others=(wait,)))
    assert (kept.value, kept.excerpt) == (Value.PASSED, ("late", "oh"))


def test_a_started_program_may_end_as_it_likes():
    wait = planned(actions.Wait(on="server"), "2.1")
    start = planned(START)
    assert judged(start, told(), told("2.1", value=1), others=(wait,)) == ()
    assert judged(wait, told("2.1", value=1), told(), others=(start,)) == ()
    asked = planned(actions.Wait(on="server"), "2.1", outcome=Outcome(returns=0, has_return=True))
    assert only(judged(asked, told("2.1", value=1), told(), others=(start,))).value is Value.FAILED
    assert only(judged(asked, told("2.1", value=0), told(), others=(start,))).value is Value.PASSED


# -- waiting, blocking, losing


CONNECT = calls("sock = socket.socket()", "sock.connect(...)")
RAISED = {"status": "raised", "calls": (call("sock = socket.socket()"), call("sock.connect(...)", "raised", **REFUSED)), **REFUSED}


def background(outcome: Outcome | None = None) -> PlannedAction:
    return planned(CONNECT, name="connecting", background=True, outcome=outcome)


def wait(outcome: Outcome | None = None) -> PlannedAction:
    return planned(actions.Wait(on="connecting"), "2.1", outcome=outcome)


def test_a_wait_gives_the_outcome_of_what_it_waited_for():
    asked = wait(Outcome(raises="ECONNREFUSED"))
    for own in (told("2.1"), told("2.1", **RAISED)):
        assert only(judged(asked, own, told(**RAISED), others=(background(),))).value is Value.PASSED
    connected = told(calls=(call("sock = socket.socket()"), call("sock.connect(...)")))
    assert only(judged(asked, told("2.1"), connected, others=(background(),))).value is Value.FAILED
    returns = wait(Outcome(returns=None, has_return=True))
    assert only(judged(returns, told("2.1"), connected, others=(background(),))).value is Value.PASSED
    assert only(judged(returns, told("2.1"), told(**RAISED), others=(background(),))).value is Value.FAILED


def test_a_wait_tells_what_the_program_it_waited_for_wrote():
    run = planned(actions.Run(argv=("curl",)), name="connecting", background=True)
    verdict = only(judged(wait(Outcome(stdout="ok")), told("2.1"), told(value=0, stdout="ok\n", stderr="oh\n"), others=(run,)))
    assert (verdict.value, verdict.excerpt) == (Value.PASSED, ("ok", "oh"))
    assert only(judged(wait(Outcome(stdout="ok")), told("2.1"), told(value=0), others=(run,))).value is Value.FAILED


def test_a_wait_for_a_list_whose_earlier_call_raised():
    early = told(status="raised", calls=(call("sock = socket.socket()", "raised", **REFUSED),), **REFUSED)
    verdict = only(judged(wait(Outcome(raises="OSError")), told("2.1"), early, others=(background(),)))
    assert verdict.reason.startswith("call 1 of 2, sock = socket.socket(), raised")


def test_trouble_is_told_once_where_it_is_waited_for():
    assert judged(background(), told(**RAISED), told("2.1", **RAISED), others=(wait(),)) == ()
    verdict = only(judged(wait(), told("2.1", **RAISED), told(**RAISED), others=(background(),)))
    assert (verdict.value, verdict.text) == (Value.FAILED, "romeo: wait for connecting")
    overdue = told(status="timeout", calls=(call("sock.connect(...)", "timeout"),))
    assert judged(background(), overdue, told("2.1", "timeout"), others=(wait(),)) == ()
    assert only(judged(background(), overdue)).reason == "timed out after 5 s in sock.connect(...); longer: timeout: 20s"


def test_a_wait_that_keeps_silent_about_trouble_is_told_of_it():
    verdict = only(judged(wait(), told("2.1"), told(**RAISED), others=(background(),)))
    assert (verdict.value, verdict.reason) == (Value.FAILED, f"it raised {REFUSED_TEXT}, which nobody expected")


def test_a_wait_for_what_is_not_recorded():
    assert judged(wait(), told("2.1"), others=(background(),)) == ()
    assert only(judged(wait(), told("2.1", "timeout"))).reason == "timed out after 5 s in wait for connecting; longer: timeout: 20s"


def test_trouble_in_the_background_that_nobody_waits_for():
    assert only(judged(background(), told(**RAISED))).value is Value.FAILED


def test_trouble_that_is_expected_elsewhere_is_none():
    expected = Outcome(raises="OSError")
    assert judged(wait(), told("2.1", **RAISED), told(**RAISED), others=(background(expected),)) == ()
    assert judged(background(), told(**RAISED), others=(wait(expected),)) == ()
    assert only(judged(background(), told(**RAISED), others=(wait(Outcome(raises="EPIPE")),))).value is Value.FAILED


ADVICE = "; longer: timeout: 20s; to go on meanwhile: background: true"


def test_a_call_that_timed_out():
    subject = planned(CONNECT)
    verdict = only(judged(subject, told(status="timeout", calls=(call("sock.connect(...)", "timeout"),))))
    assert (verdict.value, verdict.reason, verdict.saw) == (Value.FAILED, f"timed out after 5 s in sock.connect(...){ADVICE}", "timeout")
    slept = only(judged(planned(actions.Run(argv=("sleep", "9"))), told(status="timeout")))
    assert slept.reason == f"timed out after 5 s in sleep 9{ADVICE}"
    assert only(judged(planned(actions.Remove(name="r")), told(status="timeout"))).reason.endswith("timed out after 5 s in remove r")


def test_a_wait_that_timed_out_says_what_still_blocked():
    blocked = told(status="blocked", calls=(call("sock = socket.socket()"), call("sock.connect(...)", "blocked")))
    verdict = only(judged(wait(), told("2.1", "timeout"), blocked, others=(background(),)))
    assert verdict.reason == "timed out after 5 s, connecting was still in sock.connect(...); longer: timeout: 20s"


@pytest.mark.parametrize("status", ["blocked", "running"])
def test_still_blocked_in_the_background(status):
    blocked = told(status=status, calls=(call("sock.connect(...)", "blocked"),))
    assert judged(background(), blocked) == ()
    verdict = only(judged(background(Outcome(raises="OSError", where=THERE)), blocked))
    assert (verdict.value, verdict.where) == (Value.FAILED, THERE)
    assert (verdict.reason, verdict.saw) == ("still blocked at the end in sock.connect(...)", "still blocked")
    assert verdict.text == "romeo: sock.connect(...) raises OSError"


def test_still_blocked_when_the_run_was_cut_short():
    verdict = only(judged(background(Outcome(raises="OSError")), told(status="blocked"), status="interrupted"))
    assert verdict.value is Value.INCONCLUSIVE
    assert only(judged(planned(CONNECT), told(status="blocked"), status="error")).value is Value.INCONCLUSIVE


def test_still_blocked_in_the_foreground():
    assert only(judged(planned(CONNECT), told(status="blocked"))).value is Value.FAILED
    assert judged(planned(START), told(status="blocked")) == ()


def test_a_lost_host_is_an_error():
    verdict = only(judged(planned(CONNECT), told(status="lost", message="its channel ended")))
    assert (verdict.value, verdict.witness, verdict.reason) == (Value.ERROR, "harness", "romeo was lost")  # the run's reason tells how


def test_what_the_host_could_not_give_the_run_is_an_error_and_no_failure():
    names = ("Unable", "ChangeRefused", "Exception")
    said = "no room for the journal in /run/orchestrate: No space left on device"
    verdict = only(judged(planned(CONNECT), told(status="raised", exceptions=names, message=said)))
    assert (verdict.value, verdict.witness, verdict.reason) == (Value.ERROR, "harness", said)


def test_an_action_that_never_began():
    outcome = Outcome(raises="OSError", returns=1, has_return=True, stdout="x", where=THERE)
    verdict = only(judged(planned(CONNECT, outcome=outcome)))
    assert (verdict.value, verdict.where) == (Value.INCONCLUSIVE, THERE)
    assert verdict.text == "romeo: sock.connect(...) raises OSError and returns 1 and writes 'x'"
    assert judged(planned(CONNECT)) == ()


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (actions.Iptables(tool="iptables", words=("-I", "INPUT", "-j", "DROP"), name="r"), "iptables -I INPUT -j DROP"),
        (actions.Remove(name="r"), "remove r"),
        (actions.Type(to="server", text="x"), "type to server"),
        (actions.Signal(to="server", signal="INT"), "signal INT to server"),
        (actions.File(name="a.py", text="x"), "file a.py"),
        (actions.Sysctl(values={"net.ipv4.tcp_sack": "0"}), "sysctl net.ipv4.tcp_sack=0"),
        (actions.Offload(values={"tso": True}), "offload tso=True"),
        (actions.Snapshot(tools=("ss", "lsof")), "snapshot ss lsof"),
    ],
)
def test_how_an_action_is_called(action, text):
    assert typed(action) == text


@pytest.mark.parametrize("kind", ["Unable", "ControlCut"])
def test_what_is_the_harnesss_own_trouble_is_nobodys_outcome(kind):
    action = actions.File(name="a.py", text="x")
    expected = Outcome(raises="ChangeRefused", where=THERE)
    told_of = told(status="raised", exceptions=(kind, "ChangeRefused", "Exception"), message="/run/x: No space left on device")
    verdict = only(judged(planned(action, outcome=expected), told_of))
    assert (verdict.value, verdict.witness, verdict.reason) == (Value.ERROR, "harness", "/run/x: No space left on device")
