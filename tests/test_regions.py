"""Quadrilaterals straightened and put back, objects pasted: round trips, worked examples, what must stay untouched."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reproduce.errors import InputError
from reproduce.images.masks import feather
from reproduce.images.regions import blend, order_corners, paste, put_back, quadrilateral_mask, straighten

SHAPE = (90, 120)
SCREEN = [(20, 12), (100, 22), (92, 78), (14, 66)]  # clockwise from the top left
EPSILON = 1e-6


# Corners.


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_corners_in_any_order(order):
    np.testing.assert_array_equal(order_corners([SCREEN[i] for i in order], SHAPE), SCREEN)


@given(st.data())
def test_corners_of_any_convex_quadrilateral_in_any_order(data):
    coordinates = st.tuples(st.integers(0, 119), st.integers(0, 89))
    corners = data.draw(st.lists(coordinates, min_size=4, max_size=4))
    around = convex_order(corners)
    assume(around is not None)
    assume(min(heights(around)) > 1.001)
    ordered = order_corners(data.draw(st.permutations(corners)), SHAPE)
    assert ordered.dtype == np.float32
    sums = [x + y for x, y in around]
    assert sum(ordered[0]) == min(sums)
    if sums.count(min(sums)) == 1:
        first = sums.index(min(sums))
        np.testing.assert_array_equal(ordered, around[first:] + around[:first])


@given(st.data())
def test_a_corner_within_the_triangle_of_the_others(data):
    triangle = np.array([[5, 5], [110, 20], [40, 85]])
    shares = np.array(data.draw(st.lists(st.integers(1, 50), min_size=3, max_size=3)))
    corners = [*triangle.tolist(), (shares @ triangle / shares.sum()).tolist()]
    with pytest.raises(InputError, match="Expected the corners of a convex quadrilateral"):
        order_corners(data.draw(st.permutations(corners)), SHAPE)


@pytest.mark.parametrize("corners", [
    [(10, 10), (50, 10), (90, 10), (50, 60)],  # three on a line
    [(10, 10), (50, 10.9), (90, 10), (50, 60)],  # nearly so, to the inside
    [(10, 10), (50, 9.1), (90, 10), (50, 60)],  # nearly so, to the outside
    [(10, 10), (30, 30), (50, 50), (70, 70)],  # all on a line
    [(10, 10), (10, 10), (90, 10), (50, 60)],  # two the same
    [(10, 10), (10, 10), (90, 10), (90, 10)],  # two and two the same
    [(10, 10)] * 4,  # all the same
], ids=str)  # fmt: skip
def test_corners_on_a_line(corners):
    for order in permutations(corners):
        with pytest.raises(InputError, match=r"convex quadrilateral, no three on a line. Received: .*10,10"):
            order_corners(order, SHAPE)


@pytest.mark.parametrize("outside", [(-1, 40), (120, 40), (60, -0.5), (60, 89.5), (float("nan"), 3), (float("inf"), 3)])
def test_corner_outside(outside):
    message = rf"Expected corners inside the image of 120 x 90, from 0,0 to 119,89\. Received: .*{outside[0]:g},"
    with pytest.raises(InputError, match=message):
        order_corners([*SCREEN[:3], outside], SHAPE)


def test_corners_in_the_images_own_corners():
    whole = [(0, 0), (119, 0), (119, 89), (0, 89)]
    np.testing.assert_array_equal(order_corners(whole[::-1], SHAPE), whole)


@pytest.mark.parametrize("corners", [SCREEN[:3], [*SCREEN, (1, 1)], [], [(1, 2, 3)] * 4, [1, 2, 3, 4]], ids=str)
def test_not_four_points(corners):
    with pytest.raises(InputError, match=r"Expected four corners x,y\. Received: "):
        order_corners(corners, SHAPE)


# Straighten and put back.


@pytest.mark.parametrize("corners, tolerance", [
    (SCREEN, 0.005),
    ([(10, 5), (109, 5), (109, 84), (10, 84)], EPSILON),  # a rectangle is copied
    ([(60, 4), (115, 45), (60, 86), (5, 45)], 0.01),  # a diamond
    ([(50, 10), (70, 10), (118, 85), (2, 85)], 0.03),  # strong perspective
    ([(30, 10), (100, 40), (100, 50), (30, 85)], 0.03),
    ([(40, 40), (48, 40), (48, 48), (40, 48)], EPSILON),  # tiny
    ([(40, 40), (48, 41), (47, 48), (41, 46)], 0.01),
])  # fmt: skip
def test_round_trip(corners, tolerance):
    image = smooth_image()
    corners = order_corners(corners, SHAPE)
    mask = quadrilateral_mask(corners, SHAPE)
    back = put_back(straighten(image, corners), np.zeros_like(image), corners, mask)
    inside = mask == 1
    np.testing.assert_allclose(back[inside], image[inside], atol=tolerance)
    assert back.dtype == np.float32 and back.min() >= 0 and back.max() <= 1


def test_a_rectangle_is_cut_out_pixel_by_pixel():
    image = np.random.default_rng(0).random((*SHAPE, 3), np.float32)
    corners = order_corners([(10, 5), (59, 5), (59, 40), (10, 40)], SHAPE)
    np.testing.assert_allclose(straighten(image, corners), image[5:41, 10:60], atol=1e-5)


def test_straightened_corners_are_the_corners():
    """Each corner's colour comes to lie in that corner of the rectangle."""
    image = smooth_image()
    straight = straighten(image, order_corners(SCREEN, SHAPE))
    for (x, y), (row, column) in zip(SCREEN, [(0, 0), (0, -1), (-1, -1), (-1, 0)]):
        np.testing.assert_allclose(straight[row, column], image[y, x], atol=1e-3)


