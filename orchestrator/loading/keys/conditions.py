"""The keys of ``when``, which both steps and expectations have."""

from __future__ import annotations

from orchestrator.loading.keys.words import FAMILY, KERNEL, SYSCTL
from orchestrator.loading.kinds.tables import Key, Keys, Rules

WHEN = Keys(
    "'when'",
    {
        "kernel": Key(KERNEL, "The kernel's version, like '>= 6.5'."),
        "sysctl": Key(SYSCTL, "A sysctl that must exist."),
        "family": Key(FAMILY, "The address family of this variant."),
    },
    Rules(at_least_one=("kernel", "sysctl", "family")),
)
WHEN_KEY = Key(WHEN, "Meant only where all of this holds.")
