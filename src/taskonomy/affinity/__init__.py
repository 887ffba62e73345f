"""Per-image losses -> win rates -> Analytic Hierarchy Process -> affinity table (paper section 3.3)."""
