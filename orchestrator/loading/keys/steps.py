"""The table of steps: who acts, what is done, when, and what it must give."""

from __future__ import annotations

from orchestrator.loading.keys import words
from orchestrator.loading.keys.conditions import WHEN_KEY
from orchestrator.loading.keys.expectations import IN_A_STEP
from orchestrator.loading.kinds.scalars import Choice, Number
from orchestrator.loading.kinds.shapes import ByForm, FreeKeys, Later, ListOf, MapOf, OneOrMany, Reference
from orchestrator.loading.kinds.tables import Key, Keys, Rules

MOST_STEPS = 10_000
ACTIONS = ("call", "iptables", "remove", "start", "run", "shell", "type", "signal", "file", "sysctl", "offload", "route", "ip")
_FORMS = (*ACTIONS, "snapshot", "wait", "repeat", "together")
_LATER = ("link", "inject")


def _sysctl_problem(key: str) -> str:
    return "" if words.fits(words.SYSCTL_PATTERN, key) else f"'{key}' is no sysctl of the network: their names begin with 'net.'"


def _offload_problem(key: str) -> str:
    return "" if key in words.OFFLOADS else f"there is no offload '{key}': there are {', '.join(words.OFFLOADS)}"


SYSCTL_VALUES = MapOf(words.PLAIN, "a mapping of sysctls to values", FreeKeys(pattern=words.SYSCTL_PATTERN, check=_sysctl_problem))
OFFLOAD_VALUES = MapOf(
    words.ON_OFF, "a mapping of offloads to on or off", FreeKeys(pattern="|".join(words.OFFLOADS), check=_offload_problem)
)

_READY = ByForm(
    "none, {listening: PORT} or {output: REGEX}",
    scalar=Choice("'ready'", {"none": None}, shown=("none", "{listening: PORT}", "{output: REGEX}")),
    mapping=Keys(
        "'ready'",
        {
            "listening": Key(words.PORT, "When the kernel shows a listener on this port."),
            "output": Key(words.REGEX, "When what it has written fits this."),
        },
        Rules(at_least_one=("listening", "output"), at_most_one=(("listening", "output"),)),
    ),
)
_TYPE = Keys(
    "'type'",
    {
        "to": Key(words.NAME, "A started program's name."),
        "text": Key(words.ANY_TEXT, "What is typed."),
        "eof": Key(words.FLAG, "Then its input ends."),
    },
    Rules(required=("to",), at_least_one=("text", "eof")),
)
_SIGNAL = Keys(
    "'signal'",
    {"to": Key(words.NAME, "A started program's name."), "signal": Key(words.SIGNAL, "INT, TERM, KILL, ...")},
    Rules(required=("to", "signal")),
)
_FILE = Keys(
    "'file'",
    {
        "name": Key(words.FILE_NAME, "Its plain name; programs find it in the folder they are started in."),
        "text": Key(words.ANY_TEXT, "What is in it."),
        "executable": Key(words.FLAG, "Whether it is a program."),
    },
    Rules(required=("name", "text")),
)

_ACTION_KEYS = {
    "host": Key(words.HOST, "The host that acts."),
    "call": Key(OneOrMany(words.CALL, "a list of socket calls"), "Socket calls, as Python types them."),
    "iptables": Key(words.RULE, "Put a rule in: the rule's own words."),
    "remove": Key(words.NAME, "Take the rule of this name out again."),
    "start": Key(words.COMMAND, "Start a program that keeps running."),
    "run": Key(words.COMMAND, "Run a program to its end."),
    "shell": Key(words.TEXT, "Run this text by /bin/sh; with 'ready' or 'background' it keeps running."),
    "type": Key(_TYPE, "Write to a started program's input."),
    "signal": Key(_SIGNAL, "Send a signal to a started program."),
    "file": Key(_FILE, "Put a file into the run's folder on the host."),
    "sysctl": Key(SYSCTL_VALUES, "Set kernel parameters, put back at the end."),
    "offload": Key(OFFLOAD_VALUES, "Switch offloads of the experiment interfaces, put back at the end."),
    "route": Key(words.ROUTE, "Change a route: the words behind 'ip route'; put back at the end."),
    "ip": Key(words.IP, "Change a route, an address or a link: the words behind 'ip'; put back at the end."),
    "ready": Key(_READY, "When the program started counts as ready."),
    "as": Key(words.NAME, "What other steps call this."),
    "background": Key(words.FLAG, "Later steps go on while this blocks."),
    "timeout": Key(words.DURATION, "The deadline of the action (5s)."),
    "raises": Key(words.EXCEPTION, "The exception or errno that the last call must give."),
    "returns": Key(words.RETURNED, "What the last call must return: a Python literal, or '*'."),
    "stdout": Key(words.REGEX, "A regular expression, searched for in what the program wrote."),
}
_NOT_REPEATED = ("name", "at", "after", "within", "expect", "when")
_GIVING = ("call", "run", "shell", "wait", "type", "signal")
_NEEDS = {
    "ready": ("start", "shell"),
    "background": ("call", "run", "shell"),
    "as": ("call", "iptables", "start", "run", "shell"),
    "raises": _GIVING,
    "returns": _GIVING,
    "stdout": ("run", "shell", "wait"),
}

PART = Keys(
    "this part of 'together'",
    _ACTION_KEYS,
    Rules(
        required=("host",),
        at_least_one=ACTIONS,
        at_most_one=(ACTIONS, ("raises", "returns")),
        needs={key: tuple(name for name in partners if name != "wait") for key, partners in _NEEDS.items()},
    ),
    later=_LATER,
)

REPEAT = Keys(
    "'repeat'",
    {
        "times": Key(Number("a number of times", 1, MOST_STEPS), "How often."),
        "as": Key(words.VARIABLE, "The counter's name; it counts from 0."),
        "steps": Key(Later(ListOf(Reference("step", lambda: STEP), "a list of steps")), "The steps that are repeated."),
    },
    Rules(required=("times", "steps")),
)

STEP: Keys = Keys(
    "this step",
    {
        "name": Key(words.TEXT, "What the reports call this step."),
        "hosts": Key(ListOf(words.HOST, "a list of hosts"), "Several hosts that do the same."),
        **_ACTION_KEYS,
        "together": Key(ListOf(PART, "a list of actions"), "One instant on several hosts."),
        "snapshot": Key(OneOrMany(words.TOOL, "a list of tools"), "Keep what these tools say now; on every host if none is named."),
        "wait": Key(words.NAME, "Wait until the background action or program of this name has ended."),
        "repeat": Key(REPEAT, "A bounded loop."),
        "at": Key(words.DURATION, "The time since the first step began."),
        "after": Key(
            words.TIMED,
            "The time since the last step was over, or since a named step or action began ('connecting + 1.5s').",
        ),
        "within": Key(words.DURATION, "The patience of this step's expectations (1s)."),
        "expect": Key(IN_A_STEP, "What must be true after the step."),
        "when": WHEN_KEY,
    },
    Rules(
        at_least_one=(*_FORMS, "expect"),
        at_most_one=(
            _FORMS,
            ("host", "hosts", "together", "repeat"),
            ("at", "after"),
            ("raises", "returns"),
            *(("repeat", key) for key in _NOT_REPEATED),
        ),
        needs={
            **_NEEDS,
            "timeout": (*ACTIONS, "snapshot", "wait", "together"),
            "within": ("expect",),
        },
    ),
    later=_LATER,
)
"""One step. That an action needs a host is checked by the reader: ``wait`` and ``snapshot`` do not."""

STEPS = ListOf(Reference("step", lambda: STEP), "a list of steps")
