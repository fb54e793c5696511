"""Selecting by a colour, in a box, by a polygon: slow twins, worked examples, drawn objects; and whole commands."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from test_command_line import HEIGHT, OBJECT, WIDTH, contents, refused, run, with_images

import reproduce
from reproduce import read_image, read_mask, write_image
from reproduce.errors import InputError
from reproduce.images import selection
from reproduce.images.selection import (
    combine,
    edge_path,
    highlight,
    select,
    select_along_edges,
    select_in_box,
    select_polygon,
    select_stroke,
)


@pytest.fixture
def folder(tmp_path):
    return with_images(tmp_path)


# By a colour.


@given(data=st.data(), levels=st.integers(2, 5), tolerance=st.sampled_from([0, 0.1, 0.3, 0.6, 1]), holes=st.booleans())
def test_select_is_a_breadth_first_search(data, levels, tolerance, holes):
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    # A few levels a quarter apart: no difference of two comes near a tolerance, where rounding would decide.
    image = data.draw(arrays.arrays(np.int8, (*shape, 3), elements=st.integers(0, levels - 1))) / np.float32(4)
    points = st.tuples(st.integers(0, shape[1] - 1), st.integers(0, shape[0] - 1))
    seeds = data.draw(st.lists(points, min_size=1, max_size=3))
    selected = select(image, seeds, tolerance, fill_holes=holes)
    expected = np.any([flood(np.abs(image - image[y, x]).max(axis=2) <= tolerance, (y, x)) for x, y in seeds], axis=0)
    if holes:
        expected = ~outside(expected)
    assert selected.dtype == np.float32
    np.testing.assert_array_equal(selected, expected)


def test_select_compares_with_the_seed_not_with_the_neighbour():
    ramp = np.tile(np.linspace(0, 1, 21, dtype=np.float32)[None, :, None], (16, 1, 3))  # steps of 0.05
    np.testing.assert_array_equal(select(ramp, [(10, 3)], tolerance=0.12)[0].nonzero()[0], [8, 9, 10, 11, 12])


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_select_needs_every_channel_within_tolerance(channel):
    image = np.full((16, 16, 3), 0.5, np.float32)
    image[:, 8:, channel] = 0.7
    assert select(image, [(0, 0)], tolerance=0.1).sum() == 16 * 8
    assert select(image, [(0, 0)], tolerance=0.3).sum() == 16 * 16


def test_select_unites_seeds_in_any_order():
    image = np.zeros((16, 16, 3), np.float32)
    image[:, 8:] = 1
    both = select(image, [(0, 0), (15, 15)])
    assert both.min() == 1
    np.testing.assert_array_equal(select(image, [(15, 15), (0, 0)]), both)


def test_overlapping_selections_do_not_stop_each_other():
    """The second seed's selection runs through the first's."""
    ramp = np.tile(np.linspace(0, 0.5, 11, dtype=np.float32)[None, :, None], (16, 1, 3))
    united = select(ramp, [(3, 0), (6, 0)], tolerance=0.21)
    np.testing.assert_array_equal(united[0], np.float32(np.arange(11) <= 10))


def test_select_takes_x_before_y():
    image = np.zeros((16, 40, 3), np.float32)
    image[:, 20:] = 1
    assert select(image, [(30, 2)])[:, 20:].min() == 1
    assert select(image, [(30, 2)])[:, :20].max() == 0


def test_diagonal_neighbours_are_not_connected():
    image = np.zeros((4, 4, 3), np.float32)
    image[:2, :2] = image[2:, 2:] = 1
    assert select(image, [(0, 0)]).sum() == 4


def test_holes_are_filled_on_request():
    image = np.zeros((20, 20, 3), np.float32)
    image[4:16, 4:16] = 1
    image[8:12, 8:12] = 0.5
    image[0:3, 0:3] = 0.5  # the hole's colour, but outside
    assert select(image, [(5, 5)]).sum() == 144 - 16
    assert select(image, [(5, 5)], fill_holes=True).sum() == 144


def test_select_leaves_the_image_alone():
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    before = image.copy()
    select(image, [(3, 3)], 0.5, fill_holes=True)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("seed", [(-1, 0), (0, -1), (30, 5), (5, 20), (-0.5, 3), (float("nan"), 3), (1e9, 3)])
def test_seed_outside(seed):
    with pytest.raises(InputError, match=r"Expected seeds inside the image of 30 x 20 pixels. Received: "):
        select(np.zeros((20, 30, 3), np.float32), [(3, 3), seed])


def test_seed_in_the_last_pixel():
    assert select(np.zeros((20, 30, 3), np.float32), [(29, 19)]).min() == 1


@pytest.mark.parametrize("tolerance", [-0.01, 1.01, float("nan"), float("inf")])
def test_tolerance_out_of_range(tolerance):
    with pytest.raises(InputError, match="Expected a tolerance in"):
        select(np.zeros((20, 30, 3), np.float32), [(0, 0)], tolerance)


def test_no_seed():
    with pytest.raises(InputError, match="at least one seed"):
        select(np.zeros((20, 30, 3), np.float32), [])


# In a box.


def texture(shape, color, seed):
    """Soft noise around a colour."""
    noise = np.random.default_rng(seed).normal(0, 1, (*shape, 3)).astype(np.float32)
    return np.clip(np.float32(color) + 0.25 * cv2.GaussianBlur(noise, (0, 0), 1.5), 0, 1)


def scene(shape, center, radius):
    """A textured disc on another texture, and which pixels it is, by its equation."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    disc = (x - center[0]) ** 2 + (y - center[1]) ** 2 <= radius**2
    image = np.where(disc[..., None], texture(shape, (0.7, 0.35, 0.2), 0), texture(shape, (0.3, 0.45, 0.5), 1))
    return image.astype(np.float32), disc


