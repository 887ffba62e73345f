"""The affinity table, and readers of tables."""