def test_straight_lines_follow_the_homography():
    """The diagonals of a quadrilateral meet where those of the rectangle do: in its middle."""
    corners = order_corners([(50, 10), (70, 10), (118, 85), (2, 85)], SHAPE)
    image = np.zeros((*SHAPE, 3), np.float32)
    a, b, c, d = np.float64(corners)
    share = np.linalg.solve(np.stack([c - a, b - d], axis=1), b - a)[0]
    x, y = a + share * (c - a)
    image[round(y), round(x)] = 1
    straight = straighten(image, corners)[..., 0]
    middle = (np.array(straight.shape) - 1) / 2
    brightest = np.array(np.unravel_index(straight.argmax(), straight.shape))
    pixel = 117 / 20  # the short side's pixels are stretched by the ratio of the sides
    assert np.abs(brightest - middle).max() <= pixel


def test_straightening_keeps_the_resolution():
    """As wide as the longer of top and bottom, as high as the longer of left and right."""
    image = smooth_image()
    trapezium = order_corners([(50, 10), (70, 10), (110, 70), (10, 70)], SHAPE)
    height = round(np.hypot(40, 60)) + 1
    assert straighten(image, trapezium).shape == (height, 101, 3)


def test_pixels_outside_stay_bit_for_bit():
    rng = np.random.default_rng(1)
    image, region = rng.random((*SHAPE, 3), np.float32), rng.random((*SHAPE, 3), np.float32)
    corners = order_corners(SCREEN, SHAPE)
    alpha = feather(quadrilateral_mask(corners, SHAPE), 2.0)
    before = image.copy()
    out = put_back(straighten(region, corners), image, corners, alpha)
    np.testing.assert_array_equal(out[alpha == 0], image[alpha == 0])
    assert (out[alpha == 1] != image[alpha == 1]).any(axis=1).all()
    np.testing.assert_array_equal(image, before)


def test_half_an_alpha_is_half_a_mixture():
    corners = order_corners(SCREEN, SHAPE)
    region = straighten(np.ones((*SHAPE, 3), np.float32), corners)
    alpha = 0.25 * quadrilateral_mask(corners, SHAPE)
    out = put_back(region, np.zeros((*SHAPE, 3), np.float32), corners, alpha)
    np.testing.assert_allclose(out, np.repeat(alpha[..., None], 3, axis=2), atol=1e-5)


def test_shrinking_does_not_alias():
    """A fine chequerboard in the narrow end of strong perspective turns grey, not into a moire."""
    corners = order_corners([(55, 10), (65, 10), (118, 85), (2, 85)], SHAPE)
    height, width = straighten(np.zeros((*SHAPE, 3), np.float32), corners).shape[:2]
    board = np.float32(np.indices((height, width)).sum(axis=0) % 2)[..., None].repeat(3, axis=2)
    mask = quadrilateral_mask(corners, SHAPE)
    back = put_back(board, np.full((*SHAPE, 3), 0.5, np.float32), corners, mask)
    narrow = back[14:20][mask[14:20] == 1]
    assert abs(narrow.mean() - 0.5) < 0.05
    assert narrow.std() < 0.2  # 0.5 for samples of the board itself


