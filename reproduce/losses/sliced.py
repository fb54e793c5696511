"""Sliced Wasserstein distances (Heitz et al. 2021) to a painting's features at one correspondence (DPH's 2nd pass)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..images.arrays import resize, to_lab
from ..matching.correspondence import Pairs, carry, gather, target_places
from ..matching.patches import Matches
from ..network.architecture import channels, feature_shape, stride
from ..network.backend import Tensor, as_array, as_tensor, ops, row_by_row, sort
from ..options import NOT_NEGATIVE, option
from .matched import Matching
from .normalization import normalized, sum_of
from .terms import Rows, Sources, Term, at

SORTED_NUMBERS = 1 << 20  # projections of one layer that an evaluation sorts, about 50 ms
FEWEST = 32  # directions, however many features there are
PROJECTED_NUMBERS = 1 << 26  # projections of a painting that are held at once
SAMPLES = 1 << 17  # of a distribution that are made at once: in between they take ten times as much
QUANTILES = 1 << 17  # that describe a target along a direction, where more features are compared with it
COPIES = 7  # of projections that are held, fitted to objects of 0.7 megapixels with `refined`
PLACE_BYTES = 12  # of a target's place, and of the cell that it is for
ROW_BYTES = 45  # of what one direction's projections of the finest layer are sorted in


@dataclass(frozen=True)
class Sliced(Matching):
    """Of each layer the sliced distance to the painting's features at one correspondence of the deepest layer."""

    match_once: bool = option(False, "use each matched place once, however often it was matched")
    beyond_matches: float = option(
        0.0,
        "add places from all over the painting, of the matches' tones, as a share of the matched ones",
        NOT_NEGATIVE,
    )

    @property
    def queried(self) -> tuple[str, ...]:
        return (self.deepest,)

    @property
    def bytes_per_pixel(self) -> float:
        """Projections, or in their place slopes; and what one direction's are sorted in."""
        return self._projections + ROW_BYTES / min(map(stride, self.style_layers)) ** 2

    def making_bytes(self, pixels: float) -> float:
        """Queries and their matches; the places of the targets, and as many of their projections as are held."""
        of_targets = (1 + self.beyond_matches) * pixels
        places = sum(PLACE_BYTES / stride(layer) ** 2 for layer in self.style_layers)
        projections = min(4 * PROJECTED_NUMBERS, of_targets * self._projections)
        return super().making_bytes(pixels) + of_targets * places + projections

    @property
    def bytes_per_pixel_at_once(self) -> float:
        """The features that are projected, their slopes, and those back at their places; and of all that goes through
        the network at once the projections, those of the target, what they are sorted in, and slopes."""
        features = sum(4 * 4 * channels(layer) / stride(layer) ** 2 for layer in self.style_layers)
        return features + (COPIES - 1) * self._projections

    @property
    def _projections(self) -> float:
        """Bytes of them, for a pixel."""
        return sum(4 * FEWEST / stride(layer) ** 2 for layer in self.style_layers)

    def layer_terms(self, sources: Sources) -> dict[str, Term]:
        return self.distances(self.matches(sources, (self.deepest,))[self.deepest], sources)

    @property
    def deepest(self) -> str:
        """The layer whose matches are carried to the others."""
        return max(self.style_layers, key=stride)

    def distances(self, found: list[Matches], sources: Sources) -> dict[str, Term]:
        """Layer -> its term, from the matches of the deepest."""
        carried = {layer: _carried(found, self.deepest, layer, sources) for layer in self.style_layers}
        # A thin object may not fill a cell of a deep layer by half.
        pairs = {layer: pair for layer, pair in carried.items() if len(pair.cells)}
        places = {
            layer: target_places(
                pair.places, _tones(sources.painting, layer), self.match_once, self.beyond_matches, sources.seed
            )
            for layer, pair in pairs.items()
        }
        directions = {
            layer: _directions(sources.extractor.depth(layer), len(pair.cells), sources.seed)
            for layer, pair in pairs.items()
        }
        # All that is asked of a painting's features is how they are distributed along each direction.
        targets: dict[str, list[np.ndarray]] = {layer: [] for layer in pairs}
        passes = _passes(places, directions)
        for number, along in enumerate(passes):

            def on_share(share: float, done: int = number) -> None:
                sources.on_share("style features", (done + share) / len(passes))

            for layer, projected in _gathered(along, places, directions, sources, on_share).items():
                count = min(len(pairs[layer].cells), QUANTILES)
                # They are as many as the painting has pixels, and so sorted along one direction after the other.
                targets[layer] += (as_array(quantiles(as_tensor(np.sort(each)), count)) for each in projected.T)
        return {
            layer: _term(layer, pair.cells, sources.masks[layer], np.stack(targets.pop(layer)), directions[layer])
            for layer, pair in pairs.items()
        }


