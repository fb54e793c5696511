"""What losses have in common: the terms that they make, and what a style loss makes its terms from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import NamedTuple

import numpy as np

from ..errors import expect
from ..images.geometry import Rectangle
from ..matching.correspondence import OnShare
from ..network.architecture import check_layers
from ..network.backend import Tensor, ops
from ..network.features import Extractor, Tile
from ..options import NOT_NEGATIVE, Options, option
from .normalization import Normalization


class Cut(NamedTuple):
    """Cells of one layer that go through the network at once: all of a part of the image, or some of them.

    Attributes:
        part: its number.
        own: the cells that count here, within the rectangle of those that the part's free pixels reach.
        seen: those whose features are known here: `own`, and a term's `halo` around where the part goes on.
    """

    part: int
    own: Rectangle
    seen: Rectangle

    def of(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """What is seen of arrays over the cells (h, w, ...) of each part, 0 where a cell does not count here."""
        array, own = parts[self.part], self.own.shift(-self.seen.top, -self.seen.left).slices
        if self.own == self.seen:
            return array[self.own.slices]
        out = np.zeros((*self.seen.shape, *array.shape[2:]), array.dtype)
        out[own] = array[self.own.slices]
        return out

    def chosen(self, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of some cells, bool (h, w) of each part, those that count here.

        Returns:
            (m,), which these are of all that were chosen, row by row, one part after the other; and int32 (m,), where
            they are among what is seen, row by row.
        """
        where, own, seen = parts[self.part], self.own, self.seen
        above = sum(map(np.count_nonzero, parts[: self.part])) + np.count_nonzero(where[: own.top])
        rows, columns = np.nonzero(where[own.top : own.bottom])
        inside = (columns >= own.left) & (columns < own.right)
        places = (rows[inside] + own.top - seen.top) * seen.shape[1] + columns[inside] - seen.left
        return above + np.flatnonzero(inside), places.astype(np.int32)


def total(summaries: Sequence[Tensor]) -> Tensor:
    """The sum of what was found out of some cells and of others."""
    return sum(summaries[1:], start=summaries[0])


class Rows(NamedTuple):
    """A term whose value is a sum over the rows of its summary (K, n): it can be had of one row after the other.

    Attributes:
        constants: (K, ...), what each row's value is told beside it.
        value: (row (n,), its constants) -> the summand's share.
    """

    constants: np.ndarray
    value: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Term:
    """One summand of the loss: a value of what can be summed up of the image's cells, some of them at a time.

    So an image whose features do not fit into memory is looked at strip by strip: twice, first for the summaries, then,
    when the value's slope along each of them is known, for the gradient.

    Attributes:
        layer: whose features the term is about; PIXELS for the image's own values, RGB in [0, 1].
        constants: what `summary` is told of some cells beside their features: arrays of float, or of int32 for places.
        summary: (features (h, w, C) of what is seen, *constants) -> what the value needs to know of these cells.
        value: the joined summaries of all cells -> the summand.
        joined: summaries of several cuts -> that of all their cells.
        halo: cells around those that count whose features the summary needs, where the part goes on.
        rows: where summaries are as large as the image, and what `joined` and `value` make of them larger still.
    """

    layer: str
    constants: Callable[[Cut], tuple[np.ndarray, ...]]
    summary: Callable[..., Tensor]
    value: Callable[[Tensor], Tensor] = lambda summary: summary
    joined: Callable[[Sequence[Tensor]], Tensor] = total
    halo: int = 0
    rows: Rows | None = None


def values_of(terms: Mapping[str, Term], summaries: Iterable[Sequence[Tensor]]) -> dict[str, Tensor]:
    """The summands by name, from some cuts' summaries, one for each term."""
    return {name: term.value(term.joined(several)) for (name, term), several in zip(terms.items(), zip(*summaries))}


