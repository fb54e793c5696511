"""Whole runs with the real VGG-19 weights: whether the method does what the paper shows."""

import cv2
import numpy as np
import pytest

from reproduce import VGG19, change, find_weights, harmonize, read_image, read_mask, stylize
from reproduce.presets import GATYS, PAPER

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def network():
    return VGG19(find_weights())


def style_loss(report, which):
    return sum(value for name, value in report.loss[which]["terms"].items() if name.startswith("style"))


def test_harmonizing_makes_the_object_of_the_paintings_features(network, materials):
    """Case 20 at half resolution, as the paper has it, in 25 iterations: at most a tenth of the style loss is left."""
    dph = materials / "dph"
    background, composite = (read_image(dph / f"20_{name}.jpg") for name in ("target", "naive"))
    mask = read_mask(dph / "20_c_mask.jpg")
    mask = np.where(mask > 0.5, 1, 0).astype(np.float32)
    result = harmonize(background, composite, mask, change(PAPER, iterations=25), network=network)
    assert style_loss(result.report, "final") < 0.1 * style_loss(result.report, "initial")
    outside = cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
    np.testing.assert_array_equal(result.image[outside], background[outside])
    object_before, object_after = composite[mask > 0], result.image[mask > 0]
    assert 0.01 < np.abs(object_after - object_before).mean() < 0.3  # repainted, and still recognisable
    assert result.report.weights == {"source": network.weights.source, "sha256": network.weights.sha256}


def test_stylize_takes_over_the_colours_of_the_style(network):
    """A grey ramp in the style of red and yellow stripes is no longer grey."""
    rows, columns = np.mgrid[:64, :80] / 80
    content = np.float32(np.repeat(((rows + columns) / 2)[..., None], 3, axis=2))
    stripes = (np.sin(rows * 60) > 0)[..., None]
    style = np.float32(np.where(stripes, [0.9, 0.8, 0.1], [0.8, 0.1, 0.1]))
    settings = change(GATYS, iterations=30, scale=1.0)
    result = stylize(content, style, settings, network=network)
    assert style_loss(result.report, "final") < 0.25 * style_loss(result.report, "initial")
    red, green, blue = result.image.mean(axis=(0, 1))
    assert red > green > blue and red - blue > 0.1
