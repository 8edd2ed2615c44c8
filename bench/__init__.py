"""Measurements of a running cluster: `make bench [SCENARIO=name]`."""
