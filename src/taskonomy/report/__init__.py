"""Build the report: its figures and its page."""
