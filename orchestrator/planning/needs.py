"""What a scenario needs of its hosts, and what they lack of it, as a sentence to skip the run with. Pure.

The surprising fact: needs are read from the steps too. A rule needs iptables and ``nc`` needs nc, so that a lab on a machine without them
is skipped with the package's name before anything is touched, not failed in the middle. A step that is left out here needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator.model.scenario import Condition, Guarded, Needs, Scenario
from orchestrator.model.topology import Facts, Testbed, ip_version
from orchestrator.model.words.actions import Action, File, Ip, Iptables, Offload, Run, Snapshot, Start, Sysctl
from orchestrator.model.words.expectations import RuleExpectation, SocketExpectation, ToolExpectation
from orchestrator.model.words.values import Where
from orchestrator.planning.conditions import Conditions, kernel_fits

_PACKAGES = {
    "arping": "iputils-arping",
    "conntrack": "conntrack",
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "ethtool": "ethtool",
    "hping3": "hping3",
    "ip": "iproute2",
    "ip6tables": "iptables",
    "iperf": "iperf",
    "iperf3": "iperf3",
    "iptables": "iptables",
    "lsof": "lsof",
    "nc": "netcat-openbsd",
    "ncat": "ncat",
    "netstat": "net-tools",
    "nft": "nftables",
    "nmap": "nmap",
    "nstat": "iproute2",
    "ping": "iputils-ping",
    "python3": "python3",
    "socat": "socat",
    "ss": "iproute2",
    "strace": "strace",
    "tc": "iproute2",
    "tcpdump": "tcpdump",
    "telnet": "telnet",
    "traceroute": "traceroute",
    "tshark": "tshark",
    "wget": "wget",
}
"""The programs of lab sheets, and the packages of Debian that they are in."""

_HINTS = {
    "root": "run orchestrate as root",
    "netem": "the kernel's module sch_netem",
    "tbf": "the kernel's module sch_tbf",
    "trace": "the kernel's trace under /sys/kernel/tracing, which is root's alone",
}


def needs(scenario: Scenario) -> Needs:
    """All that the scenario asks of a host, said or implied; of parameters also those that only some hosts need."""
    tools = {*scenario.needs.tools, *_implied_tools(scenario)}
    keys = {*scenario.needs.sysctls, *(wish.key for wish in scenario.sysctl), *(key for _host, key in _set_in_steps(scenario))}
    keys |= _conditional_sysctls(scenario)
    return msgspec.structs.replace(scenario.needs, tools=tuple(sorted(tools)), sysctls=tuple(sorted(keys)), rights=_takes_rights(scenario))


def _takes_rights(scenario: Scenario) -> bool:
    """Whether it captures, alters a host or says that it needs them; a program may need them too, so programs count."""
    acting = [acting.action for step in scenario.steps for acting in step.actions]
    privileged = any(isinstance(action, Iptables | Sysctl | Offload | Ip | Run | Start) for action in acting)
    looks = any(isinstance(guarded.expectation, RuleExpectation) for guarded in _guarded(scenario))
    return bool(scenario.capture or scenario.sysctl or scenario.offload or "root" in scenario.needs.features) or privileged or looks


def unvouched(scenario: Scenario) -> Iterator[tuple[str, Where, bool]]:
    """Programs that steps run and that are neither known here nor named under ``needs``.

    Each with its place, and whether a file of the scenario's bears its name. A step with a condition may be meant for another machine, so
    its programs are none: where it is meant and they are missing, the run is skipped.
    """
    files = {acting.action.name for step in scenario.steps for acting in step.actions if isinstance(acting.action, File)}
    for step in scenario.steps:
        for acting in step.actions if step.when is None else ():
            for name in _program(acting.action):
                if name not in _PACKAGES and name not in scenario.needs.tools:
                    yield name, acting.where, name in files


def _implied_tools(scenario: Scenario) -> Iterator[str]:
    for step in scenario.steps:
        for acting in step.actions:
            yield from _tools_of_action(acting.action)
    for guarded in _guarded(scenario):
        match guarded.expectation:
            case SocketExpectation():
                yield "ss"
            case RuleExpectation():
                yield "iptables"
            case ToolExpectation(tool=tool):
                yield tool
            case _:
                pass


def _tools_of_action(action: Action) -> Iterator[str]:
    match action:
        case Iptables(tool=tool):
            yield tool
        case Ip():
            yield "ip"
        case Snapshot(tools=tools):
            yield from tools
        case _:
            yield from _program(action)


def _program(action: Action) -> Iterator[str]:
    """The program that an action looks for on the host's path."""
    if isinstance(action, Start | Run) and "/" not in action.argv[0] and "$" not in action.argv[0]:
        yield action.argv[0]


def _guarded(scenario: Scenario) -> Iterator[Guarded]:
    for step in scenario.steps:
        yield from step.expect
    yield from scenario.expect


def _conditional_sysctls(scenario: Scenario) -> set[str]:
    conditions: list[Condition | None] = [step.when for step in scenario.steps]
    conditions += [guarded.when for guarded in _guarded(scenario)]
    return {condition.sysctl for condition in conditions if condition is not None and condition.sysctl}


def _set_in_steps(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Host and key of each parameter that a step sets."""
    for step in scenario.steps:
        for acting in step.actions:
            if isinstance(acting.action, Sysctl):
                yield from ((acting.host, key) for key in acting.action.values)


def missing(scenario: Scenario, testbed: Testbed) -> str | None:
    """Why this testbed cannot run the scenario; ``None`` where it can."""
    version = ip_version(scenario.family)
    for host in testbed.topology.hosts:
        if not testbed.topology.addresses(host.name, version):
            return f"topology {testbed.topology.name} gives {host.name} no address of {scenario.family}"
    meant = _meant(scenario, testbed)
    wanted = needs(meant)
    keys = [(wish.host, wish.key) for wish in scenario.sysctl if not wish.if_present] + list(_set_in_steps(meant))
    for live in testbed.hosts:
        own = (*scenario.needs.sysctls, *(key for host, key in keys if host in ("all", live.name)))
        if text := _lacking(live.name, live.facts, msgspec.structs.replace(wanted, sysctls=own)):
            return text
    return None


def _meant(scenario: Scenario, testbed: Testbed) -> Scenario:
    """The scenario without what is left out on this testbed."""
    replace, conditions = msgspec.structs.replace, Conditions(scenario, testbed)

    def expected(guarded: tuple[Guarded, ...]) -> tuple[Guarded, ...]:
        return tuple(one for one in guarded if conditions.of_expectation(one) is None)

    steps = tuple(replace(step, expect=expected(step.expect)) for step in scenario.steps if conditions.of_step(step) is None)
    return replace(scenario, steps=steps, expect=expected(scenario.expect))


def _lacking(host: str, facts: Facts, wanted: Needs) -> str | None:
    """What one host lacks."""
    for tool in wanted.tools:
        if tool not in facts.tools:
            package = _PACKAGES.get(tool)
            return f"{host} has no {tool}: install {f'the package {package}' if package else 'it, or check the spelling'}"
    for feature in wanted.features:
        if feature not in facts.features:
            return f"{host} lacks what the scenario needs: {feature} ({_HINTS.get(feature, 'unknown here')})"
    for key in wanted.sysctls:
        if key not in facts.sysctls:
            return f"{host} has no {key} (kernel {facts.kernel})"
    if wanted.kernel and not kernel_fits(facts.kernel, wanted.kernel):
        return f"{host} runs kernel {facts.kernel}, the scenario needs {wanted.kernel}"
    return None
