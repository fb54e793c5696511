"""What applications share: checks of sizes, and mixing the result with what came in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from ..errors import InputError
from ..images.arrays import MAXIMUM_PIXELS, scaled_shape, size_text
from ..images.polish import match_colors, without_colors
from ..network.architecture import stride
from ..settings import MOST_SCALES, Settings, change
from ..solving.run import OnProgress, Progress, stages

FEWEST_CELLS = 2  # of the deepest layer, on each side of an image that is worth solving at a coarser scale
STROKES_AT = 1024  # pixels, the longer side of style images that the presets' coarser scales were chosen for
GREY = "the inputs have no colours, and so has the result"


def style_shape(style: tuple[int, ...], content: tuple[int, ...], settings: Settings) -> tuple[int, int]:
    """(height, width) of a style image whose longer side is a share of the content's.

    Raises:
        InputError: either image is too small to be worked on, or the style image would be huge.
    """
    scale = settings.image.style_scale
    shape = scaled_shape(style, max(content[:2]) * scale / max(style[:2]))
    if shape[0] * shape[1] > MAXIMUM_PIXELS:
        raise InputError(f"Expected a style image of at most {MAXIMUM_PIXELS // 10**6} megapixels at style_scale "
                         f"{scale:g}. Received: {size_text(shape)}")  # fmt: skip
    check_working_sizes({"content": content, "style": shape}, fit_scales(settings, content, shape))
    return shape


def scales_for_strokes(settings: Settings, styles: Iterable[tuple[int, ...]]) -> Settings:
    """The settings with one more coarser scale, where there are any, for each doubling of the largest style image.

    A cell of the deepest layer sees the same number of pixels in an image of any size: large strokes come at the coarse
    scales alone, and stay.
    """
    coarser, longest = settings.solver.coarse_to_fine, settings.image.scale * max(max(shape[:2]) for shape in styles)
    more = round(math.log2(max(1.0, longest / STROKES_AT)))
    # So the report says what was done.
    return change(settings, coarse_to_fine=min(coarser + more, MOST_SCALES)) if coarser and more else settings


def fit_scales(settings: Settings, *shapes: tuple[int, ...]) -> Settings:
    """The settings without the coarser scales at which an image of these shapes would be of next to no features."""
    cells = max(FEWEST_CELLS, 2 * settings.style.halo + 1)  # a patch must fit in
    smallest = cells * stride(settings.layers[-1])
    while (coarser := settings.solver.coarse_to_fine) and any(
        min(scaled_shape(shape, stages(settings)[0].scale)) < smallest for shape in shapes
    ):
        settings = change(settings, coarse_to_fine=coarser - 1)  # so the report says what was done
    return settings


def check_working_sizes(shapes: dict[str, tuple[int, ...]], settings: Settings) -> None:
    """Raises InputError for an image that has no whole cell of the deepest layer at the coarsest scale."""
    smallest, scale = stride(settings.layers[-1]), stages(settings)[0].scale
    for name, shape in shapes.items():
        working = scaled_shape(shape, scale)
        if min(working) < smallest:
            raise InputError(f"Expected a working {name} image of at least {smallest} pixels on each side. "
                             f"Received: {size_text(working)} at scale {scale:g}")  # fmt: skip


def to_whole_cells(image: np.ndarray, settings: Settings) -> np.ndarray:
    """The image with some of itself reflected at the bottom and at the right, so that poolings drop nothing of it.

    What they drop has next to no features: it would stay as it was at the start, a grey strip where that was blank.
    """
    cell, coarsest = stride(settings.layers[-1]), stages(settings)[0].scale
    # The shortest length that is a whole number of cells at the coarsest scale, and so, doubled, at every finer one.
    bottom, right = (
        round(cell * math.ceil(length * coarsest / cell - 1e-9) / coarsest) - length for length in image.shape[:2]
    )
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101) if bottom or right else image


def numbered(name: str, number: int) -> str:
    """How reports call an input of which there may be several: style, style 2, style 3."""
    return name if number == 1 else f"{name} {number}"


def in_colors(style: np.ndarray, wanted: np.ndarray, settings: Settings) -> np.ndarray:
    """A style image (h, w, 3) in the colours that its strokes are to have, where wanted are those of pixels (n, 3)."""
    if settings.image.match_colors:
        style = match_colors(style, wanted)
    return without_colors(style) if settings.image.keep_colors else style


def weaken(result: np.ndarray, original: np.ndarray, strength: float) -> np.ndarray:
    """The result at strength 1, the original at 0, a mixture between; where both are the same they stay so."""
    if strength == 1:
        return result
    mixture = np.float32(strength) * result + np.float32(1 - strength) * original
    return np.where(result == original, original, mixture)


def half(on_progress: OnProgress, number: int) -> OnProgress:
    """`on_progress`, told of the first (0) or second (1) of two optimisations as of half of a whole."""

    def shown(progress: Progress) -> None:
        share = progress.share
        on_progress(progress if share is None else replace(progress, share=(number + share) / 2))

    return shown
