"""A problem (images, mask, settings) as a function: the loss and its gradient over the free pixels."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .architecture import Rectangle, feature_shape, reach, stride
from .backend import as_tensor, keras, ops, value_and_gradient
from .correspondence import carry, gather, target_places
from .features import ActiveNetwork, Extractor, Tile, features_within, painting_tiles, window_around
from .images import size_text
from .losses import (
    content_loss,
    gram_distance,
    gram_matrix,
    patch_gram_distance,
    quantiles,
    sliced_wasserstein_distance,
    sorted_projections,
    total_variation,
)
from .masks import bounding_box, masks_at_layers
from .patches import Matches, patches_of
from .settings import Settings

Report = Callable[[str, float], None]  # a stage's name, and the share of it that is done
FAINTEST_VARIATION = 1 / 255**2  # that of neighbours a grey level apart: a blank style image has none of its own
SORTED_NUMBERS = 1 << 20  # projections of one layer that an evaluation sorts, about 50 ms
Term = Callable[[dict, object], object]  # features by layer, free rectangle of the image -> one summand of the loss


@dataclass(frozen=True)
class Problem:
    """What is to be optimised, at working size. Images are float32 (H, W, 3), RGB in [0, 1].

    Attributes:
        content: the image whose content is kept; outside the mask it stays as it is.
        style: the image whose style is wanted, of any size.
        start: where the optimisation starts, of the content's size.
        mask: (H, W) in [0, 1], the weight of each pixel in the losses; the pixels above 0 are free.
        query: the image whose patches are matched, of the content's size; None: the content image.
    """

    content: np.ndarray
    style: np.ndarray
    start: np.ndarray
    mask: np.ndarray
    query: np.ndarray | None = None


class Objective:
    """Loss and gradient of a problem. What does not change from call to call is computed here, once.

    Args:
        problem: images and mask.
        extractor: a network that puts out `settings.layers`.
        settings: weights, normalisation, and the kind of style loss.
        report: called while the targets are computed.

    Attributes:
        start: float64 (n,), the free pixels at the start, RGB one after the other.

    Raises:
        ValueError: the mask vanishes at the size of a layer's features, or a patch is larger than a layer.
    """

    def __init__(self, problem: Problem, extractor: Extractor, settings: Settings, report: Report = lambda *_: None):
        self._content = problem.content
        self._pixels = bounding_box(problem.mask)
        free = problem.mask[self._pixels.slices] > 0
        self._free = np.flatnonzero(np.repeat(free, 3))  # places in the flat patch: faster than a mask of pixels
        self._patch = np.array(problem.content[self._pixels.slices], keras.config.floatx(), order="C")
        self.start = problem.start[self._pixels.slices].ravel()[self._free].astype(np.float64)
        shape = problem.content.shape[:2]
        cells = {layer: reach(self._pixels, shape, layer) for layer in settings.layers}
        masks = _masks_within(problem.mask, cells, settings)
        halo = settings.patch_size // 2
        content = query = features_within(extractor, problem.content, cells, halo)
        if problem.query is not None:
            query = features_within(extractor, problem.query, cells, halo)
        terms: dict[str, Term] = {}
        if settings.content_weight:
            for layer in settings.content_layers:
                terms[f"content {layer}"] = _content_term(layer, content, masks[layer], shape, settings)
        if settings.style_weight:
            terms |= _style_terms(query, masks, problem.style, extractor, settings, report)
        if settings.tv_weight:
            terms["total variation"] = _variation_term(problem, self._pixels, free, settings)
        window = window_around(cells, shape)
        pixels = self._pixels.shift(-window.top, -window.left)
        network = ActiveNetwork(extractor, problem.content[window.slices], pixels)

        def evaluate(patch):
            features = network(patch)
            return {name: term(features, patch) for name, term in terms.items()}

        self._evaluate = value_and_gradient(evaluate, self._patch.shape)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, dict[str, float]]:
        """Loss, gradient (n,), and the weighted terms that the loss sums, at free pixels `x` (n,); all in float64."""
        self._patch.ravel()[self._free] = x
        terms, gradient = self._evaluate(self._patch)
        terms = {name: float(value) for name, value in terms.items()}
        return sum(terms.values()), ops.convert_to_numpy(gradient).ravel()[self._free].astype(np.float64), terms

    def image(self, x: np.ndarray) -> np.ndarray:
        """The working image (H, W, 3) with free pixels `x`, clipped to [0, 1]."""
        image = self._content.copy()
        patch = image[self._pixels.slices].ravel()
        patch[self._free] = np.clip(x, 0, 1)
        image[self._pixels.slices] = patch.reshape(*self._pixels.shape, 3)
        return image


def _masks_within(mask: np.ndarray, cells: dict, settings: Settings) -> dict[str, np.ndarray]:
    """The mask at each layer, within the cells that the free pixels reach: outside them it is 0."""
    masks = masks_at_layers(mask, settings.layers, settings.mask_mode)
    masks = {layer: masks[layer][cells[layer].slices].astype(keras.config.floatx()) for layer in settings.layers}
    for layer, at_layer in masks.items():
        if not at_layer.any():
            raise ValueError(f"Expected a mask that reaches the features of {layer}. Received: one too small for it")
    return masks


def _content_term(layer: str, content: Tile, mask: np.ndarray, shape: tuple[int, int], settings: Settings) -> Term:
    """Equation 1 against the content image's own features; the content layers share the weight."""
    target, mask = as_tensor(content.without_halo(layer)), as_tensor(mask)
    weight = settings.content_weight / len(settings.content_layers)
    positions = int(np.prod(feature_shape(shape, layer)))
    return lambda features, patch: (
        weight * content_loss(features[layer], target, mask, positions, settings.normalization)
    )


