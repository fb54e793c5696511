"""Softening, growing a mask, and taking it down the network: against slow twins and worked examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reproduce.errors import InputError
from reproduce.images.geometry import Rectangle
from reproduce.images.masks import bounding_box, check_mask, feather, grow
from reproduce.network.architecture import LAYERS, feature_shape, operations_until, reach
from reproduce.network.mask_pyramid import masks_at_layers

MODES = ("convolve", "area", "max")
EPSILON = 1e-6
masks_of = lambda *shape: arrays.arrays(np.float32, shape, elements=st.sampled_from([0, 0, 0.25, 1]))  # noqa: E731


# Softening.


def test_feather_of_one_point_is_a_gaussian():
    mask = np.zeros((31, 31), np.float32)
    mask[15, 15] = 1
    squares = np.add.outer((np.arange(31) - 15.0) ** 2, (np.arange(31) - 15.0) ** 2)
    gaussian = np.exp(-squares / (2 * 2.0**2))
    window = np.abs(np.arange(31) - 15) <= 6
    gaussian[~np.logical_and.outer(window, window)] = 0
    np.testing.assert_allclose(feather(mask, 2.0), gaussian / gaussian.sum(), atol=1e-6)


@settings(max_examples=30)
@given(mask=masks_of(24, 30), sigma=st.sampled_from([0.3, 1, 2, 3.4]))
def test_feather_reaches_three_sigma(mask, sigma):
    """Exactly 0 farther than that from the mask, and above 0 nearer."""
    radius = int(np.ceil(3 * sigma))
    near = np.zeros(mask.shape, bool)
    for y, x in np.argwhere(mask > 0):
        near[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1] = True
    soft = feather(mask, sigma)
    assert soft.dtype == np.float32 and soft.min() >= 0 and soft.max() <= 1
    np.testing.assert_array_equal(soft > 0, near)


@settings(max_examples=30)
@given(mask=masks_of(24, 30), more=masks_of(24, 30))
def test_feather_is_monotone(mask, more):
    assert (feather(np.maximum(mask, more), 1.5) >= feather(mask, 1.5) - EPSILON).all()


@settings(max_examples=30)
@given(mask=masks_of(24, 30))
def test_feather_is_symmetric(mask):
    soft = feather(mask, 1.5)
    np.testing.assert_allclose(feather(mask[::-1], 1.5), soft[::-1], atol=EPSILON)
    np.testing.assert_allclose(feather(mask[:, ::-1], 1.5), soft[:, ::-1], atol=EPSILON)
    np.testing.assert_allclose(feather(np.ascontiguousarray(mask.T), 1.5), soft.T, atol=EPSILON)


def test_full_and_empty_masks_stay_so():
    np.testing.assert_allclose(feather(np.ones((20, 30), np.float32), 5.0), 1, atol=EPSILON)
    np.testing.assert_array_equal(feather(np.zeros((20, 30), np.float32), 5.0), 0)


def test_mask_at_the_border_stays_full_there():
    """An object that the image's edge cuts off does not fade towards that edge."""
    mask = np.zeros((40, 40), np.float32)
    mask[:20] = 1
    soft = feather(mask, 2.0)
    np.testing.assert_allclose(soft[:13], 1, atol=EPSILON)
    np.testing.assert_allclose(soft[19] + soft[20], 1, atol=EPSILON)  # half-way in the middle of the edge


def test_no_feather():
    mask = np.eye(20, dtype=np.float32)
    np.testing.assert_array_equal(feather(mask, 0), mask)


@pytest.mark.parametrize("sigma", [-1, float("nan"), float("inf")])
def test_impossible_feather(sigma):
    with pytest.raises(InputError, match="Expected a feather of 0 or more pixels"):
        feather(np.ones((20, 30), np.float32), sigma)


# Growing.


@pytest.mark.parametrize("radius", [1, 2, 5, 12])
def test_a_point_grows_to_a_disc(radius):
    mask = np.zeros((41, 41), np.float32)
    mask[20, 20] = 0.75
    distance = np.hypot(*np.mgrid[-20:21, -20:21])
    grown = grow(mask, radius)
    assert set(np.unique(grown)) == {0, 0.75}
    assert grown[distance <= radius - 1].min() > 0
    assert grown[distance >= radius + 1].max() == 0
    assert grown[20, 20 + radius] > 0 and grown[20, 21 + radius] == 0
    np.testing.assert_array_equal(grown, grown[::-1])
    np.testing.assert_array_equal(grown, grown[:, ::-1])


def test_growing_by_nothing():
    mask = np.eye(20, dtype=np.float32)
    np.testing.assert_array_equal(grow(mask, 0), mask)


def test_grown_mask_is_clipped_by_the_image():
    mask = np.zeros((20, 20), np.float32)
    mask[0, 0] = 1
    grown = grow(mask, 3)
    assert grown[:3, 0].min() == 1 and grown[5:].max() == 0 and grown[:, 5:].max() == 0


