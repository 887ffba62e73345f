"""The prepared dataset: what `prepare` writes and training reads, and its splits."""
