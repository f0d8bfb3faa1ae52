"""Host keys: which are known, and where; those that a person trusts, pinned."""
