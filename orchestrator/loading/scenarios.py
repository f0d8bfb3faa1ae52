"""The document of a scenario -> its records, one for each variant of ``matrix``.

Does not open files. The surprising fact: a document is read once for each variant, because any text in it may hold ``${name}``; a problem
that all variants have is told once.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from math import prod
from typing import Any

from orchestrator.loading.keys.scenario import EVERY_HOST, MATRIX, SCENARIO, VARS
from orchestrator.loading.keys.steps import MOST_STEPS
from orchestrator.loading.kinds.shapes import Entry
from orchestrator.loading.kinds.tables import Fields
from orchestrator.loading.script.expectations import Asking, expectations
from orchestrator.loading.script.scene import Scene
from orchestrator.loading.script.steps import Script, TooManySteps
from orchestrator.loading.source.documents import Mapping, Node
from orchestrator.loading.source.problems import Complaints, Refused
from orchestrator.loading.source.reader import Reader
from orchestrator.model.scenario import CaptureWish, Guarded, Needs, Scenario, SysctlWish
from orchestrator.model.topology import Topology

MOST_VARIANTS = 64
_DEADLINE_NS = 60_000_000_000
_FAMILIES = {"ipv4": "AF_INET", "ipv6": "AF_INET6"}


def read_scenarios(document: Node, path: str, topology: Topology | None, complaints: Complaints) -> tuple[Scenario, ...]:
    """The scenario in ``document``, one record for each variant; what is wrong goes to ``complaints``, and then fewer come back."""
    hosts = None if topology is None else frozenset(host.name for host in topology.hosts)
    reader = Reader(path, complaints, names={}, hosts=hosts)
    scenarios: list[Scenario] = []
    done = 0
    try:
        for variant in _variants(document, reader):
            before = len(complaints)
            reading = _Variant(variant, topology)
            with suppress(Refused):
                scenario, done = reading.read(document, reader, done)
                scenarios += [scenario] if len(complaints) == before else []
    except TooManySteps:
        steps = document.value("steps") if isinstance(document, Mapping) else None
        reader.complain(steps or document, f"with all loops and variants unrolled there are more than {MOST_STEPS} steps")
    return tuple(scenarios)


def _variants(document: Node, reader: Reader) -> list[dict[str, str]]:
    """The combinations of ``matrix``, in its order; one empty one where there is none."""
    node = document.value("matrix") if isinstance(document, Mapping) else None
    if node is None:
        return [{}]
    entries: tuple[Entry, ...] = ()
    with suppress(Refused):
        entries = MATRIX.read(node, reader)
    for entry in entries:
        _check_values(entry, reader)
    if prod(len(entry.value) for entry in entries) > MOST_VARIANTS:
        reader.complain(node, f"these are more than {MOST_VARIANTS} combinations")
        return [{}]
    if any(not entry.value for entry in entries):
        return [{}]
    return [
        dict(zip((entry.key for entry in entries), values, strict=True))
        for values in product(*([m.value for m in e.value] for e in entries))
    ]


def _check_values(entry: Entry, reader: Reader) -> None:
    """Each value once; families are two."""
    seen = set()
    if entry.key != "family" and entry.value and {marked.value for marked in entry.value} <= set(_FAMILIES):
        reader.complain(entry.key_where, f"these are families: they are chosen by the name 'family', not '{entry.key}'")
    for marked in entry.value:
        if marked.value in seen:
            reader.complain(marked.where, f"'{marked.value}' stands twice")
        seen.add(marked.value)
        if entry.key == "family" and marked.value not in _FAMILIES:
            reader.complain(marked.where, f"a family is 'ipv4' or 'ipv6', not '{marked.value}'")


class _Variant:
    """Reads a document for one choice of the matrix."""

    def __init__(self, variant: dict[str, str], topology: Topology | None) -> None:
        self._variant = variant
        self._topology = topology
        self._family = variant.get("family", "ipv4")

    def read(self, document: Node, reader: Reader, done: int) -> tuple[Scenario, int]:
        """The record, and how many steps were read so far.

        :raises Refused: too little of it can be read.
        """
        reader = reader.knowing({"AF": _FAMILIES.get(self._family, "AF_INET"), **self._variant})
        reader = _with_variables(document, reader)
        fields = SCENARIO.read(document, reader)
        _check_name(fields, reader)
        capture = self._capture(fields)
        script = Script(Scene(self._topology, self._family, self._hosts, tuple(wish.host for wish in capture)), done)
        expect = _script(fields, script, reader)
        if any(fields.get(key) is None for key in SCENARIO.rules.required):
            raise Refused
        scenario = Scenario(
            name=fields.get("scenario"),
            title=fields.get("title"),
            path=reader.path,
            topology=fields.get("topology"),
            variant=self._variant,
            family=self._family,
            capture=capture,
            sysctl=self._sysctl(fields),
            steps=tuple(script.steps),
            expect=expect,
            **_settings(fields),
        )
        return scenario, script.done

    @property
    def _hosts(self) -> tuple[str, ...]:
        return tuple(host.name for host in self._topology.hosts) if self._topology else ()

    def _capture(self, fields: Fields) -> tuple[CaptureWish, ...]:
        """Where segments are captured, in the topology's order."""
        if "capture" not in fields:
            return tuple(CaptureWish(host=host) for host in self._hosts)
        wishes = {}
        for item in fields.get("capture"):
            if isinstance(item, Entry):
                wishes[item.key] = CaptureWish(host=item.key, filter=item.value.strip(), where=item.key_where)
            else:
                wishes[item.value] = CaptureWish(host=item.value, where=item.where)
        return tuple(wishes[host] for host in self._hosts if host in wishes)

    def _sysctl(self, fields: Fields) -> tuple[SysctlWish, ...]:
        """What is pinned on each host; its own line wins over that of ``all``."""
        wishes: dict[tuple[str, str], SysctlWish] = {}
        for entry in sorted(fields.get("sysctl", ()), key=lambda entry: entry.key != EVERY_HOST):
            for host in self._hosts if entry.key == EVERY_HOST else (entry.key,):
                for pin in entry.value:
                    given = pin.value if isinstance(pin.value, Fields) else None
                    value = given.get("value", "") if given else pin.value
                    present = bool(given and given.get("if_present"))
                    wishes[host, pin.key] = SysctlWish(host=host, key=pin.key, value=value, if_present=present)
        return tuple(wishes.values())