def around(center, radius, margin, shape):
    """Opposite corners of a box around a disc, cut off by the image."""
    low = [max(value - radius - margin, 0) for value in center]
    high = [min(value + radius + margin, side - 1) for value, side in zip(center, shape[::-1])]
    return [tuple(low), tuple(high)]


def overlap(mask, expected):
    """Intersection over union."""
    return ((mask >= 0.5) & expected).sum() / ((mask >= 0.5) | expected).sum()


@pytest.mark.parametrize("shape, center, radius", [
    ((120, 150), (70, 60), 30),
    ((300, 420), (200, 140), 90),
    ((120, 150), (20, 60), 30),  # cut off by the left border
    ((120, 150), (140, 110), 30),  # and by a corner
], ids=["small", "larger", "border", "corner"])  # fmt: skip
def test_the_object_in_a_loose_box(shape, center, radius):
    image, disc = scene(shape, center, radius)
    corners = around(center, radius, radius // 3, shape)
    mask = select_in_box(image, corners)
    assert mask.dtype == np.float32 and mask.shape == shape and set(np.unique(mask)) == {0, 1}
    assert overlap(mask, disc) > 0.9
    (left, top), (right, bottom) = corners
    mask[top : bottom + 1, left : right + 1] = 0
    assert not mask.any()  # outside the box


def test_any_two_opposite_corners_and_the_same_mask_every_time():
    image, _ = scene((120, 150), (70, 60), 30)
    first = select_in_box(image, [(30, 20), (110, 100)])
    cv2.setRNGSeed(7)
    for corners in ([(110, 100), (30, 20)], [(30, 100), (110, 20)], [(110.3, 19.6), (29.9, 100.4)]):
        np.testing.assert_array_equal(select_in_box(image, corners), first)


def test_the_object_of_a_grey_image():
    image, disc = scene((120, 150), (70, 60), 30)
    image[disc] *= 0.5
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    assert overlap(select_in_box(grey, [(30, 20), (110, 100)]), disc) > 0.9


@pytest.fixture
def looked_at(monkeypatch):
    """How many pixels GrabCut was given, each time: what its time depends on."""
    grab, sizes = cv2.grabCut, []

    def spy(pixels, *arguments):
        sizes.append(pixels.shape[0] * pixels.shape[1])
        return grab(pixels, *arguments)

    monkeypatch.setattr(cv2, "grabCut", spy)
    return sizes


def test_what_lies_far_from_the_box_does_not_count(looked_at):
    """On a large canvas the mask is the same, and takes no longer."""
    small, disc = scene((240, 300), (140, 120), 30)
    large = np.zeros((3000, 4000, 3), np.float32)
    large[1000:1240, 2000:2300] = small
    mask = select_in_box(large, [(2100, 1080), (2180, 1160)])
    assert overlap(mask[1000:1240, 2000:2300], disc) > 0.9
    np.testing.assert_array_equal(mask[1000:1240, 2000:2300], select_in_box(small, [(100, 80), (180, 160)]))
    assert mask.sum() == mask[1000:1240, 2000:2300].sum()
    assert looked_at[0] == looked_at[1] < 240 * 300


def test_a_large_box_is_looked_at_in_small(looked_at):
    """Its mask has a smooth edge, a few pixels wide, and is 0 and 1 elsewhere."""
    shape, center, radius = (1800, 2400), (1200, 900), 700
    image, disc = scene(shape, center, radius)
    mask = select_in_box(image, around(center, radius, 150, shape))
    assert mask.shape == shape and mask.min() == 0 and mask.max() == 1
    assert overlap(mask, disc) > 0.97
    soft = (mask > 0) & (mask < 1)
    assert 0 < soft.sum() < 12 * 2 * np.pi * radius
    assert sum(looked_at) < 4e5


def test_what_is_thin_is_found_though_colours_are_learnt_in_small():
    """A bar that reaches out of a disc: no wider than a pixel of what colours are learnt from."""
    shape, center, radius = (1800, 2400), (1200, 900), 500
    image, disc = scene(shape, center, radius)
    bar = np.zeros_like(disc)
    bar[896:904, 1690:1900] = True
    image[bar] = image[disc][: bar.sum()]
    mask = select_in_box(image, around(center, radius, 250, shape))
    assert overlap(mask, disc | bar) > 0.98
    assert (mask[bar] >= 0.5).mean() > 0.7


def test_holes_of_an_object_in_a_box():
    image, disc = scene((120, 150), (70, 60), 30)
    hole = np.zeros_like(disc)
    hole[52:68, 62:78] = True
    image[hole] = texture(disc.shape, (0.3, 0.45, 0.5), 1)[hole]
    corners = [(30, 20), (110, 100)]
    assert overlap(select_in_box(image, corners), disc & ~hole) > 0.9
    filled = select_in_box(image, corners, fill_holes=True)
    assert filled[hole].all() and overlap(filled, disc) > 0.9


def test_specks_are_left_out():
    image, disc = scene((120, 150), (70, 60), 30)
    image[24:26, 34:36] = image[60, 70]
    mask = select_in_box(image, [(30, 20), (110, 100)])
    assert cv2.connectedComponents(np.uint8(mask))[0] == 2 and overlap(mask, disc) > 0.9


def test_select_in_box_leaves_the_image_alone():
    image, _ = scene((120, 150), (70, 60), 30)
    before = image.copy()
    select_in_box(image, [(30, 20), (110, 100)], fill_holes=True)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("corners, message", [
    ([(30, 20)], "Expected two corners of a box. Received: 1"),
    ([(-1, 20), (60, 60)], "a box with corners inside the image of 150 x 120 pixels, from 0,0 to 149,119. "
                           "Received: -1,20 60,60"),
    ([(30, 20), (150, 60)], "Received: 30,20 150,60"),
    ([(30, 20), (60, 119.5)], "Received: 30,20 60,119.5"),
    ([(30, 20), (60, float("nan"))], "Received: 30,20 60,nan"),
    ([(30, 20), (30, 20)], "Expected a box of at least 8 pixels on each side. Received: 1 x 1 pixels"),
    ([(30, 20), (90, 26)], "Received: 61 x 7 pixels"),
    ([(0, 0), (149, 119)], "Expected a box that leaves some of the image around it. "
                           "Received: the box 0,0 149,119"),
])  # fmt: skip
def test_impossible_boxes(corners, message):
    image, _ = scene((120, 150), (70, 60), 30)
    with pytest.raises(InputError) as caught:
        select_in_box(image, corners)
    assert message in str(caught.value)


def test_a_box_that_leaves_a_column_of_pixels():
    image, disc = scene((120, 150), (70, 60), 30)
    assert overlap(select_in_box(image, [(1, 0), (149, 119)]), disc) > 0.5  # little is known of what is around


@pytest.mark.parametrize("level", [0, 0.5, 1])
def test_a_flat_image_has_no_object(level):
    with pytest.raises(
        InputError, match=r"a loose box .* try another box, or --polygon\. Received: the box 30,20 90,80"
    ):
        select_in_box(np.full((120, 150, 3), level, np.float32), [(30, 20), (90, 80)])


@pytest.mark.parametrize("shape, corners", [((16, 6000), [(5, 0), (5900, 15)]), ((6000, 16), [(4, 9), (11, 5999)])])
def test_boxes_as_thin_as_a_line(shape, corners, monkeypatch):
    """Reduced to a row of pixels, or none but for rounding; whatever is found, it is no fault of the program."""
    monkeypatch.setattr(selection, "LEARNING_PIXELS", 1000)
    image = texture(shape, (0.5, 0.5, 0.5), 0)
    image[4:12, 20:-20] = image[20:-20, 4:12] = 1
    try:
        assert select_in_box(image, corners).shape == shape
    except InputError as error:
        assert "box" in str(error)


# By a polygon.


def test_a_rectangle_as_a_polygon():
    """The pixels that its points lie in are inside; farther than one from them nothing is."""
    mask = select_polygon([(4, 3), (12, 3), (12, 9), (4, 9)], (16, 20))
    assert mask.dtype == np.float32 and mask.min() == 0 and mask.max() == 1
    assert mask[4:9, 5:12].min() == 1
    assert mask[3:10, 4:13].min() > 0.75
    outside = np.ones(mask.shape, bool)
    outside[3:10, 4:13] = False
    assert mask[outside].max() < 0.25
    outside[2:11, 3:14] = False
    assert mask[outside].max() == 0


def test_a_polygon_by_hand():
    """An L: what its bay holds is outside."""
    mask = select_polygon([(2, 2), (17, 2), (17, 6), (6, 6), (6, 17), (2, 17)], (20, 20))
    expected = np.zeros((20, 20), bool)
    expected[2:7, 2:18] = expected[2:18, 2:7] = True
    np.testing.assert_array_equal(mask >= 0.5, expected)


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 19)), min_size=3, max_size=3), st.permutations(range(3)))
def test_a_triangle_by_its_equations(points, order):
    """A pixel whose centre is farther than one from the outline is inside or outside of all three sides."""
    points = np.float64([points[place] for place in order])
    following = np.roll(points, -1, axis=0)
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    area = (ax * by - ay * bx) / 2
    if abs(area) < 1:
        with pytest.raises(InputError, match="Expected a polygon with an area"):
            select_polygon(points, (20, 30))
        return
    mask = select_polygon(points, (20, 30))
    y, x = np.mgrid[:20, :30]
    distances = [
        np.sign(area) * ((q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])) / np.hypot(*(q - p))
        for p, q in zip(points, following)
    ]
    assert (mask[np.min(distances, axis=0) >= 1] == 1).all()
    assert (mask[np.min(distances, axis=0) < -2] == 0).all()


