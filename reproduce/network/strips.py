"""The network over an image strip by strip, from the top down: exactly, and nothing is computed twice.

A convolution needs the rows above and below, a pooling rows in pairs. So each operation keeps the last rows that it was
given until the next strip comes: they are `carried` to it. What it cannot put out yet, it puts out then, and with the
last strip all of it. What comes out, strip after strip, are the rows of the whole image's features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .architecture import Operation, operations_until, stride
from .backend import Tensor, keras, ops
from .layers import apply_within, as_float

Steps = Sequence[tuple[Operation, "keras.Layer"]]


class Strip(NamedTuple):
    """Rows of an image that go through the network after those above.

    Attributes:
        top, bottom: rows of pixels.
        last: whether the image ends here.
        brought: layer -> (first, end) of the rows of its features that become known.
        carried: how many rows each operation has kept of what it was given before.
    """

    top: int
    bottom: int
    last: bool
    brought: dict[str, tuple[int, int]]
    carried: tuple[int, ...]


def strips_of(height: int, rows: int, layers: Sequence[str], halos: Mapping[str, int]) -> list[Strip]:
    """An image of so many rows of pixels in strips of about as many rows, on the grid of the deepest layer.

    Args:
        height: of the image.
        rows: of a strip, at most; but no fewer than `fewest_rows`.
        layers: whose features are wanted.
        halos: layer -> cells around those of a strip that must be known too; 0 where none is named.
    """
    grid, fewest = max(map(stride, layers)), fewest_rows(layers, halos)
    count = -(-height // max(min(rows, height) // grid * grid, fewest)) if rows < height else 1
    each = max(-(-height // (count * grid)) * grid, fewest)  # all about as many
    operations = operations_until(tuple(layers))
    strips, top, known = [], 0, dict.fromkeys(layers, 0)
    carried = tuple(1 if operation.kind == "convolution" else 0 for operation in operations)  # the zeros around it
    for bottom in [*range(each, height, each), height]:
        out, kept = _after(bottom, bottom == height, operations)
        brought = {layer: (known[layer], out[layer]) for layer in layers}
        strips.append(Strip(top, bottom, bottom == height, brought, carried))
        top, known, carried = bottom, out, kept
    return strips


def fewest_rows(layers: Sequence[str], halos: Mapping[str, int]) -> int:
    """Rows of pixels that bring something of every layer, beside what the halo takes, on the deepest one's grid."""
    operations, grid = operations_until(tuple(layers)), max(map(stride, layers))
    rows = grid
    while not all(_after(rows, False, operations)[0][layer] > halos.get(layer, 0) for layer in layers):
        rows += grid
    return rows


def _after(given: int, all_given: bool, operations: Sequence[Operation]) -> tuple[dict[str, int], tuple[int, ...]]:
    """Operation -> the rows that are put out, and those that each keeps, after so many rows of pixels."""
    out, kept = {}, []
    for operation in operations:
        if operation.kind == "convolution":
            kept.append(2)
            given = given if all_given else given - 1
        else:
            kept.append(given % 2)
            given //= 2
        out[operation.name] = given
    return out, tuple(kept)


def carried_zeros(steps: Steps, width: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Zeros (1, rows, w, C) like what each operation keeps so many rows of, in an image that is `width` pixels wide."""
    kept, channels = [], 3
    for (operation, layer), number in zip(steps, rows):
        kept.append(np.zeros((1, number, width, channels), layer.compute_dtype))
        if operation.kind == "convolution":
            channels = layer.filters
        else:
            width //= 2
    return tuple(kept)


def through(
    steps: Steps, layers: Sequence[str], pixels: Tensor, carried: Sequence[Tensor], last: Tensor
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """What a strip brings.

    Args:
        steps: the network's operations.
        layers: whose features are wanted.
        pixels: (1, h, w, 3), the strip as the network's input.
        carried: what each operation has kept of the strips above.
        last: 1 if this is the last strip, else 0.

    Returns:
        layer -> features (h', w', C), and what is carried to the next strip.
    """
    features, outputs, kept = pixels, {}, []
    for (operation, layer), above in zip(steps, carried):
        features = ops.cast(features, layer.compute_dtype)
        if operation.kind == "convolution":
            below = ops.zeros_like(above[:, :last])
            features = ops.concatenate([above, features, below], axis=1)
            kept.append(features[:, -2:])
            features = ops.pad(features, ((0, 0), (0, 0), (1, 1), (0, 0)))
        else:
            features = ops.concatenate([above, features], axis=1)
            pairs = ops.shape(features)[1] // 2 * 2
            kept.append(features[:, pairs:])
            features = features[:, :pairs]
        features = apply_within(layer, operation, features)
        if operation.name in layers:
            outputs[operation.name] = as_float(features[0])
    return outputs, tuple(kept)
