"""A scenario as it was written, checked and typed; one record for each variant of its ``matrix``.

Loading has put in ``vars``, ``matrix`` and the counters of ``repeat``; ``${juliet}`` (an address) waits for planning.
"""

from __future__ import annotations

from orchestrator.model.words.actions import Action
from orchestrator.model.words.expectations import AnyExpectation, Outcome
from orchestrator.model.words.values import Comparison, Record, Where

FEATURES = ("root", "netem", "tbf", "trace")
"""What a scenario may need of its hosts beside programs and parameters.

``root``: the machine's own administrator. ``netem``, ``tbf``: the kernel can lose, delay and slow down (tc-netem(8), tc-tbf(8)).
``trace``: its trace of socket states may be read.
"""


class Condition(Record, frozen=True, kw_only=True):
    """When a step or an expectation is meant: every field given must hold.

    ``kernel`` is compared with the numbers of ``uname -r`` (``">= 6.5"`` is operator and text); ``sysctl`` must exist; ``family`` is
    ``ipv4`` or ``ipv6``.
    """

    kernel: str | None = None
    sysctl: str | None = None
    family: str | None = None


class Guarded(Record, frozen=True, kw_only=True):
    """An expectation and the condition under which it is meant."""

    expectation: AnyExpectation
    when: Condition | None = None


class HostAction(Record, frozen=True, kw_only=True):
    """One action on one host. ``name`` is what ``wait``, ``remove``, ``type`` and ``after`` call it."""

    host: str
    action: Action
    where: Where
    name: str | None = None
    background: bool = False
    timeout_ns: int | None = None
    outcome: Outcome | None = None


class Timing(Record, frozen=True, kw_only=True):
    """When a step may begin: ``delay_ns`` after ``since``.

    ``since`` is ``""`` for the begin of the first step (``at``), ``-`` for the moment the previous step was over, else the name of a step
    or an action, counted from its begin.
    """

    since: str
    delay_ns: int


class Step(Record, frozen=True, kw_only=True):
    """A line of the lab sheet. ``number`` counts from 1 after unrolling; ``together`` fires all actions at one instant."""

    number: int
    name: str
    where: Where
    actions: tuple[HostAction, ...] = ()
    together: bool = False
    timing: Timing | None = None
    expect: tuple[Guarded, ...] = ()
    when: Condition | None = None


class CaptureWish(Record, frozen=True, kw_only=True):
    """Capture on ``host``, with a filter in tcpdump's words (empty: everything)."""

    host: str
    filter: str = ""
    where: Where | None = None


class SysctlWish(Record, frozen=True, kw_only=True):
    """Pin ``key`` to ``value`` on ``host`` for the run. A kernel that lacks it: SKIP, unless ``if_present``."""

    host: str
    key: str
    value: str
    if_present: bool = False


class Needs(Record, frozen=True, kw_only=True):
    """What hosts must have, else SKIP.

    ``tools`` on their path, ``features`` out of :data:`FEATURES`, a ``kernel``, ``sysctls``. ``rights`` is whether anything that is done
    takes an administrator's.
    """

    tools: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    kernel: str | None = None
    sysctls: tuple[str, ...] = ()
    rights: bool = False


class Scenario(Record, frozen=True, kw_only=True):
    """One scenario, one variant. ``variant`` holds the values that ``matrix`` chose (``{"family": "ipv6"}``), ``vars`` all the others."""

    name: str
    title: str
    path: str
    topology: str
    about: str = ""
    tags: tuple[str, ...] = ()
    variant: dict[str, str] = {}
    family: str = "ipv4"
    capture: tuple[CaptureWish, ...] = ()
    sysctl: tuple[SysctlWish, ...] = ()
    offload: dict[str, bool] = {}
    needs: Needs = Needs()
    steps: tuple[Step, ...]
    expect: tuple[Guarded, ...] = ()
    timeout_ns: int = 60_000_000_000
    waits_ns: int = 0
    alone: bool = False
    on_failure: str = "stop"

    @property
    def label(self) -> str:
        """The name, with the variant where there is one: ``connection-refused[ipv6]``."""
        return f"{self.name}[{','.join(self.variant.values())}]" if self.variant else self.name


__all__ = [
    "FEATURES",
    "CaptureWish",
    "Comparison",
    "Condition",
    "Guarded",
    "HostAction",
    "Needs",
    "Scenario",
    "Step",
    "SysctlWish",
    "Timing",
]
