"""The store of finished units of work."""
