"""Evidence and expectations become verdicts, one module per witness.

Judges from what was recorded alone, so that a stored run can be judged again.
"""

from orchestrator.checks.judging import judge

__all__ = ["judge"]
