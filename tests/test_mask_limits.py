"""Masks at the limits of what counts as one: half full, half empty, and a few values beyond its two levels."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from reproduce import InputError
from reproduce.images.files import Picture, mask_of
from reproduce.images.masks import check_mask, lightness, read_levels

HALF = np.nextafter(np.float32(0.5), np.float32(0))  # the largest number below


def square(inside, outside, shape=(40, 50)):
    mask = np.full(shape, outside, np.float32)
    mask[10:30, 12:36] = inside
    return mask


def test_a_pixel_of_half_is_inside():
    assert check_mask(square(0.5, 0.0)).max() == 0.5
    with pytest.raises(InputError, match=r"an empty mask, all below 0\.5"):
        check_mask(square(HALF, 0.0))
    assert check_mask(square(1.0, HALF)).min() == HALF
    with pytest.raises(InputError, match="a full mask"):
        check_mask(square(1.0, 0.5))


@pytest.mark.parametrize(("beyond", "count", "taken"), [
    (255, 2, True), (255, 8, False), (0, 2, True), (0, 8, False), (205, 8, False), (44, 8, False), (190, 8, True),
    (62, 8, True),
])  # fmt: skip
def test_few_values_beyond_the_two_levels_are_none_of_the_mask_many_are_a_doubt(beyond, count, taken):
    """One in a thousand is a fault of the file; more may be a third label. Levels here are 60 and 180."""
    values = square(180, 60)
    places = np.random.default_rng(0).permutation(np.argwhere(values == (180 if beyond > 120 else 60)))[:count]
    values[tuple(places.T)] = beyond
    values = values / np.float32(255)
    assert count / values.size > 0.001 or taken
    if not taken:
        with pytest.raises(InputError, match=r"levels (0, |44, )?60, 180"):
            read_levels(values, "mask.png")
        return
    mask, said = read_levels(values, "mask.png")
    assert mask.min() == 0 and mask.max() == 1 and "60 and 180 (of 255) are taken for outside and inside" in said
    expected = square(1.0, 0.0)
    assert (mask != expected).sum() <= count
    assert np.abs(mask - expected).max() <= (0 if abs(beyond - 120) > 60 else 2 / 120 + 1e-6)


@pytest.mark.parametrize(("height", "taken"), [(8, True), (9, False)])
@pytest.mark.parametrize("side", ["top", "middle", "bottom"])
def test_a_third_level_is_a_label_where_a_square_of_nine_pixels_fits(height, taken, side):
    """Thinner it is the edge of something, at the border of the image as in the middle."""
    values = square(1.0, 0.0, (60, 50))
    top = {"top": 0, "middle": 40, "bottom": 60 - height}[side]
    values[top : top + height, 14:34] = 0.5
    if taken:
        mask, said = read_levels(values, "mask.png")
        np.testing.assert_array_equal(mask, values)
        assert said == ""
    else:
        with pytest.raises(InputError, match=r"levels 0, 127\.5, 255"):
            read_levels(values, "mask.png")


def test_a_small_object_in_one_colour_on_a_noisy_black(random):
    """Most of what is not quite black is noise: it does not say what colour the object is of."""
    color = random.integers(0, 9, (60, 60, 3))
    color[20:32, 24:40] = (20, 200, 90)
    light, said = lightness(color / np.float32(255), "mask.png")
    np.testing.assert_allclose(light, color.max(axis=-1) / 255, atol=1e-6)
    assert said == "mask.png: what is not black is taken for inside"
    color[40:52, 24:40] = (200, 20, 90)
    with pytest.raises(InputError, match=r"in one colour on black\. Received: other colours: mask\.png"):
        lightness(color / np.float32(255), "mask.png")


@pytest.mark.parametrize(
    ("most", "least", "is_the_mask"), [(1.0, 0.0, True), (0.5, 0.0, True), (HALF, 0.0, False), (1.0, HALF, True),
                                       (1.0, 0.5, False)]
)  # fmt: skip
def test_transparency_is_the_mask_where_some_is_mostly_opaque_and_some_mostly_not(most, least, is_the_mask):
    """Half is mostly opaque. Where it is not the mask, what is light is: here the other half of the picture."""
    alpha, light = square(most, least), 1 - square(1.0, 0.0)
    picture = Picture(np.repeat(light[..., None], 3, axis=2), alpha, "0" * 64, ("mask.png: a notice",))
    mask, said = mask_of(picture, "mask.png")
    np.testing.assert_array_equal(mask, alpha if is_the_mask else light)
    assert said == ("mask.png: a notice",)


def test_a_picture_cannot_be_changed():
    picture = Picture(np.zeros((16, 16, 3), np.float32), None, "0" * 64)
    with pytest.raises(FrozenInstanceError):
        picture.alpha = np.ones((16, 16), np.float32)