def test_points_between_pixels():
    """Half a pixel further, half of it more."""
    widths = [select_polygon([(4, 3), (x, 3), (x, 13), (4, 13)], (20, 30))[8].sum() for x in (12, 12.5, 13)]
    assert widths[1] - widths[0] == pytest.approx(0.5, abs=0.15)
    assert widths[2] - widths[0] == pytest.approx(1, abs=0.05)


def test_a_polygon_of_the_whole_image():
    np.testing.assert_array_equal(select_polygon([(0, 0), (29, 0), (29, 19), (0, 19)], (20, 30))[1:-1, 1:-1], 1)


@pytest.mark.parametrize("points, message", [
    ([], "Expected a polygon of three or more points. Received: 0"),
    ([(1, 1), (9, 9)], "Expected a polygon of three or more points. Received: 2"),
    ([(1, 1), (30, 1), (9, 9)], "Expected points inside the image of 30 x 20 pixels, from 0,0 to 29,19. "
                                "Received: 1,1 30,1 9,9"),
    ([(1, 1), (9, -0.5), (9, 9)], "Received: 1,1 9,-0.5 9,9"),
    ([(1, 1), (9, float("nan")), (9, 9)], "Received: 1,1 9,nan 9,9"),
    ([(1, 1), (9, 9), (5, 5)], "Expected a polygon with an area, its points in their order around it. "
                               "Received: 1,1 9,9 5,5"),
    ([(3, 3), (3, 3), (3, 3)], "a polygon with an area"),
    ([(1, 1), (9, 1), (9, 5), (9, 1)], "a polygon with an area"),
    ([(1, 1), (9, 9), (9, 1), (1, 9)], "its points in their order around it"),  # a rectangle's, in disorder
])  # fmt: skip
def test_impossible_polygons(points, message):
    with pytest.raises(InputError) as caught:
        select_polygon(points, (20, 30))
    assert message in str(caught.value)


