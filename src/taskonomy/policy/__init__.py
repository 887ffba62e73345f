"""Affinity table -> Boolean integer program -> supervision policy (paper section 3.4)."""
