"""An objective tile by tile, exactly: for an image whose features do not fit into memory.

What a loss needs to know of the whole image, such as a Gram matrix, is summed up tile by tile (`losses.terms.Term`).
With that known, and its slope, each tile goes through the network once more, there and back, for its part of the
gradient. Every cell of every layer counts in one tile, and a tile's window is all that its cells see, so nothing is
approximated. The last tile goes through once: when it is its turn, all others are known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..images.geometry import Rectangle
from ..losses.normalization import sum_of
from ..losses.terms import Cut, Term
from ..network.architecture import PIXELS, reach, stride
from ..network.backend import Tensor, as_array, compiled_for, keras, ops, with_gradient
from ..network.features import Extractor, even_cuts, split, to_network_input, window_around

MOST_TILES = 64  # of a part, on each side


class Tile(NamedTuple):
    """A part of the image, or some of it, that goes through the network at once.

    Attributes:
        part: the part's number.
        own: layer -> its cells that count here.
        seen: layer -> those whose features are known here.
        window: the pixels that these see.
    """

    part: int
    own: dict[str, Rectangle]
    seen: dict[str, Rectangle]
    window: Rectangle


def cells_of(part: Rectangle, shape: tuple[int, int], layers: Sequence[str]) -> dict[str, Rectangle]:
    """Of each layer, and of the pixels, what a rectangle of pixels changes or is compared with, in an image of `shape`.

    A pixel is compared with those beside it.
    """
    cells = {layer: reach(part, shape, layer) for layer in layers}
    return cells | {PIXELS: part.grow(1).clip(shape)}


def tiles_of(
    parts: Sequence[Rectangle],
    shape: tuple[int, int],
    layers: Sequence[str],
    halos: Mapping[str, int],
    at_once: float | None = None,
) -> list[Tile]:
    """The parts as they go through the network: whole, or in tiles, of which as few pixels as possible overlap.

    Args:
        parts: rectangles of pixels.
        shape: (height, width) of the image.
        layers: whose features are used.
        halos: layer -> cells around those that count that must be known too; 0 where none is named.
        at_once: pixels that may go through the network at once; None: all.

    Raises:
        InputError: even the smallest tiles are larger.
    """
    whole = [_cut(number, part, shape, layers, halos, (1, 1)) for number, part in enumerate(parts)]
    if at_once is None or sum(tile.window.area for tiles in whole for tile in tiles) <= at_once:
        return [tile for tiles in whole for tile in tiles]
    cut = [_cut_to_fit(number, part, shape, layers, halos, at_once) for number, part in enumerate(parts)]
    return [tile for tiles in cut for tile in tiles]


def _cut_to_fit(
    number: int,
    part: Rectangle,
    shape: tuple[int, int],
    layers: Sequence[str],
    halos: Mapping[str, int],
    at_once: float,
) -> list[Tile]:
    """Of all ways to cut a part into rows and columns that fit, the one with the least work."""
    grid = max(map(stride, layers))
    most_rows, most_columns = (max(1, min(length // grid, MOST_TILES)) for length in part.shape)
    # The height of a window follows the rows alone, its width the columns.
    of_rows = [[t.window.shape[0] for t in _cut(number, part, shape, layers, halos, (n, 1))]
               for n in range(1, most_rows + 1)]  # fmt: skip
    of_columns = [[t.window.shape[1] for t in _cut(number, part, shape, layers, halos, (1, n))]
                  for n in range(1, most_columns + 1)]  # fmt: skip
    ways = [
        (sum(heights) * sum(widths), len(heights), len(widths))
        for heights in of_rows
        for widths in of_columns
        if max(heights) * max(widths) <= at_once
    ]
    if not ways:
        smallest = min(max(heights) for heights in of_rows) * min(max(widths) for widths in of_columns)
        raise InputError(f"Expected memory for a tile of {smallest} pixels. Received: for {at_once:.0f}")
    _, rows, columns = min(ways)
    return _cut(number, part, shape, layers, halos, (rows, columns))


def _cut(
    number: int,
    part: Rectangle,
    shape: tuple[int, int],
    layers: Sequence[str],
    halos: Mapping[str, int],
    counts: tuple[int, int],
) -> list[Tile]:
    """A part cut into so many rows and columns."""
    whole, grid = cells_of(part, shape, layers), max(map(stride, layers))
    rows, columns = (even_cuts(start, stop, count, grid) for start, stop, count in zip(part[:2], part[2:], counts))
    tiles = []
    for own in split(whole, rows, columns):
        seen = {layer: cells.grow(halos.get(layer, 0)).meet(whole[layer]) for layer, cells in own.items()}
        tiles.append(Tile(number, own, seen, window_around(seen, shape)))
    return tiles


def halos_of(terms: Iterable[Term]) -> dict[str, int]:
    """Layer -> how many cells around those that count its terms need."""
    halos: dict[str, int] = {}
    for term in terms:
        halos[term.layer] = max(term.halo, halos.get(term.layer, 0))
    return halos


def constants_of(term: Term, tile: Tile, whole: dict[str, Rectangle]) -> tuple[np.ndarray, ...]:
    """What a term is told of a tile's cells, where `whole` are those of its part."""
    top, left = whole[term.layer][:2]
    own, seen = (cells[term.layer].shift(-top, -left) for cells in (tile.own, tile.seen))
    floats = keras.config.floatx()
    constants = term.constants(Cut(tile.part, own, seen))
    return tuple(array.astype(floats, copy=False) if array.dtype.kind == "f" else array for array in constants)


