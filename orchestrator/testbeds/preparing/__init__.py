"""Machines of an inventory -> machines that have the programs of a lab; once, by an administrator, before any run.

``packages`` knows what is needed and what it is called, ``reaching`` gets to machines, ``machines`` installs. No run comes here: a run
installs nothing.
"""
