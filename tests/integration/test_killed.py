"""A run that is ended at any moment leaves nothing, and keeps what it had where it still can."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from orchestrator import campaign
from orchestrator.testbeds.netns import ThisMachine
from tests.integration import leftovers
from tests.integration.program import HERE, Done, Program, scenario, wait_until

LONG = HERE / "long-enough.yaml"
pytestmark = pytest.mark.namespaces


def moments(sample: int, last: float = 1.0) -> list[float]:
    """Random instants from before the first import to after the last step; the same in every run of the tests."""
    chance = random.Random(9293)
    return [round(chance.uniform(0.0, last), 4) for _ in range(sample)]


def ends_well(program: Program, process: subprocess.Popen[str], number: int) -> Done:
    """What must hold of a run that got a signal, whenever that was."""
    done = program.ended(process, 20)
    assert leftovers.wait_for_none() == []
    kept = program.has("record.json")
    if done.code == 0:
        assert kept  # it was over before the signal came
        assert program.stage("record")["status"] == "completed"
        return done
    assert done.code in (130, -number), done
    assert done.err.strip() == ""  # click leaves the line that shows ^C
    if kept:
        record = program.stage("record")
        assert done.code == 130
        assert record["status"] == "interrupted" or {step["status"] for step in record["steps"]} == {"done"}
        complete = [capture for capture in record.get("captures", ()) if capture.get("complete")]
        assert len(list(program.directories()[-1].glob("*.pcap"))) == len(complete)
    return done


def kill_controller(program: Program, number: int, moment: float) -> None:
    process = program.start("run", LONG)
    if number != signal.SIGKILL:
        wait_until(lambda: process.poll() is not None or leftovers.processes(process.pid))
    time.sleep(moment)
    os.kill(process.pid, number)
    if number != signal.SIGKILL:
        ends_well(program, process, number)
        return
    done = program.ended(process, 20)
    assert (done.code, done.err) in ((-number, ""), (0, ""))
    assert leftovers.wait_for_none() == []


def kill_agent(program: Program, moment: float) -> None:
    process = program.start("run", LONG)
    time.sleep(moment)
    victims = program.wait_for_hosts(process, 1)
    if victims:
        os.kill(random.Random(moment).choice(victims), signal.SIGKILL)
    done = program.ended(process, 30)
    assert leftovers.wait_for_none() == []
    record = program.stage("record")
    if done.code == 0:
        assert record["status"] == "completed"
        return
    assert done.code == 3, done
    assert record["status"] == "error"
    assert record["reason"].endswith("its agent vanished"), record["reason"]


def kill_maker(program: Program, moment: float) -> None:
    """The process that makes hosts is process 1 of the namespace that they all live in."""
    process = program.start("run", LONG)
    wait_until(lambda: process.poll() is not None or leftovers.makers(process.pid))
    time.sleep(moment)
    for pid in leftovers.makers(process.pid):
        os.kill(pid, signal.SIGKILL)
    done = program.ended(process, 30)
    assert leftovers.wait_for_none() == []
    record = program.stage("record")
    if done.code == 0:
        assert record["status"] == "completed"
        return
    assert (done.code, record["status"]) == (3, "error"), done
    assert record["reason"].endswith(("its agent vanished", "the process that makes hosts has ended")), record["reason"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", moments(4))
def test_controller_killed(program: Program, number: int, moment: float) -> None:
    kill_controller(program, number, moment)


@pytest.mark.parametrize("moment", moments(4))
def test_agent_killed(program: Program, moment: float) -> None:
    kill_agent(program, moment)


@pytest.mark.parametrize("moment", moments(4))
def test_maker_of_hosts_killed(program: Program, moment: float) -> None:
    kill_maker(program, moment)


def test_control_c_ends_all_runs_and_begins_no_other(program: Program) -> None:
    process = program.start("run", LONG, "--times", "6", "--jobs", "3")
    program.wait_for_hosts(process, 6)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    done = program.ended(process, 20)
    assert (done.code, done.err.strip()) == (130, "")
    statuses = [json.loads((run / "record.json").read_text())["status"] for run in program.directories()]
    assert statuses == ["interrupted"] * 3


@pytest.mark.parametrize("moment", moments(6, 0.15))
def test_control_c_while_the_program_starts(program: Program, moment: float) -> None:
    """A terminal's Ctrl-C reaches every process of the session, also those that have just been forked.

    Before the first fork it is the interpreter that answers, and with a traceback if it is still importing its own modules.
    """
    process = program.start("run", LONG)
    wait_until(lambda: process.poll() is not None or leftovers.processes(process.pid))
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGINT)
    ends_well(program, process, signal.SIGINT)


def test_a_run_that_goes_on_or_never_ended_is_told_as_such(program: Program) -> None:
    endless = scenario(program.folder, "endless", "topology: two-hosts\nsteps: [{host: romeo, run: sleep 20, timeout: 30s}]\n")
    process = program.start("run", endless)
    program.wait_for_hosts(process)
    key = program.directories()[-1].name.rpartition("-")[2]
    going = [program.run(*command) for command in (("show", "latest"), ("recheck", key))]
    assert [(done.code, f"is still going on in process {process.pid}" in done.err) for done in going] == [(3, True)] * 2
    assert program.run("ls").out.splitlines()[-1].split()[3:5] == ["going", "on"]
    process.kill()
    program.ended(process)
    over = program.run("show", key)
    assert (over.code, "never came to an end" in over.err) == (3, True)
    assert program.run("ls").out.splitlines()[-1].split()[3] == "unfinished"


LOST = """
import os, signal, sys, types, weakref
from orchestrator.__main__ import main
from orchestrator.testbeds.netns import ThisMachine

