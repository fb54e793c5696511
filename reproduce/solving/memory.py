"""What a run holds in memory, and how it is kept within a limit: by strips, and by an L-BFGS in single precision,
or with a shorter memory.

The model counts the code's own buffers, layer by layer. How many bytes the process holds for each of them was fitted to
measured runs; `python -m experiments benchmark` prints the predicted beside the measured.
"""

import ctypes
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..images.arrays import size_text
from ..images.geometry import Rectangle
from ..network.architecture import channels, convolutions_until, operations_until, products, reach, stride
from ..network.backend import gpu_memory_limit
from ..network.features import PIXELS_AT_ONCE, STRIP_PIXELS
from ..network.strips import strips_of
from ..settings import Settings, change
from .optimize import SOLVERS
from .strips import Band, Cutting, bands_of

Size = tuple[int, int]  # (height, width)

# Fitted to measured peaks of the process, on Linux with TensorFlow 2.21 (the benchmark's table of memory).
PROCESS_BYTES = 0.79e9  # Python, TensorFlow, the weights
GPU_BYTES = 0.5e9  # of a GPU, a guess: the weights, and what its libraries must have to work in
BYTES_PER_ACTIVATION_BYTE = 1.5  # an evaluation: what is kept for the gradient, and the gradients
STRIP_BYTES_PER_ACTIVATION_BYTE = 2.3  # that of a strip
STRIP_BYTES_PER_BYTE_ASKED_FOR = 2.2  # and of the features among these that losses look at
STATES_AT_WORK = 20  # of what strips leave to the next, beside those that are kept
STRIPS_BYTES, COLUMNS_BYTES = 0.15e9, 0.35e9  # in blocks that fit nothing else; more where columns differ in size
REST_BYTES_PER_ACTIVATION_BYTE = 1.8  # of the network after a pooling, where strips end
BFLOAT16_SHARE = 0.65  # of what goes through at once, with bfloat16; what losses look at is of single precision
FORWARD_BYTES_PER_PIXEL = 1200  # the painting's features, at once
STRIP_FORWARD_BYTES_PER_PIXEL = 2700  # and strip by strip
COPIES_OF_FEATURES = 2  # TensorFlow's and NumPy's, of the layers asked for
# For each pixel of the canvas, of the full-size images and masks, while they are worked on.
PAINTING_BYTES, HARMONIZING_BYTES, REGION_BYTES = 30, 48, 30
# And what making the result of them takes: with the polish of `refined`, or without.
POLISHING_BYTES, FINISHING_BYTES = 135, 50
DETAIL_BYTES = 0.25e9  # of that, the painting's patches that detail is borrowed from
# For each pixel that is worked on: the best, its values, their gradient, masks.
WORKING_BYTES = 12 * 3 + 6

FEWEST_ROWS = 32  # of a strip: each takes some time of its own
COLUMNS = (1, 2, 3, 4, 6, 8, 12, 16)  # into how many an image is cut
NARROWEST = 400  # pixels of a column: it sees some 100 more on each side
# More iterations for each that L-BFGS does not remember: 9 % with 5 in place of 10, 20 % with 3.
WORTH_OF_A_GRADIENT = 0.025
WORTH_OF_SCIPYS = 0.05  # and with our L-BFGS in place of SciPy's: 0 to 9 % (the benchmark's table)
RESERVE = 0.1  # of the free memory: is left to others


class TooLarge(InputError):
    """A run does not fit into the memory that it may hold."""


class Limits(NamedTuple):
    """Bytes that a run may hold, of the process and of a GPU; infinite where nobody knows, or there is none."""

    process: float = math.inf
    gpu: float = math.inf


UNLIMITED = Limits()


class Canvas(NamedTuple):
    """The full-size images and masks of a run.

    Attributes:
        pixels: of each.
        bytes_per_pixel: of all of them, while they are worked on.
    """

    pixels: float
    bytes_per_pixel: float


class Fit(NamedTuple):
    """How a run stays within a limit.

    Attributes:
        memory_bytes: held at most, as far as the model knows.
        cutting: into strips; None: all goes through the network at once.
        strips: in which the image goes through the network.
        settings: with another precision and memory of L-BFGS, where those asked for do not fit.
    """

    memory_bytes: float
    cutting: Cutting | None
    strips: int
    settings: Settings


