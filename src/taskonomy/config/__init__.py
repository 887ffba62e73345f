"""Parameters: the schema of params.yaml, profiles, and what one task takes from them."""
