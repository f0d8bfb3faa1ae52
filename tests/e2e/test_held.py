"""A machine is one run's alone: another one is refused and told whose it is, `clean` ends it, and a person can look around meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Controller
from tests.integration.program import scenario, wait_until

pytestmark = pytest.mark.namespaces
GOOD = """
topology: two-hosts
steps:
  - {host: juliet, start: sleep 600, as: sleeper}
  - {host: romeo, iptables: -A INPUT -p tcp --dport 5555 -j DROP, as: the-rule}
  - {host: romeo, call: [sock = socket.socket(), 'sock.connect(("juliet", 4000))'], raises: ConnectionRefusedError}
"""
BAD = GOOD.replace("ConnectionRefusedError", "TimeoutError")


@contextmanager
def held(controller: Controller, text: str = GOOD, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run whose machines stay up meanwhile."""
    process = controller.start("run", scenario(controller.folder, "held", text), *controller.i, *(options or ("--keep",)))
    wait_until(lambda: process.poll() is not None or controller.has("live.json"), 30)
    assert process.poll() is None, process.communicate()
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)


def cleaned(controller: Controller, *options: str) -> dict[str, Any]:
    done = controller.run("clean", *controller.i, *options, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


def runs(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for machine in found["machines"] for run in machine["runs"]]


@pytest.mark.parametrize(("text", "options", "code"), [(GOOD, ["--keep"], 0), (BAD, ["--pause-on", "fail"], 1)])
def test_a_person_looks_around(two_hosts: Controller, text: str, options: list[str], code: int) -> None:
    with held(two_hosts, text, *options) as process:
        assert process.stdout is not None
        so_far = list(iter(process.stdout.readline, "Ctrl-C here takes them down.\n"))
        key = so_far[-2].split("--run ")[1].split()[0]
        assert so_far[-2:] == [f"  orchestrate shell --run {key} --runs {two_hosts.runs} {host}\n" for host in ("romeo", "juliet")]
        for host in ("romeo", "juliet"):
            assert two_hosts.run("shell", "--run", key, host, "--", "hostname").out == f"{host}\n"
        assert two_hosts.run("shell", "juliet", "--", "sh", "-c", "pgrep -fx 'sleep 600' >&2 && exit 7").code == 7
        rules = two_hosts.run("shell", "romeo", "sudo", "iptables", "-S").out
        assert f"orchestrate:{key}:the-rule" in rules
    done = two_hosts.ended(process)
    assert done.code == code, done
    assert "no host romeo is up" in two_hosts.run("shell", "romeo", "--", "hostname").err


def test_another_run_is_refused_and_told_whose_it_is(two_hosts: Controller) -> None:
    with held(two_hosts) as process:
        key = two_hosts.directories()[0].name.rpartition("-")[2]
        other = two_hosts.run("run", "connection-refused", *two_hosts.i, "--json")
        assert other.code == 3, other
        reason = json.loads(other.out)["runs"][0]["reason"]
        assert reason.startswith(f"romeo, juliet: run {key} of ")
        assert "has this host" in reason
        assert f"orchestrate clean --run {key}" in reason
        doctor = two_hosts.run("doctor", *two_hosts.i, "--limit", "romeo").out
        assert f"busy    run {key} of " in doctor, doctor
        assert [(run["run"], run["alive"]) for run in runs(cleaned(two_hosts))] == [(key, True)] * 2
        assert runs(cleaned(two_hosts, "--run", "0bad")) == runs(cleaned(two_hosts))
    assert two_hosts.ended(process).code == 0
    assert runs(cleaned(two_hosts)) == []


@pytest.mark.parametrize("all_of_them", [False, True])
def test_clean_ends_a_run_that_is_alive(two_hosts: Controller, *, all_of_them: bool) -> None:
    with held(two_hosts) as process:
        key = two_hosts.directories()[0].name.rpartition("-")[2]
        ended = runs(cleaned(two_hosts, *(["--all"] if all_of_them else ["--run", key])))
        assert {(run["run"], run["alive"]) for run in ended} == {(key, False)}
        assert any("--dport 5555" in text for run in ended for text in run["undone"])
    done = two_hosts.ended(process)
    assert done.code == 3, done
    assert "signal" in done.out, done.out
    lost = [host for host in two_hosts.stage("record")["hosts"] if host.get("lost")]
    assert [host["name"] for host in lost] == ["romeo", "juliet"]


def test_clean_finds_what_a_dead_run_left(two_hosts: Controller) -> None:
    """The controller and the machine's guardian are killed; the rule stays until somebody cleans."""
    romeo = two_hosts.lab.machines["romeo"]
    with held(two_hosts) as process:
        key = two_hosts.directories()[0].name.rpartition("-")[2]
        romeo.freeze("python3")
        for one in romeo.processes("python3"):
            if one.pid != 1:
                romeo.kill(one.pid)
        process.kill()
        process.wait()
    assert f"orchestrate:{key}:" in romeo.run(["iptables", "-S"]).stdout
    two_hosts.lab.machines["juliet"].wait_for_processes("sleep 600", gone=True)
    found = [run for run in runs(cleaned(two_hosts)) if run["run"] == key]
    assert any("--dport 5555" in text for run in found for text in run["undone"]), found
    assert all(not run["alive"] and not run["not_undone"] for run in found)
    assert runs(cleaned(two_hosts)) == []


def test_a_name_that_is_no_id_is_refused(two_hosts: Controller) -> None:
    assert two_hosts.run("clean", *two_hosts.i, "--run", "../../etc").code in (3, 64)


STEP = """
topology: two-hosts
steps:
  - {host: romeo, iptables: -A INPUT -p tcp --dport 5555 -j DROP, as: the-rule}
  - {host: juliet, call: [server = socket.socket(), 'server.bind(("juliet", 4000))', server.listen(1)]}
  - {host: juliet, call: server.accept(), timeout: 50s}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_in_a_step(two_hosts: Controller, number: signal.Signals) -> None:
    process = two_hosts.start("run", scenario(two_hosts.folder, "waits", STEP), *two_hosts.i, "-v")
    juliet = two_hosts.lab.machines["juliet"]
    wait_until(lambda: ":4000" in juliet.run(["ss", "-Htln"]).stdout, 30)
    process.send_signal(number)
    done = two_hosts.ended(process)
    assert done.code == 130, done
    assert f"interrupted by {number.name}" in done.out
    assert two_hosts.stage("record")["status"] == "interrupted"
    assert two_hosts.has("report.json")
    assert not any(host.get("lost") or host.get("not_undone") for host in two_hosts.stage("record")["hosts"])
    assert runs(cleaned(two_hosts)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_while_it_connects(two_hosts: Controller, number: signal.Signals) -> None:
    bastion = two_hosts.lab.machines["bastion"]
    bastion.freeze("[listener]")
    try:
        process = two_hosts.start("run", "connection-refused", *two_hosts.i)
        wait_until(lambda: process.poll() is not None or two_hosts.connects(process), 30)
        process.send_signal(number)
        done = two_hosts.ended(process)
    finally:
        bastion.thaw("[listener]")
    assert done.code == 130, done
    assert f"interrupted by {number.name}" in done.err + done.out


def test_an_interrupt_at_the_end(two_hosts: Controller) -> None:
    """While the hosts undo: all is kept, and the run says that it was interrupted, or that it was over already."""
    with held(two_hosts) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    done = two_hosts.ended(process)
    assert done.code in (0, 130), done
    assert two_hosts.has("report.json")
    assert runs(cleaned(two_hosts)) == []


def test_plan_shows_the_real_interfaces_and_alters_nothing(two_hosts: Controller) -> None:
    before = two_hosts.lab.machines["romeo"].state()
    done = two_hosts.run("plan", "connection-refused", *two_hosts.i)
    nic = two_hosts.lab.machines["romeo"].plan.nics[0].name
    assert done.code == 0, done
    assert f"machine romeo, eth1 is {nic}" in done.out
    assert f"ethtool -K {nic} " in done.out
    assert two_hosts.directories() == []
    assert before.difference(two_hosts.lab.machines["romeo"].state()) == ""
    refused = two_hosts.run("plan", "connection-refused", "--map", "romeo=juliet")
    assert (refused.code, "--inventory" in refused.err) == (64, True)
