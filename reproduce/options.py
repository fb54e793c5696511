"""Values that own their numbers: frozen dataclasses whose fields say what they mean and what they may be.

The command line's options, the checks and the reports are made from these fields. A field's name is a setting's one
name everywhere: in Python, on the command line (with dashes) and in a report.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, NamedTuple

from .errors import expect

NUMBERS: dict[type, type] = {int: Integral, float: Real}  # NumPy's too
FARTHEST = 1000  # pixels: no soft edge or neighbourhood is wider


class Rule(NamedTuple):
    """What a value must be, in words that follow the setting's name, and as a condition."""

    words: str
    holds: Callable[[Any], bool]


ANY = Rule("of any value", lambda value: True)
NOT_NEGATIVE = Rule("of 0 or more", lambda value: 0 <= value < float("inf"))
POSITIVE = Rule("above 0", lambda value: 0 < value < float("inf"))
SHARE = Rule("in [0, 1]", lambda value: 0 <= value <= 1)
ODD = Rule("odd and positive", lambda value: value > 0 and value % 2 == 1)
NOT_FAR = Rule(f"of 0 to {FARTHEST} pixels", lambda value: 0 <= value <= FARTHEST)


def option(default: Any, help: str, rule: Rule = ANY, choices: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> Any:
    """A setting.

    Args:
        default: its value unless another is given; its type is the setting's.
        help: what it means, as the command line shows it.
        rule: what else a value must be.
        choices: what a text must be one of.
        only: the applications in which it has a meaning; empty for all.
    """
    return field(default=default, metadata={"help": help, "rule": rule, "choices": choices, "only": only})


@dataclass(frozen=True)
class Options:
    """A group of settings.

    Raises:
        InputError: a value is not of its setting's type, or not what its rule asks for.
    """

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            kind: Any = type(setting.default)
            choices, rule = setting.metadata["choices"], setting.metadata["rule"]
            expect(isinstance(value, NUMBERS.get(kind, kind)), f"{setting.name} of type {kind.__name__}", value)
            object.__setattr__(self, setting.name, kind(value))  # the report is JSON, which knows no NumPy
            expect(not choices or value in choices, f"{setting.name} to be one of {', '.join(choices)}", value)
            expect(rule.holds(value), f"{setting.name} {rule.words}", value)

    def as_dict(self) -> dict[str, Any]:
        """Setting -> value."""
        return dataclasses.asdict(self)