def test_quadrilateral_mask():
    mask = quadrilateral_mask(order_corners(SCREEN, SHAPE), SHAPE)
    x, y = np.meshgrid(np.arange(120), np.arange(90))
    depth = np.min([signed_distance(x, y, *side) for side in zip(SCREEN, [*SCREEN[1:], SCREEN[0]])], axis=0)
    assert mask.shape == SHAPE and mask.dtype == np.float32
    assert mask[depth > 1.5].min() == 1 and mask[depth < -1.5].max() == 0
    assert ((mask > 0) & (mask < 1)).any()  # a smooth edge
    top, right, bottom, left = 12, 100, 78, 14
    assert not mask[: top - 2].any() and not mask[:, right + 3 :].any() and not mask[bottom + 3 :].any()
    assert not mask[:, : left - 2].any()


def test_mask_of_the_whole_image_is_full():
    whole = order_corners([(0, 0), (119, 0), (119, 89), (0, 89)], SHAPE)
    assert quadrilateral_mask(whole, SHAPE)[1:-1, 1:-1].min() == 1


@given(alpha=st.floats(0, 1, width=32), over=st.floats(0, 1, width=32), under=st.floats(0, 1, width=32))
def test_blend(alpha, over, under):
    image = lambda value: np.full((1, 1, 3), value, np.float32)  # noqa: E731
    out = blend(image(over), image(under), np.full((1, 1), alpha, np.float32))
    assert out.dtype == np.float32 and (out >= 0).all() and (out <= 1).all()
    np.testing.assert_allclose(out, alpha * over + (1 - alpha) * under, atol=EPSILON)
    if alpha == 0:
        assert (out == np.float32(under)).all()


# Pasting.


def test_paste_by_hand():
    """An object of 2 x 3 pixels, its middle in column 6 and between rows 4 and 5."""
    background, image, mask = scene(object_at=(slice(3, 5), slice(8, 11)))
    composite, placed = paste(background, image, mask, at=(6, 4.5))
    expected = np.zeros(background.shape[:2], np.float32)
    expected[4:6, 5:8] = 1
    np.testing.assert_array_equal(placed, expected)
    np.testing.assert_allclose(composite[4:6, 5:8], image[3:5, 8:11], atol=EPSILON)
    np.testing.assert_array_equal(composite[expected == 0], background[expected == 0])


@given(x=st.integers(0, 29), y=st.integers(0, 19), dx=st.integers(-5, 5), dy=st.integers(-5, 5))
def test_a_step_of_the_point_is_a_step_of_the_object(x, y, dx, dy):
    """Also where the middle of an even-sized object falls between two pixels."""
    background = np.zeros((60, 60, 3), np.float32)
    _, image, mask = scene(object_at=(slice(3, 7), slice(8, 12)))
    first = paste(background, image, mask, at=(15 + x, 15 + y))[1]
    second = paste(background, image, mask, at=(15 + x + dx, 15 + y + dy))[1]
    np.testing.assert_array_equal(np.roll(first, (dy, dx), axis=(0, 1)), second)


@pytest.mark.parametrize("at, rows, columns", [
    ((-0.5, 9.5), slice(6, 14), slice(0, 5)),  # the middle of 10 x 8 pixels on the left border
    ((29.5, 9.5), slice(6, 14), slice(25, 30)),
    ((14.5, -0.5), slice(0, 4), slice(10, 20)),
    ((14.5, 19.5), slice(16, 20), slice(10, 20)),
    ((-0.5, -0.5), slice(0, 4), slice(0, 5)),
    ((-4.5, 9.5), slice(6, 14), slice(0, 1)),  # the last column alone
    ((33.5, 9.5), slice(6, 14), slice(29, 30)),
])  # fmt: skip
def test_paste_is_clipped_at_each_border(at, rows, columns):
    background, image, mask = scene(object_at=(slice(5, 13), slice(10, 20)))
    composite, placed = paste(background, image, mask, at)
    expected = np.zeros(background.shape[:2], bool)
    expected[rows, columns] = True
    np.testing.assert_array_equal(placed > 0, expected)
    np.testing.assert_array_equal(composite[~expected], background[~expected])
    assert (composite[expected] != background[expected]).any()


def test_paste_of_an_object_larger_than_the_background():
    background, image, mask = scene(object_at=(slice(5, 13), slice(10, 20)))
    composite, placed = paste(background, image, mask, at=(14.5, 9.5), scale=10)
    assert composite.shape == background.shape
    np.testing.assert_allclose(placed, 1, atol=EPSILON)


@pytest.mark.parametrize("scale, shape", [(0.5, (4, 5)), (1, (8, 10)), (1.5, (12, 15)), (0.01, (1, 1))])
def test_paste_scales_the_object(scale, shape):
    background, image, mask = scene(object_at=(slice(5, 13), slice(10, 20)))
    placed = paste(background, image, mask, (14, 9), scale)[1]
    rows, columns = np.nonzero(placed)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == shape
    assert abs(rows.mean() - 9) <= 0.5 and abs(columns.mean() - 14) <= 0.5