# Down the network.


@settings(max_examples=40, deadline=None)
@given(data=st.data(), mode=st.sampled_from(MODES), shape=st.tuples(st.integers(16, 41), st.integers(16, 41)))
def test_masks_at_layers_against_a_slow_twin(data, mode, shape):
    mask = data.draw(masks_of(*shape))
    ours, twin = masks_at_layers(mask, LAYERS, mode), slow_masks_at_layers(mask, mode)
    assert list(ours) == list(LAYERS)
    for layer in LAYERS:
        assert ours[layer].dtype == np.float32
        assert ours[layer].min() >= 0 and ours[layer].max() <= 1
        np.testing.assert_allclose(ours[layer], twin[layer], atol=1e-5, err_msg=layer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(16, 16), (17, 31), (33, 64), (100, 75)])
def test_masks_have_the_features_sizes_and_full_stays_full(mode, shape):
    at_layers = masks_at_layers(np.ones(shape, np.float32), LAYERS, mode)
    assert {layer: mask.shape for layer, mask in at_layers.items()} == {
        layer: feature_shape(shape, layer) for layer in LAYERS
    }
    for mask in at_layers.values():
        np.testing.assert_allclose(mask, 1, atol=EPSILON)


@pytest.mark.parametrize("mode", MODES)
def test_empty_stays_empty(mode):
    for mask in masks_at_layers(np.zeros((33, 47), np.float32), LAYERS, mode).values():
        np.testing.assert_array_equal(mask, 0)


def test_masks_by_hand():
    """One pixel of 16 at (2, 2) of 4 x 4."""
    mask = np.zeros((4, 4), np.float32)
    mask[2, 2] = 1
    convolved = masks_at_layers(mask, ["block1_conv1", "block1_conv2"], "convolve")
    third = np.float32([[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]) / 9
    np.testing.assert_allclose(convolved["block1_conv1"], third, atol=EPSILON)
    # Beyond the border the nearest pixel counts: the last row and column count twice.
    twice = np.float32([[1, 2, 3, 3], [2, 4, 6, 6], [3, 6, 9, 9], [3, 6, 9, 9]]) / 81
    np.testing.assert_allclose(convolved["block1_conv2"], twice, atol=EPSILON)
    block2 = {mode: masks_at_layers(mask, ["block2_conv1"], mode)["block2_conv1"] for mode in ("area", "max")}
    np.testing.assert_allclose(block2["area"], [[0, 0], [0, 0.25]])
    np.testing.assert_allclose(block2["max"], [[0, 0], [0, 1]])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), mode=st.sampled_from(MODES), shape=st.tuples(st.integers(16, 70), st.integers(16, 70)))
def test_mask_stays_within_what_the_free_pixels_reach(data, mode, shape):
    """Where no free pixel has an influence, no loss may ask for a change."""
    top, left = data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))
    bottom, right = data.draw(st.integers(top + 1, shape[0])), data.draw(st.integers(left + 1, shape[1]))
    pixels = Rectangle(top, left, bottom, right)
    mask = np.zeros(shape, np.float32)
    mask[pixels.slices] = 1
    for layer, at_layer in masks_at_layers(mask, LAYERS, mode).items():
        at_layer = at_layer.copy()
        at_layer[reach(pixels, shape, layer).slices] = 0
        assert not at_layer.any(), layer


def test_masks_of_unknown_layers():
    with pytest.raises(InputError, match="Expected a layer of VGG-19"):
        masks_at_layers(np.ones((32, 32), np.float32), ["conv4_1"], "area")


# Checking.


def test_bounding_box():
    mask = np.zeros((20, 30), np.float32)
    mask[3, 7] = mask[11, 5] = 1e-6
    assert bounding_box(mask) == Rectangle(3, 5, 12, 8)
    assert bounding_box(np.ones((20, 30))) == Rectangle(0, 0, 20, 30)
    with pytest.raises(InputError, match="empty mask"):
        bounding_box(np.zeros((20, 30)))


@pytest.mark.parametrize(
    "kind", [bool, np.uint8, np.int64, np.uint16, ">u2", np.float16, np.float32, np.float64, ">f8"]
)
def test_check_mask_accepts(kind):
    mask = np.zeros((20, 30))
    mask[3:6, 4:9] = 1
    checked = check_mask(mask.astype(kind))
    assert checked.dtype == np.float32 and checked.dtype.isnative and checked.flags.c_contiguous
    np.testing.assert_array_equal(checked, mask)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.uint64, np.int16])
@pytest.mark.parametrize("inside", [1, 2, 100, 128, 255])
def test_integers_are_taken_by_their_own_levels(kind, inside):
    mask = np.zeros((20, 30), kind)
    mask[3:6, 4:9] = inside
    np.testing.assert_array_equal(check_mask(mask), mask > 0)


