"""The table of a scenario's own keys."""

from __future__ import annotations

from orchestrator.loading.keys import words
from orchestrator.loading.keys.expectations import AT_THE_END
from orchestrator.loading.keys.steps import OFFLOAD_VALUES, STEPS, SYSCTL_VALUES
from orchestrator.loading.kinds.shapes import ByForm, FreeKeys, Later, ListOf, MapOf
from orchestrator.loading.kinds.tables import Key, Keys, Rules

EVERY_HOST = "all"
_RESERVED = ("AF",)


def _variable_problem(key: str) -> str:
    if key in _RESERVED:
        return f"the name '{key}' is taken: it stands for AF_INET or AF_INET6"
    return "" if words.fits(words.VARIABLE_PATTERN, key) else f"'{key}' is no name for a variable: letters, digits and '_'"


VARS = MapOf(words.PLAIN, "a mapping of names to values", FreeKeys(pattern=words.VARIABLE_PATTERN, check=_variable_problem), least=0)
MATRIX = MapOf(
    ListOf(words.PLAIN, "a list of values"),
    "a mapping of names to lists of values",
    FreeKeys(pattern=words.VARIABLE_PATTERN, check=_variable_problem),
)

PINNED = Keys(
    "this sysctl",
    {
        "value": Key(words.PLAIN, "What it is set to."),
        "if_present": Key(words.FLAG, "Do nothing where the kernel lacks it (else the scenario is skipped)."),
    },
    Rules(required=("value",)),
)
_SYSCTL = MapOf(
    SYSCTL_VALUES.holding(ByForm("a value, or {value: ..., if_present: true},", scalar=words.PLAIN, mapping=PINNED)),
    "a mapping of hosts (or 'all') to sysctls",
    FreeKeys(hosts=(EVERY_HOST,)),
)
_NEEDS = Keys(
    "'needs'",
    {
        "tools": Key(ListOf(words.TEXT, "a list of programs"), "Programs that every host must have."),
        "features": Key(ListOf(words.FEATURE, "a list of features"), "What hosts must be able to do."),
        "kernel": Key(words.KERNEL, "The kernel's version, like '>= 5.10'."),
        "sysctl": Key(ListOf(words.SYSCTL, "a list of sysctls"), "Kernel parameters that must exist."),
    },
)
_CAPTURE = ByForm(
    "a list of hosts, or a mapping of hosts to tcpdump filters,",
    sequence=ListOf(words.HOST, "a list of hosts", least=0),
    mapping=MapOf(words.ANY_TEXT, "a mapping of hosts to tcpdump filters", FreeKeys(hosts=())),
)

SCENARIO = Keys(
    "the scenario",
    {
        "scenario": Key(words.LABEL, "Its name, the same as the file's."),
        "title": Key(words.TEXT, "What it is about, in a line."),
        "about": Key(words.TEXT, "What it shows, for the reader of a report."),
        "tags": Key(ListOf(words.TAG, "a list of tags", least=0), "Words to choose scenarios by."),
        "topology": Key(words.TOPOLOGY, "The network: a name like two-hosts, or a path that ends in .yaml."),
        "capture": Key(_CAPTURE, "Where segments are captured; every host if left out."),
        "vars": Key(Later(VARS), "Values for ${name}."),
        "matrix": Key(Later(MATRIX), "One run for each combination of these values; 'family' chooses ipv4 and ipv6."),
        "sysctl": Key(_SYSCTL, "Kernel parameters pinned for the run, by host or for 'all'."),
        "offload": Key(OFFLOAD_VALUES, "Offloads of the experiment interfaces for the run; all are off if left out."),
        "needs": Key(_NEEDS, "What hosts must have, else the scenario is skipped."),
        "timeout": Key(words.DURATION, "The deadline of the whole run (60s)."),
        "waits": Key(words.DURATION, "What the lab must wait for because the kernel takes that long: added to timeout (0s)."),
        "alone": Key(words.FLAG, "Not beside other scenarios, because its timing matters."),
        "on_failure": Key(words.ON_FAILURE, "stop, or go on with the next step."),
        "steps": Key(Later(STEPS), "What is done, in this order."),
        "expect": Key(AT_THE_END, "What the evidence must show when all is over."),
    },
    Rules(required=("scenario", "title", "topology", "steps")),
)
