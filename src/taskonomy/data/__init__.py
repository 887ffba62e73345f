"""Sources of images and labels (released layouts, plain folders, the built-in world) and their conversion to memory-mapped arrays."""
