"""Total variation, against noise: the paper names none, DPH has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..images.geometry import Rectangle
from ..network.architecture import PIXELS
from ..network.backend import Tensor, as_tensor, ops
from ..network.features import PIXELS_AT_ONCE
from ..options import NOT_NEGATIVE, Options, option
from .normalization import Normalization, sum_of
from .terms import Cut, Term, weighted

FAINTEST_VARIATION = 1 / 255**2  # that of neighbours a grey level apart: a blank style image has none of its own


@dataclass(frozen=True)
class Variation(Options):
    """Total variation of the image (DPH: 1e-5 of a sum over 0..255 pixels, beside a style weight of 1)."""

    tv_weight: float = option(0.0, "weight of the total variation, against noise", NOT_NEGATIVE)

    def terms(
        self,
        styles: Sequence[np.ndarray],
        parts: Sequence[Rectangle],
        free: np.ndarray,
        normalization: Normalization,
    ) -> dict[str, Term]:
        """The term of the free pixels, on each part's rectangle of pixels and those beside it.

        Args:
            styles: the style images (h, w, 3). With "relative" the term is a share of their own variation: a smooth
                painting allows less of it than a rough one.
            parts: rectangles that hold the free pixels.
            free: bool (H, W).
            normalization: its columns `average` and `own_variation`.
        """
        if not self.tv_weight:
            return {}
        weight = self.tv_weight / (3 * free.sum() if normalization.average else 1)
        if normalization.own_variation:
            weight /= max(float(np.mean([_own_variation(style) for style in styles])), FAINTEST_VARIATION)
        variable = [_within(free, part) for part in parts]

        def constants(cut: Cut) -> tuple[np.ndarray, ...]:
            seen = variable[cut.part][cut.seen.slices].astype(np.float32)
            return seen, cut.of([np.broadcast_to(np.float32(1), part.shape) for part in variable])

        return {"total variation": weighted(weight, Term(PIXELS, constants, total_variation, halo=1))}


def _within(free: np.ndarray, part: Rectangle) -> np.ndarray:
    """A part's own free pixels, of it and the pixels beside it; those beside may be another part's."""
    around = part.grow(1).clip(free.shape)
    own = np.zeros(around.shape, bool)
    inside = part.shift(-around.top, -around.left).slices
    own[inside] = free[part.slices]
    return own


def _own_variation(style: np.ndarray) -> float:
    """That of a whole image, as an average over its values; some rows at a time."""
    height, width = style.shape[:2]
    rows, total = max(1, PIXELS_AT_ONCE // width), 0.0
    for top in range(0, height, rows):
        strip = style[top : top + rows + 1]
        everywhere = np.ones(strip.shape[:2], np.float32)
        own = everywhere.copy()
        own[rows:] = 0  # the next strip's first row
        total += float(total_variation(*map(as_tensor, (strip, everywhere, own))))
    return total / style.size


def total_variation(image: Tensor, free: Tensor, own: Tensor) -> Tensor:
    """Half the sum of the squared differences of neighbouring pixels of which one at least is free.

    Args:
        image: (H, W, 3).
        free: (H, W), 1 where a pixel is optimised, 0 where it is constant.
        own: (H, W), 1 where a pixel counts with its lower and its right neighbour, 0 where it does not.
    """
    free_below, free_right = ops.maximum(free[1:], free[:-1]), ops.maximum(free[:, 1:], free[:, :-1])
    vertical = ops.square(image[1:] - image[:-1]) * (free_below * own[:-1])[..., None]
    horizontal = ops.square(image[:, 1:] - image[:, :-1]) * (free_right * own[:, :-1])[..., None]
    return (sum_of(vertical) + sum_of(horizontal)) / 2
