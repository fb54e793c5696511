"""Pasting an object at the limits: of its size, of what of it lies on the background, and what is said beyond them."""

import numpy as np
import pytest

from reproduce import InputError
from reproduce.images import regions
from reproduce.images.regions import order_corners, paste

BACKGROUND = np.full((20, 30, 3), 0.25, np.float32)
OBJECT = np.full((10, 10, 3), 0.75, np.float32)
FULL = np.ones((10, 10), np.float32)


@pytest.mark.parametrize(("scale", "fits"), [(1.0, True), (2.0, True), (2.01, False), (0.5, True), (1e200, False)])
def test_the_limit_of_an_object_is_its_area(scale, fits, monkeypatch):
    monkeypatch.setattr(regions, "MAXIMUM_PIXELS", 400)
    if fits:
        _, mask = paste(BACKGROUND, OBJECT, FULL, (14.5, 9.5), scale)
        assert mask.sum() == pytest.approx((10 * scale) ** 2)
    else:
        with pytest.raises(InputError, match="a scale above 0 that keeps the object under"):
            paste(BACKGROUND, OBJECT, FULL, (15, 10), scale)


def test_a_scale_that_is_too_large_is_said_in_megapixels():
    with pytest.raises(InputError) as caught:
        paste(BACKGROUND, OBJECT, FULL, (15, 10), 1e4)
    assert str(caught.value) == (
        "Expected a scale above 0 that keeps the object under 100 megapixels. Received: 10000.0"
    )


def test_a_mask_of_another_size_is_named():
    with pytest.raises(InputError, match=r"Received: object 10 x 10 and mask 9 x 10$"):
        paste(BACKGROUND, OBJECT, FULL[:, :9], (15, 10))


@pytest.mark.parametrize(
    ("outside", "inside"), [((-5.5, 10), (-4.5, 10)), ((34.5, 10), (33.5, 10)), ((15, -5.5), (15, -4.5)),
                            ((15, 24.5), (15, 23.5))]
)  # fmt: skip
def test_an_object_that_touches_the_background_from_outside_does_not_lie_on_it(outside, inside):
    """A pixel further in, a row or a column of it does."""
    x, y = outside
    with pytest.raises(InputError, match=rf"lies on the background of 30 x 20\. .* one of 10 x 10 around {x:g},{y:g}"):
        paste(BACKGROUND, OBJECT, FULL, outside)
    assert paste(BACKGROUND, OBJECT, FULL, inside)[1].sum() == 10


def test_an_object_whose_rectangle_lies_on_the_background_but_nothing_of_itself_does_not():
    """Of a diagonal only the empty corner reaches in."""
    diagonal = np.zeros((10, 10), np.float32)
    diagonal[:3, 7:] = diagonal[7:, :3] = 1
    inside, _ = paste(BACKGROUND, OBJECT, diagonal, (15, 10))
    assert (inside != BACKGROUND).any()
    with pytest.raises(InputError, match="an object that lies on the background"):
        paste(BACKGROUND, OBJECT, diagonal, (0, 0))


def test_corners_are_said_as_they_are_typed():
    with pytest.raises(InputError, match=r"Received: 0,0 10,0 30\.5,9 0,9$"):
        order_corners([(0, 0), (10, 0), (30.5, 9), (0, 9)], (20, 30))


# Turned and mirrored.

ARROW = np.zeros((12, 8), np.float32)  # a picture in which no two turns are alike
ARROW[2:10, 3:5] = ARROW[2:4, 5:7] = 1
COLORS = np.random.default_rng(0).random((12, 8, 3), np.float32)


@pytest.mark.parametrize("quarters", [1, 2, 3, -1, 5])
def test_a_right_angle_turns_pixels_clockwise(quarters):
    turned = [np.rot90(array, -quarters) for array in (COLORS, ARROW)]
    for scale in (1.0, 2.0):
        found = paste(BACKGROUND, COLORS, ARROW, (15, 10), scale, rotate=90 * quarters)
        for one, other in zip(found, paste(BACKGROUND, *map(np.ascontiguousarray, turned), (15, 10), scale)):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_mirror_swaps_left_and_right_before_the_turn():
    for rotate in (0, 30):
        found = paste(BACKGROUND, COLORS, ARROW, (15, 10), rotate=rotate, mirror=True)
        flipped = np.ascontiguousarray(COLORS[:, ::-1]), np.ascontiguousarray(ARROW[:, ::-1])
        for one, other in zip(found, paste(BACKGROUND, *flipped, (15, 10), rotate=rotate)):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("degrees", [10, 45, 100, 215, -30])
def test_a_turn_keeps_the_area_and_the_middle_and_goes_clockwise(degrees):
    canvas = np.zeros((121, 121, 3), np.float32)
    bar = np.zeros((60, 60), np.float32)
    bar[10:50, 26:34] = 1  # upright
    bar[10:18, 34:42] = 1  # with an arm to the right, at its top
    image = np.repeat(bar[..., None], 3, axis=2)
    composite, mask = paste(canvas, image, bar, (60, 60), rotate=degrees)
    assert mask.sum() == pytest.approx(bar.sum(), rel=0.02)
    np.testing.assert_allclose(composite[..., 0], mask, atol=1e-6)  # of its own colour, up to its edge
    rows, columns = np.nonzero(bar > 0.5)
    middle = np.array([(26 + 41) / 2, (10 + 49) / 2])  # of its bounding box
    turn = np.deg2rad(degrees)
    x, y = columns.mean() - middle[0], rows.mean() - middle[1]
    expected = 60 + np.array([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)])
    weights = mask / mask.sum()
    found = np.array([(weights * np.arange(121)).sum(), (weights * np.arange(121)[:, None]).sum()])
    np.testing.assert_allclose(found, expected, atol=0.6)


def test_a_full_turn_is_none():
    for one, other in zip(
        paste(BACKGROUND, COLORS, ARROW, (15, 10), 1.5, 360), paste(BACKGROUND, COLORS, ARROW, (15, 10), 1.5)
    ):
        np.testing.assert_array_equal(one, other)


def test_an_angle_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="an angle in degrees"):
        paste(BACKGROUND, OBJECT, FULL, (15, 10), rotate=float("nan"))
