"""Losses and gradients that another version of the code gave: what is regrouped must not change a result.

`equal_results.json` holds numbers of commit 8bd2a8a, whose objective was one module and whose settings were one flat
value: for each preset of two applications every term of the loss at the start, the gradient's length, and its product
with a fixed direction. They belong to the images that `smooth` and `disc` make, which are sums of seeded random numbers
and so the same everywhere, and to a small network whose random kernels are seeded too: `kernels` is the sum of their
magnitudes, to tell another network from another objective. That code built its problem of the same content, style,
start and mask, with `Extractor(settings.layers, pooling=settings.pooling, width=0.1)`. Those of "harmonize refined" are
of commit 12c9915, without places beyond the matches: today these are of the matches' tones.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from reproduce import VGG19, preset
from reproduce.applications.registry import PRESETS
from reproduce.solving.objective import Objective, Problem, Style

EXPECTED = json.loads(Path(__file__).with_name("equal_results.json").read_text())
SHAPE = (64, 72)
NETWORK = VGG19(width=0.1)
# Other instruction sets and numbers of threads sum in another order: that moves terms by up to 2e-6 of themselves, a
# gradient's length by 3e-7, and its product with a direction by 3e-6 of what a gradient of that length would have.
TOLERANCE = 1e-4


def smooth(seed):
    """A random image with structure of several sizes. Sums and halvings alone: the same on every machine."""
    image = np.random.default_rng(seed).random((*SHAPE, 3))
    for step in (1, 1, 2, 4):
        for axis in (0, 1):
            image = (np.roll(image, step, axis) + 2 * image + np.roll(image, -step, axis)) / 4
    return np.float32((image - image.min()) / np.ptp(image))


def disc():
    """A mask with a soft edge, 18 pixels around."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.float32(np.clip((18 - np.sqrt((rows - 30) ** 2 + (columns - 38) ** 2)) / 4, 0, 1))


def everywhere():
    return np.ones(SHAPE, np.float32)


def direction(size):
    """Of length 1 in `size` dimensions, the same every time."""
    numbers = np.random.default_rng(7).random(size) - 0.5
    return numbers / np.linalg.norm(numbers)


MASKS = {"harmonize": disc, "stylize": everywhere}
# Presets that have changed since, as they were.
GATYS = {
    "pooling": "average", "normalization": "gatys", "style_weight": 1000.0, "content_weight": 1.0, "tv_weight": 0.0,
    "layer_weights": (),
}  # fmt: skip
REFINED = {
    "style_loss": "sliced", "style_layers": ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1"),
    "layer_weights": (), "match_once": True, "beyond_matches": 0.0, "content_weight": 0.05, "tv_weight": 0.002,
    "normalization": "relative",
}  # fmt: skip
EARLIER = {
    ("harmonize", "refined"): preset("refined", "harmonize", **REFINED),
    ("harmonize", "gatys"): preset("gatys", "harmonize", **GATYS),
    ("stylize", "gatys"): preset("gatys", "stylize", **GATYS),
    ("stylize", "refined"): preset("paper", "stylize", scale=1.0),
}


@pytest.fixture(params=[(application, name) for application in MASKS for name in PRESETS], ids=" ".join)
def case(request):
    """Settings, network, what they give at the start, and what they gave."""
    application, name = request.param
    settings, mask = EARLIER.get(request.param) or preset(name, application), MASKS[application]()
    extractor = NETWORK.extractor(settings.layers, settings.network.pooling)
    problem = Problem(smooth(0), (Style(smooth(1), mask),), smooth(2), mask, free=mask > 0)
    objective = Objective(problem, extractor, settings)
    return extractor, objective(objective.start), EXPECTED[f"{application} {name}"]


def test_losses_and_gradients_are_those_of_the_earlier_version(case):
    extractor, (loss, gradient, terms), expected = case
    kernels = sum(float(np.abs(weight).sum()) for weight in extractor.model.get_weights())
    assert kernels == pytest.approx(expected["kernels"], rel=1e-6)
    assert list(terms) == list(expected["terms"])
    assert terms == pytest.approx(expected["terms"], rel=TOLERANCE)
    assert loss == pytest.approx(sum(expected["terms"].values()), rel=TOLERANCE)
    assert len(gradient) == expected["size"]
    assert np.linalg.norm(gradient) == pytest.approx(expected["gradient"], rel=TOLERANCE)
    usual = expected["gradient"] / np.sqrt(len(gradient))  # along a direction that knows nothing of the gradient
    assert gradient @ direction(len(gradient)) == pytest.approx(expected["along"], abs=TOLERANCE * usual)
