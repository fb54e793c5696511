"""The objective against a naive one on the whole canvas, and its gradient against differences of its values."""

import math
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest
import reference

from reproduce.errors import InputError
from reproduce.images.arrays import resize
from reproduce.images.masks import bounding_box
from reproduce.losses import variation
from reproduce.network import features as network_features
from reproduce.network.architecture import reach, stride
from reproduce.network.backend import as_tensor, keras, ops, value_and_gradient
from reproduce.network.features import Extractor
from reproduce.presets import PAPER, REFINED
from reproduce.settings import change
from reproduce.solving import objective
from reproduce.solving.objective import Objective, Problem, Style

# Two layers, so that the twins stay quick; every term has a weight that lets it be seen.
SMALL = change(
    PAPER,
    style_layers=("block3_conv1", "block4_conv1"),
    content_layers=("block4_conv1",),
    content_weight=0.3,
    tv_weight=0.02,
)
STYLE_LOSSES = ("matched", "per_patch", "gram", "sliced", "neighbors")
OF_SORTED = ("sliced", "neighbors")  # whose slope jumps where two projections change places
NORMALIZATIONS = ("mean", "sum", "gatys", "keras", "relative")
MASK_MODES = ("convolve", "area", "max")
ONLY = {"content_weight": 0.0, "style_weight": 0.0, "tv_weight": 0.0}


