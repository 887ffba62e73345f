"""Groups of commands that `taskonomy.cli` registers."""
