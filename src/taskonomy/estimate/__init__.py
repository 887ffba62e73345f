"""Estimates of a run before it starts: workload, throughput, hours, disk."""