def _variation_term(problem: Problem, pixels: Rectangle, free: np.ndarray, settings: Settings) -> Term:
    """Total variation of the free pixels; their neighbours outside the rectangle are the content image's.

    With "relative" it is that of the style image: a smooth painting allows less of it than a rough one.
    """
    content, weight = problem.content, settings.tv_weight
    if settings.normalization == "relative":
        own = total_variation(as_tensor(problem.style), as_tensor(np.ones(problem.style.shape[:2])), "mean")
        weight /= max(float(own), FAINTEST_VARIATION)
    around = pixels.grow(1).clip(content.shape[:2])
    rows = (pixels.top - around.top, around.bottom - pixels.bottom)
    columns = (pixels.left - around.left, around.right - pixels.right)
    constant = content[around.slices].copy()
    constant[pixels.shift(-around.top, -around.left).slices] = 0
    free, constant = as_tensor(np.pad(free, (rows, columns))), as_tensor(constant)

    def term(features, patch):
        image = ops.pad(patch, (rows, columns, (0, 0))) + constant
        return weight * total_variation(image, free, settings.normalization)

    return term


def _style_terms(
    query: Tile, masks: dict, style: np.ndarray, extractor: Extractor, settings: Settings, report: Report
) -> dict[str, Term]:
    """Equation 3, with matched or with all vectors, or equation 4, or sliced distances, of each style layer."""
    if settings.style_loss == "sliced":
        return _sliced_terms(query, masks, style, extractor, settings, report)
    if settings.style_loss == "gram":
        targets = _whole_gram_matrices(style, masks, extractor, settings, report)
        make = _gram_term
    else:
        targets = _match(query, masks, style, extractor, settings, report)
        make = _matched_gram_term if settings.style_loss == "matched" else _patch_term
    return {f"style {layer}": make(layer, targets[layer], masks[layer], settings) for layer in settings.style_layers}


