"""The steps of a scenario -> records, ``repeat`` unrolled.

Does not know who will do them. The surprising fact: a step of a loop is read again for each round, since ``sock[${i}]`` can only be
parsed once the counter is in it; so the number of all steps is bounded.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from orchestrator.agent.protocol import MAX_FRAME_BYTES
from orchestrator.loading.keys.steps import ACTIONS, MOST_STEPS, STEP
from orchestrator.loading.kinds.tables import Fields
from orchestrator.loading.notation.values import NO_TIME
from orchestrator.loading.script.actions import Making, host_actions, waiting_host
from orchestrator.loading.script.expectations import PATIENCE_NS, Asking, condition, expectations
from orchestrator.loading.script.names import Names
from orchestrator.loading.script.scene import Scene
from orchestrator.loading.source.documents import Mapping, Node, Sequence
from orchestrator.loading.source.problems import Refused, nearest, suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.scenario import HostAction, Step, Timing
from orchestrator.model.words.actions import Calls

_HARMLESS = frozenset(
    {"name", "raises", "returns", "stdout", "ready", "timeout", "at", "after", "within", "expect", "when", "snapshot", "type", "signal"}
)
"""Keys of a step that make no names: when one of them is broken, later names can still be called unknown."""

LARGEST_PROGRAM = MAX_FRAME_BYTES - (2 << 20)
"""What all the steps may tell one host, in bytes: it travels as one frame, with the parameters that are pinned."""
_ENVELOPE_BYTES, _ADDRESS_BYTES = 200, 40
"""What is put around an action on its way, and what an address that planning puts in may add."""


def _may_make_names(fields: Fields) -> bool:
    """Whether what could not be read in a step may have made a name; a key that is misspelt makes what the one that it resembles makes."""
    return any((key if key in STEP.table else _resembled(key)) not in _HARMLESS for key in fields.broken)


def _resembled(key: str) -> str:
    """The key that ``key`` probably means. A misspelt ``name`` hides what ``after`` may refer to."""
    near = nearest(key, STEP.table)
    return "" if near == "name" else near


class Script:
    """The steps read so far, and what they leave for the next: names, times."""

    def __init__(self, scene: Scene, done: int) -> None:
        self.steps: list[Step] = []
        self.names = Names()
        self.scene = scene
        self._done = done
        self._number = 0
        self._latest_ns = 0
        self._told_bytes: dict[str, int] = {}

    def read(self, node: Node, reader: Reader) -> None:
        """Read a list of steps, at the top or in a loop."""
        if not isinstance(node, Sequence) or not node.items:
            hint = ", and this one is empty" if isinstance(node, Sequence) else ""
            hint = ": begin each step with '- '" if isinstance(node, Mapping) else hint
            reader.refuse(node, f"a list of steps is wanted here{hint}")
        for item in node.items:
            try:
                self._step(item, reader)
            except Refused:
                self.names.doubt.present = True

    def _step(self, node: Node, reader: Reader) -> None:
        number = self._number = self._number + 1
        fields = STEP.read_as(f"step {number}", node, reader)
        if _may_make_names(fields):
            self.names.doubt.present = True
        if "repeat" in fields or "repeat" in fields.broken:
            self._number -= 1
            self._repeat(fields, reader)
            return
        self._done += 1
        if self._done > MOST_STEPS:
            raise TooManySteps
        when = condition(fields.get("when"))
        meant = when is None or when.family in (None, self.scene.family)
        making = Making(reader, self.names if meant else self.names.aside(), self.scene, number, loose=when is not None)
        timing = self._timing(fields, reader)
        actions = self._actions(fields, making)
        self._weigh(actions, reader)
        together = "together" in fields
        if "name" in fields:
            self.names.steps.add(fields.get("name"))
        asking = Asking(reader, making.names, self.scene, number, fields.get("within", PATIENCE_NS))
        self.steps.append(
            Step(
                number=number,
                name=fields.get("name", "" if actions else "look"),
                where=fields.where,
                actions=actions,
                together=together,
                timing=timing,
                expect=expectations(fields.get("expect", ()), asking),
                when=when,
            )
        )

    def _actions(self, fields: Fields, making: Making) -> tuple[HostAction, ...]:
        """What is done in the step; nothing where that cannot be read."""
        made: list[HostAction] = []
        with suppress(Refused):
            if "together" in fields:
                for part in fields.get("together"):
                    made += self._part(part.value, fields, making)
            elif fields.first((*ACTIONS, "snapshot", "wait")):
                made += host_actions(fields, self._hosts(fields, making), making)
        return tuple(made)

    def _weigh(self, actions: tuple[HostAction, ...], reader: Reader) -> None:
        """Complain, once for each host, when it would be told more than one frame holds."""
        for acting in actions:
            text = msgspec.json.encode(acting.action)
            names = text.count(b"${") + (len(acting.action.calls) if isinstance(acting.action, Calls) else 0)
            before = self._told_bytes.get(acting.host, 0)
            after = self._told_bytes[acting.host] = before + len(text) + _ENVELOPE_BYTES + names * _ADDRESS_BYTES
            if before <= LARGEST_PROGRAM < after:
                told = f"with this step, {acting.host} would be told more than {LARGEST_PROGRAM >> 20} MiB: make its texts fewer or shorter"
                reader.complain(acting.where, told)

    def _part(self, part: Fields, fields: Fields, making: Making) -> tuple[HostAction, ...]:
        """One action of ``together``; the step's ``timeout`` holds where it has none of its own."""
        if part.broken or not part.first(ACTIONS):
            return ()
        if "timeout" in fields and "timeout" not in part:
            part.put("timeout", fields.get("timeout"), fields.place("timeout"))
        return host_actions(part, (part.get("host"),), making)

    def _hosts(self, fields: Fields, making: Making) -> tuple[str, ...]:
        """Who acts."""
        if "host" in fields:
            return (fields.get("host"),)
        if "hosts" in fields:
            return tuple(dict.fromkeys(marked.value for marked in fields.get("hosts")))
        if _may_make_names(fields):
            return ()
        if "wait" in fields:
            return waiting_host(fields, making)
        if "snapshot" not in fields:
            making.reader.refuse(fields.where, f"step {making.step} does not say who acts: 'host', 'hosts' or 'together'")
        return self.scene.hosts

    def _timing(self, fields: Fields, reader: Reader) -> Timing | None:
        """When the step may begin."""
        if "at" in fields:
            at_ns: int = fields.get("at")
            if at_ns < self._latest_ns:
                reader.complain(fields.place("at"), f"time runs backward: an earlier step is at {self._latest_ns / 1e9:g}s")
            self._latest_ns = max(self._latest_ns, at_ns)
            return Timing(since="", delay_ns=at_ns)
        if "after" not in fields:
            return None
        name, delay_ns = fields.get("after")
        if name is not None and name not in self.names.known() and not self.names.doubt.present:
            reader.complain(fields.place("after"), self._unknown_moment(name))
        return Timing(since=name or "-", delay_ns=delay_ns)

    def _unknown_moment(self, name: str) -> str:
        """What is wrong with ``after: name``: it is called by nobody, or meant to be a time."""
        if re.fullmatch(r"[-+]?[0-9.]+ ?[A-Za-z]*", name):
            return NO_TIME.format(name)
        return f"no earlier step or action is called '{name}'{suggestion(name, self.names.known())}"

    def _repeat(self, fields: Fields, reader: Reader) -> None:
        """Read the steps of a loop once for each round, up to the first round with a problem."""
        loop: Fields | None = fields.get("repeat")
        if loop is None or "as" in loop.broken or "steps" not in loop:
            self.names.doubt.present = True
            return
        counter = loop.get("as")
        if counter is not None and (counter in (reader.names or {}) or counter in (reader.hosts or ())):
            reader.refuse(loop.place("as"), f"the name '{counter}' is taken: a counter needs one of its own")
        before = len(reader.complaints)
        for number in range(loop.get("times", 1)):
            self.read(loop.get("steps"), reader.knowing({counter: str(number)}) if counter else reader)
            if len(reader.complaints) > before:
                return

    @property
    def done(self) -> int:
        """How many steps were read so far, those of earlier variants among them."""
        return self._done


class TooManySteps(Exception):
    """With all loops unrolled there are more steps than any lab has."""
