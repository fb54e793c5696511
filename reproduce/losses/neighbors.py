"""Nearest neighbours beside sliced distances: each feature is drawn to its match (Kolkin et al. 2022).

A sliced distance says how features are to be distributed, not which place is to have which: places that are alike may
go to opposite ends. A match is found by what a place is like, so places that are alike are drawn to the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..matching.patches import Matches
from ..network.architecture import check_layers
from ..network.backend import Tensor, as_tensor, ops
from ..options import NOT_NEGATIVE, option
from .normalization import Normalization, sum_of
from .sliced import Sliced
from .terms import Sources, Term, weighted

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

    def terms(self, sources: Sources) -> dict[str, Term]:
        layers = [each for each in self.style_layers if each in (self.neighbor_layers or self.style_layers)]
        if not self.neighbor_weight or not layers:
            return super().terms(sources)
        # All at once: the painting is looked through once, and what is told of the work goes forward.
        matches = self.matches(sources, tuple(each for each in self.style_layers if each in (*layers, self.deepest)))
        distances = self.distances(matches[self.deepest], sources) if self.style_weight else {}
        share = self.neighbor_weight / len(layers)
        return self.shared_out(distances, sources) | {
            f"neighbors {layer}": weighted(share, _term(layer, matches[layer], sources)) for layer in layers
        }


def _term(layer: str, matches: list[Matches], sources: Sources) -> Term:
    mask, targets = sources.mask(layer), np.concatenate([found.vectors[:, 0, 0] for found in matches])
    cells, wanted, weights = np.flatnonzero(mask > 0), as_tensor(targets), as_tensor(mask[mask > 0])

    def term(features: dict, pixels: Sequence[Tensor]) -> Tensor:
        return cosine_distance(ops.take(features[layer], cells, axis=0), wanted, weights, sources.normalization)

    return term


def cosine_distance(features: Tensor, targets: Tensor, mask: Tensor, normalization: Normalization) -> Tensor:
    """sum_p m_p (1 - cos(F_p, T_p)), over sum_p m_p where sums over patches are averages (Kolkin et al. 2022, eq. 2).

    Args:
        features, targets: (n, C).
        mask: (n,), the weight m_p of each feature; its sum must not be 0.
        normalization: its column `average`.
    """
    products = ops.sum(features * targets, axis=-1)
    norms = ops.sqrt((ops.sum(features**2, axis=-1) + FAINTEST) * (ops.sum(targets**2, axis=-1) + FAINTEST))
    total = sum_of((1 - products / norms) * mask)
    return total / sum_of(mask) if normalization.average else total
