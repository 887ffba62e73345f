"""Run the DVC pipeline: stages in parallel, experiments, and the verification of a clean clone."""
