"""Selections: make a mask of an image by a colour, by a box around an object, by lines, or by a brush (paper 3.3).

Points are (x, y) in pixels; (0, 0) is the centre of the top left pixel. A mask is float32 (height, width) in [0, 1].
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np

from ..errors import InputError, expect
from ..options import FARTHEST
from . import masks
from .arrays import resize, scaled_shape, size_text, to_bytes
from .geometry import Rectangle

SMALLEST_BOX = 8  # pixels on a side: in fewer there is nothing that statistics of colours could part
SMALLEST_MARGIN = 16  # pixels around a box: enough to know colours by
LEARNING_PIXELS = 60_000  # from which GrabCut learns colours in about an eighth of a second
CUTTING_PIXELS = 200_000  # of the box, cut by colours that are known in about as long
ITERATIONS = 5  # of GrabCut: its energy hardly falls any more
POINT_BITS = 4  # of the fractions of a pixel that OpenCV draws with
FARTHEST_POINT = 1e6  # pixels from the image, that a brush may be led to: OpenCV counts in 32 bits
EDGE_PIXELS = 500_000  # on which the way along edges from a point to all others takes about a sixth of a second
CANNY = 32, 100  # thresholds of the edges that lines are drawn to, OpenCV's example's
STEEPEST = 200  # gradient beyond which an edge is no clearer


def select(
    image: np.ndarray, seeds: Sequence[tuple[float, float]], tolerance: float = 0.05, fill_holes: bool = False
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
    mask = filled[1:-1, 1:-1].astype(np.float32) / 255
    return masks.fill_holes(mask) if fill_holes else mask


def select_in_box(image: np.ndarray, corners: Sequence[tuple[float, float]], fill_holes: bool = False) -> np.ndarray:
    """Select the object in a loose box around it: GrabCut (Rother et al. 2004), OpenCV's.

    What lies around the box is known not to be the object; which pixels inside are, colours and edges decide. Only the
    box and its surroundings are looked at. Colours are learnt from at most LEARNING_PIXELS of them; where that was
    reduced, the box is cut once more, by the colours learnt, from at most CUTTING_PIXELS. OpenCV's random numbers are
    seeded: the same box gives the same mask.

    Args:
        image: float32 (H, W, 3), RGB in [0, 1].
        corners: two opposite ones, (x, y) in pixels, in any order.
        fill_holes: also select what the selection encloses.

    Returns:
        The mask: 0 outside the box; of 0 and 1, but for a soft edge where the image was reduced.

    Raises:
        InputError: the box lies outside the image, is tiny, leaves nothing of the image around it, or nothing in it
            differs from the rest.
    """
    box = _box(corners, image.shape[:2])
    text = _box_text(box)
    around = box.grow(max(min(box.shape) // 2, SMALLEST_MARGIN)).clip(image.shape[:2])
    pixels, rectangle = _reduced(image, around, box, LEARNING_PIXELS)
    expect(rectangle.shape != pixels.shape[:2], "a box that leaves some of the image around it", text)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    found = _grab(pixels, rectangle, models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    if pixels.shape[:2] != around.shape:
        around = box.grow(SMALLEST_MARGIN).clip(image.shape[:2])
        pixels, rectangle = _reduced(image, around, box, CUTTING_PIXELS)
        found = _grab(pixels, rectangle, models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    found = _without_specks(found)
    share = np.count_nonzero(found) / rectangle.area
    if share in (0, 1):
        what = "everything" if share else "nothing"
        raise InputError(f"Expected a loose box around an object that differs from what is around it: try another box, "
                         f"or --polygon. Received: {text}, in which {what} was found")  # fmt: skip
    found = found.astype(np.float32) / 255
    found = masks.fill_holes(found) if fill_holes else found
    mask = np.zeros(image.shape[:2], np.float32)
    mask[box.slices] = _enlarge(found, around.shape)[box.shift(-around.top, -around.left).slices]
    return mask


def select_polygon(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> np.ndarray:
    """Select what lies in a polygon, its outline included, smooth over the pixels next to that.

    Args:
        points: three or more, (x, y) in pixels, in their order around it; it may be concave. Where its lines cross,
            what they go around twice is outside.
        shape: (height, width) of the image.

    Raises:
        InputError: fewer points, a point outside the image, or no area.
    """
    expect(len(points) >= 3, "a polygon of three or more points", len(points))
    _check_inside(points, shape, "points")
    if cv2.contourArea(np.asarray(points, np.float32)) < 1:
        raise InputError(f"Expected a polygon with an area, its points in their order around it. "
                         f"Received: {_text(points)}")  # fmt: skip
    mask = np.zeros(shape, np.uint8)
    drawn = np.round(np.asarray(points) * 2**POINT_BITS).astype(np.int32)
    cv2.fillPoly(mask, [drawn], 255, cv2.LINE_AA, POINT_BITS)
    return mask.astype(np.float32) / 255


def select_along_edges(image: np.ndarray, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Select what lies within lines that follow edges from point to point, and back to the first (see `edge_path`).

    Raises:
        InputError: fewer than three points, one outside the image, or no area.
    """
    expect(len(points) >= 3, "three or more points", len(points))
    return select_polygon(edge_path(image, [*points, points[0]]), image.shape[:2])