def test_paste_with_a_soft_mask_mixes():
    background, image, mask = scene(object_at=(slice(5, 13), slice(10, 20)))
    composite, placed = paste(background, image, mask / 4, at=(14.5, 8.5))
    box = (slice(5, 13), slice(10, 20))
    assert placed[box].min() == placed[box].max() == 0.25
    np.testing.assert_allclose(composite[box], 0.25 * image[box] + 0.75 * background[box], atol=EPSILON)


@pytest.mark.parametrize("scale", [0.5, 1, 1.5])
def test_paste_takes_no_color_from_around_the_object(scale):
    """A dark object, cut out of a light backdrop, on a dark painting: no light fringe."""
    mask = np.zeros((40, 40), np.float32)
    mask[12:29, 11:28] = 1
    image = np.broadcast_to(1 - mask[..., None], (40, 40, 3))
    composite, placed = paste(np.zeros((60, 60, 3), np.float32), image, mask, (30, 30), scale)
    assert placed.max() == 1
    np.testing.assert_allclose(composite, 0, atol=EPSILON)


def test_paste_leaves_its_arguments_alone():
    arguments = scene(object_at=(slice(5, 13), slice(10, 20)))
    before = [array.copy() for array in arguments]
    paste(*arguments, at=(3, 3), scale=2)
    for array, copy in zip(arguments, before):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("at", [(-5.5, 10), (34.5, 10), (15, -4.5), (15, 23.5), (1e9, 3), (1e300, 3)])
def test_paste_outside(at):
    with pytest.raises(InputError, match=r"lies on the background of 30 x 20\. Received: one of 10 x 8 "):
        paste(*scene(object_at=(slice(5, 13), slice(10, 20))), at)


@pytest.mark.parametrize("at", [(float("nan"), 3), (3, float("inf"))])
def test_paste_at_no_point(at):
    with pytest.raises(InputError, match="Expected a point x,y in pixels"):
        paste(*scene(object_at=(slice(5, 13), slice(10, 20))), at)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 1e5, 1e200])
def test_paste_with_an_impossible_scale(scale):
    with pytest.raises(InputError, match="Expected a scale above 0"):
        paste(*scene(object_at=(slice(5, 13), slice(10, 20))), (3, 3), scale)


def test_paste_with_an_empty_mask():
    background, image, mask = scene(object_at=(slice(5, 13), slice(10, 20)))
    with pytest.raises(InputError, match="empty mask"):
        paste(background, image, np.zeros_like(mask), (3, 3))


def test_paste_with_a_mask_of_another_size():
    background, image, mask = scene(object_at=(slice(5, 13), slice(10, 20)))
    with pytest.raises(InputError, match="object 30 x 20 and mask 30 x 19"):
        paste(background, image, mask[:-1], (3, 3))


def scene(object_at):
    """A background and an image of random colours, both 30 x 20 pixels, and the mask of the image's object."""
    rng = np.random.default_rng(2)
    mask = np.zeros((20, 30), np.float32)
    mask[object_at] = 1
    return rng.random((20, 30, 3), np.float32), rng.random((20, 30, 3), np.float32), mask


def smooth_image():
    """Waves of 40 pixels and more: what interpolation must not lose."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * (2 * np.pi)
    waves = [np.sin(x / 60), np.cos(y / 50), np.sin((x + y) / 80)]
    return np.float32(0.5 + 0.4 * np.stack(waves, axis=2))


def convex_order(points):
    """The points clockwise as seen if they are in convex position, else None: by trying all orders."""
    for order in permutations(points):
        following = [*order[1:], *order[:2]]
        if all(cross(a, b, c) > 0 for a, b, c in zip(order, following, following[1:])):
            return list(order)
    return None


def cross(a, b, c):
    """Twice the signed area of a triangle, above 0 if it turns to the right as seen (y points down)."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def heights(around):
    """How far each corner stands out from the line through its neighbours."""
    triples = [(around[i - 1], around[i], around[(i + 1) % 4]) for i in range(4)]
    return [cross(a, b, c) / np.hypot(c[0] - a[0], c[1] - a[1]) for a, b, c in triples]


def signed_distance(x, y, start, end):
    """From the line through two corners, above 0 on its right as seen."""
    return cross(start, end, (x, y)) / np.hypot(end[0] - start[0], end[1] - start[1])
