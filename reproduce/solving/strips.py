"""An objective strip by strip, exactly: for an image whose features do not fit into memory.

What a loss needs to know of the whole image, such as a Gram matrix, is summed up on the way down (`losses.terms.Term`).
With that known, and its slope, the strips go through the network once more, from the last to the first, there and back:
the gradient of a strip needs that of what it has carried to the next (`network.strips`). Every cell of every layer
counts in one strip, and nothing is approximated. The last strip goes through once: when it is its turn, all others are
known.

A wide image is cut into columns first, which see a little of one another; where two columns see a pixel, the gradient
is the sum of both's. Summaries as large as the image are had row by row (`losses.terms.Rows`), and then the last strip
goes through twice, as the others do.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..images.geometry import Rectangle
from ..losses.normalization import sum_of
from ..losses.terms import Cut, Rows, Term, values_of, without_constants
from ..network.architecture import PIXELS, operations_until, reach, stride
from ..network.backend import Tensor, as_array, as_tensor, compiled_for, keras, ops, pull_back, with_gradient
from ..network.features import Extractor, even_cuts, to_network_input, window_around
from ..network.layers import as_float
from ..network.strips import Strip, carried_zeros, strips_of, through, zeros


class Cutting(NamedTuple):
    """How an image goes through the network.

    Attributes:
        at_once: pixels of a strip at most, though never fewer rows than the deepest layer's grid has.
        until: the pooling after which features are small enough for the rest of the network to take all of them at
            once; None: strips go to the end.
        keep_every: of so many strips one keeps what those above have left to it; for the others that is computed once
            more when the gradient comes to them.
        width: pixels, of the columns into which a wider part is cut before each goes down in strips. They see a little
            of one another, as far as a cell sees; for strips to the end alone.
    """

    at_once: float
    until: str | None = None
    keep_every: int = 1
    width: float = math.inf

    def layers(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Of some layers those that strips bring, and what the others are made from."""
        if self.until is None:
            return tuple(layers)
        within = {operation.name for operation in operations_until((self.until,))}
        return (*(layer for layer in layers if layer in within), self.until)

    def cuts(self, whole: Iterable["Band"]) -> bool:
        """Whether parts, of which these are all, are more than goes through at once; coarse ones may not be."""
        return sum(band.window.area for band in whole) > self.at_once


class Band(NamedTuple):
    """A strip of a part of the image, or all of it.

    Attributes:
        part: the part's number.
        window: the pixels that the part's cells see, or those of one of its columns.
        strip: the window's rows that go through the network at once.
        own: layer -> its cells that count here.
        seen: layer -> those whose features are known here: `own`, and a halo around where the part goes on.
    """

    part: int
    window: Rectangle
    strip: Strip
    own: dict[str, Rectangle]
    seen: dict[str, Rectangle]

    @property
    def pixels(self) -> Rectangle:
        """Those that go through the network."""
        top, left, _, right = self.window
        return Rectangle(top + self.strip.top, left, top + self.strip.bottom, right)


def cells_of(part: Rectangle, shape: tuple[int, int], layers: Sequence[str]) -> dict[str, Rectangle]:
    """Of each layer, and of the pixels, what a rectangle of pixels changes or is compared with, in an image of `shape`.

    A pixel is compared with those beside it.
    """
    cells = {layer: reach(part, shape, layer) for layer in layers}
    return cells | {PIXELS: part.grow(1).clip(shape)}


