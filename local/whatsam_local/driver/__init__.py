"""Drives a running cluster from outside, as its users do: kubectl, REST, and the simulated phones.

Shared by the demo, the benchmarks and the end-to-end tests; it never looks inside the parts.
"""
