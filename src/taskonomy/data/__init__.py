"""Released layouts, plain folders and the built-in world in; memory-mapped arrays out."""
