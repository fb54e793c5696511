"""A Gram matrix for each patch: equation 4 as it is printed."""

from dataclasses import dataclass

import numpy as np

from ..matching.patches import Matches
from ..network.architecture import channels, stride
from ..network.backend import Tensor, as_tensor, ops
from .matched import Matching
from .normalization import FAINTEST_TARGET, NORMALIZATIONS, Normalization, normalized, sum_of
from .terms import Cut, Sources, Term, at, flat


@dataclass(frozen=True)
class PerPatch(Matching):
    """A Gram matrix for each patch under the mask against its match's (equation 4)."""

    @property
    def bytes_per_pixel(self) -> float:
        """Of each patch the match, what it is multiplied by, and the places."""
        cells = self.patch_size**2
        return sum((4 * channels(layer) + 8) * cells / stride(layer) ** 2 for layer in self.style_layers)

    def making_bytes(self, pixels: float) -> float:
        """Queries, and the patches that match them."""
        return super().making_bytes(pixels) * self.patch_size**2

    def layer_terms(self, sources: Sources) -> dict[str, Term]:
        matches = self.matches(sources, self.style_layers, keep_patches=True)
        return {layer: self._term(layer, matches[layer], sources) for layer in self.style_layers}

    def _term(self, layer: str, matches: list[Matches], sources: Sources) -> Term:
        size, masks, row = self.patch_size, sources.masks[layer], sources.normalization
        # Some part may have no match at all: NumPy could not tell its last dimension.
        vectors = [found.vectors.reshape(-1, size * size, found.vectors.shape[3]) for found in matches]
        share, weights = np.concatenate([_patches_around(mask, size) for mask in masks]), flat(masks)[flat(masks) > 0]
        targets = np.concatenate(vectors) * share
        if row.distance is None:  # what all targets give, not those of some patches
            nothing = as_tensor(np.zeros_like(targets))
            own = float(patch_gram_distance(nothing, as_tensor(targets), as_tensor(weights), NORMALIZATIONS["sum"]))
            row = row._replace(gram=lambda *_: 1, distance=lambda *_: max(own, FAINTEST_TARGET), average=False)
        total = float(weights.sum(dtype=np.float64)) if row.average else 1.0
        chosen = [mask > 0 for mask in masks]

        def constants(cut: Cut) -> tuple[np.ndarray, ...]:
            which, centers = cut.chosen(chosen)
            return _places_around(centers, cut.seen.shape, size), share[which], targets[which], weights[which]

        def summary(features: Tensor, places: Tensor, share: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
            patches = at(features, places) * share
            return patch_gram_distance(patches, wanted, weights, row._replace(average=False))

        return Term(layer, constants, summary, value=lambda distance: distance / total, halo=size // 2)


def _patches_around(mask: np.ndarray, size: int) -> np.ndarray:
    """Of a mask (h, w) the patch around every place where it is not 0, 0 beyond its border: (n, size size, 1)."""
    padded = np.pad(mask, size // 2)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[mask > 0]
    return patches.reshape(-1, size * size, 1)


def _places_around(centers: np.ndarray, shape: tuple[int, int], size: int) -> np.ndarray:
    """The places of the patches around some places (n,) among cells of `shape`, row by row: int32 (n, size size).

    Beyond the border, where masks are 0, they are those of other cells.
    """
    offsets = np.arange(size, dtype=np.int32) - size // 2
    rows = np.clip((centers // shape[1])[:, None, None] + offsets[:, None], 0, shape[0] - 1)
    columns = np.clip((centers % shape[1])[:, None, None] + offsets, 0, shape[1] - 1)
    return (rows * shape[1] + columns).reshape(-1, size * size)


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
