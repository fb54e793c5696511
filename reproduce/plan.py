"""What a run will take, told before it starts: a model of the memory and the arithmetic of an evaluation.

The model counts the code's own buffers and multiplications, layer by layer. How many bytes the process holds for each
of them was fitted to measured runs; `python -m experiments benchmark` prints the predicted beside the measured.
"""

from typing import NamedTuple

from .architecture import LAYERS, Rectangle, channels, operations_until, reach


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
