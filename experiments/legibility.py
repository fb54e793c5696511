"""Legibility: the share of a sign's letters and numerals that template matching still reads."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from reproduce.metrics import lightness

from .scenes.board import Glyph

REACH = 4  # pixels that a glyph may have moved by, each way
LEAST = 0.5  # correlation with which it counts as seen
FLATTEST = 1.0  # of a lightness of 100: standard deviation below which nothing is seen


def legibility(result: np.ndarray, photograph: np.ndarray, glyphs: Sequence[Glyph]) -> float:
    """The share of a sign's glyphs that are still read. In [0, 1]; 1 for the photograph itself.

    A glyph's template is its own box of the photograph's lightness. At its place, moved by up to 4 pixels, the result's
    lightness is compared with it and with the templates of all other letters and numerals of the sign, brought to its
    size, by normalised cross-correlation. It is read if its own text correlates best, and by at least 0.5. Brightness
    and contrast do not count, nor does what is light and what is dark: a sign that is turned round can be read.

    Args:
        result, photograph: (H, W, 3), RGB in [0, 1].
        glyphs: of the photograph, at least one.
    """
    light, own = lightness(result), lightness(photograph)
    return float(np.mean([_is_read(light, own, glyph, glyphs) for glyph in glyphs]))


def _is_read(light: np.ndarray, own: np.ndarray, glyph: Glyph, glyphs: Sequence[Glyph]) -> bool:
    window = light[glyph.box.grow(REACH).clip(light.shape[:2]).slices]
    found: dict[str, float] = {}
    for other in glyphs:
        template = own[(glyph if other.text == glyph.text else other).box.slices]
        match = correlation(window, cv2.resize(template, glyph.box.shape[::-1], interpolation=cv2.INTER_AREA))
        found[other.text] = max(match, found.get(other.text, 0.0))
    return found[glyph.text] >= LEAST and max(found, key=lambda text: found[text]) == glyph.text


def correlation(window: np.ndarray, template: np.ndarray) -> float:
    """The largest normalised cross-correlation, of either sign, of a template (h, w) anywhere in a window (H, W)."""
    places = sliding_window_view(window.astype(np.float64), template.shape)
    template = template - template.mean(dtype=np.float64)
    covariance = np.einsum("ijkl,kl->ij", places, template) / template.size
    spread = np.maximum(places.std(axis=(2, 3)), FLATTEST) * max(float(template.std()), FLATTEST)
    return float(np.abs(covariance / spread).max())
