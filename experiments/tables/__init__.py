"""Methods and settings compared by their measures."""
