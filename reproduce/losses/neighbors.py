"""Nearest neighbours beside sliced distances: each feature is drawn to its match (Kolkin et al. 2022).

A sliced distance says how features are to be distributed, not which place is to have which: places that are alike may
go to opposite ends. A match is found by what a place is like, so places that are alike are drawn to the same.
"""

from dataclasses import dataclass

import numpy as np

from ..matching.patches import Matches
from ..network.architecture import channels, check_layers, stride
from ..network.backend import Tensor, keras, ops
from ..options import NOT_NEGATIVE, option
from .normalization import Normalization, sum_of
from .sliced import Sliced
from .terms import Cut, Sources, Term, at, flat, weighted

FAINTEST = 1e-6  # squared norm of features, far below those of a picture


@dataclass(frozen=True)
class Neighbors(Sliced):
    """Sliced distances, and the angle of each feature to that of its match in the painting."""

    neighbor_layers: tuple[str, ...] = option(
        (), "of the style layers those with angles to matches, which is slow for shallow ones; none: all"
    )
    neighbor_weight: float = option(
        0.5, "weight of the angles, beside the sliced distances' style weight", NOT_NEGATIVE
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers("neighbor_layers", self.neighbor_layers)

    @property
    def queried(self) -> tuple[str, ...]:
        return tuple(each for each in self.style_layers if each in (*self._with_angles, self.deepest))

    @property
    def bytes_per_pixel(self) -> float:
        """Those of the distances, and the matches' directions."""
        return super().bytes_per_pixel + self._matches

    def making_bytes(self, pixels: float) -> float:
        """Those of the distances, and the matches' directions."""
        return super().making_bytes(pixels) + self._matches * pixels

    @property
    def _matches(self) -> float:
        """Bytes of their directions, in half precision, for a pixel."""
        return sum(2 * channels(layer) / stride(layer) ** 2 for layer in self._with_angles)

    @property
    def _with_angles(self) -> list[str]:
        layers = self.style_layers if self.neighbor_weight else ()
        return [each for each in layers if each in (self.neighbor_layers or layers)]

    def terms(self, sources: Sources) -> dict[str, Term]:
        layers = self._with_angles
        if not layers:
            return super().terms(sources)
        # All at once: the painting is looked through once, and what is told of the work goes forward.
        matches = self.matches(sources, self.queried)
        distances = self.distances(matches[self.deepest], sources) if self.style_weight else {}
        share = self.neighbor_weight / len(layers)
        return self.shared_out(distances, sources) | {
            f"neighbors {layer}": weighted(share, _term(layer, matches[layer], sources)) for layer in layers
        }


def _term(layer: str, matches: list[Matches], sources: Sources) -> Term:
    masks, row = sources.masks[layer], sources.normalization
    # In half of Keras's precision they are off by less than a thousandth, and take half the memory.
    half = np.float16 if keras.config.floatx() == "float32" else np.float32
    targets = np.concatenate([unit(found.vectors[:, 0, 0], half) for found in matches])
    weights = flat(masks)[flat(masks) > 0]
    total = float(weights.sum(dtype=np.float64)) if row.average else 1.0
    chosen = [mask > 0 for mask in masks]

    def constants(cut: Cut) -> tuple[np.ndarray, ...]:
        which, places = cut.chosen(chosen)
        return places, targets[which], weights[which]

    def summary(features: Tensor, places: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        return cosine_distance(at(features, places), wanted, weights, row._replace(average=False))

    return Term(layer, constants, summary, value=lambda distance: distance / total)


def unit(vectors: np.ndarray, kind: type) -> np.ndarray:
    """Vectors (n, C) of length 1, faint ones of less, of another type."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors) + FAINTEST)
    out: np.ndarray = np.empty(vectors.shape, kind)
    return np.divide(vectors, lengths[:, None], out=out, casting="same_kind")


def cosine_distance(features: Tensor, targets: Tensor, mask: Tensor, normalization: Normalization) -> Tensor:
    """sum_p m_p (1 - cos(F_p, T_p)), over sum_p m_p where sums over patches are averages (Kolkin et al. 2022, eq. 2).

    Args:
        features: (n, C).
        targets: (n, C), of length 1.
        mask: (n,), the weight m_p of each feature; its sum must not be 0.
        normalization: its column `average`.
    """
    cosines = ops.sum(features * targets, axis=-1) / ops.sqrt(ops.sum(features**2, axis=-1) + FAINTEST)
    total = sum_of((1 - cosines) * mask)
    return total / sum_of(mask) if normalization.average else total
