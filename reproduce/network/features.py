"""VGG-19 features in Keras. RGB in [0, 1] becomes the network's own input here and nowhere else.

`VGG19` is the network that an application is given, `Extractor` what it builds of it to run on an image.
`painting_tiles` runs that over an image of any size in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.arrays import size_text
from ..images.geometry import Rectangle
from .architecture import Operation, feature_shape, field_of_view, operations_until, stride
from .backend import Tensor, compiled, keras, ops
from .weights import Weights, load_weights

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)  # of the pixels 0..255 that VGG-19 was trained on
BEYOND = 1 << 40  # pixels: farther than any image reaches
PRECISIONS = ("float32", "bfloat16")
TILE_SIDE = 512  # pixels: a painting goes through the network in tiles of this side, or up to twice as much


def to_network_input(image: Tensor) -> Tensor:
    """RGB in [0, 1] (..., 3) to what VGG-19 takes: BGR in [0, 255] less ImageNet's mean ("caffe" mode)."""
    image = ops.convert_to_tensor(image, dtype=keras.config.floatx())
    return image[..., ::-1] * 255.0 - ops.convert_to_tensor(IMAGENET_MEAN_BGR, dtype=image.dtype)


def blank_image(shape: tuple[int, int]) -> np.ndarray:
    """The image that is zero to the network: ImageNet's mean colour, float32 (H, W, 3)."""
    return np.tile(np.array(IMAGENET_MEAN_BGR[::-1], np.float32) / np.float32(255), (*shape, 1))


class Extractor:
    """VGG-19 without its top, cut after the deepest layer asked for (paper 4.1).

    Args:
        layers: names of convolution layers; features are taken after the ReLU.
        weights: from `find_weights`; None leaves random ones (for tests).
        pooling: "max", or "average" as Gatys et al. prefer.
        width: share of VGG-19's channels to build, for tests; only 1 fits real weights.
        precision: of the convolutions and of what they put out, one of PRECISIONS; the features that leave the network
            are of Keras's float type.
    """

    def __init__(
        self,
        layers: Sequence[str],
        weights: Weights | None = None,
        pooling: str = "max",
        width: float = 1.0,
        precision: str = "float32",
    ):
        self.layers = tuple(layers)
        random = weights is None
        self.steps = [(o, _keras_layer(o, pooling, width, precision, random)) for o in operations_until(self.layers)]
        image = features = keras.Input((None, None, 3))
        outputs = {}
        for operation, layer in self.steps:
            features = layer(features)
            if operation.name in self.layers:
                outputs[operation.name] = as_float(features)
        self.model = keras.Model(image, outputs)
        self.model.trainable = False
        if weights is not None:
            load_weights(self.model, weights)
        self._forward = compiled(self.model, (1, None, None, 3))

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Features (h, w, C) of each layer for an image (H, W, 3), RGB in [0, 1].

        Raises:
            InputError: the image is smaller than one feature of the deepest layer.
        """
        for layer in self.layers:
            if min(feature_shape(image.shape[:2], layer)) < 1:
                raise InputError(f"Expected an image of at least {stride(layer)} pixels on each side for {layer}. "
                                 f"Received: {size_text(image.shape)}")  # fmt: skip
        outputs = self._forward(to_network_input(image)[None])
        return {layer: ops.convert_to_numpy(features[0]) for layer, features in outputs.items()}


@dataclass(frozen=True)
class VGG19:
    """The network that an application is given: VGG-19 with some weights.

    Attributes:
        weights: from `find_weights`; None for random ones (in tests).
        width: share of VGG-19's channels to build, for tests; only 1 fits real weights.
    """

    weights: Weights | None = None
    width: float = 1.0

    @property
    def origin(self) -> dict[str, str | None]:
        """Where the weights came from, and their SHA-256, for the report."""
        if self.weights is None:
            return {"source": "random", "sha256": None}
        return {"source": self.weights.source, "sha256": self.weights.sha256}

    def extractor(self, layers: tuple[str, ...], pooling: str = "max", precision: str = "float32") -> Extractor:
        """The network that puts out some layers; the last two that were asked for are kept."""
        return _extractor(self, layers, pooling, precision)


@lru_cache(maxsize=2)
def _extractor(network: VGG19, layers: tuple[str, ...], pooling: str, precision: str) -> Extractor:
    return Extractor(layers, network.weights, pooling, network.width, precision)


class Tile(NamedTuple):
    """A part of an image's features: at each layer those of `cells`, and `halo` more on every side."""

    features: dict[str, np.ndarray]
    cells: dict[str, Rectangle]
    halo: int

    def with_halo(self, layer: str, halo: int) -> np.ndarray:
        """The layer's features with no more than `halo` cells around."""
        more = self.halo - halo
        height, width = self.features[layer].shape[:2]
        return self.features[layer][more : height - more, more : width - more]

    def without_halo(self, layer: str) -> np.ndarray:
        return self.with_halo(layer, 0)


