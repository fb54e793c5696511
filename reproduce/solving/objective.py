"""A problem (images, masks, settings) as a function: the loss and its gradient over the free pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.geometry import Rectangle
from ..losses.normalization import normalization_of
from ..losses.terms import Sources, Term, values_of, weighted, without_constants
from ..matching.correspondence import OnShare
from ..network.active import ActiveNetwork, Frame, independent_parts
from ..network.architecture import PIXELS, reach, stride
from ..network.backend import Tensor, as_array, keras, ops, value_and_gradient
from ..network.features import Extractor, Tile, features_within, window_around
from ..network.mask_pyramid import masks_at_layers
from ..settings import Settings
from .strips import Band, Cutting, StripEvaluation, Summaries, bands_of, halos_of


class Style(NamedTuple):
    """An image whose style is wanted.

    Attributes:
        image: float32 (h, w, 3), of any size.
        mask: (H, W), how much each pixel counts.
        weight: of its terms beside other styles'.
    """

    image: np.ndarray
    mask: np.ndarray
    weight: float = 1.0


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

    def image(self, x: np.ndarray) -> np.ndarray:
        """The content with free pixels `x` (n,), row by row, RGB one after the other, clipped to [0, 1]."""
        image = self.content.copy()
        image[self.free] = x.reshape(-1, 3)
        return np.clip(image, 0, 1, out=image)


class Objective:
    """Loss and gradient of a problem. What does not change from call to call is computed here, once.

    Args:
        problem: images and masks.
        extractor: a network that puts out `settings.layers`.
        settings: the losses with their weights, and the normalisation.
        on_share: told of the work on the targets.
        cutting: into strips; None: all that changes goes through the network at once.

    Raises:
        InputError: nothing is free, a mask vanishes at the size of a layer's features, or a patch is larger than a
            layer.
    """

    def __init__(
        self,
        problem: Problem,
        extractor: Extractor,
        settings: Settings,
        on_share: OnShare = lambda *_: None,
        cutting: Cutting | None = None,
    ):
        if not problem.free.any():
            raise InputError("Expected a mask that selects something. Received: an empty mask")
        shape = problem.content.shape[:2]
        self._parts = parts = independent_parts(problem.free, settings.layers, settings.style.halo)
        ends = np.cumsum([3 * part.area for part in parts])
        # Of each part where its values are among those of all, and what they are brought back to.
        self._places = [(slice(end - 3 * part.area, end), (*part.shape, 3)) for part, end in zip(parts, ends)]
        self._free = _values_of(problem.free, parts)
        floats = keras.config.floatx()
        values = np.concatenate([problem.content[part.slices].ravel() for part in parts])
        self._values = values.astype(floats, copy=False)
        self._problem = problem
        cells = [{layer: reach(part, shape, layer) for layer in settings.layers} for part in parts]
        kept, halo = set(settings.content.used), settings.style.halo
        if problem.query is None:
            kept |= set(settings.style.queried)
        whole = bands_of(parts, shape, settings.layers)
        if cutting is not None and cutting.cuts(whole):
            content = [_features(extractor, problem.content, of_part, kept, halo) for of_part in cells]
            terms = self._terms(problem, cells, content, extractor, settings, on_share)
            bands = bands_of(parts, shape, settings.layers, halos_of(terms.values()), cutting)
            self._evaluate: Callable = StripEvaluation(terms, bands, parts, problem.content, extractor, cutting)
        else:
            around = [
                _surroundings(extractor, problem.content, part, of_part, kept, halo)
                for part, of_part in zip(parts, cells)
            ]
            content = [features for _, features in around]
            terms = self._terms(problem, cells, content, extractor, settings, on_share)
            networks = [network for network, _ in around]
            looks = [_Look(*of_part, problem.content, terms) for of_part in zip(parts, whole, networks)]
            told = {name: without_constants(term) for name, term in terms.items()}
            self._evaluate = self._at_once(told, looks)

    @property
    def start(self) -> np.ndarray:
        """(n,), the free pixels at the start, row by row, RGB one after the other, of Keras's float type; made at every
        call, so that nobody keeps it."""
        start, free = self._problem.start, self._problem.free
        return (start if free.all() else start[free]).ravel().astype(keras.config.floatx(), copy=False)

    def _at_once(self, terms: dict[str, Term], looks: list["_Look"]) -> Callable:
        """The evaluation in which all that changes goes through the network at once, what does not is kept."""

        def evaluate(values: Tensor) -> dict[str, Tensor]:
            patches = (ops.reshape(values[at], shape) for at, shape in self._places)
            return values_of(terms, [look(patch) for look, patch in zip(looks, patches)])

        return value_and_gradient(evaluate, self._values.shape)

    def _terms(
        self,
        problem: Problem,
        cells: list[dict[str, Rectangle]],
        content: list[Tile],
        extractor: Extractor,
        settings: Settings,
        on_share: OnShare,
    ) -> dict[str, Term]:
        """Every summand of the loss, by the name that reports call it, from the content's features of each part."""
        shape, queries = problem.content.shape[:2], content
        normalization = normalization_of(settings.weighing.normalization, shape)
        if problem.query is not None:
            queried, halo = set(settings.style.queried), settings.style.halo
            queries = [_features(extractor, problem.query, of_part, queried, halo) for of_part in cells]
        masks = _masks_within(problem.mask, cells, settings)
        of_content = settings.content.terms(content, masks, shape, normalization)
        terms = {f"content {layer}": term for layer, term in of_content.items()}
        for number, style in enumerate(problem.styles, start=1):
            of_style = masks if style.mask is problem.mask else _masks_within(style.mask, cells, settings)
            sources = Sources(style.image, of_style, queries, extractor, normalization, settings.solver.seed, on_share)
            name = "style" if len(problem.styles) == 1 else f"style {number}"
            of_layers = settings.style.terms(sources)
            terms |= {f"{name} {layer}": weighted(style.weight, term) for layer, term in of_layers.items()}
        styles = [style.image for style in problem.styles]
        return terms | settings.variation.terms(styles, self._parts, problem.free, normalization)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, dict[str, float]]:
        """Loss, gradient (n,), of Keras's float type, and the weighted terms that the loss sums, at free pixels `x`
        (n,)."""
        self._values[self._free] = x
        tensors, gradient = self._evaluate(self._values)
        terms = {name: float(value) for name, value in tensors.items()}
        return sum(terms.values()), as_array(gradient)[self._free], terms