def edge_path(image: np.ndarray, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A line that follows edges of the image from point to point: intelligent scissors (Mortensen and Barrett 1995).

    OpenCV's. Only the surroundings of two points that follow each other are looked at, large ones reduced to half a
    megapixel; the line's points are then as far apart as pixels are there.

    Args:
        image: float32 (H, W, 3), RGB in [0, 1].
        points: two or more, (x, y) in pixels; the line goes through each.

    Raises:
        InputError: fewer points, or one outside the image.
    """
    expect(len(points) >= 2, "two or more points", len(points))
    _check_inside(points, image.shape[:2], "points")
    line = [points[0]]
    for start, end in pairwise(points):
        line += [*_between(image, np.array([start, end])), end]
    return line


def select_stroke(points: Sequence[tuple[float, float]], radius: float, shape: tuple[int, int]) -> np.ndarray:
    """Select what a round brush covers that is led along points, smooth over the pixels on its edge.

    Args:
        points: one or more, (x, y) in pixels, also outside the image.
        radius: of the brush, pixels.
        shape: (height, width) of the image.

    Raises:
        InputError: no point, one that is far away, or a radius that is not of 0.5 to 1000 pixels.
    """
    expect(len(points), "a stroke of one or more points", "none")
    expect(0.5 <= radius <= FARTHEST, f"a brush with a radius of 0.5 to {FARTHEST} pixels", radius)
    expect((np.abs(points) < FARTHEST_POINT).all(), "a stroke near the image", "a point that is far away")
    mask = np.zeros(shape, np.uint8)
    drawn = np.round(np.asarray(points) * 2**POINT_BITS).astype(np.int32)
    # Lines of OpenCV end square, and are of whole pixels wide: rectangles between discs are not.
    for center in drawn:
        cv2.circle(mask, center.tolist(), round(radius * 2**POINT_BITS), 255, cv2.FILLED, cv2.LINE_AA, POINT_BITS)
    for start, end in zip(np.asarray(points, np.float64), np.asarray(points[1:], np.float64)):
        along = end - start
        if length := np.hypot(*along):
            aside = np.array([-along[1], along[0]]) * radius / length
            sides = np.array([start + aside, end + aside, end - aside, start - aside])
            cv2.fillConvexPoly(mask, np.round(sides * 2**POINT_BITS).astype(np.int32), 255, cv2.LINE_AA, POINT_BITS)
    return mask.astype(np.float32) / 255


def combine(mask: np.ndarray, added: Iterable[np.ndarray], subtracted: Iterable[np.ndarray]) -> np.ndarray:
    """The mask (H, W) with others of its size: first united with some, their maximum, then without the others."""
    for other in added:
        mask = np.maximum(mask, other)
    for other in subtracted:
        mask = np.minimum(mask, 1 - other)
    return mask


def highlight(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) as it is under the mask (H, W), and at a third of its brightness elsewhere."""
    return image * ((1 + 2 * mask) / 3)[..., None]


def _box(corners: Sequence[tuple[float, float]], shape: tuple[int, int]) -> Rectangle:
    """The pixels of a box, those of its corners included."""
    expect(len(corners) == 2, "two corners of a box", len(corners))
    _check_inside(corners, shape, "a box with corners")
    (left, right), (top, bottom) = (sorted(int(np.floor(value + 0.5)) for value in axis) for axis in zip(*corners))
    box = Rectangle(top, left, bottom + 1, right + 1)
    smallest = f"a box of at least {SMALLEST_BOX} pixels on each side"
    expect(min(box.shape) >= SMALLEST_BOX, smallest, f"{size_text(box.shape)} pixels")
    return box


def _box_text(box: Rectangle) -> str:
    return f"the box {box.left},{box.top} {box.right - 1},{box.bottom - 1}"


def _check_inside(points: Sequence[tuple[float, float]], shape: tuple[int, int], what: str) -> None:
    height, width = shape
    is_inside = all(0 <= x <= width - 1 and 0 <= y <= height - 1 for x, y in points)
    most = f"0,0 to {width - 1},{height - 1}"
    expect(is_inside, f"{what} inside the image of {size_text(shape)} pixels, from {most}", _text(points))


def _text(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _between(image: np.ndarray, ends: np.ndarray) -> list[tuple[float, float]]:
    """The points of a line along edges between its two ends (2, 2)."""
    (left, top), (right, bottom) = np.floor(ends.min(axis=0)), np.ceil(ends.max(axis=0))
    tight = Rectangle(int(top), int(left), int(bottom) + 1, int(right) + 1)
    region = tight.grow(max(max(tight.shape) // 2, SMALLEST_MARGIN)).clip(image.shape[:2])
    scale = min(1.0, (EDGE_PIXELS / region.area) ** 0.5)
    pixels = to_bytes(resize(image[region.slices], scaled_shape(region.shape, scale)))
    corner, sides = np.array([region.left, region.top]), np.array(pixels.shape[1::-1])
    steps = sides / region.shape[::-1]  # reduced pixels a pixel, of each axis
    start, end = np.clip(np.round((ends - corner + 0.5) * steps - 0.5), 0, sides - 1).astype(int).tolist()
    scissors = cv2.segmentation.IntelligentScissorsMB()
    scissors.setEdgeFeatureCannyParameters(*CANNY).setGradientMagnitudeMaxLimit(STEEPEST).applyImage(pixels)
    scissors.buildMap(start)
    found = (scissors.getContour(end).reshape(-1, 2)[1:-1] + 0.5) / steps - 0.5 + corner
    return [(x, y) for x, y in found.tolist()]


def _reduced(image: np.ndarray, region: Rectangle, box: Rectangle, most: int) -> tuple[np.ndarray, Rectangle]:
    """A region of an image as uint8, reduced to `most` pixels, and all those in it that the box touches.

    Of none of the latter it is known that they are outside.
    """
    scale = min(1.0, (most / region.area) ** 0.5)
    pixels = to_bytes(resize(image[region.slices], scaled_shape(region.shape, scale)))
    inner = box.shift(-region.top, -region.left)
    starts, ends = np.floor(np.multiply(inner[:2], scale)), np.ceil(np.multiply(inner[2:], scale))
    return pixels, Rectangle(*map(int, (*starts, *ends))).clip(pixels.shape[:2])


def _grab(
    pixels: np.ndarray, rectangle: Rectangle, models: tuple[np.ndarray, np.ndarray], iterations: int, mode: int
) -> np.ndarray:
    """GrabCut's object in a rectangle of uint8 pixels (h, w, 3): uint8 (h, w) of 0 and 255.

    Args:
        models: of the colours outside and inside, (1, 65) each, which are learnt in place unless the mode freezes them.
    """
    labels = np.full(pixels.shape[:2], cv2.GC_BGD, np.uint8)
    labels[rectangle.slices] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)  # its clusters of colours start at random
    cv2.grabCut(pixels, labels, (0, 0, 0, 0), *models, iterations, mode)  # the labels say where
    return np.where(labels == cv2.GC_PR_FGD, 255, 0).astype(np.uint8)


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Without the parts of an uint8 mask that have less than a hundredth of the largest one's pixels."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask)
    areas = statistics[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # of what is not selected
    return mask * (100 * areas >= areas.max())[parts]


def _enlarge(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask of 0 and 1 that was made in small, at full size: without its steps, the edge a few pixels wide."""
    if mask.shape == shape:
        return mask
    soft = resize(masks.feather(mask, 1.0), shape)
    soft -= 0.5  # in place: new memory takes longer than what is worked out
    soft /= (mask.size / soft.size) ** 0.5
    soft += 0.5
    return np.clip(soft, 0, 1, out=soft)
