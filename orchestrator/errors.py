"""Every exception this project raises: the harness could not.

What TCP did (``ECONNREFUSED``) is an outcome, recorded and judged; it is never one of these.

::

    OrchestratorError            carries ``exit_code`` and reads as a sentence a person can act on
    |-- UsageError          64   the command line, or what it names: no such run, host, file or folder
    |-- InputProblems       65   every problem of a scenario, topology or inventory, each with its place
    |-- StoreError           3   a run directory cannot be written or read (full disk, a run that never ended)
    |-- TestbedError         3   hosts cannot be made or reached; says what to install or permit
    |   |-- Unsupported      2   this machine lacks what the scenario needs: SKIP with the reason
    |   `-- Unreachable          a machine of the inventory cannot be talked with; names it, says why and what to do
    |-- AgentError           3   an agent refused, vanished or spoke out of turn; names the host
    |   |-- AgentLost            its channel ended
    |   `-- Overdue              it did not arrive at a barrier; says what it was doing
    |-- HostErrors           3   several hosts at once: every result, good and bad
    |-- EvidenceError        3   a capture or a record cannot be read; says from which byte on
    `-- Interrupted        130   a person or the system asked us to stop
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


TOO_MANY_FILES = "too many files are open: raise the limit (ulimit -n 65536) or run fewer at one time (--jobs)"
"""What a person can do about EMFILE, wherever it is met (errno(3))."""


class OrchestratorError(Exception):
    """The harness could not; ``str()`` is one sentence for a person."""

    exit_code: ClassVar[int] = 3


class UsageError(OrchestratorError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = 64


class Problem(NamedTuple):
    """One thing wrong with an input, at 1-based ``line`` and ``column`` of ``path``."""

    path: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.text}"


class InputProblems(OrchestratorError):
    """All the problems of an input, in the order of its lines."""

    exit_code = 65

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StoreError(OrchestratorError):
    """A run directory cannot be written or read."""


class TestbedError(OrchestratorError):
    """Hosts cannot be made or reached."""

    __test__ = False  # its name begins like a test class of pytest's


class Unsupported(TestbedError):
    """This machine, kernel or user lacks what the scenario needs: a SKIP, before the first step."""

    exit_code = 2


class Unreachable(TestbedError):
    """The ``machine`` of an inventory cannot be talked with: no way to it, not let in, not who it was, no Python, no rights."""

    def __init__(self, machine: str, text: str) -> None:
        self.machine = machine
        super().__init__(f"{machine}: {text}")


class AgentError(OrchestratorError):
    """The agent on ``host`` refused, vanished or spoke out of turn."""

    def __init__(self, host: str, text: str) -> None:
        self.host = host
        super().__init__(f"{host}: {text}")


class AgentLost(AgentError):
    """The channel to an agent ended before its work did."""


class Overdue(AgentError):
    """An agent did not arrive at a barrier before the deadline."""


class HostErrors(OrchestratorError):
    """Several hosts failed at once: a line for each, or for all that have it in common. Holds every result, ``None`` where it went well."""

    def __init__(self, results: Mapping[str, OrchestratorError | None]) -> None:
        self.results = dict(results)
        alike: dict[str, list[str]] = {}
        for host, error in results.items():
            if error is not None:
                who = str(getattr(error, "host", getattr(error, "machine", host)))
                alike.setdefault(str(error).removeprefix(f"{who}: "), []).append(who)
        super().__init__("\n".join(f"{', '.join(names)}: {text}" for text, names in alike.items()))


class EvidenceError(OrchestratorError):
    """A capture or a stored record cannot be read."""


class Interrupted(OrchestratorError):
    """A signal asked the controller to stop; the partial evidence was kept."""

    exit_code = 130
