"""A plan: what each host will do and when, every name bound, every address resolved. Nothing here needs the scenario any more."""

from __future__ import annotations

from orchestrator.model.scenario import Timing
from orchestrator.model.topology import Alteration, Testbed, ip_version
from orchestrator.model.words.actions import Action
from orchestrator.model.words.expectations import AnyExpectation, Outcome
from orchestrator.model.words.values import Record, Where


class PlannedAction(Record, frozen=True, kw_only=True):
    """One action of one host. ``id`` is unique in the plan (``3.1``: first action of step 3); ``name`` is what later steps call it."""

    id: str
    host: str
    action: Action
    where: Where
    timeout_ns: int
    name: str | None = None
    background: bool = False
    outcome: Outcome | None = None


class PlannedStep(Record, frozen=True, kw_only=True):
    """A barrier: all its actions have ended (or run in the background) and all its live expectations hold before the next begins.

    ``skip`` says why it is left out on this testbed.
    """

    number: int
    name: str
    where: Where
    actions: tuple[PlannedAction, ...] = ()
    together: bool = False
    timing: Timing | None = None
    expect: tuple[AnyExpectation, ...] = ()
    skip: str | None = None


class HostPlan(Record, frozen=True, kw_only=True):
    """What one host is told before anything moves. ``capture`` is ``None`` where nothing is captured, else tcpdump's filter, empty for all.

    ``filter_program`` is that filter as ``tcpdump -ddd`` compiled it. ``if_present`` are keys of ``sysctl`` that the host may lack all the
    same: some that the machine has, no namespace has. ``setup`` makes a real host what the topology wants.
    """

    name: str
    capture: str | None = None
    filter_program: str = ""
    interfaces: tuple[str, ...] = ()
    sysctl: dict[str, str] = {}
    if_present: tuple[str, ...] = ()
    offload: dict[str, bool] = {}
    setup: tuple[Alteration, ...] = ()


class Plan(Record, frozen=True, kw_only=True):
    """What will be done. ``label`` names the scenario and its variant; ``skip`` says why nothing will be, with nothing touched."""

    scenario: str
    label: str
    title: str
    family: str
    testbed: Testbed
    hosts: tuple[HostPlan, ...]
    steps: tuple[PlannedStep, ...]
    expect: tuple[AnyExpectation, ...] = ()
    timeout_ns: int
    on_failure: str = "stop"
    skip: str | None = None

    def addresses(self, host: str, network: str | None = None) -> tuple[str, ...]:
        """The experiment addresses of ``host`` in the family of this plan."""
        return self.testbed.topology.addresses(host, ip_version(self.family), network)