def _values_of(free: np.ndarray, parts: list[Rectangle]) -> np.ndarray | slice:
    """Where the free pixels' values, row by row in the image, are among those of the parts, one after the other."""
    if len(parts) == 1:  # in the same order; of a large image numbers would take more memory than the values
        within = free[parts[0].slices]
        return slice(None) if within.all() else np.repeat(within, 3)
    in_image, in_parts, before = [], [], 0
    for part in parts:
        row, column = np.nonzero(free[part.slices])
        in_image.append((row + part.top) * free.shape[1] + column + part.left)
        in_parts.append(row * part.shape[1] + column + before)
        before += part.area
    pixels = np.concatenate(in_parts)[np.argsort(np.concatenate(in_image), kind="stable")]
    return (3 * pixels[:, None] + np.arange(3)).ravel()


class _Look:
    """What the terms sum up of a part whose pixels change, all else being kept.

    Args:
        part: its rectangle.
        band: the whole of it.
        network: the network around it.
        content: (H, W, 3), the image around it.
        terms: the summands of the loss.
    """

    def __init__(
        self, part: Rectangle, band: Band, network: ActiveNetwork, content: np.ndarray, terms: dict[str, Term]
    ):
        self.network = network
        self.pixels = Frame.of(content[None].astype(keras.config.floatx(), copy=False), part, band.own[PIXELS])
        self.summaries = Summaries(terms.values(), band)

    def __call__(self, patch: Tensor) -> list[Tensor]:
        """A summary for each term, for pixels (h, w, 3)."""
        return self.summaries(self.network(patch) | {PIXELS: self.pixels.around(patch[None])[0]})


def _features(
    extractor: Extractor, image: np.ndarray, cells: dict[str, Rectangle], layers: set[str], halo: int
) -> Tile:
    """The features of some layers, within the cells that a part's free pixels reach."""
    wanted = {layer: within for layer, within in cells.items() if layer in layers}
    return features_within(extractor, image, wanted, halo)._replace(cells=cells)


def _surroundings(
    extractor: Extractor,
    image: np.ndarray,
    part: Rectangle,
    cells: dict[str, Rectangle],
    layers: set[str],
    halo: int,
) -> tuple[ActiveNetwork, Tile]:
    """The network around a part, and `_features` of that part: both from one pass, unless the part is all there is."""
    wanted = {layer: within.grow(halo) for layer, within in cells.items() if layer in layers}
    window = window_around(cells | wanted, image.shape[:2])
    in_window = {
        layer: rectangle.shift(*(-side for side in window.shrink_to_whole(stride(layer))[:2]))
        for layer, rectangle in wanted.items()
    }
    network = ActiveNetwork(extractor, image[window.slices], part.shift(-window.top, -window.left), in_window)
    if wanted and not network.features:
        return network, _features(extractor, image, cells, layers, halo)
    return network, Tile(network.features, cells, halo)


def _masks_within(
    mask: np.ndarray, cells: list[dict[str, Rectangle]], settings: Settings
) -> dict[str, list[np.ndarray]]:
    """The mask at each layer, within the cells that the free pixels of each part reach."""
    masks, within = masks_at_layers(mask, settings.layers, settings.mask.mask_mode), {}
    for layer in settings.layers:
        within[layer] = [masks[layer][part[layer].slices].astype(keras.config.floatx()) for part in cells]
        if not any(at_layer.any() for at_layer in within[layer]):
            raise InputError(f"Expected a mask that reaches the features of {layer}. Received: one too small for it")
    return within
