"""Rank transfers from every task of a run to a new task with few labels."""
