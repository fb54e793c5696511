"""A painterly renderer: a smooth colour layout becomes a picture in oil, with visible strokes and canvas.

Strokes go from coarse to fine and follow a given orientation field, as in Hertzmann, "Painterly Rendering with Curved
Brush Strokes of Multiple Sizes", SIGGRAPH 1998. Each stroke is a bundle of bristles, each with a colour and a thickness
of paint of its own, and the thickness is lit from the upper left.

Images are float32 (H, W, 3), RGB in [0, 1]; directions are float32 (H, W), in radians, x to the right and y downwards.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates
PATH_POINTS = 9


@dataclass(frozen=True)
class Brush:
    """One layer of strokes.

    Attributes:
        width, length: of a stroke, in pixels.
        coverage: the strokes' area over the picture's area; 1 leaves gaps, 3 hides the layer below.
        color_jitter: standard deviation of a stroke's colour around the layout's, on a scale of [0, 1].
        bristle_jitter: the same between the bristles of one stroke.
        detail: only strokes whose place differs by more than this from what is painted so far are kept.
    """

    width: float
    length: float
    coverage: float = 2.0
    color_jitter: float = 0.04
    bristle_jitter: float = 0.04
    detail: float = 0.0


@dataclass(frozen=True)
class Technique:
    """How a picture is painted.

    Attributes:
        brushes: in the order in which they are used, coarse to fine.
        relief, weave: the largest change of brightness that the paint's relief and the canvas make.
        cracks: how much darker the cracks of the varnish are, 0 for none.
    """

    brushes: tuple[Brush, ...]
    relief: float = 0.14
    weave: float = 0.025
    cracks: float = 0.0


def fractal_noise(
    shape: tuple[int, int], cell: float | tuple[float, float], rng: np.random.Generator, octaves: int = 4
) -> np.ndarray:
    """Sum of smooth noises, each of half the cell and half the amplitude of the one before.

    Args:
        shape: (H, W).
        cell: size of the coarsest blobs, in pixels; a pair (x, y) stretches them.

    Returns:
        float32 (H, W), of mean 0 and standard deviation 1.
    """
    height, width = shape
    cells = np.broadcast_to(np.asarray(cell, np.float64), 2)
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        columns, rows = (int(size / (c / 2**octave)) + 3 for size, c in zip((width, height), cells, strict=True))
        lattice = rng.standard_normal((min(rows, height), min(columns, width))).astype(np.float32)
        total += cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.mean()) / total.std()


def sample(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The image's values at the pixels nearest to points (..., 2), x first, clipped to the border."""
    height, width = image.shape[:2]
    x = np.clip(np.rint(points[..., 0]), 0, width - 1).astype(np.intp)
    y = np.clip(np.rint(points[..., 1]), 0, height - 1).astype(np.intp)
    return image[y, x]


