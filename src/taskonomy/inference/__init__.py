"""A chosen policy in use: its networks as files, images to answers, the graph that other programs read, and what it all costs to run."""