def features_within(extractor: Extractor, image: np.ndarray, cells: dict[str, Rectangle], halo: int = 0) -> Tile:
    """The features of a rectangle of each layer, computed on no more pixels than they depend on.

    Beyond the border of the image the halo is zero, as the network's own padding is.

    Notes:
        Memory follows TILE_SIDE, beside the features themselves.
    """
    if not cells:
        return Tile({}, {}, halo)
    wanted = {layer: rectangle.grow(halo) for layer, rectangle in cells.items()}
    features: dict[str, np.ndarray] = {}
    window, grid = window_around(wanted, image.shape[:2]), max(map(stride, wanted))
    rows, columns = (
        even_cuts(start, stop, max(1, (stop - start) // TILE_SIDE), grid) for start, stop in zip(window[:2], window[2:])
    )
    for piece in split(wanted, rows, columns):
        for layer, found in _features_at_once(extractor, image, piece).items():
            if layer not in features:
                features[layer] = np.empty((*wanted[layer].shape, found.shape[2]), found.dtype)
            features[layer][piece[layer].shift(-wanted[layer].top, -wanted[layer].left).slices] = found
    return Tile(features, cells, halo)


def _features_at_once(extractor: Extractor, image: np.ndarray, cells: dict[str, Rectangle]) -> dict[str, np.ndarray]:
    """Features (h, w, C) of a rectangle of each layer, 0 beyond the border of the image."""
    window = window_around(cells, image.shape[:2])
    in_window, features = extractor(image[window.slices]), {}
    for layer, rectangle in cells.items():
        top, left = window.top // stride(layer), window.left // stride(layer)
        features[layer] = crop(in_window[layer], rectangle.shift(-top, -left))
    return features


def even_cuts(start: int, stop: int, count: int, grid: int) -> list[int]:
    """Where to cut from `start` to `stop` into `count` pieces of about one length, on a grid."""
    return [grid * round((start + (stop - start) * k / count) / grid) for k in range(1, count)]


def split(cells: dict[str, Rectangle], rows: list[int], columns: list[int]) -> list[dict[str, Rectangle]]:
    """Rectangles of features cut along some rows and columns of pixels, which lie on the deepest layer's grid."""
    bands = [pairwise([-BEYOND, *lines, BEYOND]) for lines in (rows, columns)]
    pieces = [Rectangle(top, left, bottom, right) for (top, bottom), (left, right) in product(*bands)]
    return [
        {layer: rectangle.meet(piece.shrink_to_whole(stride(layer))) for layer, rectangle in cells.items()}
        for piece in pieces
    ]


def painting_tiles(
    extractor: Extractor, image: np.ndarray, halo: int = 0, side: int | None = None
) -> Iterator[tuple[Tile, int]]:
    """The features of a whole image, tile by tile, with how many tiles there are.

    They are those of the image going through the network at once.

    Notes:
        Memory follows `side` (TILE_SIDE if None; about 1 kB a pixel), not the image.
    """
    side = side or TILE_SIDE
    rows, columns = _spans(image.shape[0], side), _spans(image.shape[1], side)
    pieces = [(top, left, bottom, right) for top, bottom in rows for left, right in columns]
    for piece in pieces:
        cells = {layer: Rectangle(*piece).shrink_to_whole(stride(layer)) for layer in extractor.layers}
        with_halo = {layer: rectangle.grow(halo) for layer, rectangle in cells.items()}
        yield Tile(_features_at_once(extractor, image, with_halo), cells, halo), len(pieces)


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


def as_float(features: Tensor) -> Tensor:
    """Features of any precision in Keras's float type, in which losses sum."""
    return ops.cast(features, keras.config.floatx())


def _keras_layer(operation: Operation, pooling: str, width: float, precision: str, random: bool) -> keras.Layer:
    dtype = None if precision == "float32" else f"mixed_{precision}"  # None: Keras's float type
    if operation.kind == "pooling":
        pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
        return pool(2, name=operation.name, dtype=dtype)
    channels = max(2, round(operation.channels * width))
    initializer = keras.initializers.HeNormal(seed=channels) if random else "zeros"  # drawing takes half a second
    return keras.layers.Conv2D(
        channels, 3, padding="same", activation="relu", kernel_initializer=initializer, name=operation.name, dtype=dtype
    )