def stroke_paths(starts: np.ndarray, direction: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Centre lines of strokes, traced along the direction field.

    Args:
        starts: (N, 2), the first points.
        lengths: (N,), in pixels.

    Returns:
        (N, PATH_POINTS, 2).
    """
    step = lengths[:, None] / (PATH_POINTS - 1)
    points = [starts]
    for _ in range(PATH_POINTS - 1):
        angle = sample(direction, points[-1])
        points.append(points[-1] + step * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    return np.stack(points, axis=1)


def stroke_lengths(layout: np.ndarray, paths: np.ndarray, brush: Brush, tolerance: float = 0.22) -> np.ndarray:
    """Cut each stroke where the layout's colour leaves that of its start, so that outlines stay (Hertzmann, 2.2)."""
    colors = sample(layout, paths)
    leaves = np.abs(colors - colors[:, :1]).sum(axis=-1) > tolerance
    first = np.where(leaves.any(axis=1), leaves.argmax(axis=1), PATH_POINTS) / PATH_POINTS
    return np.maximum(brush.length * first, brush.width)


def bristle_lines(paths: np.ndarray, width: float, bristles: int, rng: np.random.Generator) -> np.ndarray:
    """Spread each centre line into bristles side by side, drawn together at both ends and ragged there.

    Returns:
        (N, bristles, PATH_POINTS, 2).
    """
    along = np.gradient(paths, axis=1)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-6
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    taper = (1 - np.linspace(-0.95, 0.95, PATH_POINTS) ** 6)[:, None]
    offsets = np.linspace(-width / 2, width / 2, bristles)[:, None, None]
    slip = rng.normal(0, width / 4, (len(paths), bristles, 1, 1))
    return paths[:, None] + offsets * taper * across[:, None] + slip * along[:, None]


def paint_layer(
    canvas: np.ndarray, layout: np.ndarray, direction: np.ndarray, brush: Brush, rng: np.random.Generator
) -> None:
    """Paint one layer of strokes over the canvas.

    Args:
        canvas: uint8 (H, W, 4), colour and thickness of the paint, changed in place.
    """
    height, width = layout.shape[:2]
    reference = cv2.GaussianBlur(layout, (0, 0), brush.width / 3)
    margin = brush.length  # strokes that enter from outside cover the border too
    frame = np.array([width, height]) + 2 * margin
    starts = rng.uniform(0, frame, (int(brush.coverage * frame.prod() / brush.width / brush.length), 2)) - margin
    error = np.abs(sample(reference, starts) - sample(canvas[..., :3], starts) / 255.0).max(axis=-1)
    starts = starts[error >= brush.detail]
    paths = stroke_paths(starts, direction, np.full(len(starts), brush.length))
    paths = stroke_paths(starts, direction, stroke_lengths(reference, paths, brush))
    bristles = max(2, round(brush.width / 1.2))
    lines = bristle_lines(paths, brush.width, bristles, rng)
    colors = paint_colors(sample(reference, starts), bristles, brush, rng)
    fixed = np.rint(lines * 2**SUBPIXEL_BITS).astype(np.int32)
    for stroke, stroke_colors in zip(fixed, colors.tolist(), strict=True):
        for line, color in zip(stroke, stroke_colors, strict=True):
            cv2.polylines(canvas, [line], False, color, 2, cv2.LINE_AA, SUBPIXEL_BITS)


def paint_colors(base: np.ndarray, bristles: int, brush: Brush, rng: np.random.Generator) -> np.ndarray:
    """Colour and thickness of every bristle: mostly lighter or darker than the layout, a little of another hue.

    Returns:
        float64 (N, bristles, 4) in [0, 255].
    """
    count = len(base)
    light = rng.normal(0, brush.color_jitter, (count, 1, 1)) + rng.normal(0, brush.bristle_jitter, (count, bristles, 1))
    hue = rng.normal(0, brush.color_jitter * 0.8, (count, 1, 3))
    load = rng.uniform(0.25, 0.75, (count, 1, 1)) + rng.normal(0, 0.16, (count, bristles, 1))
    return 255 * np.clip(np.concatenate([base[:, None] + light + hue, load], axis=-1), 0, 1)


def along_contours(layout: np.ndarray, direction: np.ndarray, scale: float = 4.0, strength: float = 2e-4) -> np.ndarray:
    """Turn a direction field along the layout's contours where these are strong.

    The direction is that of the smaller eigenvalue of the structure tensor, smoothed over ``scale`` pixels, to which
    the given direction is added as a tensor of the given strength.

    Returns:
        float32 (H, W), radians.
    """
    gray = layout.mean(axis=-1)
    grad_x, grad_y = (cv2.Sobel(gray, -1, *order, ksize=3) / 8 for order in ((1, 0), (0, 1)))
    difference = cv2.GaussianBlur(grad_x**2 - grad_y**2, (0, 0), scale) - strength * np.cos(2 * direction)
    product = cv2.GaussianBlur(2 * grad_x * grad_y, (0, 0), scale) - strength * np.sin(2 * direction)
    return (np.arctan2(product, difference) / 2 + np.pi / 2).astype(np.float32)


def relief_light(thickness: np.ndarray, strength: float) -> np.ndarray:
    """Brightness gained or lost, (H, W), where the paint's surface turns to or from a light at the upper left."""
    surface = cv2.GaussianBlur(thickness, (0, 0), 0.7)
    slope_x, slope_y = (cv2.Sobel(surface, -1, *order, ksize=3) / 8 for order in ((1, 0), (0, 1)))
    slope = 0.6 * slope_x + 0.8 * slope_y
    return strength * np.tanh(4 * slope)


def canvas_weave(shape: tuple[int, int], rng: np.random.Generator, period: float = 3.1) -> np.ndarray:
    """Height of a plain weave of uneven threads, (H, W) in about [-1, 1]."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * (np.pi / period)
    x += 0.35 * fractal_noise(shape, 30, rng, octaves=2)
    y += 0.35 * fractal_noise(shape, 30, rng, octaves=2)
    return np.sin(x) * np.sin(y) + 0.25 * rng.standard_normal(shape).astype(np.float32)


def craquelure(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> np.ndarray:
    """Cracks of old varnish, float32 (H, W) in [0, 1]: the borders between the cells of random points."""
    seeds = np.ones(shape, np.uint8)
    count = int(shape[0] * shape[1] / cell**2)
    seeds[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    across, down = ((axis + 2.5 * fractal_noise(shape, 12, rng)).astype(np.float32) for axis in (x, y))
    cells = cv2.remap(labels.astype(np.float32), across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    edges = (cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))
    fade = np.clip(0.5 + 0.5 * fractal_noise(shape, 90, rng), 0, 1)
    return cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 0.6) * fade


def paint(layout: np.ndarray, direction: np.ndarray, technique: Technique, rng: np.random.Generator) -> np.ndarray:
    """Paint a layout with the brushes in turn, light the relief of the paint, let canvas and cracks show.

    Args:
        layout: the colours to paint, float32 (H, W, 3), RGB in [0, 1].
        direction: of the strokes, float32 (H, W), radians.

    Returns:
        float32 (H, W, 3), RGB in [0, 1].
    """
    shape = layout.shape[:2]
    ground = cv2.GaussianBlur(layout, (0, 0), 20)
    canvas = np.dstack([np.rint(255 * ground), np.full(shape, 128)]).astype(np.uint8)
    for brush in technique.brushes:
        paint_layer(canvas, layout, direction, brush, rng)
    color, thickness = canvas[..., :3].astype(np.float32) / 255, canvas[..., 3].astype(np.float32) / 255
    light = relief_light(thickness, technique.relief) + technique.weave * canvas_weave(shape, rng)
    color += light[..., None] * (0.35 + color)
    if technique.cracks:
        color *= 1 - technique.cracks * craquelure(shape, 17, rng)[..., None]
    return np.clip(color, 0, 1)
