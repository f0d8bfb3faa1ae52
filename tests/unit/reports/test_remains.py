"""What earlier runs left on machines, in lines and as JSON."""

import json

from orchestrator.model.inventory import Left, LeftRun
from orchestrator.reports.drawing.remains import render_remains
from orchestrator.reports.listing import when
from orchestrator.reports.machine import remains_json

SINCE_NS = 1_800_000_000_000_000_000
DEAD = LeftRun(
    run="a1b2",
    who="alice@laptop",
    since_ns=SINCE_NS,
    reason="its agent was killed",
    undone=("iptables -D INPUT",),
    not_undone=("rm x (no)",),
)
ALIVE = LeftRun(run="c3d4", since_ns=SINCE_NS, alive=True)


def lines(*remains):
    return render_remains(remains, colour=False, width=200).splitlines()


def test_a_machine_that_nothing_is_left_on():
    assert lines(Left(machine="node7")) == ["node7", "  ✓ nothing of any run is left"]


def test_a_machine_that_could_not_be_asked():
    assert lines(Left(machine="node7", problem="no route to host")) == ["node7", "  ✗ no route to host"]


def test_what_was_put_back_and_what_was_not():
    assert lines(Left(machine="node7", runs=(DEAD,))) == [
        "node7",
        f"  ✗ run a1b2 of alice@laptop, since {when(SINCE_NS)}: its agent was killed",
        "      put back: iptables -D INPUT",
        "      NOT put back: rm x (no)",
    ]


def test_a_run_that_was_put_back_whole():
    whole = LeftRun(run="a1b2", who="alice", since_ns=SINCE_NS, reason="lost")
    assert lines(Left(machine="node7", runs=(whole,)))[1] == f"  ✓ run a1b2 of alice, since {when(SINCE_NS)}: lost"


def test_a_run_that_goes_on_is_let_go_on():
    told = f"  ! run c3d4 of nobody known, since {when(SINCE_NS)}: goes on; `orchestrate clean --run c3d4` ends it"
    first, *folded = lines(Left(machine="node7", runs=(ALIVE,)))
    assert (first, " ".join(line.strip() for line in folded)) == ("node7", told.strip())


def test_what_only_bears_a_label():
    shown = lines(Left(machine="node7", rules=("-A INPUT",), folders=("/run/x",)), Left(machine="node8"))
    label = "  ✓ of a run that nothing else is known of: "
    assert shown == ["node7", f"{label}-A INPUT", f"{label}/run/x", "node8", "  ✓ nothing of any run is left"]


def test_programs_read_the_same():
    document = json.loads(remains_json([Left(machine="node7", runs=(DEAD,))]))
    assert document["machines"][0]["machine"] == "node7"
    run = document["machines"][0]["runs"][0]
    assert (run["run"], run["who"], run["since_ns"]) == ("a1b2", "alice@laptop", SINCE_NS)
    assert (run["undone"], run["not_undone"]) == (["iptables -D INPUT"], ["rm x (no)"])
