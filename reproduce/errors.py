"""The one error that is the user's: what was expected, and what came instead, in one line."""


class InputError(ValueError):
    """An input, a setting or a file that is not what it must be. Every other exception is a fault of the program."""


def expect(condition: object, expected: str, received: object) -> None:
    """Raises InputError, saying both, unless the condition holds."""
    if not condition:
        raise InputError(f"Expected {expected}. Received: {received}")
