"""What losses have in common: the terms that they make, and what a style loss makes its terms from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import numpy as np

from ..errors import expect
from ..matching.correspondence import OnShare
from ..network.architecture import check_layers
from ..network.backend import Tensor
from ..network.features import Extractor, Tile
from ..options import NOT_NEGATIVE, Options, option
from .normalization import Normalization

# Layer -> (n, C): the cells that the free pixels reach, row by row, one part of the image after the other.
Features = dict[str, Tensor]
# Features, and of each part its rectangle of pixels (h, w, 3) -> one summand of the loss.
Term = Callable[[Features, Sequence[Tensor]], Tensor]


class Sources(NamedTuple):
    """What the terms of one style are made from, once, before the optimisation.

    Attributes:
        painting: (H, W, 3), the image whose style is wanted.
        masks: layer -> of each part (h, w), how much each cell that the free pixels reach counts; some of them do.
        queries: of each part the features of those cells in the image that is matched, with the style loss's `halo`.
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
    return lambda features, pixels: weight * term(features, pixels)
