"""What a run will take, told before it starts: a model of the memory and the arithmetic of one evaluation.

The model counts the code's own buffers (`activation_bytes`) and multiplications (`flops`) layer by layer; how many bytes
the process holds for each of them was fitted once to measured runs (`experiments/benchmark.py` prints both).
"""

import time
from typing import NamedTuple

from .architecture import Rectangle, operations_until, reach
from .images import scaled_shape
from .settings import Settings

MEGABYTE = 10**6


class Work(NamedTuple):
    """One evaluation: multiply-adds counted as two, and the bytes of all layers' outputs in float32."""

    flops: float
    activation_bytes: float


class Estimate(NamedTuple):
    """What is expected of a run: bytes of memory at most, and seconds per evaluation."""

    memory_bytes: float
    seconds_per_evaluation: float
    working_shape: tuple[int, int]


def work(shape: tuple[int, int], pixels: Rectangle, layers: tuple[str, ...]) -> Work:
    """The work of an evaluation in an image of (height, width) `shape` of which the rectangle `pixels` changes.

    The gradient repeats every convolution once, backwards.
    """
    flops = activation_bytes = 0.0
    inputs = 3
    for operation in operations_until(layers):
        if operation.kind == "pooling":
            continue
        height, width = reach(pixels, shape, operation.name).shape
        flops += 2 * 2 * 9 * inputs * operation.channels * height * width
        activation_bytes += 4 * operation.channels * height * width
        inputs = operation.channels
    return Work(flops, activation_bytes)