class Sources(NamedTuple):
    """What the terms of one style are made from, once, before the optimisation.

    Attributes:
        painting: (H, W, 3), the image whose style is wanted.
        masks: layer -> of each part (h, w), how much each cell that the free pixels reach counts; some of them do.
        queries: of each part the features of those cells in the image that is matched, at the layers that the style
            loss has `queried`, with its `halo`.
        extractor: of features.
        normalization: what sums are divided by.
        seed: of random numbers.
        on_share: told how much of the work is done.
    """

    painting: np.ndarray
    masks: dict[str, list[np.ndarray]]
    queries: list[Tile]
    extractor: Extractor
    normalization: Normalization
    seed: int
    on_share: OnShare

    def mask(self, layer: str) -> np.ndarray:
        """How much each cell counts, (n,)."""
        return flat(self.masks[layer])


def at(features: Tensor, places: Tensor) -> Tensor:
    """Of features (h, w, C) those at places (n, ...), which count the cells row by row: (n, ..., C)."""
    return ops.take(ops.reshape(features, (-1, features.shape[-1])), places, axis=0)


def flat(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays over the cells (h, w, ...) of each part as one over all of them (n, ...)."""
    return np.concatenate([part.reshape(-1, *part.shape[2:]) for part in parts])


@dataclass(frozen=True)
class StyleLoss(Options, ABC):
    """How the style of an image is compared with a painting's. A kind of style loss is a subclass with its numbers."""

    style_layers: tuple[str, ...] = option(
        ("block3_conv1", "block4_conv1", "block5_conv1"), "layers whose features carry the style"
    )
    layer_weights: tuple[float, ...] = option(
        (), "a weight for each style layer beside the others (w_l of Gatys et al.); none: all the same"
    )
    style_weight: float = option(1.0, "weight of the style loss", NOT_NEGATIVE)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers("style_layers", self.style_layers)
        weights, layers = self.layer_weights, len(self.style_layers)
        numbers = all(isinstance(weight, Real) and NOT_NEGATIVE.holds(weight) for weight in weights)
        expect(numbers, "layer_weights to be numbers of 0 or more", weights)
        expect(len(weights) in (0, layers), f"layer_weights for each of the {layers} style layers, or none", weights)
        expect(not weights or any(weights), "a weight above 0 among layer_weights", weights)
        object.__setattr__(self, "layer_weights", tuple(map(float, weights)))

    @property
    def queried(self) -> tuple[str, ...]:
        """Layers at which the terms need to know of the query."""
        return ()

    @property
    def bytes_per_pixel(self) -> float:
        """Held for each pixel that is optimised, beside the features: targets, and what all of them are sorted in."""
        return 0.0

    def making_bytes(self, pixels: float) -> float:
        """Held for so many of them while the terms are made."""
        return 0.0

    @property
    def workspace_bytes(self) -> float:
        """At most, while the terms are made."""
        return 0.0

    @property
    def bytes_per_pixel_at_once(self) -> float:
        """Held for each pixel that goes through the network at once, beside the features: what is taken out of them."""
        return 0.0

    @abstractmethod
    def layer_terms(self, sources: Sources) -> dict[str, Term]:
        """Layer -> its term, without weight."""

    @property
    def halo(self) -> int:
        """Cells around the free ones that the terms need to know of the query."""
        return 0

    def pieces(self, iterations: int) -> list[int]:
        """Iterations of the last scale, cut where the loss wants its terms made again."""
        return [iterations]

    def terms(self, sources: Sources) -> dict[str, Term]:
        """Layer -> its weighted term."""
        if not self.style_weight or not self.style_layers:
            return {}
        return self.shared_out(self.layer_terms(sources), sources)

    def shared_out(self, terms: dict[str, Term], sources: Sources) -> dict[str, Term]:
        """The layers' terms, each with its share of the style weight."""
        weights = np.array(self.layer_weights or [1.0] * len(self.style_layers))
        weights *= self.style_weight / (weights.sum() if sources.normalization.shared else weights.mean())
        shares = zip(self.style_layers, weights)
        return {layer: weighted(float(weight), terms[layer]) for layer, weight in shares if layer in terms}


def weighted(weight: float, term: Term) -> Term:
    """The term times a weight."""
    value, rows = term.value, term.rows
    if rows is not None:
        of_row = rows.value
        rows = rows._replace(value=lambda *row: weight * of_row(*row))
    return replace(term, value=lambda summary: weight * value(summary), rows=rows)


def without_constants(term: Term) -> Term:
    """The term when it has told all its constants, without what it held for them, such as targets."""
    return replace(term, constants=lambda cut: ())
