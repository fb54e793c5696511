"""The figures, tables and measurements of the project: python -m experiments."""
