"""What a run will take, told before it starts: a model of the memory and the arithmetic of an evaluation.

The model counts the code's own buffers and multiplications, layer by layer. How many bytes the process holds for each
of them was fitted to measured runs; `python -m experiments benchmark` prints the predicted beside the measured.
"""

from typing import NamedTuple

from .architecture import LAYERS, Rectangle, channels, operations_until, reach
from .features import TILE_SIDE
from .images import scaled_shape
from .settings import Settings


class Work(NamedTuple):
    """One evaluation: its floating-point operations, and the bytes (float32) of what its convolutions put out."""

    flops: float
    activation_bytes: float


def work(shape: tuple[int, int], pixels: Rectangle, layers: tuple[str, ...]) -> Work:
    """The work of an evaluation in an image of (height, width) `shape` of which the rectangle `pixels` changes.

    A multiplication and an addition are two operations; the gradient repeats every convolution once, backwards.
    """
    flops, activation_bytes, inputs = 0.0, 0.0, 3
    used = {operation.name for operation in operations_until(layers)}
    for layer in LAYERS:
        if layer in used:
            height, width = reach(pixels, shape, layer).shape
            flops += 2 * 2 * 9 * inputs * channels(layer) * height * width
            activation_bytes += 4 * channels(layer) * height * width
            inputs = channels(layer)
    return Work(flops, activation_bytes)


class Estimate(NamedTuple):
    """What to expect of a run: bytes held at most, operations an evaluation, and the (height, width) worked at."""

    memory_bytes: float
    flops: float
    working_shape: tuple[int, int]


# Fitted to measured peaks of the process, on Linux with TensorFlow 2.21 (the benchmark's table of memory).
PROCESS_BYTES = 0.80e9  # Python, TensorFlow, the weights, and their reordered copies
BYTES_PER_ACTIVATION_BYTE = 2.5  # an evaluation: what is kept for the gradient, frames, gradients
FORWARD_BYTES_PER_PIXEL = 900  # the painting's features, tile by tile
SHARE_OF_PRODUCT_SPEED = 0.8  # that convolutions reach
OVERHEAD_SECONDS = 0.01
BYTES_PER_PIXEL = 100  # full-size images and masks, of which a run holds several


def estimate(application: str, size: tuple[int, int], object_size: tuple[int, int], settings: Settings) -> Estimate:
    """Expect the cost of a run.

    Args:
        application: "stylize", "restyle-region" or "harmonize".
        size: (height, width) of the input in pixels.
        object_size: (height, width) of the object, or of the straightened region, in pixels.
        settings: of the run.
    """
    solved = object_size if application == "restyle-region" else size
    shape = scaled_shape(solved, settings.scale)
    pixels = Rectangle(0, 0, *shape)
    if application == "harmonize":
        margin = settings.grow + 3 * settings.feather
        height, width = scaled_shape((object_size[0] + 2 * margin, object_size[1] + 2 * margin), settings.scale)
        top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
        pixels = Rectangle(top, left, top + height, left + width).clip(shape)
    flops, activation_bytes = work(shape, pixels, settings.layers)
    tile_pixels = min(shape[0], 2 * TILE_SIDE) * min(shape[1], 2 * TILE_SIDE)
    stages = (FORWARD_BYTES_PER_PIXEL * tile_pixels, BYTES_PER_ACTIVATION_BYTE * activation_bytes)
    memory = PROCESS_BYTES + BYTES_PER_PIXEL * size[0] * size[1] + max(stages)
    return Estimate(memory, flops, shape)


def seconds_per_evaluation(expected: Estimate, product_speed: float) -> float:
    """Seconds, on a machine whose float32 matrix product makes `product_speed` operations a second."""
    return OVERHEAD_SECONDS + expected.flops / (SHARE_OF_PRODUCT_SPEED * product_speed)
