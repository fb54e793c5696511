"""Regions of an image: straighten a quadrilateral and put it back (paper 4.2.1), paste an object (paper 3.3).

Points are (x, y) in pixels; (0, 0) is the centre of the top left pixel, as in OpenCV.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import InputError
from .arrays import MAXIMUM_PIXELS, check_same_size, resize, scaled_shape, size_text
from .masks import bounding_box

LARGEST_SUPERSAMPLING = 4


def order_corners(corners: Sequence[tuple[float, float]], shape: tuple[int, int]) -> np.ndarray:
    """Bring a convex quadrilateral's corners, given in any order, into that of an upright rectangle's.

    Args:
        corners: four points (x, y).
        shape: (height, width) of the image that they lie in.

    Returns:
        float32 (4, 2): clockwise as seen, from the corner nearest to the image's top left.

    Raises:
        InputError: not four, outside the image, or not the corners of a convex quadrilateral (one lies within the
            triangle of the others, or three on a line).
    """
    points = np.asarray(corners, np.float64)
    if points.shape != (4, 2):
        raise InputError(f"Expected four corners x,y. Received: {points.tolist()}")
    text = " ".join(f"{x:g},{y:g}" for x, y in points)
    if not ((points >= 0) & (points <= np.array(shape[::-1]) - 1)).all():
        most = f"0,0 to {shape[1] - 1},{shape[0] - 1}"
        raise InputError(f"Expected corners inside the image of {size_text(shape)}, from {most}. Received: {text}")
    around = points - points.mean(axis=0)
    points = points[np.argsort(np.arctan2(around[:, 1], around[:, 0]))]
    points = np.roll(points, -int(points.sum(axis=1).argmin()), axis=0)
    sides = np.roll(points, -1, axis=0) - points
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    # A corner that stands out by less than a pixel from its neighbours' line is no corner.
    if (turns <= np.linalg.norm(points - np.roll(points, -2, axis=0), axis=1)).any():
        raise InputError(f"Expected the corners of a convex quadrilateral, no three on a line. Received: {text}")
    return points.astype(np.float32)


def straighten(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Cut out a quadrilateral as an upright rectangle by a homography.

    The rectangle is as wide and high as the longer of the opposite sides, so that no resolution is lost, but for what
    strong perspective compresses within a side.

    Args:
        image: (H, W, 3).
        corners: (4, 2) from `order_corners`.
    """
    shape = _straight_shape(corners)
    homography = cv2.getPerspectiveTransform(corners, _rectangle(shape))
    return np.clip(_warp(image, homography, shape), 0, 1)


