"""Hosts that stay up for a person to look around: entered from elsewhere, let go by Ctrl-C, and the run's own verdict stands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.program import Program, scenario, wait_until

pytestmark = pytest.mark.namespaces
GOOD = """
topology: two-hosts
timeout: 1s
steps:
  - {host: juliet, start: sleep 600, as: sleeper}
  - {host: romeo, call: [sock = socket.socket(), 'sock.connect(("juliet", 4000))'], raises: ConnectionRefusedError}
"""
BAD = GOOD.replace("ConnectionRefusedError", "TimeoutError")


@contextmanager
def held(program: Program, text: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run whose hosts stay up meanwhile."""
    folder = program.folder / "scenarios"
    process = program.start("run", scenario(folder, "held", text), *options)
    wait_until(lambda: process.poll() is not None or program.has("live.json"))
    assert process.poll() is None, process.communicate()
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)


def looks_around(program: Program) -> None:
    addresses = program.run("shell", "romeo", "--", "ip", "-br", "address")
    assert addresses.code == 0, addresses
    assert "10.10.0.100/24" in addresses.out
    assert "10.10.0.101" not in addresses.out
    for host in ("romeo", "juliet"):
        assert program.run("shell", host, "--", "hostname").out == f"{host}\n"
    assert program.run("shell", "romeo", "--", "ping", "-c1", "-W1", "juliet").code in (0, 127)
    processes = program.run("shell", "juliet", "--", "ps", "-e", "-o", "args=").out
    assert "sleep 600" in processes
    assert "sleep 600" not in program.run("shell", "romeo", "--", "ps", "-e", "-o", "args=").out
    assert program.run("shell", "juliet", "--", "sh", "-c", "exit 7").code == 7


@pytest.mark.parametrize(("text", "options", "code"), [(GOOD, ["--keep"], 0), (BAD, ["--keep"], 1), (BAD, ["--pause-on", "fail"], 1)])
def test_hosts_stay_up_and_show_their_own_view(program: Program, text: str, options: list[str], code: int) -> None:
    with held(program, text, *options) as process:
        assert process.stdout is not None
        so_far = list(iter(process.stdout.readline, "Ctrl-C here takes them down.\n"))
        looks_around(program)
    done = program.ended(process)
    assert done.code == code, done
    assert so_far[0].startswith("FAIL" if code else "PASS")
    assert any("romeo   sock = socket.socket()" in line or "romeo   … sock.connect" in line for line in so_far)
    assert any("ConnectionRefusedError" in line for line in so_far) == bool(code)
    key = program.stage("report")["run_id"]
    assert so_far[-2:] == [f"  orchestrate shell --run {key} --runs {program.runs} {host}\n" for host in ("romeo", "juliet")]
    assert not any(line.strip() == "netns" for line in so_far)
    assert done.out.count("ConnectionRefusedError") == 0  # it was told
    assert done.out.startswith("FAIL" if code else "PASS")
    assert not program.has("live.json")
    assert program.has("report.json")
    gone = program.run("shell", "romeo", "--", "hostname")
    assert gone.code == 64
    assert "no host romeo is up" in gone.err


def test_of_several_runs_the_one_that_is_meant_is_entered(program: Program) -> None:
    with held(program, GOOD, "--keep") as first, held(program, GOOD, "--keep") as second:
        wait_until(lambda: len(list(program.runs.glob("*/*Z-*/live.json"))) == 2)
        doubtful = program.run("shell", "romeo", "--", "hostname")
        assert doubtful.code == 64
        ids = [run.name.rpartition("-")[2] for run in program.directories()]
        assert all(f"--run {key}  held" in doubtful.err for key in ids)
        entered = {program.run("shell", "--run", key, "romeo", "--", "readlink", "/proc/self/ns/net").out for key in ids}
        assert len(entered) == 2
        told = program.run("shell", "--run", ids[0], "romeo", stdin=subprocess.DEVNULL)
        assert f"romeo of held, run {ids[0]}" in told.err
    assert (program.ended(first).code, program.ended(second).code) == (0, 0)


