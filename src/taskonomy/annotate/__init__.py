"""Ground truth of every domain from an image, its geometry and its camera."""
