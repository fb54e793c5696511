"""Images and masks as arrays: files, sizes, regions, and what polishes a result."""
