"""A Gram matrix for each patch: equation 4 as it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..matching.patches import Matches, patches_of
from ..network.backend import Tensor, as_tensor, ops
from .matched import Matching
from .normalization import Normalization, normalized, sum_of
from .terms import Sources, Term


@dataclass(frozen=True)
class PerPatch(Matching):
    """A Gram matrix for each patch under the mask against its match's (equation 4)."""

    def layer_terms(self, sources: Sources) -> dict[str, Term]:
        matches = self.matches(sources, self.style_layers, keep_patches=True)
        return {layer: self._term(layer, matches[layer], sources) for layer in self.style_layers}

    def _term(self, layer: str, matches: list[Matches], sources: Sources) -> Term:
        size, masks = self.patch_size, sources.masks[layer]
        shares = [as_tensor(mask[..., None]) for mask in masks]
        places = [np.flatnonzero(mask > 0) for mask in masks]
        ends = np.cumsum([mask.size for mask in masks])
        weights = as_tensor(sources.mask(layer)[sources.mask(layer) > 0])
        # Some part may have no match at all: NumPy could not tell its last dimension.
        vectors = [found.vectors.reshape(-1, size * size, found.vectors.shape[3]) for found in matches]
        targets = ops.concatenate([
            as_tensor(matched) * ops.take(patches_of(share, size), at, axis=0)
            for matched, at, share in zip(vectors, places, shares)
        ])  # fmt: skip

        def term(features: dict, pixels: Sequence[Tensor]) -> Tensor:
            patches = []
            for end, at, share in zip(ends, places, shares):
                height, width = share.shape[:2]
                part = ops.reshape(features[layer][end - height * width : end], (height, width, -1))
                patches.append(ops.take(patches_of(part * share, size), at, axis=0))
            return patch_gram_distance(ops.concatenate(patches), targets, weights, sources.normalization)

        return term


def patch_gram_distance(patches: Tensor, targets: Tensor, mask: Tensor, normalization: Normalization) -> Tensor:
    """Equation 4 for one layer, with the matches given: sum_p m_p ||G(P_p) - G(P'_p)||^2, a Gram matrix per patch.

    The C x C matrices are never formed: for A, B of (d d, C), ||A'A - B'B||^2 = ||AA'||^2 - 2 ||AB'||^2 + ||BB'||^2.
    "mean" and "gatys" divide as for one layer's Gram matrix, with d d positions, and average over p; "relative" divides
    by sum_p m_p ||G(P'_p)||^2.

    Args:
        patches, targets: (n, d d, C).
        mask: (n,), the weight m_p of each patch; its sum must not be 0.
        normalization: its columns `gram`, `distance`, `pixels` and `average`.
    """
    positions, channels = patches.shape[1:]
    distances = _squared_products(patches, patches) - 2 * _squared_products(patches, targets)
    norms, weights = _squared_products(targets, targets), ops.cast(mask, "float64")
    divide, divisor = normalization.distance, None
    if divide:
        patches_weight = sum_of(weights) if normalization.average else 1
        divisor = normalization.gram(positions, channels) ** 2 * divide(channels, normalization.pixels) * patches_weight
    return normalized(sum_of((distances + norms) * weights), lambda: sum_of(norms * weights), divisor)


def _squared_products(first: Tensor, second: Tensor) -> Tensor:
    """||A B'||^2 of each pair: (n, k, C), (n, k, C) -> (n,)."""
    products = ops.matmul(first, ops.transpose(second, (0, 2, 1)))
    return ops.sum(ops.square(ops.cast(products, "float64")), axis=(1, 2))
