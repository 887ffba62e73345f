"""Names and numbers as people read them, on pages and on the terminal."""
