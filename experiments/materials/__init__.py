"""The images that the experiments work on, in cases: drawn, read from a folder, or fetched."""
