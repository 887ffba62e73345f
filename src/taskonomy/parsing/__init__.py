"""What people type: names, numbers and YAML, in one form."""
