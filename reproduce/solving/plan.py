"""What a run will take, told before it starts: a model of the memory (`memory`) and the arithmetic of an evaluation.

How much of the machine's speed an evaluation reaches was fitted to measured runs; `python -m experiments benchmark`
prints the predicted beside the measured.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..images.arrays import scaled_shape
from ..images.geometry import Rectangle
from ..network.architecture import convolutions_until, products, reach
from ..settings import Settings
from .memory import UNLIMITED, Canvas, Limits, Size, activation_bytes, bands_for, computed_again, fit, windows_of
from .run import stages
from .strips import Cutting


class Work(NamedTuple):
    """One evaluation: its floating-point operations, and the bytes (float32) of what its convolutions put out."""

    flops: float
    activation_bytes: float


def work(shape: Size, pixels: Rectangle, layers: tuple[str, ...]) -> Work:
    """The work of an evaluation in an image of (height, width) `shape` of which the rectangle `pixels` changes.

    A multiplication and an addition are two operations; the gradient repeats every convolution once, backwards.
    """
    flops = sum(2.0 * 2 * products(layer) * reach(pixels, shape, layer).area for layer in convolutions_until(layers))
    return Work(flops, activation_bytes(pixels, shape, layers))


class Estimate(NamedTuple):
    """What to expect of a run.

    Attributes:
        memory_bytes: held at most.
        working_shape: (height, width) of the image at the last scale.
        stages: (iterations, operations of an evaluation) of each.
        strips: in which the image goes through the network at the last scale.
    """

    memory_bytes: float
    working_shape: tuple[int, int]
    stages: list[tuple[int, float]]
    strips: int

    @property
    def flops(self) -> float:
        """Operations of an evaluation at the last scale."""
        return self.stages[-1][1]

    def seconds(self, product_speed: float) -> float:
        """Seconds of optimisation, as `seconds_per_evaluation`; an iteration takes little more than one evaluation."""
        return sum(count * seconds_per_evaluation(flops, product_speed) for count, flops in self.stages)


# Fitted to measured evaluations: what convolutions reach of a matrix product's speed, and what else a call takes.
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


def estimate(extent: Extent, settings: Settings, limits: Limits = UNLIMITED) -> Estimate:
    """Expect the cost of a run that reaches so far, within limits of memory.

    Raises:
        TooLarge: it cannot be done within that.
    """
    planned = stages(settings)
    shape = scaled_shape(extent.worked, planned[-1].scale)
    canvas = Canvas(extent.canvas[0] * extent.canvas[1], extent.bytes_per_pixel)
    fitting = fit(limits, canvas, extent.parts(shape), shape, settings)
    costs = [
        (stage.iterations, _flops(scaled_shape(extent.worked, stage.scale), extent, settings, fitting.cutting))
        for stage in planned
    ]
    return Estimate(fitting.memory_bytes, shape, costs, fitting.strips)


def _flops(shape: Size, extent: Extent, settings: Settings, cutting: Cutting | None) -> float:
    """Operations of an evaluation on an image of (height, width) `shape`."""
    parts = extent.parts(shape)
    if cutting is None or not cutting.cuts(bands_for(parts, shape, settings, None)):
        return sum(work(shape, part, settings.layers).flops for part in parts)
    whole = windows_of(parts, shape, settings, None)
    flops = sum(work(window.shape, Rectangle(0, 0, *window.shape), settings.layers).flops for window in whole)
    pixels = sum(window.area for window in whole)
    return flops + computed_again(windows_of(parts, shape, settings, cutting), pixels, settings, cutting)


def seconds_per_evaluation(flops: float, product_speed: float) -> float:
    """Seconds of so many operations, on a machine whose float32 matrix product makes `product_speed` a second."""
    return OVERHEAD_SECONDS + flops / (SHARE_OF_PRODUCT_SPEED * product_speed)
