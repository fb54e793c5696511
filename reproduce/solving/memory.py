"""What a run holds in memory, and how it is kept within a limit: by tiles, and by a shorter memory of L-BFGS.

The model counts the code's own buffers, layer by layer. How many bytes the process holds for each of them was fitted to
measured runs; `python -m experiments benchmark` prints the predicted beside the measured.
"""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..images.arrays import size_text
from ..images.geometry import Rectangle
from ..network.architecture import LAYERS, channels, field_of_view, operations_until, reach, stride
from ..network.backend import gpu_memory_limit
from ..network.features import TILE_SIDE
from ..settings import Settings
from .lbfgs import solver_bytes
from .tiles import Tile, tiles_of

Size = tuple[int, int]  # (height, width)

# Fitted to measured peaks of the process, on Linux with TensorFlow 2.21 (the benchmark's table of memory).
PROCESS_BYTES = 0.79e9  # Python, TensorFlow, the weights
GPU_BYTES = 0.5e9  # of a GPU, a guess: the weights, and what its libraries must have to work in
BYTES_PER_ACTIVATION_BYTE = 1.8  # an evaluation: what is kept for the gradient, and the gradients
FORWARD_BYTES_PER_PIXEL = 900  # the painting's features, tile by tile
COPIES_OF_FEATURES = 2  # TensorFlow's and NumPy's, of the layers asked for
DETAIL_BYTES = 0.25e9  # the painting's patches that detail is borrowed from, beside what TensorFlow still holds
# For each pixel of the canvas, of the full-size images and masks.
PAINTING_BYTES, HARMONIZING_BYTES, REGION_BYTES = 100, 160, 30
# For each pixel that is worked on: the image, its values, their gradient, content, start (and that in float64), masks.
WORKING_BYTES = 12 * 5 + 24 + 8

RESERVE = 0.1  # of the free memory: is left to others
SMALLEST_TILE = 512 * 512  # pixels of a window: smaller ones are mostly what they share with their neighbours


class TooLarge(InputError):
    """A run does not fit into the memory that it may hold."""


class Limits(NamedTuple):
    """Bytes that a run may hold, of the process and of a GPU; infinite where nobody knows, or there is none."""

    process: float = math.inf
    gpu: float = math.inf


UNLIMITED = Limits()


class Fit(NamedTuple):
    """How a run stays within a limit.

    Attributes:
        memory_bytes: held at most, as far as the model knows.
        at_once: pixels that go through the network at once; None: all.
        history: gradients that L-BFGS remembers.
        tiles: in which the image goes through the network.
    """

    memory_bytes: float
    at_once: float | None
    history: int
    tiles: int


def fit(limits: Limits, canvas_bytes: float, parts: Sequence[Rectangle], shape: Size, settings: Settings) -> Fit:
    """How to optimise parts of an image within limits.

    Args:
        limits: of the process, and of the GPU if features are there.
        canvas_bytes: of the full-size images and masks.
        parts: rectangles of pixels that change.
        shape: (height, width) of the image that is worked on.
        settings: of the run.

    Raises:
        TooLarge: it cannot be done; with the size that could.
    """
    history, pixels = settings.solver.history, sum(part.area for part in parts)
    base = PROCESS_BYTES + canvas_bytes + DETAIL_BYTES * settings.polish.borrow_detail
    forward = forward_bytes(shape, settings)
    features = BYTES_PER_ACTIVATION_BYTE * sum(activation_bytes(part, shape, settings.layers) for part in parts)
    most = base + max(forward, held_bytes(pixels, history, settings) + features)
    if most <= limits.process and GPU_BYTES + features <= limits.gpu:
        return Fit(most, None, history, len(parts))
    of_tile = BYTES_PER_ACTIVATION_BYTE * sum(4 * channels(o) / stride(o) ** 2 for o in _used(settings.layers))
    on_gpu = limits.gpu - GPU_BYTES
    if on_gpu < of_tile * SMALLEST_TILE:
        least = (GPU_BYTES + of_tile * SMALLEST_TILE) / 1e9
        raise TooLarge(f"Expected at least {least:.1f} GB of GPU memory. Received: {limits.gpu / 1e9:.1f} GB")
    for remembered in range(history, 0, -1):
        held = base + held_bytes(pixels, remembered, settings)
        room = min(limits.process - held, on_gpu)
        if base + forward <= limits.process and room >= of_tile * SMALLEST_TILE:
            with suppress(InputError):  # patches may be so large that even such a tile sees no more
                tiles = tiles_for(parts, shape, settings, room / of_tile)
                largest = max(tile.window.area for tile in tiles)
                return Fit(held + of_tile * largest, room / of_tile, remembered, len(tiles))
    rest = limits.process - base - max(of_tile * SMALLEST_TILE, forward)
    share = math.sqrt(max(rest, 0.0) / held_bytes(pixels, 1, settings))
    raise TooLarge(_refusal(limits.process, shape, min(share, 1.0), base + max(forward, of_tile * SMALLEST_TILE)))