def _script(fields: Fields, script: Script, reader: Reader) -> tuple[Guarded, ...]:
    """Read the steps into ``script``, then the expectations of the end, which may name what the steps made."""
    if "steps" not in fields:
        script.names.doubt.present = True
    else:
        with suppress(Refused):
            script.read(fields.get("steps"), reader)
    return expectations(fields.get("expect", ()), Asking(reader, script.names, script.scene))


def _settings(fields: Fields) -> dict[str, Any]:
    """The fields of the record that need nothing but their own value."""
    return {
        "about": fields.get("about", ""),
        "tags": tuple(marked.value for marked in fields.get("tags", ())),
        "offload": {entry.key: entry.value for entry in fields.get("offload", ())},
        "needs": _needs(fields.get("needs")),
        "timeout_ns": fields.get("timeout", _DEADLINE_NS),
        "waits_ns": fields.get("waits", 0),
        "alone": fields.get("alone", False),
        "on_failure": fields.get("on_failure", "stop"),
    }


def _with_variables(document: Node, reader: Reader) -> Reader:
    """The reader with ``vars`` known; a variable may use those before it."""
    node = document.value("vars") if isinstance(document, Mapping) else None
    if not isinstance(node, Mapping):
        if node is not None:
            reader.complain(node, "a mapping of names to values is wanted here")
        return reader
    names = dict(reader.names or {})
    reader = Reader(reader.path, reader.complaints, names=names, hosts=reader.hosts)
    for key, value in node.pairs:
        if key.text in names and key.text != "AF":
            reader.complain(key, f"the name '{key.text}' is taken by 'matrix'")
        if key.text in (reader.hosts or ()):
            reader.complain(key, f"the name '{key.text}' is taken: it stands for the host's address")
        pair = node._replace(pairs=((key, value),))
        with suppress(Refused):
            names.update((entry.key, entry.value) for entry in VARS.read(pair, reader))
    return reader


def _check_name(fields: Fields, reader: Reader) -> None:
    """A scenario is called as its file is."""
    name, file = fields.get("scenario"), reader.path.rpartition("/")[2]
    if name and file.endswith((".yaml", ".yml")) and file.rpartition(".")[0] != name:
        reader.complain(fields.place("scenario"), f"the scenario is called '{name}', its file '{file}': they must be the same")


def _needs(fields: Fields | None) -> Needs:
    if fields is None:
        return Needs()
    return Needs(
        tools=tuple(marked.value for marked in fields.get("tools", ())),
        features=tuple(marked.value for marked in fields.get("features", ())),
        kernel=fields.get("kernel"),
        sysctls=tuple(marked.value for marked in fields.get("sysctl", ())),
    )
