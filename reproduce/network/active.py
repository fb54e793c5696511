"""The network only where its features can change while a few pixels are optimised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from ..images.geometry import Rectangle
from .architecture import operations_until, reach
from .backend import Tensor, ops
from .features import Extractor, crop, to_network_input
from .layers import apply_within, as_float

MOST_PARTS = 8  # each has a network of its own to build
FINEST_GRID = 16  # pixels: what is nearer than that is one part


def independent_parts(free: np.ndarray, layers: tuple[str, ...], halo: int = 0) -> list[Rectangle]:
    """Rectangles that hold the free pixels, of which none can see another: what changes in one changes nothing there.

    Args:
        free: bool (H, W), not empty.
        layers: whose features matter.
        halo: cells around a part's that belong to what is compared at its border.
    """
    grid, parts = FINEST_GRID, _connected(free, FINEST_GRID)
    while len(parts) > 8 * MOST_PARTS:
        grid *= 2
        parts = _connected(free, grid)
    parts = _none_sees_another(parts, free.shape, layers, halo)
    while len(parts) > MOST_PARTS:
        pair = min(combinations(parts, 2), key=_added_area)
        united = [part for part in parts if part not in pair] + [pair[0].around(pair[1])]
        parts = _none_sees_another(united, free.shape, layers, halo)
    return parts


def _added_area(pair: tuple[Rectangle, Rectangle]) -> int:
    """Pixels that belong to neither, but to both as one part."""
    first, second = pair
    return first.around(second).area - first.area - second.area


def _connected(free: np.ndarray, grid: int) -> list[Rectangle]:
    """The smallest rectangles around pixels that are connected on a grid of so many pixels."""
    rows, columns = (-(-length // grid) for length in free.shape)
    padded = np.zeros((rows * grid, columns * grid), bool)
    padded[: free.shape[0], : free.shape[1]] = free
    cells = padded.reshape(rows, grid, columns, grid)
    in_rows, in_columns = np.any(cells, axis=3), np.any(cells, axis=1)  # (row, within, column), (row, column, within)
    row, column = grid * np.arange(rows)[:, None], grid * np.arange(columns)
    first = row + in_rows.argmax(axis=1), column + in_columns.argmax(axis=2)
    last = row + grid - in_rows[:, ::-1].argmax(axis=1), column + grid - in_columns[:, :, ::-1].argmax(axis=2)
    labels, count = ndimage.label(np.any(in_rows, axis=1), np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    sides = [ndimage.minimum(ends, labels, numbers) for ends in first]
    sides += [ndimage.maximum(ends, labels, numbers) for ends in last]
    return [Rectangle(*map(int, ends)) for ends in zip(*sides)]


def _none_sees_another(
    parts: list[Rectangle], shape: tuple[int, int], layers: tuple[str, ...], halo: int
) -> list[Rectangle]:
    """The parts, those that see each other united, until none does."""
    while True:
        reached = np.array([_reached(part, shape, layers) for part in parts])  # (parts, operations, 4)
        near = reached + halo * np.array([-1, -1, 1, 1])
        top_left = np.maximum(near[:, None, :, :2], reached[None, :, :, :2])
        bottom_right = np.minimum(near[:, None, :, 2:], reached[None, :, :, 2:])
        see = (top_left < bottom_right).all(axis=3).any(axis=2)
        count, groups = connected_components(see)
        if count == len(parts):
            return parts
        grouped = [[part for part, group in zip(parts, groups) if group == number] for number in range(count)]
        parts = [reduce(Rectangle.around, group) for group in grouped]


def _reached(part: Rectangle, shape: tuple[int, int], layers: tuple[str, ...]) -> list[Rectangle]:
    """What changes with a part, of all that the operations put out."""
    reached = []
    for operation in operations_until(layers):
        if operation.kind == "convolution":
            part = part.grow(1).clip(shape)
        else:
            shape = (shape[0] // 2, shape[1] // 2)
            part = part.shrink(2).clip(shape)
        reached.append(part)
    return reached


class ActiveNetwork:
    """The network on the rectangle of each layer that a rectangle of pixels can reach; the rest is computed once.

    While only the pixels under a mask change, so do at each layer only the features of a rectangle that grows by one
    cell at a convolution and halves at a pooling. Every operation here puts out that rectangle, taking what it needs
    around it from a frame of features of the image as it was at the start. The features, and so the gradients, are
    those of the whole image; the work is that of the object.

    Args:
        extractor: the network.
        image: (H, W, 3), RGB in [0, 1]: the image whose pixels outside `pixels` stay as they are.
        pixels: the rectangle that changes.
        wanted: layer -> a rectangle of the image's features that is asked for.

    Attributes:
        rectangles: layer -> what changes.
        features: layer -> those (h, w, C) that are wanted, zero beyond the image; none where all of the image changes:
            nothing is computed beforehand then.
    """

    def __init__(
        self, extractor: Extractor, image: np.ndarray, pixels: Rectangle, wanted: Mapping[str, Rectangle] | None = None
    ):
        self.steps, self.features = [], {}
        self.rectangles = {layer: reach(pixels, image.shape[:2], layer) for layer in extractor.layers}
        features, active = ops.convert_to_numpy(to_network_input(image)[None]), pixels
        whole = pixels == Rectangle(0, 0, *image.shape[:2])
        for operation, layer in extractor.steps:
            shape, before = features.shape[1:3], active
            if operation.kind == "convolution":
                active = before.grow(1).clip(shape)
                needed = active.grow(1)
            else:
                active = before.shrink(2).clip((shape[0] // 2, shape[1] // 2))
                needed = active.scale(2)
            frame = None if whole else Frame.of(features, before, needed)
            self.steps.append((operation, layer, frame))
            if not whole:
                features = ops.convert_to_numpy(layer(features))
                if wanted and operation.name in wanted:
                    self.features[operation.name] = crop(features[0], wanted[operation.name])

    def __call__(self, patch: Tensor) -> dict[str, Tensor]:
        """Features (h, w, C) of each layer within `rectangles[layer]`, for the changing pixels (H', W', 3)."""
        features, outputs = to_network_input(patch)[None], {}
        for operation, layer, frame in self.steps:
            features = layer(features) if frame is None else apply_within(layer, operation, frame.around(features))
            if operation.name in self.rectangles:
                outputs[operation.name] = as_float(features[0])
        return outputs


class Frame(NamedTuple):
    """Constant features around a hole; the image's zero padding counts as such."""

    features: Tensor  # (1, h, w, C), zero inside the hole
    kept: tuple[slice, slice]  # of the changing features: what lies within the frame
    padding: tuple  # that brings those to the frame's size

    @classmethod
    def of(cls, features: np.ndarray, hole: Rectangle, needed: Rectangle) -> Frame:
        """Of features (1, H, W, C) those of a rectangle, but for those in the hole."""
        inner = hole.clip((needed.bottom, needed.right))  # a pooling drops an odd last row or column
        constant = crop(features[0], needed)
        constant[inner.shift(-needed.top, -needed.left).slices] = 0
        kept = inner.shift(-hole.top, -hole.left).slices
        rows = (inner.top - needed.top, needed.bottom - inner.bottom)
        columns = (inner.left - needed.left, needed.right - inner.right)
        return cls(ops.convert_to_tensor(constant[None]), kept, ((0, 0), rows, columns, (0, 0)))

    def around(self, features: Tensor) -> Tensor:
        """The frame with features (1, h', w', C) in its hole."""
        return ops.pad(features[:, *self.kept], self.padding) + self.features