def test_an_ordinary_user_enters_hosts_too(ordinary: Program) -> None:
    with held(ordinary, GOOD, "--keep") as process:
        looks_around(ordinary)
    assert ordinary.ended(process).code == 0


def test_a_pause_is_for_failures_only(program: Program) -> None:
    done = program.run("run", scenario(program.folder, "held", GOOD), "--pause-on", "fail", timeout=20)
    assert (done.code, "shell" in done.out) == (0, False)


def test_hosts_outlast_the_timeout_of_their_run(program: Program) -> None:
    with held(program, GOOD, "--keep") as process:
        time.sleep(2.5)
        assert process.poll() is None
        assert program.run("shell", "romeo", "--", "hostname").out == "romeo\n"
        so_far = program.stage("report")["took_ns"]
    assert program.ended(process).code == 0
    assert program.stage("report")["took_ns"] == so_far < 2_000_000_000, "the time that they were held is not the lab's"


def test_what_a_person_sends_is_in_no_capture(program: Program) -> None:
    tries = "import socket; print(socket.socket().connect_ex(('juliet', 4001)))"
    with held(program, GOOD, "--keep") as process:
        captures = {path: path.read_bytes() for path in program.directories()[-1].glob("*.pcap")}
        assert len(captures) == 2
        assert program.run("shell", "romeo", "--", sys.executable, "-c", tries).out == "111\n"
    done = program.ended(process)
    assert done.code == 0, done
    assert {path: path.read_bytes() for path in captures} == captures
    assert {capture["complete"] for capture in program.stage("record")["captures"]} == {True}
    tcp = [segment for segment in program.stage("evidence")["segments"] if segment["protocol"] == "tcp"]
    assert {segment["destination_port"] for segment in tcp if segment["source_host"] == "romeo"} == {4000}


@pytest.mark.demand
def test_hosts_outlast_every_deadline_of_their_agents(program: Program) -> None:
    """An agent leaves half a minute after its run's deadline, or when it hears nothing for a quarter of one: not while it is held."""
    with held(program, GOOD, "--keep") as process:
        time.sleep(45)
        looks_around(program)
    assert program.ended(process).code == 0


def test_a_host_that_dies_while_it_is_held_is_told_and_hinders_nobody(program: Program) -> None:
    with held(program, GOOD, "--keep") as process:
        os.kill(_live(program)["romeo"], signal.SIGKILL)
        assert program.run("shell", "juliet", "--", "hostname").out == "juliet\n"
    done = program.ended(process)
    assert done.code == 3
    assert "romeo: its agent vanished" in done.out


@pytest.mark.demand  # the patience with its capture is ten seconds
def test_a_host_that_freezes_while_it_is_held_is_let_go(program: Program) -> None:
    with held(program, GOOD, "--keep") as process:
        os.kill(_live(program)["romeo"], signal.SIGSTOP)
    done = program.ended(process)
    assert done.code == 3
    assert "romeo: it did not report within" in done.out


def test_the_controllers_death_takes_held_hosts_with_it(program: Program) -> None:
    with held(program, GOOD, "--keep") as process:
        process.kill()
    program.ended(process)
    gone = program.run("shell", "romeo", "--", "hostname")
    assert (gone.code, "no host romeo is up" in gone.err) == (64, True)
    (program.directories()[-1] / "live.json").unlink()


def _live(program: Program) -> dict[str, int]:
    return json.loads(Path(program.directories()[-1] / "live.json").read_text())["hosts"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_signal_of_another_kind_ends_it_all(program: Program, number: signal.Signals) -> None:
    """timeout(1), a service manager and a terminal that is closed send no second one."""
    with held(program, GOOD, "--keep", "--times", "2") as process:
        process.send_signal(number)
        assert program.ended(process, 20).code == 130
    assert len(program.directories()) == 1
    assert program.stage("record")["status"] == "completed"
