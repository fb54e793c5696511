"""VGG-19 features in Keras. RGB in [0, 1] becomes the network's own input here and nowhere else.

`Extractor` runs the network on an image. `ActiveNetwork` runs it, to the same features, only where they can change
while a few pixels are optimised. `painting_tiles` runs it over an image of any size in bounded memory.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .architecture import Operation, Rectangle, feature_shape, field_of_view, operations_until, reach, stride
from .backend import as_tensor, compiled, keras, ops
from .images import size_text
from .weights import Weights, load_weights

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)  # of the pixels 0..255 that VGG-19 was trained on
TILE_SIDE = 512  # pixels: a painting goes through the network in tiles of this side, or up to twice as much


def to_network_input(image):
    """RGB in [0, 1] (..., 3) to what VGG-19 takes: BGR in [0, 255] less ImageNet's mean ("caffe" mode)."""
    image = ops.convert_to_tensor(image, dtype=keras.config.floatx())
    return image[..., ::-1] * 255.0 - ops.convert_to_tensor(IMAGENET_MEAN_BGR, dtype=image.dtype)


def blank_image(shape: tuple[int, int]) -> np.ndarray:
    """The image that is zero to the network: ImageNet's mean colour, float32 (H, W, 3)."""
    return np.tile(np.float32(IMAGENET_MEAN_BGR[::-1]) / np.float32(255), (*shape, 1))


class Extractor:
    """VGG-19 without its top, cut after the deepest layer asked for (paper 4.1).

    Args:
        layers: names of convolution layers; features are taken after the ReLU.
        weights: from `find_weights`; None leaves random ones (for tests).
        pooling: "max", or "average" as Gatys et al. prefer.
        width: share of VGG-19's channels to build, for tests; only 1 fits real weights.
    """

    def __init__(self, layers: Sequence[str], weights: Weights | None = None, pooling: str = "max", width: float = 1.0):
        self.layers = tuple(layers)
        self.steps = [(o, _keras_layer(o, pooling, width)) for o in operations_until(self.layers)]
        image = features = keras.Input((None, None, 3))
        outputs = {}
        for operation, layer in self.steps:
            features = layer(features)
            if operation.name in self.layers:
                outputs[operation.name] = features
        self.model = keras.Model(image, outputs)
        self.model.trainable = False
        if weights is not None:
            load_weights(self.model, weights)
        self._forward = compiled(self.model, (1, None, None, 3))

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Features (h, w, C) of each layer for an image (H, W, 3), RGB in [0, 1].

        Raises:
            ValueError: the image is smaller than one feature of the deepest layer.
        """
        for layer in self.layers:
            if min(feature_shape(image.shape[:2], layer)) < 1:
                raise ValueError(f"Expected an image of at least {stride(layer)} pixels on each side for {layer}. "
                                 f"Received: {size_text(image.shape)}")  # fmt: skip
        outputs = self._forward(to_network_input(image)[None])
        return {layer: ops.convert_to_numpy(features[0]) for layer, features in outputs.items()}


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

    def __call__(self, patch) -> dict:
        """Features (h, w, C) of each layer within `rectangles[layer]`, for the changing pixels (H', W', 3)."""
        features, outputs = to_network_input(patch)[None], {}
        for operation, layer, frame in self.steps:
            features = layer(features) if frame is None else _apply_within(layer, operation, frame.around(features))
            if operation.name in self.rectangles:
                outputs[operation.name] = features[0]
        return outputs


class _Frame(NamedTuple):
    """Constant features around a hole; the image's zero padding counts as such."""

    features: object  # tensor (1, h, w, C), zero inside the hole
    kept: tuple[slice, slice]  # of the changing features: what lies within the frame
    padding: tuple  # that brings those to the frame's size

    @classmethod
    def of(cls, features: np.ndarray, hole: Rectangle, needed: Rectangle) -> "_Frame":
        inner = hole.clip((needed.bottom, needed.right))  # a pooling drops an odd last row or column
        constant = crop(features[0], needed)
        constant[inner.shift(-needed.top, -needed.left).slices] = 0
        kept = inner.shift(-hole.top, -hole.left).slices
        rows = (inner.top - needed.top, needed.bottom - inner.bottom)
        columns = (inner.left - needed.left, needed.right - inner.right)
        return cls(as_tensor(constant[None]), kept, ((0, 0), rows, columns, (0, 0)))

    def around(self, features):
        return ops.pad(features[:, *self.kept], self.padding) + self.features


