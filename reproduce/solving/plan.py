"""What a run will take, told before it starts: a model of the memory and the arithmetic of an evaluation.

The model counts the code's own buffers and multiplications, layer by layer. How many bytes the process holds for each
of them was fitted to measured runs; `python -m experiments benchmark` prints the predicted beside the measured.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..images.arrays import scaled_shape
from ..images.geometry import Rectangle
from ..network.architecture import LAYERS, channels, field_of_view, operations_until, reach, stride
from ..network.features import TILE_SIDE
from ..settings import Settings
from .run import stages

Size = tuple[int, int]  # (height, width)


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
    """What to expect of a run.

    Attributes:
        memory_bytes: held at most.
        working_shape: (height, width) of the image at the last scale.
        stages: (iterations, operations of an evaluation) of each.
    """

    memory_bytes: float
    working_shape: tuple[int, int]
    stages: list[tuple[int, float]]

    @property
    def flops(self) -> float:
        """Operations of an evaluation at the last scale."""
        return self.stages[-1][1]

    def seconds(self, product_speed: float) -> float:
        """Seconds of optimisation, as `seconds_per_evaluation`; an iteration takes little more than one evaluation."""
        return sum(count * seconds_per_evaluation(flops, product_speed) for count, flops in self.stages)


# Fitted to measured peaks of the process, on Linux with TensorFlow 2.21 (the benchmark's table of memory).
PROCESS_BYTES = 0.79e9  # Python, TensorFlow, the weights
BYTES_PER_ACTIVATION_BYTE = 2.6  # an evaluation: what is kept for the gradient, and the gradients
FORWARD_BYTES_PER_PIXEL = 900  # the painting's features, tile by tile
COPIES_OF_FEATURES = 2  # TensorFlow's and NumPy's, of the layers asked for
DETAIL_BYTES = 0.25e9  # the painting's patches that detail is borrowed from, beside what TensorFlow still holds
# Fitted likewise to evaluations: what convolutions reach of a matrix product's speed, and what else a call takes.
SHARE_OF_PRODUCT_SPEED = 0.8
OVERHEAD_SECONDS = 0.01


class Extent(NamedTuple):
    """How far a run of an application reaches, by what its cost goes.

    Attributes:
        canvas: (height, width) of the image that came in.
        worked: (height, width) of what of it is worked on.
        parts: (height, width) worked at -> rectangles of it that change, none of which sees another.
        bytes_per_pixel: of the full-size images and masks that are held for each pixel of the canvas (fitted too).
    """

    canvas: Size
    worked: Size
    parts: Callable[[Size], list[Rectangle]]
    bytes_per_pixel: float


def estimate(extent: Extent, settings: Settings) -> Estimate:
    """Expect the cost of a run that reaches so far."""
    planned = stages(settings)
    works = [_work_at(scaled_shape(extent.worked, stage.scale), extent, settings) for stage in planned]
    costs = [(stage.iterations, work.flops) for stage, work in zip(planned, works)]
    shape, activation_bytes = scaled_shape(extent.worked, planned[-1].scale), works[-1].activation_bytes
    tile_pixels = _tile_side(shape[0], settings) * _tile_side(shape[1], settings)
    features = sum(4 * channels(layer) / stride(layer) ** 2 for layer in settings.layers)
    forward_bytes = (FORWARD_BYTES_PER_PIXEL + COPIES_OF_FEATURES * features) * tile_pixels
    most = max(forward_bytes, BYTES_PER_ACTIVATION_BYTE * activation_bytes)
    memory = PROCESS_BYTES + extent.bytes_per_pixel * extent.canvas[0] * extent.canvas[1] + most
    memory += DETAIL_BYTES * settings.polish.borrow_detail
    return Estimate(memory, shape, costs)


def _work_at(shape: Size, extent: Extent, settings: Settings) -> Work:
    """The work of an evaluation on an image of (height, width) `shape`: that of its parts."""
    works = [work(shape, part, settings.layers) for part in extent.parts(shape)]
    return Work(sum(part.flops for part in works), sum(part.activation_bytes for part in works))


def _tile_side(length: int, settings: Settings) -> int:
    """The longest side of a tile of the painting, with what its features see around it."""
    side = length if length < 2 * TILE_SIDE else TILE_SIDE + length % TILE_SIDE
    deepest = settings.layers[-1]
    margin = settings.style.halo * stride(deepest) - field_of_view(Rectangle(0, 0, 1, 1), deepest).top
    return min(side + 2 * margin, length)


def seconds_per_evaluation(flops: float, product_speed: float) -> float:
    """Seconds of so many operations, on a machine whose float32 matrix product makes `product_speed` a second."""
    return OVERHEAD_SECONDS + flops / (SHARE_OF_PRODUCT_SPEED * product_speed)
