"""One correspondence between an object and a painting, found at one layer and carried to all others.

Deep Painterly Harmonization matches once, at a deep layer, and takes the features of every layer at those places, so
that the layers agree on where in the painting the object's look comes from (Luan et al. 2018, section 4.1.2).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.arrays import size_text
from ..images.geometry import Rectangle
from ..network.architecture import feature_shape, stride
from ..network.features import Extractor, Tile, painting_tiles
from .patches import Matches

TONES_OF_MATCHES = 0.02, 0.98  # quantiles; of a few matches their ends

OnShare = Callable[[str, float], None]  # the name of what is being done, and the share of it that is done


class Pairs(NamedTuple):
    """Cells of an object at one layer, and the painting's cells that they correspond to.

    Attributes:
        cells: int32 (n,), flat indices into the rectangle of features that the object reaches.
        places: int32 (n, 2), (row, column) in the painting's features.
    """

    cells: np.ndarray
    places: np.ndarray


def match(
    queries: Sequence[Tile],
    wanted: Mapping[str, Sequence[np.ndarray]],
    extractor: Extractor,
    painting: np.ndarray,
    layers: Sequence[str],
    patch_size: int,
    keep_patches: bool = False,
    memory: int = 512_000_000,
    on_share: OnShare = lambda *_: None,
) -> dict[str, list[Matches]]:
    """For each wanted patch of an image the most similar one of a painting (paper 3.3.2), in each of the layers.

    Args:
        queries: features of each part of the image, with a halo of at least `patch_size // 2` cells.
        wanted: layer -> of each part bool (h, w), true where a match is looked for.
        extractor: of the painting's features.
        painting: (H, W, 3).
        layers: in which to match, each by itself.
        patch_size: side of a patch, odd.
        keep_patches, memory: as in `Matches` and its `search`.
        on_share: told of every tile of the painting.

    Raises:
        InputError: a layer of the painting is smaller than a patch.
    """
    radius = patch_size // 2
    _check_patch_fits(patch_size, painting.shape[:2], layers)
    matches = {
        layer: [
            Matches(query.with_halo(layer, radius), where, patch_size, keep_patches)
            for query, where in zip(queries, wanted[layer])
        ]
        for layer in layers
    }
    steps = 0
    for tile, tiles in painting_tiles(extractor, painting, halo=radius):
        for layer, found in matches.items():
            for part in found if layer in tile.cells else ():
                part.search(tile.features[layer], tile.cells[layer][:2], memory)
            steps += 1
            on_share("matching", steps / (tiles * len(matches)))
    return matches


def _check_patch_fits(size: int, shape: tuple[int, int], layers: Sequence[str]) -> None:
    for layer in layers:
        features = feature_shape(shape, layer)
        if size > min(features):
            sizes = f"{size_text(features)} features of {layer} at a working size of {size_text(shape)}"
            raise InputError(f"Expected patches that fit into the style image's {sizes}. Received: patch_size {size}")


def carry(
    found: Matches,
    at: Rectangle,
    deepest: str,
    mask: np.ndarray,
    within: Rectangle,
    layer: str,
    fullest: float | None = None,
) -> Pairs:
    """Take matches to a shallower layer: a cell goes to the same corner of the match of the deep cell that it lies in.

    Args:
        found: the matches at the deepest layer.
        at: the deepest layer's rectangle of features that `found.wanted` covers.
        deepest, layer: names of the layers; the stride of `layer` is not the larger one.
        mask: (h, w), the object's mask at `layer`; cells that lie in it by more than half are carried, or if the object
            is too thin for that, those that lie in it the most.
        within: the rectangle of features that the mask covers.
        fullest: the mask's largest value, over all parts of the object; None: of this mask.

    Returns:
        Pairs of those cells whose deep cell was matched, in row-major order.
    """
    factor = stride(deepest) // stride(layer)
    places = np.full((*at.shape, 2), -1)
    places[found.wanted] = found.positions
    fullest = mask.max() if fullest is None else fullest
    cells = np.argwhere(mask > 0.5 if fullest > 0.5 else mask == fullest)
    row, column = (cells + (within.top, within.left)).T
    inside = (row // factor < at.bottom) & (column // factor < at.right)  # a pooling drops an odd last row or column
    cells, row, column = cells[inside], row[inside], column[inside]
    matched = places[row // factor - at.top, column // factor - at.left]
    known = matched[:, 0] >= 0
    corners = np.stack([row % factor, column % factor], axis=1)
    numbers = np.ravel_multi_index(cells[known].T, mask.shape)
    return Pairs(numbers.astype(np.int32), (matched * factor + corners)[known].astype(np.int32))


def target_places(
    matched: np.ndarray, tones: np.ndarray, match_once: bool, beyond_matches: float, seed: int
) -> np.ndarray:
    """Where in a painting's layer the features come from that an object's are to be distributed as.

    Popular places match too often, smooth ones above all, so that what is made of all matches is too smooth: each is
    used once (as in DPH's second pass). Some of the rest of the painting widens the palette. It is of the matches' own
    tones, or the object's lightest places would go where the painting's lightest are: a face would take the sky's.

    Args:
        matched: (n, 2), (row, column) of the object's cells' matches at the layer.
        tones: (h, w, K), the painting's, at each place of the layer.
        match_once: use each place once, however often it was matched.
        beyond_matches: how many other places to add, as a share of the matched ones.
        seed: of which others.

    Returns:
        (m, 2).
    """
    if match_once:
        matched = _places(np.unique(np.ravel_multi_index(matched.T, tones.shape[:2])), tones.shape)
    count = round(beyond_matches * len(matched))
    if not count:
        return matched
    own = tones[tuple(matched.T)]
    lowest = np.quantile(own, TONES_OF_MATCHES[0], axis=0, method="lower")
    highest = np.quantile(own, TONES_OF_MATCHES[1], axis=0, method="higher")
    alike = np.flatnonzero(((tones >= lowest) & (tones <= highest)).all(axis=2))
    return np.concatenate([matched, _places(np.random.default_rng(seed).choice(alike, count), tones.shape)])


def _places(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(row, column) of cells that are counted row by row, int32 (n, 2)."""
    return np.stack(np.divmod(numbers, shape[1]), axis=1, dtype=np.int32, casting="same_kind")


def gather(
    extractor: Extractor,
    painting: np.ndarray,
    places: Mapping[str, np.ndarray],
    kept: Callable[[str, np.ndarray], np.ndarray] = lambda _, features: features,
    on_share: Callable[[float], None] = lambda _: None,
) -> dict[str, np.ndarray]:
    """The painting's features at places (n, 2) of each layer: (n, C), in memory that does not follow its size.

    Args:
        kept: (layer, features (m, C) of some of the places) -> what to keep of them (m, K), in place of them.
        on_share: told how much of the painting has been looked at.
    """
    gathered: dict[str, np.ndarray] = {}
    for number, (tile, tiles) in enumerate(painting_tiles(extractor, painting), start=1):
        for layer, at in ((layer, places[layer]) for layer in places if layer in tile.cells):
            top, left, bottom, right = tile.cells[layer]
            inside = ((at >= (top, left)) & (at < (bottom, right))).all(axis=1)
            row, column = (at[inside] - (top, left)).T
            found = kept(layer, tile.without_halo(layer)[row, column])
            gathered.setdefault(layer, np.zeros((len(at), found.shape[1]), found.dtype))[inside] = found
        on_share(number / tiles)
    return gathered
