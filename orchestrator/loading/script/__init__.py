"""The steps and expectations of a scenario: fields that were read -> records, every name held against what was made before."""
