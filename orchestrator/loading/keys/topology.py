"""The table of a topology's keys."""

from __future__ import annotations

from orchestrator.loading.keys import words
from orchestrator.loading.kinds.scalars import Number, Word
from orchestrator.loading.kinds.shapes import FreeKeys, ListOf, MapOf, OneOrMany
from orchestrator.loading.kinds.tables import Key, Keys, Rules
from orchestrator.loading.notation import values

MOST_HOSTS = 800
"""Their names and addresses fit into one message of 64 KiB to the process that makes hosts, their links onto a bridge of 1,024 ports."""


_ROUTE = Keys(
    "this route",
    {
        "to": Key(Word("a prefix or 'default'"), "A prefix, or default."),
        "via": Key(Word("an address"), "A neighbour's address."),
    },
    Rules(required=("to", "via")),
)
_HOST = Keys(
    "this host",
    {
        "forward": Key(words.FLAG, "Whether it forwards, as a router does."),
        "routes": Key(ListOf(_ROUTE, "a list of routes", least=0), "Its routes beyond its own networks."),
    },
    null=True,
)
_NETWORK = Keys(
    "this network",
    {
        "subnets": Key(OneOrMany(Word("a prefix"), "a list of prefixes"), "Its prefixes, at most one per family."),
        "hosts": Key(
            MapOf(
                OneOrMany(Word("an address or a MAC"), "a list of addresses", least=0),
                "a mapping of hosts to addresses",
                FreeKeys(pattern=words.LABEL_PATTERN),
            ),
            "The hosts on it, with their addresses, and a MAC where it matters which.",
        ),
        "mtu": Key(Number("an MTU", 68, 65535), "The largest frame's payload (1500)."),
        "rate": Key(Word("a rate", parse=values.rate_bits, pattern=values.RATE), "Its speed, like 10mbit."),
        "delay": Key(Word("a time", parse=values.duration_ns, pattern=values.DURATION), "Its delay, one way."),
        "loss": Key(Word("a share", parse=values.loss_millis, pattern=values.SHARE), "The share of frames it loses, like 1.5%."),
    },
    Rules(required=("subnets", "hosts")),
)

TOPOLOGY = Keys(
    "the topology",
    {
        "topology": Key(words.LABEL, "Its name, the same as the file's."),
        "about": Key(words.TEXT, "What it is for."),
        "hosts": Key(
            MapOf(_HOST, "a mapping of hosts", FreeKeys(pattern=words.LABEL_PATTERN, check=words.label_problem, most=MOST_HOSTS)),
            "The hosts; an empty value is a host that only has its networks.",
        ),
        "networks": Key(
            MapOf(_NETWORK, "a mapping of networks", FreeKeys(pattern=words.LABEL_PATTERN, check=words.label_problem)),
            "The networks; a host's interfaces are eth1, eth2, ... in this order.",
        ),
    },
    Rules(required=("topology", "hosts", "networks")),
)
