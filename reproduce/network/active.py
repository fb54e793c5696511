"""The network only where its features can change while a few pixels are optimised."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..images.geometry import Rectangle
from .architecture import Operation, reach
from .backend import Tensor, as_tensor, keras, ops
from .features import Extractor, crop, to_network_input


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
    """

    def __init__(self, extractor: Extractor, image: np.ndarray, pixels: Rectangle):
        self.steps = []
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
            frame = None if whole else _Frame.of(features, before, needed)
            self.steps.append((operation, layer, frame))
            if not whole:
                features = ops.convert_to_numpy(layer(features))

    def __call__(self, patch: Tensor) -> dict[str, Tensor]:
        """Features (h, w, C) of each layer within `rectangles[layer]`, for the changing pixels (H', W', 3)."""
        features, outputs = to_network_input(patch)[None], {}
        for operation, layer, frame in self.steps:
            features = layer(features) if frame is None else _apply_within(layer, operation, frame.around(features))
            if operation.name in self.rectangles:
                outputs[operation.name] = features[0]
        return outputs


class _Frame(NamedTuple):
    """Constant features around a hole; the image's zero padding counts as such."""

    features: Tensor  # (1, h, w, C), zero inside the hole
    kept: tuple[slice, slice]  # of the changing features: what lies within the frame
    padding: tuple  # that brings those to the frame's size

    @classmethod
    def of(cls, features: np.ndarray, hole: Rectangle, needed: Rectangle) -> _Frame:
        inner = hole.clip((needed.bottom, needed.right))  # a pooling drops an odd last row or column
        constant = crop(features[0], needed)
        constant[inner.shift(-needed.top, -needed.left).slices] = 0
        kept = inner.shift(-hole.top, -hole.left).slices
        rows = (inner.top - needed.top, needed.bottom - inner.bottom)
        columns = (inner.left - needed.left, needed.right - inner.right)
        return cls(as_tensor(constant[None]), kept, ((0, 0), rows, columns, (0, 0)))

    def around(self, features: Tensor) -> Tensor:
        return ops.pad(features[:, *self.kept], self.padding) + self.features


def _apply_within(layer: keras.Layer, operation: Operation, features: Tensor) -> Tensor:
    """The layer without padding of its own: the frame has brought what lies around."""
    if operation.kind == "pooling":
        return layer(features)
    return ops.relu(ops.conv(features, layer.kernel, strides=1, padding="valid") + layer.bias)
