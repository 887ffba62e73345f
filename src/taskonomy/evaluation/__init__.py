"""Evaluate policies and tables: significance, labels saved, the similarity tree, agreement and sanity checks (paper section 4)."""
