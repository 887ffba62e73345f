"""Commands of `taskonomy` that are more than a few lines: each module is loaded when its command runs."""
