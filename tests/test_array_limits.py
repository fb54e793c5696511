"""Arrays at the limits: values beyond [0, 1] by rounding, integers of other widths, sizes that shrink and grow."""

import cv2
import numpy as np
import pytest

from reproduce import InputError
from reproduce.images import arrays
from reproduce.images.arrays import (
    MAXIMUM_PIXELS,
    MINIMUM_SIDE,
    as_float32,
    check_image,
    check_size,
    resize,
    scaled_shape,
    split_alpha,
)

IMAGE = np.random.default_rng(0).random((30, 20, 3), np.float32)


# Values


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_rounding_has_left_beyond_the_range_is_cut_and_all_else_is_as_it_was(kind):
    values = IMAGE.astype(kind)
    values[0, 0], values[0, 1] = 1 + 5e-7, -5e-7
    for beyond in (values, np.maximum(values, 0), np.minimum(values, 1)):  # on both sides, or on one
        checked = as_float32(beyond, "the image")
        assert checked.min() >= 0 and checked.max() <= 1
        np.testing.assert_array_equal(checked, np.clip(beyond, 0, 1).astype(np.float32))
    for far in (1 + 2e-6, -2e-6):
        values[0, 0] = far
        with pytest.raises(InputError, match=r"the image with finite values in \[0, 1\]"):
            as_float32(values, "the image")


def test_what_needs_no_change_is_not_copied():
    assert as_float32(IMAGE, "the image") is IMAGE
    assert resize(IMAGE, (30, 20)) is IMAGE
    beyond = 3 * IMAGE - 1
    np.testing.assert_array_equal(resize(beyond, [30, 20]), beyond)


@pytest.mark.parametrize("kind", [np.uint32, np.uint64, np.int8, np.int16, np.int64])
def test_integers_whose_range_nobody_knows_are_refused(kind):
    with pytest.raises(InputError, match=f"or of unsigned bytes. Received: {np.dtype(kind)}"):
        check_image(np.ones((16, 16, 3), kind), "the image")


def test_lists_are_images_too():
    color, alpha = split_alpha(np.dstack([IMAGE, IMAGE[..., :1]]).tolist(), "the picture")
    np.testing.assert_array_equal(color, IMAGE)
    np.testing.assert_array_equal(alpha, IMAGE[..., 0])
    np.testing.assert_array_equal(check_image(IMAGE.tolist(), "the image"), IMAGE)


# Sizes


@pytest.mark.parametrize("shape", [(10, 40), (50, 8), (20, 30), (10, 60), (31, 20), (60, 12), (29, 20), (15, 10)])
def test_areas_are_averaged_where_there_are_fewer_pixels_afterwards(shape):
    """However the sides change: what a side gains and the other loses."""
    way = cv2.INTER_AREA if shape[0] * shape[1] < 30 * 20 else cv2.INTER_CUBIC
    expected = np.clip(cv2.resize(IMAGE, shape[::-1], interpolation=way), 0, 1)
    np.testing.assert_array_equal(resize(IMAGE, shape), expected)


def test_a_scaled_side_is_rounded_and_never_nothing():
    assert scaled_shape((30, 20), 0.5) == (15, 10) and scaled_shape((31, 20, 3), 0.1) == (3, 2)
    assert scaled_shape((30, 20), 0.01) == (1, 1) and scaled_shape((100, 20), 0.02) == (2, 1)
    assert scaled_shape((30, 2000), 0.01) == (1, 20)


def test_sizes_at_both_limits(monkeypatch):
    monkeypatch.setattr(arrays, "MAXIMUM_PIXELS", 16 * 40)
    for shape in ((16, 16), (16, 40), (40, 16), (16, 17, 3)):
        check_size(shape, "the image")
    for shape in ((15, 20), (20, 15)):
        with pytest.raises(InputError, match=f"of at least 16 pixels on each side. Received: {shape[1]} x {shape[0]}"):
            check_size(shape, "the image")
    for shape in ((16, 41), (41, 16), (26, 25)):
        with pytest.raises(InputError, match=f"Expected the image of at most 0 megapixels. .* {shape[1]} x {shape[0]}"):
            check_size(shape, "the image")


def test_the_limits_are_a_feature_and_a_hundred_megapixels():
    assert MINIMUM_SIDE == 2**4  # four poolings to the fifth block
    check_size((10_000, MAXIMUM_PIXELS // 10_000), "the image")
    with pytest.raises(InputError, match=r"Expected the image of at most 100 megapixels. Received: 10001 x 10000"):
        check_size((10_000, 10_001), "the image")