@pytest.mark.parametrize("kind, whole", [(np.uint8, 255), (np.uint16, 65535), (np.int64, 255), (np.int64, 65535)])
def test_soft_integers_are_shares_of_their_range(kind, whole):
    ramp = np.tile(np.linspace(0, whole, 40).round().astype(kind), (20, 1))
    np.testing.assert_allclose(check_mask(ramp), ramp / whole, atol=1e-6)


@given(arrays.arrays(np.float32, (18, 21), elements=st.floats(0, 1, width=32)))
def test_soft_floats_are_taken_as_they_stand(mask):
    mask[0, 0], mask[1, 1] = 0, 1
    np.testing.assert_array_equal(check_mask(mask), mask)
    np.testing.assert_array_equal(check_mask(check_mask(mask)), mask)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("view", [
    lambda mask: mask[..., None], lambda mask: mask[::-1], lambda mask: mask[:, ::-1], lambda mask: mask.T,
    lambda mask: np.dstack([mask, mask, mask])[..., 1],
], ids=["one channel", "rows", "columns", "transposed", "one of three channels"])  # fmt: skip
def test_checked_masks_may_be_views_and_are_never_changed(kind, view):
    mask = np.zeros((20, 30), kind)
    mask[3:6, 4:9] = 255 if kind == np.uint8 else 1
    mask = view(mask)
    mask.setflags(write=False)
    before = mask.copy()
    checked = check_mask(mask)
    assert checked.ndim == 2 and checked.dtype == np.float32 and checked.flags.c_contiguous
    np.testing.assert_array_equal(checked, before.reshape(checked.shape) > 0)
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("mask, received", [
    (np.zeros((20, 30)), "an empty mask"),
    (np.full((20, 30), 0.1), "an empty mask"),
    (np.ones((20, 30)), "a full mask"),
    (np.full((20, 30), 0.6), "a full mask"),
    (np.zeros((20, 30), np.uint8), "an empty mask"),
    (np.full((20, 30), 255), "a full mask"),
    (np.full((20, 30), 255, np.uint8), "a full mask"),
    (np.ones((20, 30), bool), "a full mask"),
    (np.ones((20, 30, 3)), r"\(20, 30, 3\)"),
    (np.ones((20, 30, 2)), r"\(20, 30, 2\)"),
    (np.ones((1, 20, 30)), r"\(1, 20, 30\)"),
    (np.ones(30), r"\(30,\)"),
    (np.zeros((0, 30)), r"\(0, 30\)"),
    (np.full((20, 30), -0.5), "-0.5"),
    (255.0 * np.eye(20), "0.0 to 255.0"),
    (np.eye(20) - 1e-5, "-1e-05 to"),
    (np.where(np.eye(20), np.nan, 1), "nan"),
    (np.where(np.eye(20), np.inf, 1), "1.0 to inf"),
    (np.where(np.eye(20), -np.inf, 1), "-inf to 1.0"),
    (np.eye(20, dtype=complex), "complex128"),
    (np.full((20, 30), "a"), "<U1"),
    (-np.eye(20, dtype=int), "-1 to 0"),
    (70000 * np.eye(20, dtype=int), "0 to 70000"),
    (np.full((20, 30), 1), r"levels 1 \(of 255\)"),
    (np.full((20, 30), 100), r"levels 100 \(of 255\)"),
    (np.arange(20) // 7 * np.ones((20, 1), int), r"levels 0, 1, 2 \(of 255\)"),
    (np.uint8(np.arange(20) // 7 * np.ones((20, 1))), r"levels 0, 1, 2 \(of 255\)"),
])  # fmt: skip
def test_check_mask_refuses(mask, received):
    with pytest.raises(InputError, match=f"Expected (a|the) mask .*Received: .*{received}"):
        check_mask(mask)


# Twins.


def slow_masks_at_layers(mask, mode):
    """Cell by cell, in float64, over a list of coordinates clipped to the border."""
    at_layers, mask = {}, mask.astype(np.float64)
    for operation in operations_until((LAYERS[-1],)):
        height, width = mask.shape
        if operation.kind == "pooling":
            reduce = max if mode == "max" else lambda cells: sum(cells) / len(cells)
            quarters = lambda i, j, m=mask: m[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel().tolist()  # noqa: E731
            shape = height // 2, width // 2
            mask = np.array([[reduce(quarters(i, j)) for j in range(shape[1])] for i in range(shape[0])])
        elif mode == "convolve":
            around = lambda i, n: [min(max(i + d, 0), n - 1) for d in (-1, 0, 1)]  # noqa: E731
            rows = np.array([mask[around(i, height)].mean(axis=0) for i in range(height)])
            mask = np.array([rows[:, around(j, width)].mean(axis=1) for j in range(width)]).T
        at_layers[operation.name] = mask
    return {layer: at_layers[layer] for layer in LAYERS}