def _carried(found: list[Matches], deepest: str, layer: str, sources: Sources) -> Pairs:
    """The matches at the deepest layer taken to another, of all parts; cells are counted over all of them."""
    cells, places, before = [], [], 0
    fullest = max(mask.max() for mask in sources.masks[layer])
    for matches, query, mask in zip(found, sources.queries, sources.masks[layer]):
        pairs = carry(matches, query.cells[deepest], deepest, mask, query.cells[layer], layer, fullest)
        cells.append(pairs.cells + before)
        places.append(pairs.places)
        before += mask.size
    return Pairs(np.concatenate(cells), np.concatenate(places))


def _tones(painting: np.ndarray, layer: str) -> np.ndarray:
    """The painting's CIE Lab at the size of a layer's features (h, w, 3)."""
    return to_lab(resize(painting, feature_shape(painting.shape[:2], layer)))


def _directions(depth: int, count: int, seed: int) -> Tensor:
    """Directions (C, K), of unit length, along which so many features of `depth` channels are compared."""
    number = int(np.clip(SORTED_NUMBERS // count, FEWEST, 128))
    random = np.random.default_rng(seed).standard_normal((depth, number))
    return as_tensor(random / np.linalg.norm(random, axis=0))


def _passes(places: Mapping[str, np.ndarray], directions: Mapping[str, Tensor]) -> list[dict[str, range]]:
    """For each time that the painting goes through the network: layer -> those of its directions along which features
    are projected, as many as can be held at once.

    The deepest layers come first: what is left for later is shallow, and takes little time.
    """
    passes: list[dict[str, range]] = [{}]
    room = PROJECTED_NUMBERS
    for layer in sorted(places, key=stride, reverse=True):
        done, count, number = 0, len(places[layer]), directions[layer].shape[1]
        while done < number:
            if room < count and passes[-1]:
                passes.append({})
                room = PROJECTED_NUMBERS
            end = min(number, done + max(1, room // count))
            passes[-1][layer] = range(done, end)
            room -= (end - done) * count
            done = end
    return passes


def _gathered(
    along: Mapping[str, range],
    places: Mapping[str, np.ndarray],
    directions: Mapping[str, Tensor],
    sources: Sources,
    on_share: Callable[[float], None],
) -> dict[str, np.ndarray]:
    """The painting's features at the places of each layer, projected along some of the layer's directions: (n, K)."""

    def projected(layer: str, features: np.ndarray) -> np.ndarray:
        some = directions[layer][:, along[layer].start : along[layer].stop]
        return as_array(projections(as_tensor(features), some)).T

    of_layers = {layer: places[layer] for layer in along}
    return gather(sources.extractor.of(tuple(along)), sources.painting, of_layers, projected, on_share)


def _term(layer: str, cells: np.ndarray, masks: list[np.ndarray], target: np.ndarray, directions: Tensor) -> Term:
    """Sliced distance of the features at `cells`, counted over all masks, to others, whose quantiles along each
    direction are (K, m)."""
    target_quantiles, count = as_tensor(target), len(cells)
    energy = energy_of(target_quantiles, count)
    ends = np.cumsum([mask.size for mask in masks])
    where = [np.zeros(mask.shape, bool) for mask in masks]
    for part, end in zip(where, ends):
        part.flat[cells[(cells >= end - part.size) & (cells < end)] - (end - part.size)] = True
    return Term(
        layer,
        constants=lambda cut: cut.chosen(where)[1:],
        summary=lambda features, places: projections(at(features, places), directions),
        value=lambda along: sliced_wasserstein_distance(along, target_quantiles),
        joined=lambda several: ops.reshape(ops.concatenate(several, axis=-1), (directions.shape[1], count)),
        rows=Rows(target, lambda row, of_row: normalized(_of_sorted(row[None], of_row[None]), lambda: energy, None)),
    )


def sliced_wasserstein_distance(along: Tensor, target: Tensor) -> Tensor:
    """Squared sliced 2-Wasserstein distance of two sets (Heitz et al. 2021, equation 3), over the target's energy.

    Along a direction the best assignment of two sets of numbers is that of their sorted orders.

    Args:
        along: (K, n), a set's `projections`: their order does not count.
        target: (K, m), another set's, sorted; if not as many, then quantiles of it.
    """
    return normalized(_of_sorted(along, target), lambda: energy_of(target, along.shape[1]), None)


def energy_of(target: Tensor, count: int) -> Tensor:
    """The sum of the squares of `count` features along some directions, whose quantiles are (K, m)."""
    return count / target.shape[1] * sum_of(ops.square(target))


def _of_sorted(along: Tensor, target: Tensor) -> Tensor:
    """The squared distance of numbers (K, n), sorted, to sorted ones (K, m); its slope is known with it.

    One direction after the other: what sorting takes, and what the backend would keep of it for the gradient, is
    several times as much as there are numbers.
    """

    def of_direction(numbers: Tensor, sorted_target: Tensor) -> tuple[Tensor, Tensor]:
        in_order, put_back = sort(numbers)
        difference = in_order - quantiles(sorted_target, numbers.shape[0])
        return sum_of(ops.square(difference)), put_back(2 * difference)

    @ops.custom_gradient
    def distance(along: Tensor) -> tuple[Tensor, Callable]:
        distances, slopes = row_by_row(of_direction, (along, target), ("float64", along.dtype))
        return ops.sum(distances), lambda upstream: ops.cast(upstream, slopes.dtype) * slopes

    return distance(along)


def projections(features: Tensor, directions: Tensor) -> Tensor:
    """Features (n, C) along each of the directions (C, K), of unit length: (K, n)."""
    return ops.transpose(ops.matmul(features, directions))


def quantiles(values: Tensor, count: int) -> Tensor:
    """What `count` samples would be like, if they were distributed as the sorted values (..., n): (..., count).

    Each value stands at the middle of its own nth of the distribution; between two of them it is linear.
    """
    number = values.shape[-1]
    if number == count:
        return values

    def samples(first: Tensor) -> Tensor:
        sample = ops.cast(first, "float64") + ops.arange(min(count, SAMPLES), dtype="float64")
        position = ops.clip((sample + 0.5) / count * number - 0.5, 0, number - 1)
        lower = ops.cast(position, "int32")
        fraction = ops.cast(position - ops.cast(lower, "float64"), values.dtype)
        upper = ops.minimum(lower + 1, number - 1)
        return ops.take(values, lower, axis=-1) * (1 - fraction) + ops.take(values, upper, axis=-1) * fraction

    if count <= SAMPLES:
        return samples(0)
    (blocks,) = row_by_row(lambda first: (samples(first),), (ops.arange(0, count, SAMPLES),), (values.dtype,))
    return ops.reshape(ops.moveaxis(blocks, 0, -2), (*values.shape[:-1], -1))[..., :count]