def _refusal(limit: float, shape: Size, share: float, least: float) -> str:
    fitting = shape[0] * share, shape[1] * share
    if min(fitting) < 32:
        return f"Expected at least {least / 1e9:.1f} GB of memory for these images. Received: {limit / 1e9:.1f} GB"
    return (f"Expected a working size of at most {size_text((int(fitting[0]), int(fitting[1])))} within "
            f"{limit / 1e9:.1f} GB of memory (a --scale {share:.2f} times as large). "
            f"Received: {size_text(shape)}")  # fmt: skip


def tiles_for(parts: Sequence[Rectangle], shape: Size, settings: Settings, at_once: float | None) -> list[Tile]:
    """The tiles in which parts of an image go through the network."""
    return tiles_of(
        parts, shape, settings.layers, dict.fromkeys(settings.style.style_layers, settings.style.halo), at_once
    )


def held_bytes(pixels: float, history: int, settings: Settings) -> float:
    """What is held of so many pixels while tile after tile goes through the network."""
    layers, style = settings.layers, settings.style
    targets = sum(4 * channels(layer) / stride(layer) ** 2 for layer in settings.content.used)
    masks = sum(4 / stride(layer) ** 2 for layer in layers)
    return solver_bytes(3, history) * pixels + (WORKING_BYTES + targets + masks + style.bytes_per_pixel) * pixels


def activation_bytes(part: Rectangle, shape: Size, layers: tuple[str, ...]) -> float:
    """Bytes (float32) of what convolutions put out that a rectangle of pixels changes."""
    return sum(4.0 * channels(layer) * reach(part, shape, layer).area for layer in _used(layers))


def forward_bytes(shape: Size, settings: Settings) -> float:
    """Bytes of a painting of this size on its way through the network, tile by tile."""
    pixels = _tile_side(shape[0], settings) * _tile_side(shape[1], settings)
    features = sum(4 * channels(layer) / stride(layer) ** 2 for layer in settings.layers)
    return (FORWARD_BYTES_PER_PIXEL + COPIES_OF_FEATURES * features) * pixels


def _used(layers: tuple[str, ...]) -> list[str]:
    used = {operation.name for operation in operations_until(layers)}
    return [layer for layer in LAYERS if layer in used]


def _tile_side(length: int, settings: Settings) -> int:
    """The longest side of a tile of the painting, with what its features see around it."""
    side = length if length < 2 * TILE_SIDE else TILE_SIDE + length % TILE_SIDE
    deepest = settings.layers[-1]
    margin = settings.style.halo * stride(deepest) - field_of_view(Rectangle(0, 0, 1, 1), deepest).top
    return min(side + 2 * margin, length)


def memory_limits(gigabytes: float | None) -> Limits:
    """What a run may hold: what was asked for, of the process and of a GPU; else of the process what is free, less a
    reserve, and of a GPU what `limit_gpu_memory` has set.

    Raises:
        InputError: not above 0.
    """
    of_gpu = gpu_memory_limit()
    if gigabytes is None:
        available = available_memory()
        of_process = math.inf if available is None else (1 - RESERVE) * (available + _held_memory())
        return Limits(of_process, of_gpu or math.inf)
    if not gigabytes > 0:
        raise InputError(f"Expected a memory above 0 gigabytes. Received: {gigabytes}")
    return Limits(gigabytes * 1e9, min(gigabytes * 1e9, of_gpu) if of_gpu else math.inf)


def available_memory() -> float | None:
    """Bytes that a process may take, beside what it holds, where the system says so (Linux)."""
    with suppress(OSError, ValueError, IndexError):
        available = 1024.0 * int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0])
        with suppress(OSError, ValueError):  # a container's own limit
            group = Path("/sys/fs/cgroup")
            limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
            available = min(available, limit - used)
        return available
    return None


def _held_memory() -> float:
    """Bytes that this process holds, on Linux."""
    return float(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
