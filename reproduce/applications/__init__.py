"""The applications, and the registry that all else is made from."""