def put_back(region: np.ndarray, image: np.ndarray, corners: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The inverse of `straighten`: warp a rectangle into the quadrilateral and blend it over the image.

    Where perspective shrinks the rectangle it is warped at a multiple of the image's size and averaged down.

    Args:
        region: (h, w, 3), of the size that `straighten` gave.
        image: (H, W, 3); where `alpha` is 0 it is returned bit for bit.
        corners: (4, 2) from `order_corners`.
        alpha: (H, W) in [0, 1], the share of the region in each pixel.
    """
    box = bounding_box(alpha)
    factor = _supersampling(corners)
    # Pixel centres of the enlarged box: x' = factor (x - left) + (factor - 1) / 2.
    local = (corners - np.array([box.left, box.top])) * factor + (factor - 1) / 2
    homography = cv2.getPerspectiveTransform(_rectangle(region.shape[:2]), local.astype(np.float32))
    warped = _warp(region, homography, (box.shape[0] * factor, box.shape[1] * factor))
    out = image.copy()
    out[box.slices] = blend(resize(warped, box.shape), image[box.slices], alpha[box.slices])
    return out


def quadrilateral_mask(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """float32 (H, W): 1 inside the quadrilateral, 0 outside, smooth over the pixels on its edge."""
    fraction_bits = 4
    mask = np.zeros(shape, np.uint8)
    points = np.round(corners * 2**fraction_bits).astype(np.int32)
    cv2.fillConvexPoly(mask, points, 255, cv2.LINE_AA, fraction_bits)
    return mask.astype(np.float32) / 255


def blend(over: np.ndarray, under: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`over` where alpha is 1, `under` bit for bit where it is 0, a linear mixture between."""
    alpha = alpha[..., None]
    return np.where(alpha > 0, np.clip(under + alpha * (over - under), 0, 1), under)


def paste(
    background: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray,
    at: tuple[float, float],
    scale: float = 1.0,
    rotate: float = 0.0,
    mirror: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Paste the masked object of one image over another; what lies outside the background is cut off.

    Args:
        background: (H, W, 3).
        image, mask: (h, w, 3) and (h, w), of the same size: a picture and which part of it is the object.
        at: (x, y) in the background where the middle of the object's bounding box comes to lie.
        scale: of the object, above 0.
        rotate: degrees by which the object is turned clockwise, about the middle of its bounding box.
        mirror: true to swap its left and right, before it is turned.

    Returns:
        The composite (H, W, 3), the background bit for bit where the mask is 0; and its mask (H, W).

    Raises:
        InputError: sizes differ, the mask is empty, the scale is not above 0 or huge, the angle is not finite, or the
            object lies outside.
    """
    check_same_size(image, mask, ("object", "mask"))
    if not np.isfinite(at).all():
        raise InputError(f"Expected a point x,y in pixels. Received: {at[0]},{at[1]}")
    box = bounding_box(mask)
    if not (scale > 0 and scale * scale * np.prod(box.shape) <= MAXIMUM_PIXELS):
        raise InputError(f"Expected a scale above 0 that keeps the object under {MAXIMUM_PIXELS // 10**6} megapixels. "
                         f"Received: {scale}")  # fmt: skip
    if not np.isfinite(rotate):
        raise InputError(f"Expected an angle in degrees. Received: {rotate}")
    shape = scaled_shape(box.shape, scale)
    # Colours are resized weighted by the mask: what lies around the object does not come into its edge.
    mask = mask[box.slices]
    weighted, mask = resize(image[box.slices] * mask[..., None], shape), resize(mask, shape)
    if mirror:
        weighted, mask = weighted[:, ::-1], mask[:, ::-1]
    weighted, mask = _turned(weighted, rotate), _turned(mask, rotate)
    shape = mask.shape
    top, left = _round(at[1] - (shape[0] - 1) / 2), _round(at[0] - (shape[1] - 1) / 2)
    height, width = background.shape[:2]
    rows = slice(max(top, 0), max(min(top + shape[0], height), 0))
    columns = slice(max(left, 0), max(min(left + shape[1], width), 0))
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    composite, placed = background.copy(), np.zeros((height, width), np.float32)
    if not (rows.start < rows.stop and columns.start < columns.stop and mask[inside].any()):
        raise InputError(f"Expected an object that lies on the background of {size_text(background.shape)}. "
                         f"Received: one of {size_text(shape)} around {at[0]:g},{at[1]:g}")  # fmt: skip
    placed[rows, columns] = mask[inside]
    under, share = background[rows, columns], mask[inside][..., None]
    composite[rows, columns] = np.where(share > 0, np.clip(under * (1 - share) + weighted[inside], 0, 1), under)
    return composite, placed


def _turned(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turned clockwise about its middle, in a rectangle that holds all of it, with 0 around; right angles are exact."""
    quarters, rest = divmod(degrees % 360, 90)
    image = np.ascontiguousarray(np.rot90(image, -int(quarters)))
    if rest == 0:
        return image
    height, width = image.shape[:2]
    cosine, sine = np.cos(np.deg2rad(rest)), np.sin(np.deg2rad(rest))
    # The edge's own width is kept on each side: interpolation reaches that far.
    shape = (int(np.ceil(width * sine + height * cosine)) + 2, int(np.ceil(width * cosine + height * sine)) + 2)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = (np.array(shape[::-1]) - 1) / 2 - turn @ ((np.array([width, height]) - 1) / 2)
    turned = cv2.warpAffine(image, np.column_stack([turn, shift]), shape[::-1], flags=cv2.INTER_CUBIC)
    return np.clip(turned, 0, 1)


def _round(coordinate: float) -> int:
    """To the nearest integer, halves up: Python's `round` takes them to even ones, which would not move evenly."""
    return int(np.floor(coordinate + 0.5))


def _warp(image: np.ndarray, homography: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    border = cv2.BORDER_REPLICATE
    return cv2.warpPerspective(image, homography, shape[::-1], flags=cv2.INTER_CUBIC, borderMode=border)


def _side_lengths(corners: np.ndarray) -> np.ndarray:
    """Lengths of the top, right, bottom and left side."""
    return np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)


def _straight_shape(corners: np.ndarray) -> tuple[int, int]:
    top, right, bottom, left = _side_lengths(corners)
    return round(max(left, right)) + 1, round(max(top, bottom)) + 1


def _rectangle(shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)


def _supersampling(corners: np.ndarray) -> int:
    top, right, bottom, left = _side_lengths(corners)
    shrinking = max(top / bottom, bottom / top, left / right, right / left)
    return min(int(np.ceil(shrinking)), LARGEST_SUPERSAMPLING)
