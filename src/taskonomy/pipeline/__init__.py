"""The DVC pipeline: stages side by side, experiments, the check of a clean clone."""