def soft_disc(shape, center, radius):
    """1 in the middle, 0 from `radius` + 1 on, soft between."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - center[0], columns - center[1])
    return np.clip((radius + 1 - distance) / 3, 0, 1).astype(np.float32)


def random_problem(mask, style_shape=(52, 57), seed=0, free=None, style_masks=None):
    """Unrelated images; the start differs from the content everywhere, free or not.

    Without `free` the mask's pixels are free; without `style_masks` one style counts as much as the content.
    """
    random = np.random.default_rng(seed)
    content, start = random.random((2, *mask.shape, 3), np.float32)
    masks = [mask] if style_masks is None else style_masks
    styles = tuple(Style(random.random((*style_shape, 3), np.float32), of_style) for of_style in masks)
    return Problem(content, styles, start, mask, mask > 0 if free is None else free)


INSIDE = soft_disc((61, 75), (33, 40), 11)
LEFT = INSIDE * (np.arange(75) < 38).astype(np.float32)
WIDER = soft_disc((61, 75), (33, 40), 16)
NARROWER = soft_disc((61, 75), (33, 37), 6)
PROBLEMS = {
    "inside": random_problem(INSIDE),
    "top left": random_problem(soft_disc((61, 75), (3, 5), 9)),
    "bottom right": random_problem(soft_disc((61, 75), (60, 71), 12)),
    "two parts": random_problem(np.maximum(soft_disc((61, 75), (30, 0), 8), soft_disc((61, 75), (12, 60), 6))),
    "whole": random_problem(np.ones((49, 64), np.float32)),
    "window": random_problem(soft_disc((122, 143), (60, 79), 4)),
    "two styles": random_problem(INSIDE, style_masks=(LEFT, INSIDE - LEFT)),
    "free within the mask": random_problem(WIDER, free=INSIDE > 0),
    "free beyond the mask": random_problem(NARROWER, free=INSIDE > 0),
    "masks of their own": random_problem(NARROWER, free=INSIDE > 0, style_masks=(WIDER, LEFT)),
}
SHALLOW = {"style_layers": ("block3_conv1",), "content_layers": ("block3_conv1",)}
CASES = {
    f"{style_loss} {normalization} {mask_mode}": (
        "inside",
        SHALLOW | {"style_loss": style_loss, "normalization": normalization, "mask_mode": mask_mode},
    )
    for style_loss in STYLE_LOSSES
    for normalization in NORMALIZATIONS
    for mask_mode in MASK_MODES
}
CASES |= {
    f"{place} {style_loss}": (place, {"style_loss": style_loss})
    for place in ("top left", "bottom right", "two parts", "whole")
    for style_loss in ("matched", "per_patch", "sliced", "neighbors")
}
CASES |= {
    f"{which} {normalization}": (place, changes | {"normalization": normalization})
    for which, place, changes in (
        ("two layers", "inside", {}),
        ("only content", "two parts", ONLY | {"content_weight": 2.0}),
    )
    for normalization in NORMALIZATIONS
}
CASES |= {
    f"only variation {place}": (place, ONLY | {"tv_weight": 2.0, "normalization": normalization})
    for place, normalization in (
        ("inside", "mean"),
        ("bottom right", "sum"),
        ("whole", "gatys"),
        ("two parts", "relative"),
    )
}
CASES |= {
    f"layer weights {normalization}": ("inside", {"layer_weights": (0.5, 2), "normalization": normalization})
    for normalization in ("mean", "relative")
}
CASES |= {
    "the paper's layers": (
        "two parts",
        {"style_layers": PAPER.style.style_layers, "content_layers": ("block3_conv1", "block4_conv1")},
    ),
    "the refined layers": (
        "bottom right",
        {
            "style_layers": REFINED.style.style_layers,
            "style_loss": "sliced",
            "normalization": "relative",
            "match_once": True,
            "beyond_matches": 0.3,
        },
    ),
    **{f"window {style_loss}": ("window", SHALLOW | {"style_loss": style_loss}) for style_loss in STYLE_LOSSES},
    **{
        f"{place} {style_loss}": (place, SHALLOW | {"style_loss": style_loss, "normalization": normalization})
        for place in ("two styles", "free within the mask", "free beyond the mask", "masks of their own")
        for style_loss, normalization in zip(STYLE_LOSSES, ("mean", "gatys", "sum", "relative", "keras"))
    },
    "two styles at two layers": ("two styles", {}),
    "average pooling": ("inside", {"pooling": "average"}),
    "patches of 1": ("top left", {"patch_size": 1, "style_loss": "per_patch"}),
    "patches of 5": ("bottom right", {"patch_size": 5, "style_loss": "per_patch"}),
    "matched by 5": ("top left", {"patch_size": 5}),
    "neighbors at one layer": (
        "two parts",
        {"style_loss": "neighbors", "neighbor_layers": ("block1_conv1", "block3_conv1")},  # the first is no style layer
    ),
    # The weights of the layers are those of the sliced distances alone.
    "neighbors by 5, weighted": (
        "two parts",
        {"style_loss": "neighbors", "patch_size": 5, "neighbor_weight": 3.0, "layer_weights": (0.5, 2)},
    ),
}


@lru_cache
def network(layers, pooling="max", width=0.05, precision="float32"):
    """VGG-19 with a twentieth of its channels and random weights."""
    return Extractor(layers, pooling=pooling, width=width, precision=precision)


def case(name):
    """The problem, a small random network and the settings of one of `CASES`."""
    place, changes = CASES[name]
    settings = change(SMALL, **changes)
    return PROBLEMS[place], network(settings.layers, settings.network.pooling), settings


# The naive objective: every equation as it is written, on all pixels, nothing precomputed but the matches.


class Naive:
    """Terms of the loss for a whole image (H, W, 3)."""

    def __init__(self, problem, extractor, settings):
        self.problem, self.extractor, self.settings = problem, extractor, settings
        self.normalization = settings.weighing.normalization
        self.content = self.features_of(problem.content)
        self.mask = self.masks_of(problem.mask)
        self.styles = [NaiveStyle(self, style) for style in problem.styles]

    def features(self, image):
        image = ops.cast(image, keras.config.floatx())
        outputs = self.extractor.model(image[None, ..., ::-1] * 255 - np.array([103.939, 116.779, 123.68]))
        return {layer: values[0] for layer, values in outputs.items()}

    def features_of(self, image):
        return {layer: ops.convert_to_numpy(values) for layer, values in self.features(image).items()}

    def masks_of(self, mask):
        """A mask at each layer: 0 beyond what the rectangle of free pixels reaches, where nothing can change."""
        masks = reference.mask_pyramid(mask, self.settings.layers, self.settings.mask.mask_mode)
        pixels = bounding_box(self.problem.free)
        for layer, at_layer in masks.items():
            within = reach(pixels, mask.shape, layer).slices
            masks[layer] = np.zeros_like(at_layer)
            masks[layer][within] = at_layer[within]
        return masks

    def terms(self, image):
        features, terms = self.features(image), {}
        content, style = self.settings.content, self.settings.style
        for layer in content.content_layers if content.content_weight else ():
            weight = content.content_weight / len(content.content_layers)
            terms[f"content {layer}"] = weight * self.content_term(layer, features[layer])
        for number, of_style in enumerate(self.styles, start=1):
            name = "style" if len(self.styles) == 1 else f"style {number}"
            for layer in style.style_layers if style.style_weight else ():
                shared = self.normalization in ("gatys", "keras", "relative")
                weight = style.style_weight / (len(style.style_layers) if shared else 1)
                if style.layer_weights:  # a share of them all, where equal ones would each be 1 / layers
                    own = style.layer_weights[style.style_layers.index(layer)]
                    weight *= own / sum(style.layer_weights) * len(style.style_layers)
                terms[f"{name} {layer}"] = weight * of_style.term(layer, features[layer])
            angles = ()
            if self.settings.style_loss == "neighbors":
                angles = [
                    layer for layer in style.style_layers if layer in (style.neighbor_layers or style.style_layers)
                ]
            for layer in angles:
                weight = style.neighbor_weight / len(angles)
                terms[f"{name} neighbors {layer}"] = weight * of_style.neighbor_term(layer, features[layer])
        if self.settings.variation.tv_weight:
            terms["total variation"] = self.settings.variation.tv_weight * self.variation_term(image)
        return terms

    def content_term(self, layer, features):
        squares = sum_of((features - self.content[layer]) ** 2 * cast(self.mask[layer])[..., None])
        size = np.prod(features.shape)
        if self.normalization == "relative":
            return squares / sum_of(self.content[layer] ** 2 * cast(self.mask[layer])[..., None])
        return squares / {"mean": size, "keras": 1}.get(self.normalization, 2)

    def variation_term(self, image):
        if self.normalization == "relative":
            own = np.mean([own_variation(style.image.astype(np.float64)) for style in self.problem.styles])
            return self.mean_variation(image) / own
        return self.mean_variation(image)

    def mean_variation(self, image):
        free = self.problem.free
        rows = sum_of((image[1:] - image[:-1]) ** 2 * cast(free[1:] | free[:-1])[..., None])
        columns = sum_of((image[:, 1:] - image[:, :-1]) ** 2 * cast(free[:, 1:] | free[:, :-1])[..., None])
        return (rows + columns) / 2 / (1 if self.normalization in ("sum", "keras") else free.sum() * 3)

    def start(self):
        """The first image: only free pixels are the start's."""
        return np.where(self.problem.free[..., None], self.problem.start, self.problem.content)

    def value_and_gradient(self, image):
        """Terms, and the gradient of their sum at the free pixels."""
        terms, gradient = value_and_gradient(self.terms, image.shape)(as_tensor(image))
        of_free = ops.convert_to_numpy(gradient)[self.problem.free].ravel()
        return {name: float(value) for name, value in terms.items()}, of_free