def _match(query: Tile, masks, style, extractor, settings, report) -> dict[str, Matches]:
    """For each patch of the query image under the mask the most similar one of the style image (paper 3.3.2)."""
    size, keep_patches = settings.patch_size, settings.style_loss == "per_patch"
    _check_patch_fits(size, style.shape[:2], settings.style_layers)
    matches = {
        layer: Matches(query.features[layer], masks[layer] > 0, size, keep_patches) for layer in settings.style_layers
    }
    steps = 0
    for tile, tiles in painting_tiles(extractor, style, halo=size // 2):
        for layer, found in matches.items():
            found.search(tile.features[layer], tile.cells[layer][:2], settings.matching_memory * 10**6)
            steps += 1
            report("matching", steps / (tiles * len(matches)))
    return matches


def _check_patch_fits(size: int, shape: tuple[int, int], layers: tuple[str, ...]) -> None:
    for layer in layers:
        features = feature_shape(shape, layer)
        if size > min(features):
            sizes = f"{size_text(features)} features of {layer} at a working size of {size_text(shape)}"
            raise ValueError(f"Expected patches that fit into the style image's {sizes}. Received: patch_size {size}")


def _whole_gram_matrices(style, masks, extractor, settings, report) -> dict[str, np.ndarray]:
    """Equation 2 as the masked features would have it, were they distributed as the whole style image's."""
    sums = dict.fromkeys(settings.style_layers, 0.0)
    for number, (tile, tiles) in enumerate(painting_tiles(extractor, style)):
        for layer in settings.style_layers:
            ones = np.ones(tile.cells[layer].shape, np.float32)
            sums[layer] = sums[layer] + ops.convert_to_numpy(gram_matrix(tile.features[layer], ones, "sum"))
        report("style features", (number + 1) / tiles)
    targets = {}
    for layer, total in sums.items():
        mask, positions = masks[layer], np.prod(feature_shape(style.shape[:2], layer))
        divisor = {"sum": 1.0, "mean": mask.sum() * len(total)}.get(settings.normalization, mask.sum())
        targets[layer] = total / positions * np.square(mask).sum() / divisor
    return targets


def _style_layer_weight(settings: Settings) -> float:
    """Equations 3 and 4 sum over layers, and so does DPH; Gatys et al. share one weight out, and so do shares."""
    shared = settings.normalization in ("gatys", "relative")
    return settings.style_weight / (len(settings.style_layers) if shared else 1)


def _sliced_terms(query: Tile, masks, style, extractor, settings: Settings, report: Report) -> dict[str, Term]:
    """Of each style layer the sliced distance to the painting's features at one correspondence of the deepest layer."""
    deepest = max(settings.style_layers, key=stride)
    found = _match(query, masks, style, extractor, replace(settings, style_layers=(deepest,)), report)[deepest]
    pairs = {
        layer: carry(found, query.cells[deepest], deepest, masks[layer], query.cells[layer], layer)
        for layer in settings.style_layers
    }
    shape = style.shape[:2]
    places = {layer: target_places(pair.places, layer, shape, settings) for layer, pair in pairs.items()}
    targets = gather(extractor, style, places)
    return {
        f"style {layer}": _sliced_term(layer, pairs[layer].cells, targets[layer], settings)
        for layer in settings.style_layers
        if len(pairs[layer].cells)  # a thin object may not fill a cell of a deep layer by half
    }


def _sliced_term(layer: str, cells: np.ndarray, target: np.ndarray, settings: Settings) -> Term:
    """Sliced distance of the features at `cells` to the target features."""
    weight, depth = _style_layer_weight(settings), target.shape[1]
    number = int(np.clip(SORTED_NUMBERS // len(cells), 32, 128))
    directions = np.random.default_rng(settings.seed).standard_normal((depth, number))
    directions = as_tensor(directions / np.linalg.norm(directions, axis=0))
    projected = ops.convert_to_numpy(sorted_projections(as_tensor(target), directions))
    target = as_tensor(quantiles(projected, len(cells)))

    def term(features, patch):
        chosen = ops.take(ops.reshape(features[layer], (-1, depth)), cells, axis=0)
        return weight * sliced_wasserstein_distance(chosen, target, directions)

    return term


def _matched_gram_term(layer: str, matches: Matches, mask: np.ndarray, settings: Settings) -> Term:
    """Equation 3 with the Gram matrix of the matched vectors under the same mask as the target."""
    vectors = matches.vectors[:, 0, 0]
    target = ops.convert_to_numpy(gram_matrix(vectors, mask[mask > 0], settings.normalization))
    return _gram_term(layer, target, mask, settings)


def _gram_term(layer: str, target: np.ndarray, mask: np.ndarray, settings: Settings) -> Term:
    """Equation 3 of one layer: the Gram matrix of the masked features against the target's."""
    target, mask, weight = as_tensor(target), as_tensor(mask), _style_layer_weight(settings)
    return lambda features, patch: (
        weight
        * gram_distance(gram_matrix(features[layer], mask, settings.normalization), target, settings.normalization)
    )


def _patch_term(layer: str, matches: Matches, mask: np.ndarray, settings: Settings) -> Term:
    """Equation 4 of one layer: a Gram matrix for each patch under the mask against its match's."""
    weight, size = _style_layer_weight(settings), settings.patch_size
    places = np.flatnonzero(mask > 0)
    weights = as_tensor(mask.ravel()[places])
    mask = as_tensor(mask[..., None])
    matched = as_tensor(matches.vectors.reshape(len(places), size * size, -1))
    targets = matched * ops.take(patches_of(mask, size), places, axis=0)

    def term(features, patch):
        patches = ops.take(patches_of(features[layer] * mask, size), places, axis=0)
        return weight * patch_gram_distance(patches, targets, weights, settings.normalization)

    return term
