"""The paper's equations: one function each, pure, over features (h, w, C) of one layer and a mask (h, w) in [0, 1].

Each knows four normalisations. "sum" is what equations 1 to 4 print. "mean" divides as the published code of DPH does,
which the paper's weights 1 : 0.05 belong to. "gatys" divides as Gatys et al. 2016. "relative" divides by what the
target alone gives, so that weights mean the same at every layer and size. The sums that make one number of a layer run
in float64: in float32 their rounding would tell L-BFGS that it had converged.
"""

import numpy as np

from .backend import ops


def content_loss(features, target, mask, positions: int, normalization: str):
    """Equation 1, under the mask: 1/2 sum m (F - T)^2; "mean": sum m (F - T)^2 / (positions C).

    Args:
        features, target: (h, w, C).
        mask: (h, w), the weight m of each position.
        positions: positions of the layer in the whole image. DPH's mean runs over all of them, inside the mask or not.
        normalization: "sum", "mean", "relative" or "gatys" (which is "sum" here).
    """
    total = _sum(ops.square(features - target) * mask[..., None])
    if normalization == "relative":
        return _share(total, _sum(ops.square(target) * mask[..., None]))
    return total / (positions * features.shape[-1]) if normalization == "mean" else total / 2


def gram_matrix(features, mask, normalization: str):
    """Equation 2: inner products of the channels of masked features, (C, C).

    "mean" divides by the sum of the mask over positions and channels, "gatys" and "relative" by that over positions.

    Args:
        features: (h, w, C), or (n, C) with a mask (n,).
        mask: their weights; its sum must not be 0.
    """
    channels = features.shape[-1]
    masked = ops.reshape(features * mask[..., None], (-1, channels))
    # Both factors are the same, so the gradient through one, doubled, is that through both: half the work, and right
    # for every loss that treats the matrix as what it is, symmetric.
    product = ops.matmul(ops.transpose(ops.stop_gradient(masked)), masked)
    gram = 2 * product - ops.stop_gradient(product)
    size = ops.sum(mask)
    return gram / {"sum": 1.0, "mean": size * channels, "gatys": size, "relative": size}[normalization]


def gram_distance(gram, target, normalization: str):
    """Equation 3 for one layer: ||G - A||^2; "mean": over C^2 entries; "gatys": over 4 C^2, its equation 4.

    "relative" is ||G - A||^2 / ||A||^2.

    Args:
        gram, target: (C, C), of the same normalisation.
    """
    entries = gram.shape[0] ** 2
    if normalization == "relative":
        return _share(_sum(ops.square(gram - target)), _sum(ops.square(target)))
    return _sum(ops.square(gram - target)) / {"sum": 1, "mean": entries, "gatys": 4 * entries}[normalization]


def patch_gram_distance(patches, targets, mask, normalization: str):
    """Equation 4 for one layer, with the matches given: sum_p m_p ||G(P_p) - G(P'_p)||^2, a Gram matrix per patch.

    The C x C matrices are never formed: for A, B of (d d, C), ||A'A - B'B||^2 = ||AA'||^2 - 2 ||AB'||^2 + ||BB'||^2.
    "mean" and "gatys" divide as for one layer's Gram matrix, with d d positions, and average over p; "relative" divides
    by sum_p m_p ||G(P'_p)||^2.

    Args:
        patches, targets: (n, d d, C).
        mask: (n,), the weight m_p of each patch; its sum must not be 0.
    """
    positions, channels = patches.shape[1:]
    distances = _squared_products(patches, patches) - 2 * _squared_products(patches, targets)
    norms, mask = _squared_products(targets, targets), ops.cast(mask, "float64")
    total = _sum((distances + norms) * mask)
    if normalization == "relative":
        return _share(total, _sum(norms * mask))
    if normalization == "sum":
        return total
    gram_size = positions * (channels if normalization == "mean" else 1)
    entries = channels**2 * (4 if normalization == "gatys" else 1)
    return total / (gram_size**2 * entries * _sum(mask))


def sliced_wasserstein_distance(features, target, directions):
    """Squared sliced 2-Wasserstein distance of two sets (Heitz et al. 2021, equation 3), over the target's energy.

    Along a direction the best assignment of two sets of numbers is that of their sorted orders.

    Args:
        features: (n, C), a set: their order does not count.
        target: (K, n), another set's `sorted_projections`.
        directions: (C, K), of unit length.
    """
    return _share(_sum(ops.square(sorted_projections(features, directions) - target)), _sum(ops.square(target)))


def sorted_projections(features, directions):
    """Features (n, C) along each of the directions (C, K), sorted: (K, n)."""
    return ops.sort(ops.transpose(ops.matmul(features, directions)), axis=-1)


def quantiles(values: np.ndarray, count: int) -> np.ndarray:
    """What `count` samples would be like, if they were distributed as the sorted values (..., n): (..., count).

    Each value stands at the middle of its own nth of the distribution; between two of them it is linear.
    """
    number = values.shape[-1]
    position = np.clip((np.arange(count) + 0.5) / count * number - 0.5, 0, number - 1)
    lower = position.astype(int)
    fraction = (position - lower).astype(values.dtype)
    return values[..., lower] * (1 - fraction) + values[..., np.minimum(lower + 1, number - 1)] * fraction


def total_variation(image, free, normalization: str):
    """Half the squared differences of neighbouring pixels, one of them free at least; but for "sum" over free values.

    As DPH, which uses it against noise; the paper names none.

    Args:
        image: (H, W, 3).
        free: (H, W), 1 where a pixel is optimised, 0 where it is constant; not all 0.
    """
    vertical = _sum(ops.square(image[1:] - image[:-1]) * ops.maximum(free[1:], free[:-1])[..., None])
    horizontal = _sum(ops.square(image[:, 1:] - image[:, :-1]) * ops.maximum(free[:, 1:], free[:, :-1])[..., None])
    total = (vertical + horizontal) / 2
    return total if normalization == "sum" else total / (_sum(free) * image.shape[-1])


def _squared_products(first, second):
    """||A B'||^2 of each pair: (n, k, C), (n, k, C) -> (n,)."""
    products = ops.matmul(first, ops.transpose(second, (0, 2, 1)))
    return ops.sum(ops.square(ops.cast(products, "float64")), axis=(1, 2))


def _share(part, whole):
    """part / whole; where features are all dead, and the whole is 0, a large number instead of infinity."""
    return part / ops.maximum(whole, 1e-12)


def _sum(values):
    return ops.sum(ops.cast(values, "float64"))
