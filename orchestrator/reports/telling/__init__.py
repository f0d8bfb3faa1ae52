"""Plan, record and evidence to the lines of a report: what was typed, what passed between the hosts, where it ran."""
