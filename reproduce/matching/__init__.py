"""Which places of a painting an object corresponds to."""
