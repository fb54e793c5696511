"""Partial style transfer and painterly harmonisation with VGG-19, Keras and SciPy.

from reproduce import stylize, restyle_region, harmonize, keep_details
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_EXPORTS = {
    "stylize": "applications.stylize",
    "restyle_region": "applications.restyle_region",
    "harmonize": "applications.harmonize",
    "keep_details": "applications.keep_details",
    "preset": "applications.registry",
    "change": "settings",
    "Settings": "settings",
    "Result": "solving.run",
    "Progress": "solving.run",
    "Checkpoint": "solving.checkpoint",
    "Stop": "stopping",
    "Stopped": "stopping",
    "stop_on_signals": "stopping",
    "InputError": "errors",
    "VGG19": "network.features",
    "find_weights": "network.weights",
    "read_image": "images.files",
    "read_mask": "images.files",
    "write_image": "images.files",
    "select": "images.selection",
    "select_in_box": "images.selection",
    "select_polygon": "images.selection",
}
__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    """Import on first use, as `__init__.pyi` tells type checkers at once."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
