"""One module a figure, and what draws the structure of a network."""