def commands(server):
    class Lock: pass
    lock = Lock()
    gone = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del lock
    print("it went on")

sys.modules["orchestrator.cli"] = types.SimpleNamespace(main=commands)
main()
"""


def test_control_c_is_not_lost_in_a_callback_of_pythons_own() -> None:
    """There an exception is printed and forgotten, and modules that are being imported leave by way of such callbacks."""
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_after_the_runs_control_c_means_what_it_meant_before() -> None:
    before = signal.signal(signal.SIGINT, answer := lambda *_: None)
    try:
        asyncio.run(campaign.Campaign(campaign.Settings(), ThisMachine(None), None).run([]))  # type: ignore[arg-type]
        assert signal.getsignal(signal.SIGINT) is answer
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", moments(4))
def test_control_c_twice(program: Program, moment: float) -> None:
    process = program.start("run", LONG)
    wait_until(lambda: process.poll() is not None or leftovers.processes(process.pid))
    time.sleep(moment)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.004)
        if process.poll() is not None:
            break
    ends_well(program, process, signal.SIGINT)


@pytest.mark.demand
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", moments(50))
def test_controller_killed_at_many_moments(program: Program, number: int, moment: float) -> None:
    kill_controller(program, number, moment)


@pytest.mark.demand
@pytest.mark.parametrize("moment", moments(50))
def test_agent_killed_at_many_moments(program: Program, moment: float) -> None:
    kill_agent(program, moment)


@pytest.mark.demand
@pytest.mark.parametrize("moment", moments(50))
def test_maker_of_hosts_killed_at_many_moments(program: Program, moment: float) -> None:
    kill_maker(program, moment)


@pytest.mark.demand
@pytest.mark.parametrize("moment", moments(50, 0.15))
def test_control_c_at_many_moments_of_the_start(program: Program, moment: float) -> None:
    test_control_c_while_the_program_starts(program, moment)


@pytest.mark.demand
@pytest.mark.parametrize("moment", moments(50))
def test_control_c_twice_at_many_moments(program: Program, moment: float) -> None:
    test_control_c_twice(program, moment)


def test_who_starts_it_in_the_background_and_types_control_c_does_not_mean_it(program: Program) -> None:
    """A shell's ``&`` has SIGINT ignored, as nohup(1) has SIGHUP."""
    program.before = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    process = program.start("run", LONG)
    program.wait_for_hosts(process)
    os.killpg(process.pid, signal.SIGINT)
    done = program.ended(process, 20)
    assert done.code == 0, done
    assert program.stage("record")["status"] == "completed"
