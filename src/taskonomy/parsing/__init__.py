"""Parse what people type: names, numbers and YAML."""
