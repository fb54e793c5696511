"""A problem (images, masks, settings) as a function: the loss and its gradient over the free pixels."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.geometry import Rectangle
from ..images.masks import bounding_box
from ..losses.normalization import NORMALIZATIONS
from ..losses.terms import Sources, Term
from ..matching.correspondence import OnShare
from ..network.active import ActiveNetwork
from ..network.architecture import reach
from ..network.backend import Tensor, keras, ops, value_and_gradient
from ..network.features import Extractor, features_within, window_around
from ..network.mask_pyramid import masks_at_layers
from ..settings import Settings


class Style(NamedTuple):
    """An image whose style is wanted, float32 (h, w, 3) of any size, and how much each pixel counts: (H, W)."""

    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Problem:
    """What is to be optimised, at working size. Images are float32 (H, W, 3), RGB in [0, 1].

    Which pixels are free and how much each pixel counts are two things: only cells that free pixels reach count.

    Attributes:
        content: the image whose content is kept; pixels that are not free stay as they are in it.
        styles: one or more; where masks overlap, a pixel counts for several.
        start: where the optimisation starts, of the content's size.
        mask: (H, W) in [0, 1], how much each pixel counts in the content loss.
        free: bool (H, W), which pixels are variables.
        query: the image whose patches are matched, of the content's size; None: the content image.
    """

    content: np.ndarray
    styles: tuple[Style, ...]
    start: np.ndarray
    mask: np.ndarray
    free: np.ndarray
    query: np.ndarray | None = None


class Objective:
    """Loss and gradient of a problem. What does not change from call to call is computed here, once.

    Args:
        problem: images and masks.
        extractor: a network that puts out `settings.layers`.
        settings: the losses with their weights, and the normalisation.
        on_share: told of the work on the targets.

    Attributes:
        start: float64 (n,), the free pixels at the start, RGB one after the other.

    Raises:
        InputError: nothing is free, a mask vanishes at the size of a layer's features, or a patch is larger than a
            layer.
    """

    def __init__(self, problem: Problem, extractor: Extractor, settings: Settings, on_share: OnShare = lambda *_: None):
        self._content = problem.content
        self._pixels = bounding_box(problem.free)
        free = problem.free[self._pixels.slices]
        self._free = np.flatnonzero(np.repeat(free, 3))  # places in the flat patch: faster than a mask of pixels
        self._patch = np.array(problem.content[self._pixels.slices], keras.config.floatx(), order="C")
        self.start = problem.start[self._pixels.slices].ravel()[self._free].astype(np.float64)
        cells = {layer: reach(self._pixels, problem.content.shape[:2], layer) for layer in settings.layers}
        terms = self._terms(problem, free, cells, extractor, settings, on_share)
        window = window_around(cells, problem.content.shape[:2])
        pixels = self._pixels.shift(-window.top, -window.left)
        network = ActiveNetwork(extractor, problem.content[window.slices], pixels)

        def evaluate(patch: Tensor) -> dict[str, Tensor]:
            features = network(patch)
            return {name: term(features, patch) for name, term in terms.items()}

        self._evaluate = value_and_gradient(evaluate, self._patch.shape)

    def _terms(
        self,
        problem: Problem,
        free: np.ndarray,
        cells: dict[str, Rectangle],
        extractor: Extractor,
        settings: Settings,
        on_share: OnShare,
    ) -> dict[str, Term]:
        """Every summand of the loss, by the name that reports call it."""
        normalization, halo = NORMALIZATIONS[settings.weighing.normalization], settings.style.halo
        content = query = features_within(extractor, problem.content, cells, halo)
        if problem.query is not None:
            query = features_within(extractor, problem.query, cells, halo)
        masks, shape = _masks_within(problem.mask, cells, settings), problem.content.shape[:2]
        of_content = settings.content.terms(content, masks, shape, normalization)
        terms = {f"content {layer}": term for layer, term in of_content.items()}
        for number, style in enumerate(problem.styles, start=1):
            of_style = masks if style.mask is problem.mask else _masks_within(style.mask, cells, settings)
            sources = Sources(style.image, of_style, query, extractor, normalization, settings.solver.seed, on_share)
            name = "style" if len(problem.styles) == 1 else f"style {number}"
            terms |= {f"{name} {layer}": term for layer, term in settings.style.terms(sources).items()}
        styles = [style.image for style in problem.styles]
        return terms | settings.variation.terms(problem.content, styles, self._pixels, free, normalization)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, dict[str, float]]:
        """Loss, gradient (n,), and the weighted terms that the loss sums, at free pixels `x` (n,); all in float64."""
        self._patch.ravel()[self._free] = x
        tensors, gradient = self._evaluate(self._patch)
        terms = {name: float(value) for name, value in tensors.items()}
        return sum(terms.values()), ops.convert_to_numpy(gradient).ravel()[self._free].astype(np.float64), terms

    def image(self, x: np.ndarray) -> np.ndarray:
        """The working image (H, W, 3) with free pixels `x`, clipped to [0, 1]."""
        image = self._content.copy()
        patch = image[self._pixels.slices].ravel()
        patch[self._free] = np.clip(x, 0, 1)
        image[self._pixels.slices] = patch.reshape(*self._pixels.shape, 3)
        return image


def _masks_within(mask: np.ndarray, cells: dict[str, Rectangle], settings: Settings) -> dict[str, np.ndarray]:
    """The mask at each layer, within the cells that the free pixels reach."""
    masks = masks_at_layers(mask, settings.layers, settings.mask.mask_mode)
    masks = {layer: masks[layer][cells[layer].slices].astype(keras.config.floatx()) for layer in settings.layers}
    for layer, at_layer in masks.items():
        if not at_layer.any():
            raise InputError(f"Expected a mask that reaches the features of {layer}. Received: one too small for it")
    return masks
