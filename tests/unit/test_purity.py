"""The guard of the unit tests sees what it is there for, in whatever way it is done."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import suppress
from subprocess import run

import pytest

ATTEMPTS = {
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "a name imported before": lambda: run(["true"], check=True),
    "os.system": lambda: os.system("true"),
    "os.fork": os.fork,
    "os.posix_spawn": lambda: os.posix_spawn(sys.executable, [sys.executable, "-V"], {}),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "a socket": socket.socket,
    "a connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "a name": lambda: socket.getaddrinfo("localhost", 1),
    "a socket of the machine's own": lambda: socket.socket(socket.AF_UNIX).connect("/nowhere"),
}


@pytest.mark.parametrize("attempt", list(ATTEMPTS.values()), ids=list(ATTEMPTS))
def test_it_is_refused(attempt, pure):
    with pytest.raises(Exception, match=r"in a unit test: mark it @pytest\.mark\.impure\('why'\), or test without") as refusal:
        attempt()
    assert type(refusal.value).__name__ == "Forbidden"
    assert len(pure.seen) == 1
    pure.seen.clear()


def test_what_was_swallowed_is_remembered(pure):
    with suppress(Exception):  # as code under test might
        os.fork()
    assert pure.seen == ["os.fork"]
    pure.seen.clear()


def test_an_event_loop_is_pure(pure):
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
    assert pure.seen == []


@pytest.mark.impure("shows that the mark opens the way")
def test_a_marked_test_may():
    assert subprocess.run(["true"], check=False).returncode == 0
