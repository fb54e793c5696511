"""Total variation, against noise: the paper names none, DPH has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..images.geometry import Rectangle
from ..network.backend import Tensor, as_tensor, ops
from ..options import NOT_NEGATIVE, Options, option
from .normalization import Normalization, sum_of
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
        parts: Sequence[Rectangle],
        free: np.ndarray,
        normalization: Normalization,
    ) -> dict[str, Term]:
        """The term of the free pixels; their neighbours outside the parts' rectangles are the content image's.

        Args:
            content: (H, W, 3).
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
        surroundings = [_Surroundings(content, part, free) for part in parts]

        def term(features: dict, pixels: Sequence[Tensor]) -> Tensor:
            return weight * sum(around(patch) for around, patch in zip(surroundings, pixels))

        return {"total variation": term}


class _Surroundings:
    """The total variation of a part with the constant pixels around it."""

    def __init__(self, content: np.ndarray, part: Rectangle, free: np.ndarray):
        around = part.grow(1).clip(content.shape[:2])
        self.padding = (
            (part.top - around.top, around.bottom - part.bottom),
            (part.left - around.left, around.right - part.right),
        )
        constant = content[around.slices].copy()
        constant[part.shift(-around.top, -around.left).slices] = 0
        self.constant = as_tensor(constant)
        self.free = as_tensor(np.pad(free[part.slices], self.padding))

    def __call__(self, patch: Tensor) -> Tensor:
        return total_variation(ops.pad(patch, (*self.padding, (0, 0))) + self.constant, self.free)


def _own_variation(style: np.ndarray) -> float:
    """That of a whole image, as an average over its values."""
    return float(total_variation(as_tensor(style), as_tensor(np.ones(style.shape[:2])))) / style.size


def total_variation(image: Tensor, free: Tensor) -> Tensor:
    """Half the sum of the squared differences of neighbouring pixels of which one at least is free.

    Args:
        image: (H, W, 3).
        free: (H, W), 1 where a pixel is optimised, 0 where it is constant.
    """
    vertical = sum_of(ops.square(image[1:] - image[:-1]) * ops.maximum(free[1:], free[:-1])[..., None])
    horizontal = sum_of(ops.square(image[:, 1:] - image[:, :-1]) * ops.maximum(free[:, 1:], free[:, :-1])[..., None])
    return (vertical + horizontal) / 2