class TiledEvaluation:
    """Terms and gradient of an objective, tile by tile.

    Args:
        terms: the summands of the loss.
        tiles: at least two.
        parts: rectangles of pixels that hold the free ones.
        content: (H, W, 3), the image around them.
        extractor: the network.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        tiles: Sequence[Tile],
        parts: Sequence[Rectangle],
        content: np.ndarray,
        extractor: Extractor,
    ):
        self._terms, self._tiles, self._extractor, self._parts = terms, tiles, extractor, parts
        self._layers = tuple(dict.fromkeys(term.layer for term in terms.values()))
        self._image = content.astype(keras.config.floatx())
        whole = [cells_of(part, content.shape[:2], extractor.layers) for part in parts]
        self._given = [
            (self._crops(tile), tuple(constants_of(term, tile, whole[tile.part]) for term in terms.values()))
            for tile in tiles
        ]
        self._summarize = compiled_for(self._summaries, *(self._arguments(number) for number in range(len(tiles))))
        self._finish: Callable | None = None  # compiled when it is known what summaries are like
        self._pull: Callable | None = None

    def __call__(self, values: np.ndarray) -> tuple[dict[str, Tensor], np.ndarray]:
        """The terms, and the gradient of their sum, for the values of the parts' pixels, one part after the other."""
        gradient, ends = np.zeros_like(values), np.cumsum([3 * part.area for part in self._parts])
        gradients = []
        for part, end in zip(self._parts, ends):
            place = slice(end - 3 * part.area, end)
            self._image[part.slices] = values[place].reshape(*part.shape, 3)
            gradients.append(gradient[place].reshape(*part.shape, 3))

        def add(tile: Tile, of_window: Tensor) -> None:
            part, window = self._parts[tile.part], tile.window
            inside = part.meet(window)
            within = inside.shift(-window.top, -window.left).slices
            gradients[tile.part][inside.shift(-part.top, -part.left).slices] += as_array(of_window)[within]

        *others, last = range(len(self._tiles))
        summaries = tuple(self._summarize(*self._arguments(number)) for number in others)
        if self._finish is None or self._pull is None:
            self._finish = compiled_for(self._last, (self._arguments(last), summaries))
            self._pull = compiled_for(self._pulled, *((self._arguments(n), summaries[n]) for n in others))
        terms, (of_last, slopes) = self._finish(self._arguments(last), summaries)
        add(self._tiles[last], of_last)
        for number in others:
            add(self._tiles[number], self._pull(self._arguments(number), slopes[number]))
        return terms, gradient

    def _arguments(self, number: int) -> tuple:
        """A tile's window as it is now, and what else its summaries are made from."""
        return (self._image[self._tiles[number].window.slices], *self._given[number])

    def _crops(self, tile: Tile) -> np.ndarray:
        """Where what is seen of each layer is within the features of the window: int32 (layers, 4)."""
        top, left = tile.window[:2]
        return np.array(
            [tile.seen[layer].shift(-top // stride(layer), -left // stride(layer)) for layer in self._layers], np.int32
        )

    def _summaries(self, window: Tensor, crops: Tensor, constants: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each term's summary of a tile."""
        features = {PIXELS: window[None]} | self._extractor.model(to_network_input(window)[None])
        seen = {}
        for layer, (top, left, bottom, right) in zip(self._layers, map(ops.unstack, ops.unstack(crops))):
            seen[layer] = features[layer][0, top:bottom, left:right]
        return tuple(term.summary(seen[term.layer], *given) for term, given in zip(self._terms.values(), constants))

    def _last(self, tile: tuple, summaries: tuple) -> tuple[dict, Any]:
        """The terms, and their gradient with respect to the last tile's window and to the summaries of all others."""
        window, crops, constants = tile

        def terms(x: tuple) -> dict[str, Tensor]:
            window, others = x
            of_each = zip(*others, self._summaries(window, crops, constants))
            return {
                name: term.value(term.joined(several)) for (name, term), several in zip(self._terms.items(), of_each)
            }

        return with_gradient(terms, (window, summaries))

    def _pulled(self, tile: tuple, slopes: Sequence[Tensor]) -> Tensor:
        """A tile's part of the gradient, where `slopes` are those of the loss along its summaries."""
        window, crops, constants = tile

        def along(window: Tensor) -> dict[int, Tensor]:
            summaries = self._summaries(window, crops, constants)
            return {k: sum_of(slope * summary) for k, (slope, summary) in enumerate(zip(slopes, summaries))}

        return with_gradient(along, window)[1]
