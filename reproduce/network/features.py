"""VGG-19 features in Keras. RGB in [0, 1] becomes the network's own input here and nowhere else.

`VGG19` is the network that an application is given, `Extractor` what it builds of it to run on an image.
`painting_tiles` runs that over an image of any size in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.arrays import size_text
from ..images.geometry import Rectangle
from .architecture import feature_shape, field_of_view, operations_until, stride
from .backend import Tensor, compiled, compiled_for, keras, ops
from .layers import as_float, keras_layer
from .strips import Strip, carried_zeros, strips_of, through
from .weights import Weights, load_weights

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)  # of the pixels 0..255 that VGG-19 was trained on
PRECISIONS = ("float32", "bfloat16")
PIXELS_AT_ONCE = 400_000  # of a painting: one of more goes through the network in strips
STRIP_PIXELS = 100_000  # of about so many
TILE_WIDTH = 2048  # pixels of a strip whose features are looked at together
TILE_CELLS = 32_000  # of a layer, in all columns, that are worth looking at: few at a time are slow to match


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
        self.steps = [(o, keras_layer(o, pooling, width, precision, random)) for o in operations_until(self.layers)]
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

    def of(self, layers: Sequence[str]) -> Extractor:
        """The same network for some of its layers alone, cut after the deepest of them."""
        if set(layers) == set(self.layers):
            return self
        part = Extractor.__new__(Extractor)
        part.layers, part.steps = tuple(layers), self.steps[: len(operations_until(tuple(layers)))]
        part.model = keras.Model(self.model.input, {layer: self.model.output[layer] for layer in layers})
        return part

    def depth(self, layer: str) -> int:
        """How many channels a layer has."""
        return self.model.output[layer].shape[-1]

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

    def strips(self, shape: tuple[int, int]) -> list[Strip]:
        """How an image of (height, width) `shape` goes through the network."""
        rows = shape[0] if shape[0] * shape[1] <= PIXELS_AT_ONCE else STRIP_PIXELS // shape[1]
        return strips_of(shape[0], rows, self.layers)

    def strip_by_strip(self, image: np.ndarray) -> Iterator[tuple[Strip, dict[str, np.ndarray]]]:
        """Features of an image, those (h, w, C) that each of its strips brings; of a deep layer maybe none.

        Raises:
            InputError: as when it is called.
        """
        strips = self.strips(image.shape[:2])
        if len(strips) == 1:
            yield strips[0], self(image)
            return
        carried: Sequence[Tensor] = carried_zeros(self.steps, image.shape[1], strips[0].carried)
        forward = self._forward_strip if all(all(strip.put_out) for strip in strips) else self._forward_short_strip
        for strip in strips:
            pixels = to_network_input(image[strip.top : strip.bottom])[None]
            outputs, carried = forward(pixels, carried, np.int32(strip.last))
            yield strip, {layer: ops.convert_to_numpy(features) for layer, features in outputs.items()}

    @cached_property
    def _forward(self) -> Callable:
        return compiled(self.model, (1, None, None, 3))

    @cached_property
    def _forward_strip(self) -> Callable:
        """`strips.through`, compiled for strips of any height and width that bring something of every layer."""
        return self._compiled_forward(())

    @cached_property
    def _forward_short_strip(self) -> Callable:
        return self._compiled_forward([operation.name for operation, _ in self.steps])

    def _compiled_forward(self, may_put_out_nothing: Collection[str]) -> Callable:
        def forward(pixels: Tensor, carried: Sequence[Tensor], last: Tensor) -> tuple[dict, tuple]:
            return through(self.steps, self.layers, pixels, carried, last, may_put_out_nothing)

        def example(side: int, rows: int) -> tuple:
            pixels = np.zeros((1, side, side, 3), keras.config.floatx())
            return pixels, carried_zeros(self.steps, side, [rows] * len(self.steps)), np.int32(0)

        return compiled_for(forward, example(16, 1), example(32, 2))


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
        Memory follows PIXELS_AT_ONCE and STRIP_PIXELS, beside the features themselves.
    """
    if not cells:
        return Tile({}, {}, halo)
    wanted = {layer: rectangle.grow(halo) for layer, rectangle in cells.items()}
    window = window_around(wanted, image.shape[:2])
    features: dict[str, np.ndarray] = {}
    for strip, brought in extractor.strip_by_strip(image[window.slices]):
        for layer, rectangle in wanted.items():
            rows = brought[layer]
            if layer not in features:
                features[layer] = np.zeros((*rectangle.shape, rows.shape[2]), rows.dtype)
            place = window.shrink_to_whole(stride(layer))
            first, end = (place.top + row for row in strip.brought[layer])
            place = place._replace(top=first, bottom=end)
            inside = place.meet(rectangle)
            if inside.top < inside.bottom:
                into, out_of = (inside.shift(-of.top, -of.left).slices for of in (rectangle, place))
                features[layer][into] = rows[out_of]
    return Tile(features, cells, halo)


def painting_tiles(extractor: Extractor, image: np.ndarray, halo: int = 0) -> Iterator[tuple[Tile, int]]:
    """The features of a whole image, tile by tile, with how many tiles there are.

    They are those of the image going through the network at once. Of a deep layer a tile may have none.

    Notes:
        Memory follows PIXELS_AT_ONCE and STRIP_PIXELS (1 to 3 kB a pixel), not the image.
    """
    cuts = [0, *even_cuts(image.shape[1], max(1, image.shape[1] // TILE_WIDTH), max(map(stride, extractor.layers)))]
    columns = list(pairwise([*cuts, image.shape[1]]))
    number = len(columns) * len(extractor.strips(image.shape[:2]))
    known: dict[str, np.ndarray] = {}  # rows that a tile's cells, or its halo, can still be of
    tops: dict[str, int] = {}
    for strip, brought in extractor.strip_by_strip(image):
        rows, cells = {}, {}
        for layer, found in brought.items():
            found = np.pad(found, ((0, halo * strip.last), (halo, halo), (0, 0)))
            above = known.get(layer, np.zeros((halo, *found.shape[1:]), found.dtype))
            known[layer] = np.concatenate([above, found])
            top, count = tops.get(layer, 0), len(known[layer]) - 2 * halo
            if count * found.shape[1] >= TILE_CELLS or (strip.last and count > 0):
                rows[layer], known[layer] = known[layer], known[layer][count:].copy()
                tops[layer] = top + count
                cells[layer] = Rectangle(top, 0, top + count, found.shape[1] - 2 * halo)
        for left, right in columns:
            yield _columns(rows, cells, halo, left, right), number


def _columns(rows: dict[str, np.ndarray], cells: dict[str, Rectangle], halo: int, left: int, right: int) -> Tile:
    """Of a strip's features what belongs to some columns of pixels."""
    within, of_tile = {}, {}
    for layer, strip in cells.items():
        first, end = left // stride(layer), right // stride(layer)
        within[layer] = rows[layer][:, first : end + 2 * halo]
        of_tile[layer] = strip._replace(left=first, right=end)
    return Tile(within, of_tile, halo)


def even_cuts(length: int, count: int, grid: int) -> list[int]:
    """Where to cut a length into `count` pieces of about one length, on a grid."""
    return [grid * round(length * k / count / grid) for k in range(1, count)]


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
