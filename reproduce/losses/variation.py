"""Total variation, against noise: the paper names none, DPH has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..images.geometry import Rectangle
from ..network.backend import Tensor, as_tensor, ops
from ..options import NOT_NEGATIVE, Options, option
from .normalization import NORMALIZATIONS, Normalization, sum_of
from .terms import Term

FAINTEST_VARIATION = 1 / 255**2  # that of neighbours a grey level apart: a blank style image has none of its own


@dataclass(frozen=True)
class Variation(Options):
    """Total variation of the image (DPH: 1e-5 of a sum over 0..255 pixels, beside a style weight of 1)."""

    tv_weight: float = option(0.0, "weight of the total variation, against noise", NOT_NEGATIVE)

    def terms(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        pixels: Rectangle,
        free: np.ndarray,
        normalization: Normalization,
    ) -> dict[str, Term]:
        """The term of the free pixels; their neighbours outside the rectangle are the content image's.

        Args:
            content: (H, W, 3).
            styles: the style images (h, w, 3). With "relative" the term is a share of their own variation: a smooth
                painting allows less of it than a rough one.
            pixels: the smallest rectangle that holds the free pixels.
            free: bool, of the rectangle's shape.
            normalization: its columns `average` and `own_variation`.
        """
        if not self.tv_weight:
            return {}
        weight = self.tv_weight
        if normalization.own_variation:
            weight /= max(float(np.mean([_own_variation(style) for style in styles])), FAINTEST_VARIATION)
        around = pixels.grow(1).clip(content.shape[:2])
        rows = (pixels.top - around.top, around.bottom - pixels.bottom)
        columns = (pixels.left - around.left, around.right - pixels.right)
        constant = content[around.slices].copy()
        constant[pixels.shift(-around.top, -around.left).slices] = 0
        variables, surroundings = as_tensor(np.pad(free, (rows, columns))), as_tensor(constant)

        def term(features: dict, patch: Tensor) -> Tensor:
            image = ops.pad(patch, (rows, columns, (0, 0))) + surroundings
            return weight * total_variation(image, variables, normalization)

        return {"total variation": term}


def _own_variation(style: np.ndarray) -> float:
    everywhere = as_tensor(np.ones(style.shape[:2]))
    return float(total_variation(as_tensor(style), everywhere, NORMALIZATIONS["mean"]))


def total_variation(image: Tensor, free: Tensor, normalization: Normalization) -> Tensor:
    """Half the squared differences of neighbouring pixels, one of them free at least; but for "sum" over free values.

    Args:
        image: (H, W, 3).
        free: (H, W), 1 where a pixel is optimised, 0 where it is constant; not all 0.
        normalization: its column `average`.
    """
    vertical = sum_of(ops.square(image[1:] - image[:-1]) * ops.maximum(free[1:], free[:-1])[..., None])
    horizontal = sum_of(ops.square(image[:, 1:] - image[:, :-1]) * ops.maximum(free[:, 1:], free[:, :-1])[..., None])
    total = (vertical + horizontal) / 2
    return total / (sum_of(free) * image.shape[-1]) if normalization.average else total
