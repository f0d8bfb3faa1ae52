"""The small languages inside a scenario's texts: values, socket places, Python calls, segments. Text in, record or ``Misread`` out."""
