"""Partial style transfer and painterly harmonisation with VGG-19, Keras and SciPy.

from reproduce import stylize, restyle_region, harmonize
"""

import importlib
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# NumPy's and SciPy's vectors are short: threads gain them nothing, and spin idly where the convolutions want the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter is not ours to print

_EXPORTS = {
    "stylize": "applications",
    "restyle_region": "applications",
    "harmonize": "applications",
    "Result": "applications",
    "Settings": "settings",
    "preset": "settings",
    "read_image": "images",
    "read_mask": "images",
    "write_image": "images",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str):
    """Import on first use: TensorFlow takes seconds, and `--help` or `select` do not need it."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