class NaiveStyle:
    """The style terms of one style."""

    def __init__(self, whole, style):
        self.settings, self.normalization = whole.settings, whole.normalization
        self.pixels = whole.problem.mask.size
        self.style_image = style.image
        self.masks, self.painting = whole.masks_of(style.mask), whole.features_of(style.image)
        queries = whole.content if whole.problem.query is None else whole.features_of(whole.problem.query)
        self.matches = {}
        if self.settings.style.style_weight and self.settings.style_loss != "gram":
            for layer in self.settings.style.style_layers:
                self.matches[layer] = reference.nearest_patches(
                    queries[layer], self.masks[layer] > 0, self.painting[layer], self.settings.style.patch_size
                )[1]

    def term(self, layer, features):
        terms = {"gram": self.gram_term, "matched": self.matched_term, "per_patch": self.patch_term}
        terms |= dict.fromkeys(OF_SORTED, self.sliced_term)
        return terms[self.settings.style_loss](layer, features)

    def gram_term(self, layer, features):
        """The style image's Gram matrix for one position, for as many positions as the mask's squares come to."""
        style = self.painting[layer].reshape(-1, features.shape[2])
        target = style.T @ style / len(style) * (self.masks[layer] ** 2).sum() / self.gram_size(layer)
        return self.distance(self.gram(layer, features), cast(target))

    def matched_term(self, layer, features):
        vectors = np.zeros(features.shape)
        for place, match in zip(np.argwhere(self.masks[layer] > 0), self.matches[layer]):
            vectors[tuple(place)] = self.painting[layer][tuple(match)]
        return self.distance(self.gram(layer, features), self.gram(layer, cast(vectors)))

    def patch_term(self, layer, features):
        mask, size = self.masks[layer], self.settings.style.patch_size
        places, radius, channels = np.argwhere(mask > 0), size // 2, features.shape[2]
        padded = ops.pad(features * cast(mask)[..., None], [[radius, radius], [radius, radius], [0, 0]])
        number = np.arange(np.prod(padded.shape[:2])).reshape(padded.shape[:2])
        cells = [number[row : row + size, column : column + size].ravel() for row, column in places]
        patches = ops.take(flat(padded), np.stack(cells), axis=0)
        targets = [
            reference.patch_at(self.painting[layer], *match, size) * reference.patch_at(mask[..., None], *place, size)
            for place, match in zip(places, self.matches[layer])
        ]
        grams = [ops.einsum("pki,pkj->pij", values, values) for values in (patches, cast(np.stack(targets)))]
        distances = ops.sum((grams[0] - grams[1]) ** 2, axis=(1, 2)) * cast(mask[mask > 0])
        gram_size = {"sum": 1, "mean": size**2 * channels, "gatys": size**2}.get(self.normalization, 1)
        if self.normalization == "relative":
            return sum_of(distances) / sum_of(ops.sum(grams[1] ** 2, axis=(1, 2)) * cast(mask[mask > 0]))
        total = sum_of(distances) / gram_size**2 / self.entries(channels)
        return total if self.normalization in ("sum", "keras") else total / mask.sum()

    def sliced_term(self, layer, features):
        """Each cell's target lies in the match of the deep cell above it; sorted along random directions.

        Each once, and others from anywhere, where the settings say so; the sets are then compared by their quantiles.
        """
        style, seed = self.settings.style, self.settings.solver.seed
        deepest = style.style_layers[-1]
        match_of = dict(zip(map(tuple, np.argwhere(self.masks[deepest] > 0)), self.matches[deepest]))
        factor, chosen, places = stride(deepest) // stride(layer), [], []
        for place in np.argwhere(self.masks[layer] >= min(np.nextafter(0.5, 1), self.masks[layer].max())):
            if tuple(place // factor) in match_of:
                chosen.append(np.ravel_multi_index(place, features.shape[:2]))
                places.append(tuple(match_of[tuple(place // factor)] * factor + place % factor))
        painting = self.painting[layer]
        if style.match_once:
            places = sorted(set(places))
        count = round(style.beyond_matches * len(places))
        others = np.random.default_rng(seed).choice(self.alike(layer, places), count) if count else []
        targets = np.stack([painting[tuple(place)] for place in [*places, *others]])
        number = max(32, min(128, 2**20 // len(chosen)))
        directions = np.random.default_rng(seed).standard_normal((features.shape[2], number))
        directions = (directions / np.linalg.norm(directions, axis=0)).astype(keras.config.floatx())
        target = np.sort(targets @ directions, axis=0)
        levels, known = ((np.arange(n) + 0.5) / n for n in (len(chosen), len(targets)))
        target = np.stack([np.interp(levels, known, column) for column in target.T], axis=1)
        along = ops.sort(ops.take(flat(features), chosen, axis=0) @ cast(directions), axis=0)
        return sum_of((along - cast(target)) ** 2) / sum_of(cast(target) ** 2)

    def alike(self, layer, places):
        """All places of the painting that are in none of L*, a* and b* outside almost all of the given ones'."""
        shape = self.painting[layer].shape[:2]
        lab = cv2.cvtColor(resize(self.style_image, shape), cv2.COLOR_RGB2LAB)
        ends = []
        for channel in range(3):
            own = sorted(lab[place][channel] for place in places)
            last = len(own) - 1
            ends.append((own[math.floor(0.02 * last)], own[math.ceil(0.98 * last)]))
        return [
            place
            for place in np.ndindex(*shape)
            if all(low <= value <= high for value, (low, high) in zip(lab[place], ends))
        ]

    def neighbor_term(self, layer, features):
        """How far each feature's direction is from that of its own match, at every layer."""
        mask, found = self.masks[layer], self.matches[layer]
        chosen = ops.take(flat(features), np.flatnonzero(mask > 0), axis=0)
        wanted = self.painting[layer][found[:, 0], found[:, 1]]
        # Features may be dead, and have a length of 0; products with them are 0 too.
        lengths = [ops.sqrt(ops.maximum(ops.sum(values**2, axis=1), 1e-30)) for values in (chosen, cast(wanted))]
        cosines = ops.sum(chosen * cast(wanted), axis=1) / (lengths[0] * lengths[1])
        total = sum_of((1 - cosines) * cast(mask[mask > 0]))
        return total if self.normalization in ("sum", "keras") else total / mask.sum()

    def gram(self, layer, features):
        masked = flat(features * cast(self.masks[layer])[..., None])
        return ops.transpose(masked) @ masked / self.gram_size(layer)

    def gram_size(self, layer):
        total, channels = self.masks[layer].sum(), self.painting[layer].shape[2]
        return {"mean": total * channels, "gatys": total, "relative": total}.get(self.normalization, 1)

    def distance(self, gram, target):
        if self.normalization == "relative":
            return sum_of((gram - target) ** 2) / sum_of(target**2)
        return sum_of((gram - target) ** 2) / self.entries(gram.shape[0])

    def entries(self, channels):
        of_keras = (2 * 3 * self.pixels) ** 2  # channels and size of the image
        return {"sum": 1, "mean": channels**2, "gatys": 4 * channels**2, "keras": of_keras}[self.normalization]


@pytest.mark.parametrize("rows", [1, 3, 7, 8, 9])
def test_a_painting_s_own_variation_some_rows_at_a_time(random, monkeypatch, rows):
    style = random.random((8, 11, 3), np.float32)
    monkeypatch.setattr(variation, "PIXELS_AT_ONCE", rows * 11)
    assert variation._own_variation(style) == pytest.approx(own_variation(style.astype(np.float64)), rel=1e-5)


def own_variation(image):
    """Half the squared differences of neighbours, but for a mean over pixels and channels."""
    return (np.square(np.diff(image, axis=0)).sum() + np.square(np.diff(image, axis=1)).sum()) / 2 / image.size


def cast(values):
    return as_tensor(np.asarray(values))


def flat(features):
    return ops.reshape(features, (-1, features.shape[-1]))


def sum_of(values):
    return ops.sum(ops.cast(values, "float64"))


def compare(name):
    """Relative errors of a case: of each term, of the gradient against the naive one and against differences."""
    problem, extractor, settings = case(name)
    found, naive = Objective(problem, extractor, settings), Naive(problem, extractor, settings)
    loss, gradient, terms = found(found.start)
    expected, expected_gradient = naive.value_and_gradient(naive.start())
    assert list(terms) == list(expected)
    random, step = np.random.default_rng(1), 1e-6
    slopes = []
    for _ in range(2):
        direction = random.normal(size=found.start.size)
        high, low = (found(found.start + sign * step * direction)[0] for sign in (1, -1))
        slopes.append(((high - low) / (2 * step), gradient @ direction))
    slopes = np.array(slopes)
    return {
        "terms": max(abs(terms[term] - expected[term]) / abs(expected[term]) for term in terms),
        "sum": abs(loss - sum(terms.values())) / loss,
        "gradient": float(np.abs(gradient - expected_gradient).max() / np.abs(expected_gradient).max()),
        "differences": float(np.abs(slopes[:, 0] - slopes[:, 1]).max() / np.abs(slopes).max()),
        "smallest term": min(expected.values()),
    }


def all_comparisons():
    return {name: compare(name) for name in CASES}


@pytest.fixture(scope="module")
def errors(in_float64):
    return in_float64("test_objective.all_comparisons()")


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_the_naive_ones_in_float64(errors, name):
    """Up to what masks and matched vectors, which are float32, make of it: less than 1e-6 here."""
    error = errors[name]
    assert error["smallest term"] > 0
    assert error["terms"] < 5e-6 and error["gradient"] < 5e-6 and error["sum"] < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_gradient_matches_central_differences_in_float64(errors, name):
    jumps = CASES[name][1].get("style_loss") in OF_SORTED  # a step across that is a little off
    assert errors[name]["differences"] < (1e-2 if jumps else 1e-5)


@pytest.mark.parametrize("name", ["the paper's layers", "bottom right per_patch", "window gram"])
def test_value_and_gradient_are_the_naive_ones_in_float32(name):
    problem, extractor, settings = case(name)
    found, naive = Objective(problem, extractor, settings), Naive(problem, extractor, settings)
    _, gradient, terms = found(found.start)
    expected, expected_gradient = naive.value_and_gradient(naive.start())
    assert terms == pytest.approx(expected, rel=1e-5)
    assert np.abs(gradient - expected_gradient).max() < 1e-5 * np.abs(expected_gradient).max()


def test_another_image_can_be_matched():
    problem, extractor, settings = case("bottom right matched")
    matched_anew = replace(problem, query=problem.start)
    found, naive = Objective(matched_anew, extractor, settings), Naive(matched_anew, extractor, settings)
    terms, expected = found(found.start)[2], naive.value_and_gradient(naive.start())[0]
    assert terms == pytest.approx(expected, rel=1e-5)
    first = Objective(problem, extractor, settings)
    before = first(first.start)[2]
    assert terms["content block4_conv1"] == pytest.approx(before["content block4_conv1"], rel=1e-6)
    assert terms["style block3_conv1"] < before["style block3_conv1"]


@pytest.mark.parametrize("normalization", ["mean", "sum", "gatys", "keras"])  # the other is tested by hand
@pytest.mark.parametrize("style_loss", ["matched", "per_patch", "gram"])
def test_the_naive_objective_is_made_of_the_twins(style_loss, normalization):
    """Who checks the checker: the same terms from the NumPy twins of the equations alone."""
    settings = change(SMALL, style_loss=style_loss, normalization=normalization, style_layers=("block3_conv1",))
    problem = random_problem(soft_disc((33, 35), (15, 17), 5), (30, 28))
    naive = Naive(problem, network(settings.layers, width=0.02), settings)
    image = naive.start()
    features, of_style = naive.features_of(image), naive.styles[0]
    layer, free = "block3_conv1", problem.free
    mask = of_style.masks[layer]
    places = mask > 0
    painting = of_style.painting[layer]
    gram = reference.gram_matrix(features[layer][places], mask[places], normalization)
    matches = of_style.matches.get(layer, np.zeros((0, 2), int))
    if style_loss == "gram":
        whole = reference.gram_matrix(painting.reshape(-1, painting.shape[2]), np.ones(painting[..., 0].size), "sum")
        divisor = {"mean": mask.sum() * len(gram), "gatys": mask.sum()}.get(normalization, 1)
        target = whole / painting[..., 0].size * (mask**2).sum() / divisor
        style = reference.gram_distance(gram, target, normalization, 33 * 35)
    elif style_loss == "matched":
        vectors = painting[matches[:, 0], matches[:, 1]]
        target = reference.gram_matrix(vectors, mask[places], normalization)
        style = reference.gram_distance(gram, target, normalization, 33 * 35)
    else:
        patches = reference.all_patches(features[layer] * mask[..., None], 3)[places.ravel()]
        weights = reference.all_patches(mask[..., None], 3)[places.ravel()]
        targets = np.stack([reference.patch_at(painting, *match, 3) for match in matches]) * weights
        style = reference.patch_gram_distance(patches, targets, mask[places], normalization, 33 * 35)
    of_content = features["block4_conv1"], naive.content["block4_conv1"], naive.mask["block4_conv1"]
    content = reference.content_loss(*of_content, 4 * 4, normalization)
    variation = reference.total_variation(image, free, normalization)
    expected = {"content block4_conv1": 0.3 * content, f"style {layer}": style, "total variation": 0.02 * variation}
    assert {k: float(v) for k, v in naive.terms(image).items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_naive_angles_to_the_matches_are_their_twins(normalization):
    settings = change(SMALL, style_loss="neighbors", normalization=normalization, style_layers=("block3_conv1",))
    problem = random_problem(soft_disc((33, 35), (15, 17), 5), (30, 28))
    naive = Naive(problem, network(settings.layers, width=0.02), settings)
    features, of_style, layer = naive.features_of(naive.start()), naive.styles[0], "block3_conv1"
    mask, (rows, columns) = of_style.masks[layer], of_style.matches[layer].T
    of_layer = features[layer][mask > 0], of_style.painting[layer][rows, columns], mask[mask > 0]
    found = float(of_style.neighbor_term(layer, as_tensor(features[layer])))
    assert found == pytest.approx(reference.cosine_distance(*of_layer, normalization), rel=1e-4)


# What is optimised


@pytest.fixture
def extractor():
    return network(SMALL.layers)


def test_only_free_pixels_are_variables(extractor):
    problem = random_problem(INSIDE)
    found = Objective(problem, extractor, SMALL)
    free = problem.free
    assert found.start.dtype == np.float32 and found.start.shape == (3 * free.sum(),)
    np.testing.assert_array_equal(found.start, problem.start[free].ravel())
    gradient = found(found.start)[1]
    assert gradient.dtype == np.float32 and gradient.shape == found.start.shape and (gradient != 0).mean() > 0.99


def test_other_pixels_are_the_contents_whatever_the_start(extractor):
    """Also those between the object's outline and its bounding box."""
    problem = random_problem(INSIDE)
    outside = ~problem.free[..., None]
    other = replace(problem, start=np.where(outside, 0.123, problem.start).astype(np.float32))
    first, second = (Objective(p, extractor, SMALL) for p in (problem, other))
    one, two = first(first.start), second(second.start)
    assert one[2] == pytest.approx(two[2], rel=1e-6)
    np.testing.assert_allclose(one[1], two[1], rtol=1e-4, atol=1e-6 * np.abs(one[1]).max())


@pytest.mark.parametrize(
    "place", ["inside", "bottom right", "two parts", "free within the mask", "free beyond the mask"]
)
def test_the_image_leaves_other_pixels_to_the_bit(extractor, place):
    """Also those that a mask covers but that are not free, and those that are free but that no mask covers."""
    problem = PROBLEMS[place]
    found = Objective(problem, extractor, SMALL)
    x = np.random.default_rng(0).uniform(-0.5, 1.5, found.start.size)
    image, free = problem.image(x), problem.free
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[~free], problem.content[~free])
    np.testing.assert_array_equal(image[free].ravel(), np.clip(x, 0, 1).astype(np.float32))
    assert not np.shares_memory(image, problem.content)
    np.testing.assert_array_equal(problem.image(found.start)[free], problem.start[free])


def test_evaluations_do_not_remember_each_other(extractor):
    found = Objective(random_problem(INSIDE), extractor, SMALL)
    first = found(found.start)
    other = found(found.start * 0.5)
    again = found(found.start)
    assert first[0] == pytest.approx(again[0], rel=1e-7) and other[0] != first[0]
    np.testing.assert_allclose(first[1], again[1], rtol=1e-5, atol=1e-7 * np.abs(first[1]).max())


def test_the_problems_arrays_are_not_written_to(extractor):
    problem = random_problem(INSIDE)
    arrays = [getattr(problem, name) for name in ("content", "start", "mask", "free")]
    arrays += [array for style in problem.styles for array in style[:2]]
    copies = [array.copy() for array in arrays]
    found = Objective(problem, extractor, SMALL)
    found(found.start + 0.1)
    problem.image(found.start + 0.1)
    for array, copy in zip(arrays, copies):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_style_terms_do_not_depend_on_the_canvas(extractor, style_loss):
    """The same object and surroundings, far from the borders of a small and of a large canvas."""
    settings = change(SMALL, style_loss=style_loss)
    random = np.random.default_rng(0)
    canvas, start = random.random((2, 304, 288, 3), np.float32)
    mask = soft_disc((304, 288), (150, 145), 7)
    style = random.random((48, 48, 3), np.float32)
    inner = (slice(48, 256), slice(32, 240))  # on the pooling grid
    large, small = (
        Objective(
            Problem(canvas[at], (Style(style, mask[at]),), start[at], mask[at], mask[at] > 0), extractor, settings
        )
        for at in ((slice(None), slice(None)), inner)
    )
    of_large, of_small = large(large.start)[2], small(small.start)[2]
    # The content term is a mean over the positions of the whole canvas.
    of_small["content block4_conv1"] *= (208 // 8) ** 2 / ((304 // 8) * (288 // 8))
    assert of_large == pytest.approx(of_small, rel=1e-5)


def test_the_network_runs_on_no_more_than_a_window(monkeypatch):
    """Else the cases called "window" would say nothing about one."""
    problem, extractor, settings = case("window gram")
    shapes = []

    def spy(extractor, image, *others):
        shapes.append(image.shape)
        return active_network(extractor, image, *others)

    active_network = objective.ActiveNetwork
    monkeypatch.setattr(objective, "ActiveNetwork", spy)
    Objective(problem, extractor, settings)
    assert shapes[0][0] < 100 and shapes[0][1] < 100 and problem.content.shape == (122, 143, 3)


def test_a_painting_in_tiles_gives_the_same_terms(extractor, monkeypatch):
    problem = random_problem(INSIDE, style_shape=(301, 68))
    for style_loss in STYLE_LOSSES:
        settings = change(SMALL, style_loss=style_loss)
        whole = Objective(problem, extractor, settings)
        shares = []
        with monkeypatch.context() as patched:
            for name in ("PIXELS_AT_ONCE", "STRIP_PIXELS"):
                patched.setattr(network_features, name, 1)
            tiled = Objective(problem, extractor, settings, lambda stage, share, to=shares: to.append((stage, share)))
        assert tiled(tiled.start)[2] == pytest.approx(whole(whole.start)[2], rel=1e-5)
        assert len(shares) >= 2 * 3 and shares == sorted(shares) and shares[-1][1] == 1


def test_the_content_term_is_zero_at_the_content(extractor):
    problem = random_problem(INSIDE)
    found = Objective(replace(problem, start=problem.content), extractor, change(SMALL, style_weight=0.0, tv_weight=0))
    loss, gradient, terms = found(found.start)
    assert list(terms) == ["content block4_conv1"]
    assert loss == pytest.approx(0, abs=1e-8) and np.abs(gradient).max() < 1e-4


def test_an_object_made_of_the_painting_has_no_style_loss(extractor):
    """The content matches itself patch by patch, so nothing is left to change."""
    problem = random_problem(INSIDE)
    problem = replace(problem, styles=(Style(problem.content, problem.mask),), start=problem.content)
    for style_loss in ("matched", "per_patch"):
        found = Objective(problem, extractor, change(SMALL, style_loss=style_loss, tv_weight=0.0))
        other = Objective(random_problem(INSIDE), extractor, change(SMALL, style_loss=style_loss, tv_weight=0.0))
        assert found(found.start)[0] < 1e-6 * other(other.start)[0]


def test_an_object_that_is_a_part_of_the_painting_has_neighbours_like_it():
    """Cut out on the pooling grid, with enough around it that its features are the painting's own."""
    painting = np.random.default_rng(0).random((144, 160, 3), np.float32)
    content, mask = painting[16:128, 32:144].copy(), soft_disc((112, 112), (56, 56), 5)
    settings = change(SMALL, **SHALLOW, style_loss="neighbors")
    same = Problem(content, (Style(painting, mask),), content, mask, mask > 0)
    other = replace(same, start=np.random.default_rng(1).random(content.shape, np.float32))
    objectives = [Objective(problem, network(settings.layers), settings) for problem in (same, other)]
    of_same, of_other = (found(found.start)[2]["style neighbors block3_conv1"] for found in objectives)
    assert abs(of_same) < 1e-4 * of_other


@pytest.mark.parametrize("place", ["two parts", "masks of their own"])
def test_without_their_weight_neighbours_leave_the_sliced_distances(extractor, place):
    problem = PROBLEMS[place]
    settings = change(SMALL, style_loss="sliced", match_once=True, beyond_matches=0.5, layer_weights=(2, 1))
    none = change(settings, style_loss="neighbors", neighbor_weight=0.0)
    (_, one, terms), (_, other, of_none) = (
        found(found.start) for found in (Objective(problem, extractor, each) for each in (settings, none))
    )
    assert list(of_none) == list(terms) and of_none == pytest.approx(terms, rel=1e-6)
    np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6 * np.abs(one).max())


def test_weights_scale_their_terms(extractor):
    problem = random_problem(INSIDE)
    one = Objective(problem, extractor, SMALL)
    two = Objective(problem, extractor, change(SMALL, style_weight=3.0, content_weight=0.6, tv_weight=0.2))
    factors = {"content block4_conv1": 2, "style block3_conv1": 3, "style block4_conv1": 3, "total variation": 10}
    expected = {name: factors[name] * value for name, value in one(one.start)[2].items()}
    assert two(two.start)[2] == pytest.approx(expected, rel=1e-6)


# Several styles


@pytest.mark.parametrize("normalization", ["mean", "relative"])
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize("place", ["two styles", "masks of their own"])
def test_each_styles_terms_are_those_it_has_alone(extractor, place, style_loss, normalization):
    settings = change(SMALL, style_loss=style_loss, normalization=normalization, tv_weight=0.0)
    problem = PROBLEMS[place]
    both = Objective(problem, extractor, settings)
    terms = both(both.start)[2]
    layers = list(settings.style.style_layers)
    layers += [f"neighbors {layer}" for layer in layers] if style_loss == "neighbors" else []
    assert list(terms) == ["content block4_conv1", *(f"style {k} {layer}" for k in (1, 2) for layer in layers)]
    for number, style in enumerate(problem.styles, start=1):
        alone = Objective(replace(problem, styles=(style,)), extractor, settings)
        np.testing.assert_array_equal(alone.start, both.start)  # copies
        expected = alone(alone.start)[2]
        assert list(expected) == ["content block4_conv1", *(f"style {layer}" for layer in layers)]
        for layer in layers:
            assert terms[f"style {number} {layer}"] == pytest.approx(expected[f"style {layer}"], rel=1e-5)
        assert terms["content block4_conv1"] == pytest.approx(expected["content block4_conv1"], rel=1e-6)


def test_where_masks_overlap_a_pixel_counts_for_each_style(extractor):
    """Twice the same style under the same mask is that style with twice the weight."""
    problem = random_problem(INSIDE)
    twice = replace(problem, styles=problem.styles * 2)
    once, both = (Objective(each, extractor, change(SMALL, content_weight=0.0)) for each in (problem, twice))
    (_, one, terms), (_, two, doubled) = once(once.start), both(both.start)
    assert doubled["total variation"] == pytest.approx(terms["total variation"], rel=1e-6)
    of_style = Objective(problem, extractor, change(SMALL, content_weight=0.0, style_weight=2.0))
    np.testing.assert_allclose(two, of_style(of_style.start)[1], rtol=1e-4, atol=1e-6 * np.abs(two).max())
    assert not np.allclose(two, one)


# What is free, and what counts: two things

# Two discs so far apart that no feature of block3_conv1 sees both.
NEAR, FAR = soft_disc((64, 128), (32, 24), 9), soft_disc((64, 128), (32, 104), 9)
ONLY_CONTENT = change(SMALL, **SHALLOW, **ONLY | {"content_weight": 2.0})


@pytest.fixture
def shallow():
    return network(("block3_conv1",))


def test_where_the_mask_is_zero_free_pixels_have_no_content_term(shallow):
    free = (NEAR > 0) | (FAR > 0)
    problem = random_problem(NEAR, free=free)
    found = Objective(problem, shallow, ONLY_CONTENT)
    loss, gradient, terms = found(found.start)
    assert list(terms) == ["content block3_conv1"] and found.start.size == 3 * free.sum()
    counts = np.repeat(NEAR[free] > 0, 3)
    assert np.abs(gradient[~counts]).max() <= 1e-7 * np.abs(gradient).max()
    assert (gradient[counts] != 0).mean() > 0.99
    elsewhere = np.where(counts, found.start, 1 - found.start)
    assert found(elsewhere)[0] == pytest.approx(loss, rel=1e-6)
    assert found(np.where(counts, 1 - found.start, found.start))[0] != pytest.approx(loss, rel=1e-2)


def test_free_pixels_that_do_not_count_as_content_may_count_as_style(shallow):
    """The content holds only the near disc; the style takes both."""
    both = np.maximum(NEAR, FAR)
    problem = random_problem(NEAR, free=both > 0, style_masks=(both,))
    far = np.repeat(FAR[both > 0] > 0, 3)
    for weights, moves in (({"content_weight": 2.0}, False), ({"style_weight": 1.0}, True)):
        found = Objective(problem, shallow, change(SMALL, **SHALLOW, **ONLY | weights))
        gradient = np.abs(found(found.start)[1])
        assert (gradient[far].max() > 0.1 * gradient.max()) == moves


def test_a_mask_wider_than_what_is_free_counts_as_far_as_free_pixels_reach(shallow):
    """What lies farther is as it was, and says nothing: there the mask may be anything."""
    free = NEAR > 0
    narrow, wide = (random_problem(mask, free=free) for mask in (NEAR, np.maximum(NEAR, FAR)))
    first, second = (Objective(each, shallow, change(SMALL, **SHALLOW)) for each in (narrow, wide))
    one, two = first(first.start), second(second.start)
    assert two[2] == pytest.approx(one[2], rel=1e-6)
    np.testing.assert_allclose(two[1], one[1], rtol=1e-4, atol=1e-6 * np.abs(one[1]).max())
    image = wide.image(np.random.default_rng(0).random(second.start.size))
    np.testing.assert_array_equal(image[~free], wide.content[~free])


# What cannot be optimised


def test_an_empty_mask_is_refused(extractor):
    with pytest.raises(InputError, match="empty mask"):
        Objective(random_problem(np.zeros((40, 40), np.float32)), extractor, SMALL)


def test_a_mask_that_vanishes_on_the_way_down_is_refused(extractor):
    mask = np.zeros((41, 41), np.float32)
    mask[40, 40] = 1  # the last row and column are dropped by the first pooling
    with pytest.raises(InputError, match="too small"):
        Objective(random_problem(mask), extractor, change(SMALL, mask_mode="area"))


def test_a_patch_larger_than_a_layer_is_refused(extractor):
    with pytest.raises(InputError, match="patch_size 7"):
        Objective(random_problem(INSIDE, style_shape=(52, 57)), extractor, change(SMALL, patch_size=7))


def test_nothing_to_optimise_is_refused():
    with pytest.raises(InputError, match="weight above 0"):
        change(SMALL, **ONLY)