def fit(limits: Limits, canvas: Canvas, parts: Sequence[Rectangle], shape: Size, settings: Settings) -> Fit:
    """How to optimise parts of an image within limits.

    Args:
        limits: of the process, and of the GPU if features are there.
        canvas: the full-size images.
        parts: rectangles of pixels that change.
        shape: (height, width) of the image that is worked on.
        settings: of the run.

    Raises:
        TooLarge: it cannot be done; with the size that could.
    """
    pixels = sum(part.area for part in parts)
    at_once = _at_once(parts, shape, settings)

    def most(way: Way, changed: Settings) -> float:
        return most_bytes(canvas, pixels, shape, changed, way)

    def fits(way: Way, changed: Settings) -> bool:
        return most(way, changed) <= limits.process and GPU_BYTES + way.features_bytes <= limits.gpu

    if fits(at_once, settings):
        return Fit(most(at_once, settings), None, at_once.strips, settings)
    ways = [at_once, *_ways(parts, shape, settings)]
    on_gpu = GPU_BYTES + min(way.features_bytes for way in ways)
    if on_gpu > limits.gpu:
        raise TooLarge(f"Expected at least {on_gpu / 1e9:.1f} GB of GPU memory. Received: {limits.gpu / 1e9:.1f} GB")
    once = pixels * _operations(settings.layers)

    def cost(found: tuple[Settings, Way]) -> float:
        changed, way = found
        more = WORTH_OF_A_GRADIENT * (settings.solver.history - changed.solver.history)
        more += WORTH_OF_SCIPYS * (changed.solver.solver_precision != settings.solver.solver_precision)
        return (once + way.computed_again) * (1 + more)

    fitting = [(changed, way) for changed in _smaller_solvers(settings) for way in ways if fits(way, changed)]
    if fitting:
        changed, way = min(fitting, key=cost)
        return Fit(most(way, changed), way.cutting, way.strips, changed)
    raise TooLarge(_refusal(limits.process, canvas, parts, shape, settings))


def _smaller_solvers(settings: Settings) -> list[Settings]:
    """The settings, and with an L-BFGS that takes less: first those that do as is asked for; the last takes least."""
    precisions = dict.fromkeys((settings.solver.solver_precision, "float32"))
    histories = range(settings.solver.history, 0, -1)
    return [change(settings, solver_precision=of, history=length) for of in precisions for length in histories]


class Way(NamedTuple):
    """A way through the network.

    Attributes:
        cutting: into strips; None: all goes through at once.
        strips: how many there are.
        features_bytes: held of features while one of them, or all, goes through, and for others.
        computed_again: operations that are made again.
    """

    cutting: Cutting | None
    strips: int
    features_bytes: float
    computed_again: float


def _at_once(parts: Sequence[Rectangle], shape: Size, settings: Settings) -> Way:
    features = sum(activation_bytes(part, shape, settings.layers) for part in parts)
    features *= BYTES_PER_ACTIVATION_BYTE * _precision_share(settings)
    taken_out = settings.style.bytes_per_pixel_at_once * sum(part.area for part in parts)
    return Way(None, len(parts), features + taken_out, 0.0)


def _ways(parts: Sequence[Rectangle], shape: Size, settings: Settings) -> list[Way]:
    """All in strips that are worth it, that with the least work first."""
    layers, ways = settings.layers, []
    poolings = [operation.name for operation in operations_until(layers) if operation.kind == "pooling"]
    for until in poolings:
        rest = set(convolutions_until(layers)) - set(convolutions_until(Cutting(0, until).layers(layers)))
        pixels = sum(window.area for window in windows_of(parts, shape, settings, Cutting(math.inf, until)))
        rest_bytes = REST_BYTES_PER_ACTIVATION_BYTE * _cell_bytes(rest) * pixels
        ways += _ways_in(parts, shape, settings, Cutting(math.inf, until), rest_bytes)
    for columns in COLUMNS:
        width = max(part.shape[1] for part in parts) / columns
        if columns == 1 or width >= NARROWEST:
            ways += _ways_in(parts, shape, settings, Cutting(math.inf, width=width if columns > 1 else math.inf), 0.0)
    return sorted(ways, key=lambda way: way.computed_again)


