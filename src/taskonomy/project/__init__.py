"""Create projects with data of the user: `taskonomy init`."""
