"""The same program and the same proofs as in the integration tests, many times."""

from __future__ import annotations

from tests.integration.conftest import _adopted, as_nobody, everybody, ordinary, program

__all__ = ["_adopted", "as_nobody", "everybody", "ordinary", "program"]