def bands_of(
    parts: Sequence[Rectangle],
    shape: tuple[int, int],
    layers: Sequence[str],
    halos: Mapping[str, int] | None = None,
    cutting: Cutting | None = None,
) -> list[Band]:
    """The parts as they go through the network: each at once, or in strips.

    Args:
        parts: rectangles of pixels.
        shape: (height, width) of the image.
        layers: whose features are used.
        halos: layer -> cells around those that count that must be known too; 0 where none is named.
        cutting: into strips; None: none.
    """
    bands = []
    in_strips = tuple(layers) if cutting is None else cutting.layers(layers)
    halos, known = halos or {}, [layer for layer in (*layers, PIXELS) if layer in (*in_strips, PIXELS)]
    for number, part in enumerate(parts):
        whole = cells_of(part, shape, layers)
        for cells in _columns(whole, math.inf if cutting is None else cutting.width):
            seen = {layer: of_layer.grow(halos.get(layer, 0)).meet(whole[layer]) for layer, of_layer in cells.items()}
            window = window_around(seen, shape)
            rows = window.shape[0]
            if cutting is not None:
                rows = int(min(cutting.at_once, window.area) // window.shape[1])
            for strip in strips_of(window.shape[0], rows, in_strips):
                bands.append(_band(number, window, strip, {layer: cells[layer] for layer in known}, whole, halos))
    return bands


def _columns(cells: dict[str, Rectangle], width: float) -> Iterator[dict[str, Rectangle]]:
    """The cells of a part in columns of about so many pixels, on the grid of the deepest layer; each cell in one."""
    grid = max(map(stride, cells))
    left = min(of_layer.left * stride(layer) for layer, of_layer in cells.items()) // grid * grid
    right = max(of_layer.right * stride(layer) for layer, of_layer in cells.items())
    count = min(math.ceil((right - left) / width), (right - left) // grid) or 1
    cuts = [left + cut for cut in (0, *even_cuts(right - left, count, grid), right - left)]
    for first, end in pairwise(cuts):
        column = {}
        for layer, of_layer in cells.items():
            left, right = (min(max(of_layer.left, side // stride(layer)), of_layer.right) for side in (first, end))
            column[layer] = of_layer._replace(left=left, right=right)
        yield column


def _band(
    number: int,
    window: Rectangle,
    strip: Strip,
    column: dict[str, Rectangle],
    whole: dict[str, Rectangle],
    halos: Mapping[str, int],
) -> Band:
    own, seen = {}, {}
    for layer, cells in column.items():
        above, halo = window.top // stride(layer), halos.get(layer, 0)
        first, end = (above + row for row in _brought(strip, layer))
        top = first - halo if strip.top else first
        own[layer] = _rows_of(cells, top, end if strip.last else end - halo)
        seen[layer] = own[layer].grow(halo).meet(whole[layer]) if own[layer].area else own[layer]
    return Band(number, window, strip, own, seen)


def _brought(strip: Strip, layer: str) -> tuple[int, int]:
    return (strip.top, strip.bottom) if layer == PIXELS else strip.brought[layer]


def _rows_of(cells: Rectangle, first: int, end: int) -> Rectangle:
    """The cells of some rows; maybe none."""
    top = min(max(cells.top, first), cells.bottom)
    return cells._replace(top=top, bottom=max(top, min(cells.bottom, end)))


def halos_of(terms: Iterable[Term]) -> dict[str, int]:
    """Layer -> how many cells around those that count its terms need."""
    halos: dict[str, int] = {}
    for term in terms:
        halos[term.layer] = max(term.halo, halos.get(term.layer, 0))
    return halos


def constants_of(term: Term, band: Band, whole: dict[str, Rectangle]) -> tuple[np.ndarray, ...]:
    """What a term is told of a band's cells, where `whole` are those of its part."""
    top, left = whole[term.layer][:2]
    own, seen = (cells[term.layer].shift(-top, -left) for cells in (band.own, band.seen))
    floats = keras.config.floatx()
    constants = term.constants(Cut(band.part, own, seen))
    return tuple(array.astype(floats, copy=False) if array.dtype.kind == "f" else array for array in constants)


class Summaries:
    """What terms sum up of all of a part.

    Args:
        terms: the terms.
        band: all of the part.
    """

    def __init__(self, terms: Iterable[Term], band: Band):
        self._terms = [
            (term.layer, term.summary, [as_tensor(array) for array in constants_of(term, band, band.own)])
            for term in terms
        ]

    def __call__(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """A summary for each term, from layer -> features (h, w, C) of the part's cells."""
        return [summary(features[layer], *constants) for layer, summary, constants in self._terms]


class State(NamedTuple):
    """What a strip leaves to the next: what the network's operations carry, and of each layer the rows of features that
    belong to the halos of both."""

    carried: Sequence[Tensor]
    shared: Sequence[Tensor]


class StripEvaluation:
    """Terms and gradient of an objective, strip by strip.

    Args:
        terms: the summands of the loss.
        bands: the strips of all parts, each from the top down.
        parts: rectangles of pixels that hold the free ones.
        content: (H, W, 3), the image around them.
        extractor: the network.
        cutting: into those strips.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        bands: Sequence[Band],
        parts: Sequence[Rectangle],
        content: np.ndarray,
        extractor: Extractor,
        cutting: Cutting,
    ):
        shape, self._names = content.shape[:2], list(terms)
        self._bands, self._parts, self._content = bands, parts, content
        self._ends = np.cumsum([3 * part.area for part in parts])
        self._until, self._layers = cutting.until, cutting.layers(extractor.layers)
        self._keep_every = cutting.keep_every
        self._steps = extractor.steps[: len(operations_until(self._layers))]
        self._depths = {layer: extractor.depth(layer) for layer in extractor.layers} | {PIXELS: 3}
        self._terms = {name: term for name, term in terms.items() if term.layer in (*self._layers, PIXELS)}
        self._halos = halos_of(self._terms.values())
        others = {name: term for name, term in terms.items() if name not in self._terms}
        whole = bands_of(parts, shape, extractor.layers) if others else []
        self._rest = [_Rest(band, extractor, len(self._steps), others) for band in whole]
        self._others = {name: without_constants(term) for name, term in others.items()}
        self._cells = [cells_of(part, shape, extractor.layers) for part in parts]
        put_out = zip(*(band.strip.put_out for band in bands))
        self._empty = {operation.name for (operation, _), rows in zip(self._steps, put_out) if not all(rows)}
        self._like = [self._state_before(band) for band in self._bands]
        self._summarize = compiled_for(self._summaries, *map(self._example, range(len(self._bands))))
        self._by_rows = {name: term.rows for name, term in self._terms.items() if term.rows}
        self._of_row: dict[str, Callable] = {}
        self._finish: Callable | None = None  # compiled when it is known what summaries are like
        self._pull: Callable

    def __call__(self, values: np.ndarray) -> tuple[dict[str, Tensor], np.ndarray]:
        """The terms, and the gradient of their sum, for the values of the parts' pixels, one part after the other."""
        gradient = np.zeros_like(values)

        def put(band: Band, of_pixels: Tensor) -> None:
            in_part, in_strip = self._places(band)
            self._of_part(gradient, band.part)[in_part] += as_array(of_pixels)[in_strip]

        *others, last = range(len(self._bands))
        summaries, kept, ends = [], {}, {}
        rows: list[dict[str, np.ndarray]] = []  # of each strip
        state = self._like[0]
        for number in others:
            if number % self._keep_every == 0:
                kept[number] = state
            summary, left = self._summarize(*self._arguments(number, state, values))
            summaries.append(self._without_rows(summary, rows))
            if self._bands[number].strip.last:  # of its part: nothing depends on what it leaves
                ends[number] = keras.tree.map_structure(ops.zeros_like, left)
            state = self._left_below(number, left)
        arguments = self._arguments(last, state, values)
        if self._by_rows:
            self._without_rows(self._summarize(*arguments)[0], rows)
        else:
            rows.append({})
        of_rows = self._turn_into_slopes(rows)
        if self._finish is None:
            self._finish = compiled_for(self._last, (self._example(last), tuple(summaries), rows[-1]))
            if others:
                left = (ends.get(number, self._like[number + 1]) for number in others)
                like = map(self._with_rows, summaries, rows)
                self._pull = compiled_for(self._pulled, *zip(map(self._example, others), like, left))
        terms, (of_pixels, slope_of_state, slopes) = self._finish(arguments, tuple(summaries), rows.pop())
        terms |= of_rows
        put(self._bands[last], of_pixels)
        for number in reversed(others):
            for above in range(max(kept), number):  # what is not kept of the strips from there on
                kept[above + 1] = self._left_below(
                    above, self._summarize(*self._arguments(above, kept[above], values))[1]
                )
            arguments = self._arguments(number, kept.pop(number), values)
            slope = self._with_rows(slopes[number], rows.pop())
            of_pixels, slope_of_state = self._pull(arguments, slope, ends.get(number, slope_of_state))
            put(self._bands[number], of_pixels)
        return terms, gradient

    def _without_rows(self, summary: tuple, rows: list[dict[str, np.ndarray]]) -> tuple:
        """A strip's summary without those that are had row by row, which are kept apart, in arrays of their own."""
        of_terms, for_the_rest = summary
        named: dict[str, Tensor] = dict(zip(self._terms, of_terms))
        rows.append({name: np.array(named[name]) for name in self._by_rows})
        nothing = dict.fromkeys(self._by_rows, np.zeros(0, keras.config.floatx()))
        return tuple({**named, **nothing}.values()), for_the_rest

    def _with_rows(self, summary: tuple, rows: Mapping[str, np.ndarray]) -> tuple:
        of_terms, for_the_rest = summary
        return tuple({**dict(zip(self._terms, of_terms)), **rows}.values()), for_the_rest

    def _turn_into_slopes(self, rows: Sequence[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """The values of the terms that are had row by row; each strip's summary becomes the value's slope along it."""
        values = dict.fromkeys(self._by_rows, 0.0)
        for name, by_rows in self._by_rows.items():
            of_strips = [of_strip[name] for of_strip in rows]
            ends = np.cumsum([of_strip.shape[1] for of_strip in of_strips])
            for number, constant in enumerate(by_rows.constants):
                row = np.concatenate([of_strip[number] for of_strip in of_strips])
                if name not in self._of_row:
                    self._of_row[name] = compiled_for(partial(_value_and_slope, by_rows), (row, constant))
                value, slope = self._of_row[name](row, constant)
                values[name] += value
                for of_strip, part in zip(of_strips, np.split(as_array(slope), ends[:-1])):
                    of_strip[number] = part
        return values

    def _left_below(self, number: int, left: State) -> State:
        """What the strip after one of them is given, where that leaves so much: a new part begins with nothing."""
        return self._like[number + 1] if self._bands[number].strip.last else left

    def _of_part(self, values: np.ndarray, number: int) -> np.ndarray:
        """Of values of all parts those of one, as pixels (h, w, 3)."""
        part, end = self._parts[number], self._ends[number]
        return values[end - 3 * part.area : end].reshape(*part.shape, 3)

    def _places(self, band: Band) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where the part's pixels in a strip are, among the part's and among the strip's."""
        part, pixels = self._parts[band.part], band.pixels
        inside = _rows_of(part, pixels.top, pixels.bottom)
        inside = inside._replace(left=max(part.left, pixels.left), right=min(part.right, pixels.right))
        return inside.shift(-part.top, -part.left).slices, inside.shift(-pixels.top, -pixels.left).slices

    def _arguments(self, number: int, state: State, values: np.ndarray) -> tuple:
        """A strip's pixels with the parts' values, what those above have left, and what else its summaries are made
        from."""
        band = self._bands[number]
        pixels, (in_part, in_strip) = self._content[band.pixels.slices].astype(values.dtype), self._places(band)
        pixels[in_strip] = self._of_part(values, band.part)[in_part]
        return (pixels, state, *self._given(band))

    def _given(self, band: Band) -> tuple:
        """Whether a strip is its window's last, where its cells are, and what each term is told of them; made anew each
        time, for all strips' together are as large as the image."""
        constants = (constants_of(term, band, self._cells[band.part]) for term in self._terms.values())
        return np.int32(band.strip.last), self._crops(band), tuple(constants)

    def _example(self, number: int) -> tuple:
        """Arrays like a strip's `_arguments`, that take no memory."""
        band = self._bands[number]
        given = keras.tree.map_structure(lambda array: zeros(array.shape, array.dtype), self._given(band))
        return (zeros((*band.pixels.shape, 3), keras.config.floatx()), self._like[number], *given)

    def _state_before(self, band: Band) -> State:
        """Zeros like what is left to a strip by those above; to the first that is what lies around the image."""
        carried = carried_zeros(self._steps, band.window.shape[1], band.strip.carried)
        shared = []
        for layer, halo in self._halos.items():
            rows, columns = min(2 * halo, _brought(band.strip, layer)[0]), band.window.shape[1] // stride(layer)
            shared.append(zeros((rows, columns, self._depths[layer]), keras.config.floatx()))
        return State(carried, tuple(shared))

    def _crops(self, band: Band) -> np.ndarray:
        """Where what is seen of each layer is within its features, and those shared before: int32 (layers, 4)."""
        crops = []
        for layer, halo in self._halos.items():
            above = max(0, _brought(band.strip, layer)[0] - 2 * halo)
            top, left = band.window.shrink_to_whole(stride(layer))[:2]
            crops.append(band.seen[layer].shift(-top - above, -left))
        return np.array(crops, np.int32)

    def _summaries(
        self, pixels: Tensor, state: State, last: Tensor, crops: Tensor, constants: Sequence[Sequence[Tensor]]
    ) -> tuple[tuple, State]:
        """Each term's summary of a strip, and what it brings for the rest of the network; what is left to the next."""
        image = to_network_input(pixels)[None]
        features, carried = through(self._steps, self._layers, image, state.carried, last, self._empty)
        features[PIXELS] = pixels
        seen, shared = {}, []
        for (layer, halo), above, crop in zip(self._halos.items(), state.shared, ops.unstack(crops)):
            top, left, bottom, right = ops.unstack(crop)
            rows = ops.concatenate([above, features[layer]], axis=0) if halo else features[layer]
            seen[layer] = rows[top:bottom, left:right]
            shared.append(rows[-2 * halo :] if halo else above)
        summaries = [term.summary(seen[term.layer], *given) for term, given in zip(self._terms.values(), constants)]
        for_the_rest = (features[self._until],) if self._until else ()
        return (tuple(summaries), for_the_rest), State(carried, tuple(shared))

    def _last(self, arguments: tuple, summaries: tuple, rows: Mapping[str, Tensor]) -> tuple[dict, Any]:
        """The terms, and their gradient with respect to the last strip's pixels, to what was left to it, and to the
        summaries of all others. Where a term is had row by row, `rows` is its slope along the last strip's summary."""
        pixels, state, *given = arguments

        def terms(x: tuple) -> dict[str, Tensor]:
            pixels, state, others = x
            last = self._summaries(pixels, state, *given)[0]
            of_terms, for_the_rest = zip(*others, last)
            values = self._values_of_the_rest(for_the_rest)
            for name, term, *several in zip(self._terms, self._terms.values(), *of_terms):
                # What has this slope, in place of the value that is known already.
                values[name] = sum_of(rows[name] * several[-1]) if name in rows else term.value(term.joined(several))
            return {name: values[name] for name in self._names}

        return with_gradient(terms, (pixels, state, summaries))

    def _values_of_the_rest(self, rows: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """The terms of the layers that strips do not come to, from what each strip brings for them."""
        of_parts = [
            ops.concatenate([some for (some,), band in zip(rows, self._bands) if band.part == part], axis=0)
            for part in range(len(self._rest))
        ]
        return values_of(self._others, [rest(features) for rest, features in zip(self._rest, of_parts)])

    def _pulled(self, arguments: tuple, slopes: tuple, slope_of_state: State) -> Any:
        """The loss's slope along a strip's pixels and what was left to it, from that along what it gives."""
        pixels, state, *given = arguments
        return pull_back(lambda x: self._summaries(*x, *given), (pixels, state), (slopes, slope_of_state))


def _value_and_slope(rows: Rows, row: Tensor, constants: Tensor) -> tuple[Tensor, Tensor]:
    values, slope = with_gradient(lambda x: {"value": rows.value(x, constants)}, row)
    return values["value"], slope


class _Rest:
    """The network after a pooling, on all that this puts out of a part, and what terms sum up of it.

    Args:
        band: all of the part.
        extractor: the network.
        first: the operation to begin with.
        terms: of the layers that come after.
    """

    def __init__(self, band: Band, extractor: Extractor, first: int, terms: Mapping[str, Term]):
        self._steps, self._crops = extractor.steps[first:], {}
        for layer in {term.layer for term in terms.values()}:
            top, left = band.window.shrink_to_whole(stride(layer))[:2]
            self._crops[layer] = band.own[layer].shift(-top, -left).slices
        self._summaries = Summaries(terms.values(), band)

    def __call__(self, features: Tensor) -> list[Tensor]:
        """A summary for each term, for what the pooling puts out (h, w, C)."""
        seen, features = {}, features[None]
        for operation, layer in self._steps:
            features = layer(features)
            if operation.name in self._crops:
                seen[operation.name] = as_float(features[0][self._crops[operation.name]])
        return self._summaries(seen)
