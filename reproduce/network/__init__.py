"""VGG-19: its geometry, its weights, its features, and the backend that runs it."""
