"""The network over an image strip by strip, from the top down: exactly, and nothing is computed twice.

A convolution needs the rows above and below, a pooling rows in pairs. So each operation keeps the last rows that it was
given until the next strip comes: they are `carried` to it. What it cannot put out yet, it puts out then, and with the
last strip all of it. What comes out, strip after strip, are the rows of the whole image's features.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

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
        brought: layer -> (first, end) of the rows of its features that become known; a deep layer's may be none.
        carried: how many rows each operation has kept of what it was given before.
        put_out: how many rows each operation puts out.
    """

    top: int
    bottom: int
    last: bool
    brought: dict[str, tuple[int, int]]
    carried: tuple[int, ...]
    put_out: tuple[int, ...]


def strips_of(height: int, rows: int, layers: Sequence[str]) -> list[Strip]:
    """An image of so many rows of pixels in strips of about as many rows, on the grid of the deepest layer.

    Args:
        height: of the image.
        rows: of a strip, at most; but no fewer than that grid has.
        layers: whose features are wanted.
    """
    grid = max(map(stride, layers))
    count = -(-height // max(rows // grid * grid, grid)) if rows < height else 1
    each = -(-height // (count * grid)) * grid  # all about as many
    operations = operations_until(tuple(layers))
    strips, top = [], 0
    known, carried = _after(0, False, operations)
    for bottom in [*range(each, height, each), height]:
        out, kept = _after(bottom, bottom == height, operations)
        brought = {layer: (known[layer], out[layer]) for layer in layers}
        put_out = tuple(out[operation.name] - known[operation.name] for operation in operations)
        strips.append(Strip(top, bottom, bottom == height, brought, carried, put_out))
        top, known, carried = bottom, out, kept
    return strips


def _after(given: int, all_given: bool, operations: Sequence[Operation]) -> tuple[dict[str, int], tuple[int, ...]]:
    """Operation -> the rows that are put out, and those that each keeps, after so many rows of pixels.

    Before the first a convolution has the zeros that lie around an image.
    """
    out, kept = {}, []
    for operation in operations:
        if operation.kind == "convolution":
            kept.append(min(1 + given, 2))
            given = given if all_given else max(0, given - 1)
        else:
            kept.append(given % 2)
            given //= 2
        out[operation.name] = given
    return out, tuple(kept)


def carried_zeros(steps: Steps, width: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Zeros (1, rows, w, C) like what each operation keeps so many rows of, in an image that is `width` pixels wide;
    read-only, they take no memory."""
    kept, channels = [], 3
    for (operation, layer), number in zip(steps, rows):
        kept.append(zeros((1, number, width, channels), layer.compute_dtype))
        if operation.kind == "convolution":
            channels = layer.filters
        else:
            width //= 2
    return tuple(kept)


def zeros(shape: tuple[int, ...], kind: Any) -> np.ndarray:
    """Zeros, read-only, that take no memory."""
    return np.broadcast_to(np.zeros((), kind), shape)


def through(
    steps: Steps,
    layers: Sequence[str],
    pixels: Tensor,
    carried: Sequence[Tensor],
    last: Tensor,
    may_put_out_nothing: Collection[str] = (),
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """What a strip brings.

    Args:
        steps: the network's operations.
        layers: whose features are wanted.
        pixels: (1, h, w, 3), the strip as the network's input.
        carried: what each operation has kept of the strips above.
        last: 1 if this is the last strip, else 0.
        may_put_out_nothing: names of operations that are given too few rows by some strips.

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
        if operation.name in may_put_out_nothing:
            features = _apply_to_few_rows(layer, operation, features)
        else:
            features = apply_within(layer, operation, features)
        if operation.name in layers:
            outputs[operation.name] = as_float(features[0])
    return outputs, tuple(kept)


def _apply_to_few_rows(layer: keras.Layer, operation: Operation, features: Tensor) -> Tensor:
    """`apply_within` where that may give no rows, of which libraries know no gradient: rows of zeros are added, and
    what they bring is cut off."""
    sees, step = (3, 1) if operation.kind == "convolution" else (2, 2)
    rows = ops.shape(features)[1]
    padded = ops.pad(features, ((0, 0), (0, ops.maximum(0, sees - rows)), (0, 0), (0, 0)))
    return apply_within(layer, operation, padded)[:, : ops.maximum(0, (rows - sees) // step + 1)]
