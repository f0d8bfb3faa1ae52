"""A condition (``when``) and the facts of hosts -> why a step or an expectation is left out here. Pure.

One rule for the plan, which tells it, and for what a scenario needs: what is left out needs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.model.scenario import Condition, Guarded, Scenario, Step
from orchestrator.model.topology import Testbed
from orchestrator.model.words.expectations import AnyExpectation, CountExpectation, IcmpExpectation, PacketsExpectation


class Conditions:
    """What the conditions of one scenario come to on one testbed."""

    def __init__(self, scenario: Scenario, testbed: Testbed) -> None:
        self._family = scenario.family
        self._facts = {host.name: host.facts for host in testbed.hosts}
        self._first = testbed.topology.hosts[0].name

    def of_step(self, step: Step) -> str | None:
        """Why ``step`` is not meant here; ``None`` where it is. Asked are the hosts that act, else those that are looked at."""
        acting = dict.fromkeys(acting.host for acting in step.actions)
        return self._unmet(step.when, acting or dict.fromkeys(_witness_host(guarded.expectation) for guarded in step.expect))

    def of_expectation(self, guarded: Guarded) -> str | None:
        """Why an expectation is not meant here; ``None`` where it is. Asked is the host that it is about."""
        return self._unmet(guarded.when, (_witness_host(guarded.expectation),))

    def _unmet(self, condition: Condition | None, hosts: Iterable[str]) -> str | None:
        """What of ``condition`` does not hold; ``hosts`` are those to ask, none for the first of all."""
        if condition is None:
            return None
        if condition.family and condition.family != self._family:
            return f"only for {condition.family}"
        for host in tuple(hosts) or (self._first,):
            facts = self._facts[host]
            if condition.kernel and not kernel_fits(facts.kernel, condition.kernel):
                return f"only for kernel {condition.kernel}, that of {host} is {facts.kernel}"
            if condition.sysctl and condition.sysctl not in facts.sysctls:
                return f"{host} has no {condition.sysctl}"
        return None


def _witness_host(expectation: AnyExpectation) -> str:
    """The host whose kernel, programs or capture an expectation is about."""
    if isinstance(expectation, PacketsExpectation | CountExpectation | IcmpExpectation):
        return expectation.capture
    return expectation.host


def kernel_fits(release: str, wanted: str) -> bool:
    """Whether ``6.18.4-amd64`` is ``>= 6.5``."""
    operator, _space, text = wanted.partition(" ") if wanted[0] in "<>=!" else (">=", "", wanted)
    asked = _numbers(text)
    have = (*_numbers(release), 0, 0)[: len(asked)]  # 6.18-rc1 is no less than 6.18.0
    return {">=": have >= asked, ">": have > asked, "<=": have <= asked, "<": have < asked, "==": have == asked, "!=": have != asked}.get(
        operator, False
    )


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part) if found else ()
