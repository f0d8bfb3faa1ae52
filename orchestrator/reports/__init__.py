"""Verdicts to what a person or a machine reads. Nothing here judges: a report says what others found."""
