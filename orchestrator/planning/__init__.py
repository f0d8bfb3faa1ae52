"""A scenario and a testbed -> a plan. Pure: asks no host and touches nothing."""

from orchestrator.planning.binding import ACTION_TIMEOUT_NS, HONEST_WIRE, plan
from orchestrator.planning.conditions import kernel_fits
from orchestrator.planning.needs import needs, unvouched

__all__ = ["ACTION_TIMEOUT_NS", "HONEST_WIRE", "kernel_fits", "needs", "plan", "unvouched"]
