"""Projects with data of the user: `taskonomy init`."""
