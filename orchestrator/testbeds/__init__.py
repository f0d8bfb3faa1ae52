"""A topology -> live hosts, and back to nothing."""
