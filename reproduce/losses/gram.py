"""Gram matrices of a whole style image (equations 2 and 3; Gatys et al. 2016)."""

from dataclasses import dataclass

import numpy as np

from ..network.architecture import feature_shape
from ..network.backend import Tensor, as_tensor, ops
from ..network.features import painting_tiles
from .normalization import NORMALIZATIONS, Normalization, normalized, sum_of
from .terms import Sources, StyleLoss, Term, flat


@dataclass(frozen=True)
class Gram(StyleLoss):
    """The Gram matrix of the masked features against that of the whole style image (equation 3)."""

    def layer_terms(self, sources: Sources) -> dict[str, Term]:
        sums: dict[str, np.ndarray] = {}
        for number, (tile, tiles) in enumerate(painting_tiles(sources.extractor, sources.painting)):
            for layer in (layer for layer in self.style_layers if layer in tile.cells):
                ones = as_tensor(np.ones(tile.cells[layer].shape))
                gram = gram_matrix(as_tensor(tile.features[layer]), ones, NORMALIZATIONS["sum"])
                sums[layer] = sums.get(layer, 0) + ops.convert_to_numpy(gram)
            sources.on_share("style features", (number + 1) / tiles)
        return {layer: self._term(layer, sums[layer], sources) for layer in self.style_layers}

    def _term(self, layer: str, total: np.ndarray, sources: Sources) -> Term:
        """Equation 2 as the masked features would have it, were they distributed as the whole style image's."""
        mask, positions = sources.mask(layer), np.prod(feature_shape(sources.painting.shape[:2], layer))
        target = total / positions * np.square(mask).sum() / sources.normalization.gram(mask.sum(), len(total))
        return gram_term(layer, target, sources.masks[layer], sources.normalization)


def gram_term(layer: str, target: np.ndarray, masks: list[np.ndarray], normalization: Normalization) -> Term:
    """Equation 3 of one layer: the Gram matrix of the masked features against the target's."""
    wanted, size = as_tensor(target), normalization.gram(float(flat(masks).sum()), len(target))
    return Term(
        layer,
        constants=lambda cut: (cut.of(masks),),
        summary=inner_products,
        value=lambda products: gram_distance(products / size, wanted, normalization),
    )


def gram_matrix(features: Tensor, mask: Tensor, normalization: Normalization) -> Tensor:
    """Equation 2: inner products of the channels of masked features, (C, C).

    "mean" divides by the sum of the mask over positions and channels, "gatys" and "relative" by that over positions.

    Args:
        features: (h, w, C), or (n, C) with a mask (n,).
        mask: their weights; its sum must not be 0.
        normalization: its column `gram`.
    """
    return inner_products(features, mask) / normalization.gram(ops.sum(mask), features.shape[-1])


def inner_products(features: Tensor, mask: Tensor) -> Tensor:
    """Those of the channels of masked features, as in `gram_matrix`, (C, C)."""
    masked = ops.reshape(features * mask[..., None], (-1, features.shape[-1]))
    # Both factors are the same, so the gradient through one, doubled, is that through both: half the work, and right
    # for every loss that treats the matrix as what it is, symmetric.
    product = ops.matmul(ops.transpose(ops.stop_gradient(masked)), masked)
    return 2 * product - ops.stop_gradient(product)


def gram_distance(gram: Tensor, target: Tensor, normalization: Normalization) -> Tensor:
    """Equation 3 for one layer: ||G - A||^2; "mean": over C^2 entries; "gatys": over 4 C^2, its equation 4;
    "keras": over 36 times the squared number of pixels of the whole image.

    "relative" is ||G - A||^2 / ||A||^2.

    Args:
        gram, target: (C, C), of the same normalisation.
        normalization: its columns `distance` and `pixels`.
    """
    divide = normalization.distance
    divisor = divide and divide(gram.shape[0], normalization.pixels)
    return normalized(sum_of(ops.square(gram - target)), lambda: sum_of(ops.square(target)), divisor)
