"""Unit tests are pure: the interpreter itself refuses them a process and the network, unless a test is marked with the reason.

An audit hook sees what no patch of a module can miss: C code, names imported before, ``os`` below ``subprocess``. It cannot be taken out
again, so it is asleep except while a test runs. What it refused is told at the test's end too, because code under test may swallow it.
"""

from __future__ import annotations

import socket
import sys

import pytest

PROCESSES = {"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn"}
NETWORK = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}

# Tests that other programs judge, and why: these read the same captures, and we agree with them.
JUDGED = {
    "analysis/test_golden.py::test_tshark_reads_the_same": "tshark is an independent judge of the captures",
    "analysis/test_golden.py::test_tcpdump_prints_the_same_flags_lengths_and_options": "tcpdump is an independent judge of the captures",
}


class Forbidden(Exception):
    """A unit test did what unit tests do not."""


class Guard:
    """Awake while a test runs that is not marked ``impure``."""

    def __init__(self):
        self.awake = False
        self.seen = []

    def __call__(self, event, arguments):
        if not self.awake:
            return
        outside = event == "socket.__new__" and arguments[1] not in (socket.AF_UNIX, -1)
        if outside or event in PROCESSES or event in NETWORK:
            self.seen.append(event)
            raise Forbidden(f"{event} in a unit test: mark it @pytest.mark.impure('why'), or test without")


GUARD = Guard()
sys.addaudithook(GUARD)


def pytest_configure(config):
    config.addinivalue_line("markers", "impure(why): a unit test that may start programs")


def pytest_collection_modifyitems(items):
    for item in items:
        why = next((why for name, why in JUDGED.items() if f"tests/unit/{name}" in item.nodeid), None)
        if why is not None:
            item.add_marker(pytest.mark.impure(why))


@pytest.fixture(autouse=True)
def pure(request):
    """No process and no network, except where ``impure`` says why; gives the guard."""
    GUARD.seen = []
    GUARD.awake = request.node.get_closest_marker("impure") is None
    yield GUARD
    GUARD.awake = False
    assert GUARD.seen == []
