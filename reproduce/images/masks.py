"""Masks: select an object by flood fill, soften and grow the mask (paper 3.3).

A mask is float32 (height, width) in [0, 1]; 1 is inside.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import InputError
from .geometry import Rectangle


def select(
    image: np.ndarray, seeds: Sequence[tuple[int, int]], tolerance: float = 0.05, fill_holes: bool = False
) -> np.ndarray:
    """Select what is connected to the seeds and of their colour: OpenCV's flood fill (paper 3.3).

    Args:
        image: float32 (H, W, 3), RGB in [0, 1].
        seeds: points (x, y) in pixels; the selections of all seeds are united.
        tolerance: largest difference from the seed's own colour, in each channel, in [0, 1].
        fill_holes: also select what the selection encloses.

    Raises:
        InputError: no seed, a seed outside the image, or a tolerance outside [0, 1].
    """
    height, width = image.shape[:2]
    if not len(seeds):
        raise InputError("Expected at least one seed. Received: none")
    if not 0 <= tolerance <= 1:
        raise InputError(f"Expected a tolerance in [0, 1]. Received: {tolerance}")
    for x, y in seeds:
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(f"Expected seeds inside the image of {width} x {height} pixels. Received: {x},{y}")
    filled = np.zeros((height + 2, width + 2), np.uint8)  # OpenCV wants a border of one pixel around the mask
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8)
    for seed in seeds:
        selection = np.zeros_like(filled)  # a mask of its own: OpenCV would not enter another seed's selection
        cv2.floodFill(image, selection, tuple(map(int, seed)), 0, (tolerance,) * 3, (tolerance,) * 3, flags)
        filled |= selection
    mask = filled[1:-1, 1:-1]
    return (_fill_holes(mask) if fill_holes else mask).astype(np.float32) / 255


def feather(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Soften the edge with a Gaussian of `sigma` pixels, cut off at 3 sigma: beyond that the mask is exactly 0.

    Raises:
        InputError: `sigma` is negative or not finite.
    """
    if not 0 <= sigma < np.inf:
        raise InputError(f"Expected a feather of 0 or more pixels. Received: {sigma}")
    if sigma == 0:
        return mask
    side = 2 * int(np.ceil(3 * sigma)) + 1
    soft = cv2.GaussianBlur(mask, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
    support = cv2.dilate(mask, np.ones((side, side), np.uint8))
    return np.where(support > 0, np.clip(soft, 0, 1), 0)


def grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """Dilate by a disc of `radius` pixels."""
    if radius == 0:
        return mask
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


def bounding_box(mask: np.ndarray) -> Rectangle:
    """The smallest rectangle that holds every pixel above 0.

    Raises:
        InputError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise InputError("Expected a mask that selects something. Received: an empty mask")
    return Rectangle(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def check_mask(mask: np.ndarray) -> np.ndarray:
    """Return the mask as float32 if it can be harmonised under.

    Raises:
        InputError: not (H, W) in [0, 1], or empty, or so full that no painting is left to learn from.
    """
    mask = np.asarray(mask, np.float32)
    if mask.ndim != 2 or not mask.size:
        raise InputError(f"Expected a mask of shape (height, width). Received: {mask.shape}")
    if not np.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        raise InputError(f"Expected a mask with finite values in [0, 1]. Received: {mask.min()} to {mask.max()}")
    if mask.max() < 0.5:
        raise InputError("Expected a mask that selects something. Received: an empty mask")
    if mask.min() >= 0.5:
        raise InputError("Expected a mask that leaves some painting around the object. Received: a full mask")
    return mask


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(mask.copy(), contours, -1, 255, cv2.FILLED)