class Tile(NamedTuple):
    """A part of an image's features: at each layer those of `cells`, and `halo` more on every side."""

    features: dict[str, np.ndarray]
    cells: dict[str, Rectangle]
    halo: int

    def without_halo(self, layer: str) -> np.ndarray:
        height, width = self.cells[layer].shape
        return self.features[layer][self.halo : self.halo + height, self.halo : self.halo + width]


def features_within(extractor: Extractor, image: np.ndarray, cells: dict[str, Rectangle], halo: int = 0) -> Tile:
    """The features of a rectangle of each layer, computed on no more pixels than they depend on.

    Beyond the image's border the halo is zero, as the network's own padding is.
    """
    window = window_around({layer: rectangle.grow(halo) for layer, rectangle in cells.items()}, image.shape[:2])
    in_window, features = extractor(image[window.slices]), {}
    for layer, rectangle in cells.items():
        top, left = window.top // stride(layer), window.left // stride(layer)
        features[layer] = crop(in_window[layer], rectangle.grow(halo).shift(-top, -left))
    return Tile(features, cells, halo)


def painting_tiles(
    extractor: Extractor, image: np.ndarray, halo: int = 0, side: int = TILE_SIDE
) -> Iterator[tuple[Tile, int]]:
    """The features of a whole image, tile by tile, with how many tiles there are.

    They are those of the image going through the network at once.

    Notes:
        Memory follows `side` (about 1 kB a pixel), not the image.
    """
    rows, columns = _spans(image.shape[0], side), _spans(image.shape[1], side)
    pieces = [(top, left, bottom, right) for top, bottom in rows for left, right in columns]
    for piece in pieces:
        cells = {layer: Rectangle(*piece).shrink_to_whole(stride(layer)) for layer in extractor.layers}
        yield features_within(extractor, image, cells, halo), len(pieces)


def window_around(cells: dict[str, Rectangle], shape: tuple[int, int]) -> Rectangle:
    """The pixels that rectangles of features see, widened to the pooling grid of the deepest layer.

    The widening keeps the poolings of the window in step with those of the image; the image's own borders stay borders.
    """
    grid = max(stride(layer) for layer in cells)
    seen = [field_of_view(rectangle, layer) for layer, rectangle in cells.items()]
    tops, lefts, bottoms, rights = zip(*seen)
    return Rectangle(min(tops), min(lefts), max(bottoms), max(rights)).clip(shape).shrink(grid).scale(grid).clip(shape)


def crop(features: np.ndarray, rectangle: Rectangle) -> np.ndarray:
    """A copy of a rectangle of (h, w, C), zero where it reaches beyond."""
    inside = rectangle.clip(features.shape[:2])
    out = np.zeros((*rectangle.shape, features.shape[2]), features.dtype)
    out[inside.shift(-rectangle.top, -rectangle.left).slices] = features[inside.slices]
    return out


def _spans(length: int, side: int) -> list[tuple[int, int]]:
    """Cut a length into pieces of `side` pixels; the last takes the remainder, so that none is a sliver."""
    starts = [k * side for k in range(max(1, length // side))]
    return list(zip(starts, [*starts[1:], length]))


def _keras_layer(operation: Operation, pooling: str, width: float) -> keras.Layer:
    if operation.kind == "pooling":
        pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
        return pool(2, name=operation.name)
    channels = max(2, round(operation.channels * width))
    initializer = keras.initializers.HeNormal(seed=channels)
    return keras.layers.Conv2D(
        channels, 3, padding="same", activation="relu", kernel_initializer=initializer, name=operation.name
    )


def _apply_within(layer: keras.Layer, operation: Operation, features):
    """The layer without padding of its own: the frame has brought what lies around."""
    if operation.kind == "pooling":
        return layer(features)
    return ops.relu(ops.conv(features, layer.kernel, strides=1, padding="valid") + layer.bias)
