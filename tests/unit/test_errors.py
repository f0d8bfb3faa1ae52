"""What a person reads when the harness could not, and what the process then says."""

import pytest

from orchestrator import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("OrchestratorError", 3),
        ("UsageError", 64),
        ("InputProblems", 65),
        ("StoreError", 3),
        ("TestbedError", 3),
        ("Unsupported", 2),
        ("AgentError", 3),
        ("AgentLost", 3),
        ("Overdue", 3),
        ("HostErrors", 3),
        ("EvidenceError", 3),
        ("Interrupted", 130),
    ],
)
def test_exit_codes(kind, code):
    assert getattr(errors, kind).exit_code == code


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "-- " in line or line.startswith("    Orch")]
    names = [line.partition("-- ")[2].split()[0] if "-- " in line else "OrchestratorError" for line in drawn]
    assert set(names) == {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    below = {name: line.index("-- ") for name, line in zip(names, drawn, strict=True) if "-- " in line}
    assert {name for name in below if getattr(errors, name).__base__ is errors.OrchestratorError} == {
        name for name, depth in below.items() if depth == min(below.values())
    }


def test_problems_are_told_once_and_in_the_order_of_the_lines():
    late, early = errors.Problem("x.yaml", 9, 1, "b"), errors.Problem("x.yaml", 2, 5, "a")
    told = errors.InputProblems([late, early, late])
    assert told.problems == (early, late)
    assert str(told) == "x.yaml:2:5: a\nx.yaml:9:1: b"


def test_an_agents_error_names_its_host():
    lost = errors.AgentLost("romeo", "its channel ended")
    assert (str(lost), lost.host) == ("romeo: its channel ended", "romeo")
    assert isinstance(lost, errors.AgentError)


def test_several_hosts_at_once_hold_every_result():
    results = {"romeo": errors.AgentLost("romeo", "gone"), "juliet": None, "router": errors.Overdue("router", "late")}
    error = errors.HostErrors(results)
    assert str(error) == "romeo: gone\nrouter: late"
    assert error.results == results
    results.clear()
    assert set(error.results) == {"romeo", "juliet", "router"}


def test_a_machine_that_cannot_be_talked_with_is_named():
    error = errors.Unreachable("node7", "no route to host")
    assert (str(error), error.machine) == ("node7: no route to host", "node7")
    assert isinstance(error, errors.TestbedError)


def test_what_several_hosts_have_in_common_is_said_once():
    results = {name: errors.Unreachable(name, "the bastion hangs up") for name in ("romeo", "juliet")}
    told = str(errors.HostErrors({**results, "router": errors.AgentLost("router", "gone")}))
    assert told == "romeo, juliet: the bastion hangs up\nrouter: gone"
