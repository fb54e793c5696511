"""VGG-19 as a table: which operations lead to a layer, and what they do to sizes and rectangles.

Everything that needs the network's geometry but not its weights (mask pyramids, work windows, size checks, the
memory plan) reads it from here. Source: Simonyan and Zisserman 2015, configuration E, as in `keras.applications`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import expect
from ..images.geometry import Rectangle

# Convolutions (3 x 3, stride 1, zero-padded, ReLU) and channels of each block; a 2 x 2 pooling follows every block.
BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))


class Operation(NamedTuple):
    """One step of the network. `kind` is "convolution" or "pooling"; `channels` are those it puts out."""

    name: str
    kind: str
    channels: int


OPERATIONS = tuple(
    operation
    for block, (convolutions, channels) in enumerate(BLOCKS, start=1)
    for operation in (
        *(Operation(f"block{block}_conv{k}", "convolution", channels) for k in range(1, convolutions + 1)),
        Operation(f"block{block}_pool", "pooling", channels),
    )
)
LAYERS = tuple(operation.name for operation in OPERATIONS if operation.kind == "convolution")


PIXELS = "pixels"  # the layer before all others: its features are the image's own values


def operations_until(layers: tuple[str, ...]) -> tuple[Operation, ...]:
    """The operations up to and including the deepest of `layers`, of which some may be poolings.

    Raises:
        InputError: VGG-19 has no such operation.
    """
    names = [operation.name for operation in OPERATIONS]
    _expect_among(names, layers)
    return OPERATIONS[: 1 + max((names.index(layer) for layer in layers), default=-1)]


def convolutions_until(layers: tuple[str, ...]) -> tuple[str, ...]:
    """The convolution layers that lead to some layers, these included."""
    return tuple(operation.name for operation in operations_until(layers) if operation.kind == "convolution")


def stride(layer: str) -> int:
    """Pixels between neighbouring features of a layer: 1, 2, 4, 8 or 16; 1 of PIXELS."""
    return 2 ** sum(operation.kind == "pooling" for operation in _operations_of(layer))


def channels(layer: str) -> int:
    """Channels of a layer's features."""
    return operations_until((layer,))[-1].channels


def products(layer: str) -> int:
    """Multiplications that one cell of a layer takes."""
    inputs = [3, *(operation.channels for operation in operations_until((layer,)) if operation.kind == "convolution")]
    return 9 * inputs[-2] * inputs[-1]


def feature_shape(shape: tuple[int, int], layer: str) -> tuple[int, int]:
    """(height, width) of a layer's features for an image of (height, width) pixels."""
    return shape[0] // stride(layer), shape[1] // stride(layer)


def field_of_view(cells: Rectangle, layer: str) -> Rectangle:
    """The pixels that a rectangle of a layer's features depends on (it may reach beyond the image)."""
    for operation in reversed(_operations_of(layer)):
        cells = cells.grow(1) if operation.kind == "convolution" else cells.scale(2)
    return cells


def _operations_of(layer: str) -> tuple[Operation, ...]:
    return () if layer == PIXELS else operations_until((layer,))


def reach(pixels: Rectangle, shape: tuple[int, int], layer: str) -> Rectangle:
    """The features of a layer that depend on a rectangle of pixels, in an image of (height, width) `shape`."""
    for operation in operations_until((layer,)):
        if operation.kind == "convolution":
            pixels = pixels.grow(1).clip(shape)
        else:
            shape = (shape[0] // 2, shape[1] // 2)
            pixels = pixels.shrink(2).clip(shape)
    return pixels


def check_layers(name: str, layers: tuple[str, ...]) -> None:
    """Raises InputError unless `layers`, a setting's value, are convolution layers of VGG-19, each once."""
    _expect_among(LAYERS, layers)
    expect(len(set(layers)) == len(layers), f"each of {name} once", " ".join(layers))


def _expect_among(names: Sequence[str], layers: Sequence[str]) -> None:
    for layer in layers:
        expect(layer in names, f"a layer of VGG-19 such as block4_conv1 ({LAYERS[0]} ... {LAYERS[-1]})", layer)
