"""A project of one's own: `taskonomy init` lays down its pipeline, with an example that a small generator draws."""
