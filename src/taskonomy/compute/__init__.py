"""Units of work on many machines: the executor, on this machine or through Ray."""
