"""What travels to a host is the same bytes everywhere, and runs on every Python that a host may have."""

import glob
import json
import os
import subprocess
import sys
from importlib.util import MAGIC_NUMBER

import pytest

from orchestrator.agent import protocol
from orchestrator.connectors.bundle import bootstrap, bundle
from tests.conftest import ROOT, interpreters

PRINT = "import sys; from orchestrator.connectors.bundle import bundle; sys.stdout.buffer.write(bundle())"
BEAT = b'{"id":1,"ask":"beat"}\n'


def made(seed, before="", **more):
    environment = {**os.environ, "PYTHONHASHSEED": seed, **more}
    return subprocess.run([sys.executable, "-c", before + PRINT], cwd=ROOT, env=environment, capture_output=True, check=True).stdout


def test_equal_sources_give_equal_bytes():
    interned = "import sys; [sys.intern(chr(number)) for number in range(256)]; "
    seeds = {made("1"), made("2", LC_ALL="C", TZ="Asia/Tokyo"), made("3", interned), bundle()}
    assert [len(seed) > 10_000 for seed in seeds] == [True]


def received(python, data):
    command = [python, "-I", "-S", "-c", bootstrap(bundle())]
    return subprocess.run(command, input=data, capture_output=True, timeout=30, check=False)


def test_there_are_interpreters():
    assert interpreters()


@pytest.mark.parametrize("python", interpreters().values(), ids=interpreters().keys())
def test_the_agent_greets_and_answers_what_comes_right_behind_the_bundle(python):
    agent = received(python, bundle() + BEAT)
    frames = [json.loads(line) for line in agent.stdout.splitlines()]
    assert agent.stderr.decode() == ""
    assert [frame.get("tell") for frame in frames] == [protocol.HELLO, None, protocol.GOODBYE]
    assert frames[0]["version"] == protocol.VERSION
    assert frames[1]["id"] == 1
    assert "ok" in frames[1]


@pytest.mark.parametrize("python", interpreters().values(), ids=interpreters().keys())
def test_a_bundle_that_is_not_whole_never_runs(python):
    early = received(python, bundle()[:-1])
    assert (early.returncode, early.stdout, early.stderr.decode().strip()) == (1, b"", "the bundle ended early")
    damaged = received(python, b" " + bundle()[1:])
    assert (damaged.returncode, damaged.stdout, damaged.stderr.decode().strip()) == (1, b"", "the bundle was damaged on its way")


@pytest.mark.parametrize("python", sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.[67].*/bin/python3"))))
def test_a_python_that_is_too_old_is_told_as_such(python):
    old = received(python, bundle())
    assert (old.returncode, old.stdout) == (1, b"")
    assert old.stderr.decode().startswith("the agent needs Python 3.8 or newer, and this is Python 3.")


@pytest.mark.parametrize("python", interpreters().values(), ids=interpreters().keys())
def test_code_and_source_are_the_same_agent(python):
    """Whichever a host's interpreter takes, it greets; here each takes its source."""
    text = bootstrap(bundle()).replace(MAGIC_NUMBER.hex(), "00")
    command = [python, "-I", "-S", "-c", text]
    agent = subprocess.run(command, input=bundle() + BEAT, capture_output=True, timeout=30, check=False)
    assert [json.loads(line).get("tell") for line in agent.stdout.splitlines()] == [protocol.HELLO, None, protocol.GOODBYE]
