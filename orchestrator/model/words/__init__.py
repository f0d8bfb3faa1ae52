"""The words of the scenario language as records: places, values, segments, actions, expectations."""
