"""The page: select, place and paint in a browser. It asks the library, and runs what a user could type."""
