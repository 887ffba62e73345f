"""Stages of the pipeline side by side: what `dvc repro` does one after another, with the same result."""