def _ways_in(
    parts: Sequence[Rectangle], shape: Size, settings: Settings, columns: Cutting, rest_bytes: float
) -> list[Way]:
    """The ways to go down such columns in strips, where what comes after takes so many bytes."""
    layers, ways, known = columns.layers(settings.layers), [], 0
    once = sum(window.area for window in windows_of(parts, shape, settings, None))
    windows = windows_of(parts, shape, settings, columns)
    largest = max(windows, key=lambda window: window.area)
    for count in _finer_and_finer(-(-largest.shape[0] // FEWEST_ROWS)):
        at_once = largest.area / count
        rows = {window.shape: int(at_once // window.shape[1]) for window in windows}
        strips = {size: strips_of(size[0], of_size, layers) for size, of_size in rows.items()}
        cuts = [(window.shape[1], strips[window.shape]) for window in windows]
        number = sum(len(strips) for _, strips in cuts)
        if number <= max(known, 1):
            continue
        known = number
        pixels = max(width * (strip.bottom - strip.top) for width, strips in cuts for strip in strips)
        carried = sum(len(strips) * _carried_bytes(width, layers) for width, strips in cuts) / number
        # A column's first strip is given nothing: what others are given can be computed again, from there on.
        for keep_every in sorted({1, round(math.sqrt(number)), math.ceil(number / len(windows))}):
            kept = (kept_at_once(number, keep_every) + STATES_AT_WORK) * carried
            features = kept + _strip_bytes(pixels, layers, settings) + rest_bytes
            cutting = columns._replace(at_once=at_once, keep_every=keep_every)
            ways.append(Way(cutting, number, features, computed_again(windows, once, settings, cutting)))
    return ways


def _finer_and_finer(most: int) -> Iterator[int]:
    """Numbers of strips that are worth trying, up to about `most`."""
    count = 1
    while count <= most:
        yield count
        count = max(count + 1, round(1.1 * count))


def windows_of(parts: Sequence[Rectangle], shape: Size, settings: Settings, cutting: Cutting | None) -> list[Rectangle]:
    """Of all that goes down in strips, each part or column, the pixels that it sees."""
    if cutting is not None:
        cutting = cutting._replace(at_once=math.inf)
    return [band.window for band in bands_for(parts, shape, settings, cutting)]


def kept_at_once(strips: int, keep_every: int) -> int:
    """How many strips at most keep what is left to them: one of so many, and those from one of these to the next."""
    return math.ceil(strips / keep_every) + keep_every - 1


def computed_again(windows: Iterable[Rectangle], once: float, settings: Settings, cutting: Cutting) -> float:
    """Operations that an evaluation in strips takes beside those of one at once, which sees so many pixels: all strips
    but the last go through the network twice, and those that keep nothing once more; columns see some of one another.
    """
    pixels = sum(window.area for window in windows)
    passes = 2 - 1 / cutting.keep_every
    of_layers = _operations(cutting.layers(settings.layers))
    return (pixels - once + passes / 2 * max(0.0, pixels - cutting.at_once)) * of_layers


def _operations(layers: Iterable[str]) -> float:
    """Of an evaluation, for a pixel: a multiplication and an addition, there and back."""
    return sum(2 * 2 * products(layer) / stride(layer) ** 2 for layer in convolutions_until(tuple(layers)))


def _precision_share(settings: Settings) -> float:
    """What features take, as a share of what they do in float32."""
    return BFLOAT16_SHARE if settings.network.precision == "bfloat16" else 1.0


def _cell_bytes(layers: Iterable[str]) -> float:
    """Of features of some layers, for a pixel."""
    return sum(4 * channels(layer) / stride(layer) ** 2 for layer in layers)


def _strip_bytes(pixels: float, layers: tuple[str, ...], settings: Settings) -> float:
    """Of a strip's features, while its gradient is computed."""
    features = STRIP_BYTES_PER_ACTIVATION_BYTE * _cell_bytes(convolutions_until(layers))
    features += STRIP_BYTES_PER_BYTE_ASKED_FOR * _cell_bytes(set(layers) & set(settings.layers))
    return (features + settings.style.bytes_per_pixel_at_once) * pixels


def _carried_bytes(width: float, layers: tuple[str, ...]) -> float:
    """Of what is kept for each strip of what those above left to it: rows of what every convolution is given."""
    return 2 * sum(4 * channels(layer) / stride(layer) for layer in convolutions_until(layers)) * width


def most_bytes(canvas: Canvas, pixels: float, shape: Size, settings: Settings, way: Way) -> float:
    """What a run holds at most in which so many pixels change, and go through the network so."""
    # TensorFlow keeps what it has once taken: for the painting, then for the image.
    tensors = max(forward_bytes(pixels, shape, settings), way.features_bytes)
    if way.cutting is not None:
        tensors += STRIPS_BYTES + COLUMNS_BYTES * (way.cutting.width < math.inf)
    held = max(held_bytes(pixels, settings), finishing_bytes(canvas, settings))
    return PROCESS_BYTES + canvas.pixels * canvas.bytes_per_pixel + tensors + held


def _refusal(limit: float, canvas: Canvas, parts: Sequence[Rectangle], shape: Size, settings: Settings) -> str:
    """What to say where nothing fits: the size that would."""
    smallest = _smaller_solvers(settings)[-1]

    def least(share: float) -> float:
        size = int(share * shape[0]), int(share * shape[1])
        smaller = [Rectangle(*(int(share * side) for side in part)) for part in parts]
        smaller = [part for part in smaller if part.area]
        ways = [_at_once(smaller, size, settings), *(_ways(smaller, size, settings) if smaller else ())]
        pixels = sum(part.area for part in smaller)
        return min(most_bytes(canvas, pixels, size, smallest, way) for way in ways)

    share, step = 0.0, 0.5
    while step > 0.001:
        if least(share + step) <= limit:
            share += step
        step /= 2
    fitting = int(shape[0] * share), int(shape[1] * share)
    if min(fitting) < 32:
        return f"Expected at least {least(0.0) / 1e9:.1f} GB of memory for these images. Received: {limit / 1e9:.1f} GB"
    return (f"Expected a working size of at most {size_text(fitting)} within {limit / 1e9:.1f} GB of memory "
            f"(a --scale {share:.2f} times as large). Received: {size_text(shape)}")  # fmt: skip


def bands_for(parts: Sequence[Rectangle], shape: Size, settings: Settings, cutting: Cutting | None) -> list[Band]:
    """The strips in which parts of an image go through the network."""
    return bands_of(parts, shape, settings.layers, _halos(settings), cutting)


def _halos(settings: Settings) -> dict[str, int]:
    return dict.fromkeys(settings.style.style_layers, settings.style.halo)


def held_bytes(pixels: float, settings: Settings) -> float:
    """What is held of so many pixels, beside features and full-size images: first while the terms of the loss are made,
    then while pixels are optimised."""
    layers, style, solver = settings.layers, settings.style, settings.solver
    targets = _cell_bytes(settings.content.used)
    masks = sum(4 / stride(layer) ** 2 for layer in layers)
    of_solver = SOLVERS[solver.solver_precision].memory_bytes(3, solver.history) if solver.iterations else 0.0
    most = max(style.making_bytes(pixels), (of_solver + style.bytes_per_pixel) * pixels)
    return most + (WORKING_BYTES + targets + masks) * pixels


def finishing_bytes(canvas: Canvas, settings: Settings) -> float:
    """What it takes to make the full-size result of what has been optimised."""
    polish = settings.polish
    polishing = polish.smooth_colors or polish.even_tones or polish.match_grain or polish.borrow_detail
    of_pixel = POLISHING_BYTES if polishing or settings.image.keep_colors else FINISHING_BYTES
    return of_pixel * canvas.pixels + DETAIL_BYTES * polish.borrow_detail


def activation_bytes(part: Rectangle, shape: Size, layers: tuple[str, ...]) -> float:
    """Bytes (float32) of what convolutions put out that a rectangle of pixels changes."""
    return sum(4.0 * channels(layer) * reach(part, shape, layer).area for layer in convolutions_until(layers))


def forward_bytes(changing: float, shape: Size, settings: Settings) -> float:
    """Bytes of a painting of this size on its way through the network, at once or strip by strip, and of what so many
    changing pixels are matched in."""
    pixels, of_pixel, matching = shape[0] * shape[1], FORWARD_BYTES_PER_PIXEL, 0.0
    if pixels > PIXELS_AT_ONCE:
        fewest = max(map(stride, settings.layers)) * shape[1]
        pixels, of_pixel = min(pixels, max(STRIP_PIXELS, fewest)), STRIP_FORWARD_BYTES_PER_PIXEL
        finest = min(map(stride, settings.style.queried), default=1)
        matching = min(settings.style.workspace_bytes, 4 * changing * pixels / finest**4)
    features = _precision_share(settings) * of_pixel + COPIES_OF_FEATURES * _cell_bytes(settings.layers)
    return features * pixels + matching


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


def give_back_memory() -> None:
    """Give back to the system what has been freed, where the C library keeps it (glibc): hundreds of megabytes of a
    painting's features, in small pieces."""
    with suppress(AttributeError, OSError, TypeError):  # another C library, or none
        ctypes.CDLL(None).malloc_trim(0)


def _held_memory() -> float:
    """Bytes that this process holds, on Linux."""
    return float(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
