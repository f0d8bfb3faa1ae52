"""A scenario and a testbed -> a plan: names bound, addresses resolved, barriers placed, and what this testbed lacks told as a skip. Pure.

Asks no host. The surprising fact: a condition (``when``) is judged here, by what was found on the hosts that act or are looked at, so a
plan says beforehand what will be left out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import partial

import msgspec

from orchestrator.agent.protocol import CALLS, encode_value
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.scenario import Guarded, HostAction, Scenario, Step
from orchestrator.model.topology import Facts, Testbed, Topology, ip_version
from orchestrator.model.words.actions import Action, Call, Calls, File, Ip, Iptables, Offload, Ready, Run, Snapshot, Start, Sysctl, Type
from orchestrator.model.words.expectations import (
    AnyExpectation,
    CountExpectation,
    Outcome,
    OutputExpectation,
    PacketsExpectation,
    ToolExpectation,
)
from orchestrator.model.words.segments import Gap, SegmentPattern
from orchestrator.model.words.values import Json
from orchestrator.planning.conditions import Conditions
from orchestrator.planning.needs import missing

_DOTTED = re.compile(r"[0-9]+\.[0-9]")
ACTION_TIMEOUT_NS = 5_000_000_000
HONEST_WIRE = {"tso": False, "gso": False, "gro": False, "tx": False, "rx": False}
"""Off unless a scenario asks: otherwise one captured "segment" is forty, and its checksum is not yet made."""


def plan(scenario: Scenario, testbed: Testbed) -> Plan:
    """Bind the scenario to the testbed."""
    binder = _Binder(scenario, testbed)
    return Plan(
        scenario=scenario.name,
        label=scenario.label,
        title=scenario.title,
        family=scenario.family,
        testbed=testbed,
        hosts=tuple(binder.host(host.name) for host in testbed.topology.hosts),
        steps=tuple(binder.step(step) for step in scenario.steps),
        expect=tuple(binder.expectation(guarded) for guarded in scenario.expect),
        timeout_ns=scenario.timeout_ns + scenario.waits_ns,
        on_failure=scenario.on_failure,
        skip=missing(scenario, testbed),
    )


class _Binder:
    """Puts addresses where names stand, in everything that one variant says."""

    def __init__(self, scenario: Scenario, testbed: Testbed) -> None:
        self._scenario = scenario
        self._testbed = testbed
        self._version = ip_version(scenario.family)
        self._topology: Topology = testbed.topology
        self._facts: dict[str, Facts] = {host.name: host.facts for host in testbed.hosts}
        self._live = {host.name: host for host in testbed.hosts}
        self._conditions = Conditions(scenario, testbed)
        self._addresses = dict(self._named())

    def _named(self) -> Iterator[tuple[str, str]]:
        """Every name that stands for an address: ``router`` (its first), ``router@right`` (on that network)."""
        for host in self._topology.hosts:
            networks = [network.name for network, _port in self._topology.ports(host.name)]
            for name, network in ((host.name, None), *((f"{host.name}@{one}", one) for one in networks)):
                if addresses := self._topology.addresses(host.name, self._version, network):
                    yield name, addresses[0]

    def host(self, host: str) -> HostPlan:
        captures = {wish.host: wish.filter for wish in self._scenario.capture}
        wishes = [wish for wish in self._scenario.sysctl if wish.host in ("all", host)]
        meant = [wish for wish in wishes if not wish.if_present or wish.key in self._facts[host].sysctls]
        live = self._live[host]
        pinned = {live.sysctl_key(wish.key): wish.value for wish in meant}
        return HostPlan(
            name=host,
            capture=self._text(captures[host]) if host in captures else None,
            interfaces=self._interfaces(host),
            sysctl={**live.sysctl, **pinned},
            if_present=tuple(live.sysctl_key(wish.key) for wish in meant if wish.if_present),
            offload={**HONEST_WIRE, **self._scenario.offload},
            setup=live.setup,
        )

    def _interfaces(self, host: str) -> tuple[str, ...]:
        return tuple(self._live[host].interface(port.interface) for _network, port in self._topology.ports(host))

    def step(self, step: Step) -> PlannedStep:
        return PlannedStep(
            number=step.number,
            name=self._text(step.name),
            where=step.where,
            actions=tuple(self._action(f"{step.number}.{index}", acting) for index, acting in enumerate(step.actions, start=1)),
            together=step.together,
            timing=step.timing,
            expect=tuple(self.expectation(guarded) for guarded in step.expect),
            skip=self._conditions.of_step(step),
        )

    def _action(self, key: str, acting: HostAction) -> PlannedAction:
        endless = acting.background or isinstance(acting.action, Start)
        whole = self._scenario.timeout_ns + self._scenario.waits_ns
        default = whole if endless and not isinstance(acting.action, Start) else ACTION_TIMEOUT_NS
        return PlannedAction(
            id=key,
            host=acting.host,
            action=self._bound(acting.host, acting.action),
            where=acting.where,
            timeout_ns=acting.timeout_ns or default,
            name=acting.name,
            background=acting.background,
            outcome=self._outcome(acting.outcome),
        )

    def _bound(self, host: str, action: Action) -> Action:  # noqa: PLR0911  a case for each action that can hold an address
        replace = msgspec.structs.replace
        match action:
            case Calls(calls=calls):
                return replace(action, calls=tuple(self._call(call) for call in calls))
            case Iptables(words=words):
                return replace(action, words=tuple(map(self._text, self._there(host, words))))
            case Ip(words=words):
                return replace(action, words=self._in_family(tuple(map(self._text, self._there(host, words)))))
            case Start(argv=argv) | Run(argv=argv):
                return replace(action, argv=tuple(map(self._text, self._there(host, argv))), **self._proof(action))
            case Sysctl(values=values):
                return replace(action, values={self._live[host].sysctl_key(key): value for key, value in values.items()})
            case Type(text=text) | File(text=text):
                return replace(action, text=self._text(text))
            case Snapshot(tools=tools) if self._version == 6:
                return replace(action, tools=tuple("ip6tables" if tool == "iptables" else tool for tool in tools))
            case Offload(interfaces=()):
                return replace(action, interfaces=self._interfaces(host))
            case _:
                return action

    def _there(self, host: str, words: tuple[str, ...]) -> Iterator[str]:
        """The words with the topology's interfaces called as they are on the host: ``-i eth1``, ``dev eth1``."""
        own = [port.interface for _network, port in self._topology.ports(host)]
        return (self._live[host].interface(word) if word in own else word for word in words)

    def _in_family(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Words of ip(8) with ``-6`` before an IPv6 route; without an address (``default dev eth1``) the variant's family is meant."""
        if words[0] in ("-4", "-6") or not "route".startswith(words[0]):
            return words
        addresses = [word for word in words if ":" in word or _DOTTED.match(word)]
        six = any(":" in word for word in addresses) if addresses else self._version == 6
        return ("-6", *words) if six else words

    def _proof(self, action: Start | Run) -> dict[str, Ready]:
        output = action.ready.output if isinstance(action, Start) else None
        return {"ready": Ready(output=self._pattern(output))} if output else {}

    def _call(self, call: Call) -> Call:
        arguments = [self._value(argument) for argument in call.arguments]
        place = CALLS[call.method].address
        if place is not None and arguments:
            arguments[place] = self._address(arguments[place])
        return msgspec.structs.replace(call, text=self._text(call.text), arguments=tuple(arguments))

    def _address(self, value: Json) -> Json:
        """``("juliet", 4000)`` with the address of juliet."""
        items = value.get("tuple") if isinstance(value, dict) else None
        if not items or not isinstance(items[0], str):
            return value
        return {"tuple": [self._addresses.get(items[0], items[0]), *items[1:]]}

    def _outcome(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None:
            return None
        return msgspec.structs.replace(
            outcome, returns=self._result(outcome.returns), stdout=outcome.stdout and self._pattern(outcome.stdout)
        )

    def _result(self, value: Json) -> Json:
        """A returned value may be an address, alone or beside what came from there (``recvfrom``)."""
        if isinstance(value, dict) and "tuple" in value:
            return self._address({"tuple": [self._result(item) for item in value["tuple"]]})
        return self._value(value)

    def _value(self, value: Json) -> Json:
        """A value of the wire with every ``${juliet}`` in its texts put in."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict) and "tuple" in value:
            return {"tuple": [self._value(item) for item in value["tuple"]]}
        if isinstance(value, dict) and "bytes" in value:
            return encode_value(self._bytes(base64.b64decode(value["bytes"])))
        return value

    def _bytes(self, data: bytes) -> bytes:
        return self._text(data.decode("latin-1")).encode("latin-1")

    def expectation(self, guarded: Guarded) -> AnyExpectation:
        replace = msgspec.structs.replace
        expectation = replace(guarded.expectation, text=self._text(guarded.expectation.text))
        match expectation:
            case ToolExpectation(pattern=pattern) | OutputExpectation(pattern=pattern):
                expectation = replace(expectation, pattern=self._pattern(pattern))
            case PacketsExpectation(lines=lines):
                expectation = replace(expectation, lines=tuple(line if isinstance(line, Gap) else self._segment(line) for line in lines))
            case CountExpectation(match=match):
                expectation = replace(expectation, match=self._segment(match))
            case _:
                pass
        skip = self._conditions.of_expectation(guarded)
        return replace(expectation, skip=skip) if skip else expectation

    def _segment(self, line: SegmentPattern) -> SegmentPattern:
        """A line of ``packets`` with the payload as it will be on the wire."""
        if line.payload is None:
            return line
        return msgspec.structs.replace(line, payload=self._bytes(line.payload), text=self._text(line.text))

    def _text(self, text: str) -> str:
        """``${juliet}`` becomes juliet's address; ``$${`` is a plain ``${``."""
        return self._filled(text, str)

    def _pattern(self, text: str) -> str:
        """The same inside a regular expression, where an address stands for itself."""
        return self._filled(text, partial(re.escape))

    def _filled(self, text: str, form: type[str] | partial[str]) -> str:
        if "${" not in text:
            return text
        return re.sub(
            r"\$(\$\{)|\$\{([^}]*)\}",
            lambda found: found[1] or (form(self._addresses[found[2]]) if found[2] in self._addresses else found[0]),
            text,
        )