# Combined and shown.


def test_combined_by_hand():
    mask, added = np.float32([[0, 0.25, 0.5, 1]]), np.float32([[0.5, 0, 0.75, 0]])
    subtracted = np.float32([[0.25, 0.5, 0, 1]])
    np.testing.assert_array_equal(combine(mask, [], []), mask)
    np.testing.assert_array_equal(combine(mask, [added], []), [[0.5, 0.25, 0.75, 1]])
    np.testing.assert_array_equal(combine(mask, [], [subtracted]), [[0, 0.25, 0.5, 0]])
    np.testing.assert_array_equal(combine(mask, [added], [subtracted]), [[0.5, 0.25, 0.75, 0]])
    np.testing.assert_array_equal(combine(mask, [added, 1 - mask], [subtracted, added]), [[0.5, 0.5, 0.25, 0]])


def test_highlighted_by_hand():
    image = np.full((1, 3, 3), 0.6, np.float32)
    shown = highlight(image, np.float32([[0, 0.5, 1]]))
    np.testing.assert_allclose(shown[0, :, 0], [0.2, 0.4, 0.6], atol=1e-6)


def test_selections_from_python():
    assert (reproduce.select, reproduce.select_in_box, reproduce.select_polygon) == (
        select, select_in_box, select_polygon
    )  # fmt: skip


