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
