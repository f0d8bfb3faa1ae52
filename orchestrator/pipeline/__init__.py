"""The one place that knows every stage: load, survey, plan, bring up, run, take down, analyse, judge, report, each kept as it ends.

Data flows one way, from ``jobs`` through ``running`` to ``concluding``, which can begin anew from what was kept.
"""
