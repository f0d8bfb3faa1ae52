"""The fixture ``sshlab``: labs that are made when they are first asked for, and shared by the tests of a process.

Every test has it (tests/conftest.py), and says ``lab = sshlab("two-hosts")``, or with the words of
:class:`~tests.sshlab.lab.SSHLab` ``sshlab("line", bare=True)``. Who breaks
a lab in a way that cannot be mended makes one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.sshlab.lab import SSHLab

    Labs = Callable[..., SSHLab]


@pytest.fixture(scope="session")
def sshlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """Gives the lab of these words; skips, with the reason, where there can be none."""
    from tests.sshlab import lab

    made: dict[tuple[Any, ...], SSHLab] = {}
    with ExitStack() as stack:

        def one(topology: str = "line", **words: Any) -> SSHLab:
            if reason := lab.why_not():
                pytest.skip(reason)
            key = (topology, *sorted(words.items()))
            if key not in made:
                made[key] = stack.enter_context(lab.SSHLab(topology, at=tmp_path_factory.mktemp("hosts"), **words))
            return made[key]

        yield one