# As a command.

BOX = ["--box", "10,14", "53,49"]
POLYGON = ["--polygon", "5,5", "30,5", "30,40", "5,40"]


def of(*parts):
    """A mask of the images' size that is 1 in these parts of it."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    for part in parts:
        mask[part] = 1
    return mask


def written(folder, name, mask):
    write_image(folder / f"{name}.png", mask)
    return mask


def test_a_box_as_typed(folder, capfd):
    assert run(folder, "select", "COMPOSITE", *BOX, "-o", "OUT") == 0
    assert overlap(read_mask(folder / "out.png"), of(OBJECT) == 1) > 0.9
    assert run(folder, "select", "COMPOSITE", "--box", "53,14", "10,49", "--invert", "-o", "INVERTED") == 0
    np.testing.assert_array_equal(read_mask(folder / "inverted.png"), 1 - read_mask(folder / "out.png"))
    assert capfd.readouterr() == ("", "")


def test_a_polygon_as_typed(folder, capfd):
    assert run(folder, "select", "COMPOSITE", *POLYGON, "-o", "OUT") == 0
    expected = select_polygon([(5, 5), (30, 5), (30, 40), (5, 40)], (HEIGHT, WIDTH))
    np.testing.assert_allclose(read_mask(folder / "out.png"), expected, atol=1e-6)
    assert capfd.readouterr() == ("", "")


def test_masks_are_added_then_subtracted_then_feathered(folder):
    seed, left, middle = ["--seed", "20,30"], np.s_[:, :8], np.s_[30:34, :]
    (
        written(folder, "left", of(left)),
        written(folder, "middle", of(middle)),
        written(folder, "corner", of(np.s_[:4, :])),
    )
    assert run(folder, "select", "COMPOSITE", *seed, "--subtract", "MIDDLE", "--add", "LEFT", "-o", "OUT") == 0
    expected = of(OBJECT, left)
    expected[middle] = 0
    np.testing.assert_array_equal(read_mask(folder / "out.png"), expected)
    assert run(folder, "select", "COMPOSITE", *seed, "--invert", "--subtract", "LEFT", "-o", "OUT") == 0
    np.testing.assert_array_equal(read_mask(folder / "out.png"), np.minimum(1 - of(OBJECT), 1 - of(left)))
    twice = ["--add", "LEFT", "--add", "MIDDLE", "--subtract", "CORNER", "--subtract", "MASK"]
    assert run(folder, "select", "COMPOSITE", *seed, *twice, "-o", "OUT") == 0
    expected = of(left, middle)
    expected[:4] = expected[OBJECT] = 0
    np.testing.assert_array_equal(read_mask(folder / "out.png"), expected)
    assert run(folder, "select", "COMPOSITE", *seed, "--add", "LEFT", "--feather", "1", "-o", "OUT") == 0
    assert 0 < read_mask(folder / "out.png")[0, 8] < 0.5 < read_mask(folder / "out.png")[0, 7] < 1


def test_the_preview(folder, capfd):
    assert run(folder, "select", "COMPOSITE", *POLYGON, "--preview", "SHOWN", "-o", "OUT") == 0
    image, shown, mask = (read_image(folder / f"{name}.png") for name in ("composite", "shown", "out"))
    np.testing.assert_array_equal(shown[mask == 1], image[mask == 1])
    np.testing.assert_allclose(shown[mask == 0], image[mask == 0] / 3, atol=0.6 / 255)
    assert (mask == 1).any() and (mask == 0).any()
    assert capfd.readouterr() == ("", "")


def test_selecting_as_processes_without_tensorflow(folder):
    program = (
        "import sys; from reproduce.__main__ import main; code = main(); "
        "sys.exit(code or sorted({'tensorflow', 'keras'} & set(sys.modules)) or 0)"
    )
    for arguments in (
        ["select", "composite.png", *BOX, "--add", "mask.png", "--preview", "shown.png", "-o", "out.png"],
        ["select", *POLYGON, "-o", "out.png", "composite.png"],
    ):
        process = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
        assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert read_image(folder / "shown.png").shape == (HEIGHT, WIDTH, 3)


def test_what_was_not_taken_as_it_stands_is_said(folder, capfd):
    """Of the image and of the masks, each once."""
    color = np.uint8(np.full((HEIGHT, WIDTH, 3), 200))
    cv2.imwrite(str(folder / "ones.png"), np.uint8(of(OBJECT)))
    frames = folder / "frames.gif"
    write_frames(frames, color)
    assert run(folder, "select", str(frames), *POLYGON, "--add", "ONES", "--subtract", "ONES", "-o", "OUT") == 0
    out, err = capfd.readouterr()
    of_image, of_mask = err.splitlines()
    assert out == "" and of_image.startswith(f"{frames}: ")
    assert of_mask.startswith(str(folder / "ones.png")) and "are taken for outside and inside" in of_mask


def write_frames(path, color):
    """Two pictures in one file."""
    first, second = Image.fromarray(color), Image.fromarray(255 - color)
    first.save(path, save_all=True, append_images=[second])


@pytest.mark.parametrize("arguments, message", [
    ([], "one of the arguments --seed --box --polygon --scissors is required"),
    (["--seed", "3,4", *BOX], "not allowed with"),
    ([*BOX, *POLYGON], "not allowed with"),
    (["--add", "MASK"], "--scissors is required"),
    (["--box", "10,14"], "expected 2 arguments"),
    (["--box", "10,14", "x,9"], "expected a point x,y in pixels, received 'x,9'"),
    (["--polygon"], "expected at least one argument"),
    (["--polygon", "10,14", "12,14"], "Expected a polygon of three or more points. Received: 2"),
    (["--polygon", "10,14", "12,14", "-3,5"], "Expected points inside the image"),
    (["--polygon", "10,14", "12,14", "20,14"], "Expected a polygon with an area"),
    (["--box", "10,14", f"{WIDTH},49"], f"inside the image of {WIDTH} x {HEIGHT} pixels"),
    (["--box", "10,14", "12,49"], "a box of at least 8 pixels on each side. Received: 3 x 36 pixels"),
    (["--box", "0,0", f"{WIDTH - 1},{HEIGHT - 1}"], "a box that leaves some of the image around it"),
    ([*BOX, "--tolerance", "0.1"], "Expected --tolerance with --seed. Received: with --box"),
    ([*POLYGON, "--tolerance", "0.05"], "Expected --tolerance with --seed. Received: with --polygon"),
    ([*POLYGON, "--fill-holes"], "Expected --fill-holes with --seed or --box. Received: with --polygon"),
    ([*POLYGON, "--feather", "-1"], "Expected a feather of 0 or more pixels"),
    ([*POLYGON, "--add", "STYLE"], "Expected a mask in grey"),
    ([*POLYGON, "--add", "MISSING"], "No such file"),
    ([*POLYGON, "--subtract", "SMALL"], f"Received: image {WIDTH} x {HEIGHT} and "),
    ([*POLYGON, "--subtract", "FULL"], "Expected a selection of something. Received: an empty mask"),
    ([*POLYGON, "--subtract", "DRAWN"], "Expected a selection of something. Received: an empty mask"),
    ([*POLYGON, "--feather", "400"], "Expected a selection of something. Received: an empty mask"),
    ([*POLYGON, "--preview", "OUT"], "Expected two output files. Received: twice"),
    ([*POLYGON, "--preview", "COMPOSITE"], "Expected an output that is not an input"),
    ([*POLYGON, "--add", "MASK", "--preview", "MASK"], "Expected an output that is not an input"),
    ([*POLYGON, "--subtract", "OUT"], "Expected an output that is not an input"),
    ([*POLYGON, "--preview", "shown.gif"], "Expected an output file that ends in"),
    ([*POLYGON, "--preview", "missing/shown.png"], "The output folder does not exist"),
    (["--seed", "20,30", "--tolerance", "1", "--invert"], "Received: an empty mask"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")  # fmt: skip
def test_refused_in_one_line_with_nothing_written(folder, capfd, arguments, message):
    written(folder, "small", np.eye(20, dtype=np.float32))
    written(folder, "full", np.ones((HEIGHT, WIDTH), np.float32))
    written(folder, "drawn", select_polygon([(5, 5), (30, 5), (30, 40), (5, 40)], (HEIGHT, WIDTH)))
    assert message in refused(folder, capfd, "select", "COMPOSITE", "-o", "OUT", *arguments)


def test_a_flat_image_as_typed(folder, capfd):
    write_image(folder / "flat.png", np.full((HEIGHT, WIDTH, 3), 0.5))
    line = refused(folder, capfd, "select", "FLAT", *BOX, "--preview", "SHOWN", "-o", "OUT")
    assert "try another box, or --polygon" in line


def test_mask_and_preview_are_written_both_or_none(folder, capfd, monkeypatch):
    """The disk fills up with the second."""
    done = []

    def write(content, path):
        if done:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(path.write_bytes(content))

    (folder / "out.png").write_bytes(b"older")
    before = contents(folder)
    monkeypatch.setattr("reproduce.files._write_bytes", write)
    assert run(folder, "select", "COMPOSITE", *POLYGON, "--preview", "SHOWN", "-o", "OUT") == 1
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "No space left on device" in err
    assert done and contents(folder) == before


# Twins.


def flood(allowed, start):
    """Breadth-first search over the four neighbours."""
    reached, queue = np.zeros(allowed.shape, bool), [start]
    while queue:
        y, x = queue.pop(0)
        if 0 <= y < allowed.shape[0] and 0 <= x < allowed.shape[1] and allowed[y, x] and not reached[y, x]:
            reached[y, x] = True
            queue += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return reached


def outside(mask):
    """What can be reached from beyond the border without crossing the mask."""
    return flood(~np.pad(mask, 1), (0, 0))[1:-1, 1:-1]


# By a brush.


@given(data=st.data(), radius=st.floats(0.5, 9))
def test_a_stroke_is_what_is_near_its_lines(data, radius):
    points = data.draw(st.lists(st.tuples(st.floats(-10, 40), st.floats(-10, 30)), min_size=1, max_size=4))
    mask = select_stroke(points, radius, (20, 30))
    distance = np.min([distance_to_segment(*pair) for pair in zip(points, [*points[1:], points[-1]])], axis=0)
    assert (mask[distance < radius - 1] == 1).all()
    assert (mask[distance > radius + 3] == 0).all()


def distance_to_segment(start, end):
    """Of every pixel of 20 x 30 to a line from start to end."""
    x, y = np.meshgrid(np.arange(30), np.arange(20))
    (left, top), along = start, np.subtract(end, start)
    share = ((x - left) * along[0] + (y - top) * along[1]) / max(along @ along, 1e-12)
    share = np.clip(share, 0, 1)
    return np.hypot(x - left - share * along[0], y - top - share * along[1])


@pytest.mark.parametrize(("points", "radius", "message"), [
    ([], 3, "one or more points"), ([(1, 1)], 0.2, "a radius of 0.5 to 1000"), ([(1, 1)], 2000, "a radius"),
    ([(1e9, 1)], 3, "near the image"), ([(float("nan"), 1)], 3, "near the image"),
])  # fmt: skip
def test_strokes_that_cannot_be(points, radius, message):
    with pytest.raises(InputError, match=message):
        select_stroke(points, radius, (20, 30))


# Along edges.


@pytest.mark.parametrize("side", [1, 8])
def test_scissors_follow_the_edge_that_points_lie_near(side):
    """Of a disc, from eight points that are up to two pixels beside its edge; also where the image is reduced."""
    size, radius = 160 * side, 50 * side
    image = np.full((size, size, 3), 0.3, np.float32)
    cv2.circle(image, (80 * side, 80 * side), radius, (0.9, 0.6, 0.2), cv2.FILLED)
    image = cv2.GaussianBlur(image, (0, 0), 1)
    angles = np.arange(8) * np.pi / 4
    beside = radius + side * np.array([2, -2, 1, 0, -1, 2, -2, 1])
    points = [(80 * side + r * np.cos(a), 80 * side + r * np.sin(a)) for r, a in zip(beside, angles)]
    mask = select_along_edges(image, points)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    disc = np.hypot(x - 80 * side, y - 80 * side) <= radius
    assert ((mask > 0.5) & disc).sum() / ((mask > 0.5) | disc).sum() > 0.96
    straight = select_polygon(points, (size, size))
    assert ((straight > 0.5) & disc).sum() / ((straight > 0.5) | disc).sum() < 0.93


def test_a_line_along_edges_goes_through_its_points():
    image = cv2.GaussianBlur(np.random.default_rng(0).random((60, 80, 3), np.float32), (0, 0), 3)
    points = [(3.5, 4.25), (70, 9), (40, 55)]
    line = edge_path(image, points)
    assert [point for point in line if point in points] == points
    steps = np.hypot(*np.diff(line, axis=0).T)
    assert steps.max() < 2.5


@pytest.mark.parametrize(("points", "message"), [
    ([(1, 1), (5, 5)], "three or more points"), ([(1, 1), (5, 5), (500, 5)], "inside the image"),
])  # fmt: skip
def test_scissors_that_cannot_be(points, message):
    with pytest.raises(InputError, match=message):
        select_along_edges(np.zeros((60, 80, 3), np.float32), points)


def test_scissors_and_growing_as_a_command(folder):
    corners = [f"{x},{y}" for x, y in ((16, 20), (47, 20), (47, 43), (16, 43))]
    assert run(folder, "select", "COMPOSITE", "--scissors", *corners, "-o", "CHOSEN") == 0
    areas = [read_mask(folder / "chosen.png").sum()]
    assert areas[0] == pytest.approx(24 * 32, rel=0.3)
    for pixels in ("3", "-3"):
        assert run(folder, "select", "COMPOSITE", "--scissors", *corners, "--grow", pixels, "-o", "CHOSEN") == 0
        areas.append(read_mask(folder / "chosen.png").sum())
    assert areas[1] > areas[0] * 1.2 and areas[2] < areas[0] * 0.8


def test_growing_has_a_limit(folder, capfd):
    line = refused(folder, capfd, "select", "COMPOSITE", "--seed", "20,30", "--grow", "-2000", "-o", "CHOSEN")
    assert "--grow of -1000 to 1000 pixels" in line
