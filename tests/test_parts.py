"""Parts of an image that cannot see each other: found, optimised each in its own window, and as cheap as they are."""

import time
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from reproduce import VGG19, change, harmonize
from reproduce.images.geometry import Rectangle
from reproduce.images.masks import bounding_box
from reproduce.losses import STYLE_LOSSES
from reproduce.losses.normalization import NORMALIZATIONS
from reproduce.network import active, backend
from reproduce.network.active import MOST_PARTS, independent_parts
from reproduce.network.architecture import LAYERS, reach
from reproduce.network.backend import as_tensor
from reproduce.network.features import Extractor
from reproduce.presets import PAPER, REFINED
from reproduce.solving import objective
from reproduce.solving.objective import Objective, Problem, Style

SHALLOW = ("block3_conv1",)
SMALL = change(
    PAPER,
    style_layers=("block2_conv1", "block3_conv1"),
    content_layers=SHALLOW,
    content_weight=0.3,
    tv_weight=0.02,
)


def filled(shape, *rectangles):
    """A mask of rectangles (top, left, bottom, right), each fainter than the one before."""
    mask = np.zeros(shape, np.float32)
    for number, rectangle in enumerate(rectangles):
        mask[Rectangle(*rectangle).slices] = 0.8**number
    return mask


def disc(shape, row, column, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.clip((radius + 1 - np.hypot(rows - row, columns - column)) / 3, 0, 1).astype(np.float32)


def problem_of(mask, style_shape=(60, 68), styles=None):
    random = np.random.default_rng(0)
    content, start = random.random((2, *mask.shape, 3), np.float32)
    paintings = random.random((2, *style_shape, 3), np.float32)
    return Problem(content, tuple(map(Style, paintings, styles or (mask,))), start, mask, mask > 0)


@lru_cache
def network(layers, pooling="max", width=0.05):
    return Extractor(layers, pooling=pooling, width=width)


# What is found


def test_one_object_is_one_part_and_no_larger_than_it():
    free = np.zeros((70, 90), bool)
    free[11, 20:50] = free[30:33, 25] = True  # on the finest grid they touch
    assert independent_parts(free, SHALLOW) == [(11, 20, 33, 50)]
    assert independent_parts(np.ones((70, 90), bool), SHALLOW) == [(0, 0, 70, 90)]


def test_objects_in_opposite_corners_are_parts():
    mask = filled((400, 500), (0, 0, 30, 40), (371, 463, 400, 499))
    assert set(independent_parts(mask > 0, PAPER.layers, 1)) == {(0, 0, 30, 40), (371, 463, 400, 499)}


def test_an_object_within_another_is_a_part_of_it():
    free = np.zeros((300, 300), bool)
    free[:, :20] = free[:, 280:] = free[:20] = free[280:] = True
    free[140:150, 140:150] = True
    assert independent_parts(free, SHALLOW) == [(0, 0, 300, 300)]


def test_parts_that_see_each_other_only_through_a_third_are_one():
    row = filled((40, 400), (10, 0, 30, 100), (10, 120, 30, 220), (10, 240, 30, 340)) > 0
    assert independent_parts(row, SHALLOW) == [(10, 0, 30, 340)]


@pytest.mark.parametrize(
    "layers, halo, apart",
    [
        # A cell of the first convolution sees 1 pixel around, of the second 2: two pixels with 2 or 4 between.
        (("block1_conv1",), 0, 2),
        (("block1_conv2",), 0, 4),
        # From column 4 on: pixels 4 | 5 + apart. Patches of 3 of the first layer's cells reach one more.
        (("block1_conv1",), 1, 3),
        (("block1_conv1",), 3, 5),
        # The pool after it halves: the left one reaches cells 1 to 3 of block 2, so the other's begin at 4, pixel 8,
        # of which it sees 2; the convolution after it takes a cell, 2 pixels, on both sides.
        (("block2_conv1",), 0, 9),
    ],
)
def test_how_far_apart_parts_are_by_hand(monkeypatch, layers, halo, apart):
    monkeypatch.setattr(active, "FINEST_GRID", 1)
    for between, count in ((apart - 1, 1), (apart, 2)):
        free = np.zeros((9, 40), bool)
        free[4, 4] = free[4, 5 + between] = True
        assert len(independent_parts(free, layers, halo)) == count, between


DISCS = st.tuples(st.integers(0, 95), st.integers(0, 130), st.integers(1, 12))
ODD_SHAPE = (95, 131)


@examples(max_examples=40, deadline=None)
@given(
    DISCS, DISCS, st.sampled_from(("block1_conv2", "block2_conv2", "block3_conv1", "block3_conv4")), st.integers(0, 3)
)
def test_what_changes_in_one_part_changes_nothing_near_another(first, second, layer, halo):
    """With the network itself; and where two boxes are one part, they do see each other, or nearly."""
    masks = [disc(ODD_SHAPE, *each) > 0 for each in (first, second)]
    assume(all(mask.any() for mask in masks))
    boxes = [bounding_box(mask) for mask in masks]
    parts = independent_parts(masks[0] | masks[1], (layer,), halo)
    image = np.random.default_rng(0).random((*ODD_SHAPE, 3), np.float32)
    extractor = network((layer,))
    cells = [reach(box, ODD_SHAPE, layer).grow(halo).clip(ODD_SHAPE) for box in boxes]
    if len(parts) == 2:
        assert set(parts) == set(boxes)
        before = extractor(image)[layer]
        for mask, near_other in zip(masks, cells[::-1]):
            changed = np.where(mask[..., None], 1 - image, image)
            same = extractor(changed)[layer][near_other.slices]
            np.testing.assert_allclose(same, before[near_other.slices], rtol=1e-5, atol=1e-4)
    else:
        assert parts == [bounding_box(masks[0] | masks[1])]
        grid = active.FINEST_GRID
        touching = boxes[0].shrink(grid).grow(1).overlaps(boxes[1].shrink(grid))
        met = any(
            reach(boxes[0], ODD_SHAPE, each).grow(halo).overlaps(reach(boxes[1], ODD_SHAPE, each))
            for each in LAYERS[: LAYERS.index(layer) + 1]
        )
        assert touching or met


@examples(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-5, 1e-2), st.sampled_from((SHALLOW, PAPER.layers)), st.integers(0, 3))
def test_every_free_pixel_is_in_one_part(seed, share, layers, halo):
    random = np.random.default_rng(seed)
    free = random.random(random.integers(20, 900, 2)) < share
    assume(free.any())
    parts = independent_parts(free, layers, halo)
    assert 1 <= len(parts) <= MOST_PARTS
    covered = np.zeros(free.shape, int)
    for part in parts:
        assert free[part.slices].any() and part == part.clip(free.shape)
        covered[part.slices] += 1
    assert covered.max() == 1 and covered[free].all()
    assert parts == independent_parts(free, layers, halo)


def squares(shape, *places, side=20):
    """Free pixels in squares with these top left corners, and their rectangles."""
    rectangles = [(row, column, row + side, column + side) for row, column in places]
    return filled(shape, *rectangles) > 0, rectangles


def test_the_most_parts_are_those_that_add_the_least():
    """One more than may be, two of them nearer than the others: these become one."""
    free, parts = squares((220, 4300), *((100, 500 * k) for k in range(MOST_PARTS)), (100, 3760))
    assert set(independent_parts(free, SHALLOW)) == {*parts[:-2], (100, 3500, 120, 3780)}


def test_large_parts_side_by_side_add_less_than_small_ones_far_apart():
    free, parts = squares((4000, 4000), *((500 * k, 500 * k) for k in range(MOST_PARTS - 1)))
    free[100:700, 2600:3200] = free[100:700, 3300:3900] = True
    assert set(independent_parts(free, SHALLOW)) == {*parts, (100, 2600, 700, 3900)}


def test_what_two_parts_see_together_is_theirs():
    """The first two become one, and that one sees the third, which neither saw before."""
    free, parts = squares(
        (400, 5000), (0, 100), (300, 100), (150, 130), *((0, 700 * k) for k in range(1, MOST_PARTS - 1))
    )
    assert len(parts) == MOST_PARTS + 1
    assert set(independent_parts(free, SHALLOW)) == {(0, 100, 320, 150), *parts[3:]}


@pytest.mark.parametrize("share", [1e-5, 1e-4, 1e-3, 1])
def test_speckles_are_told_apart_quickly(share):
    free = np.random.default_rng(0).random((3000, 4000)) < share
    began = time.perf_counter()
    parts = independent_parts(free, PAPER.layers, 1)
    assert time.perf_counter() - began < 3
    assert len(parts) <= MOST_PARTS


def test_many_objects_are_told_apart_quickly():
    free = np.zeros((6000, 8000), bool)
    for row in range(20, 6000, 800):
        for column in range(20, 8000, 900):
            free[row : row + 12, column : column + 12] = True
    began = time.perf_counter()
    parts = independent_parts(free, PAPER.layers, 1)
    assert time.perf_counter() - began < 3
    assert len(parts) == MOST_PARTS


# Their values and gradients: those of one window around all

FAR = filled((74, 131), (3, 5, 21, 22), (50, 100, 66, 117), (0, 96, 9, 110))
BORDERS = filled((75, 133), (0, 0, 12, 9), (62, 120, 75, 133))
LAST_ROW = filled((75, 131), (74, 4, 75, 30), (4, 80, 22, 110))
LEFT = (20, 16, 44, 32)  # of it the last cell of block 3 that changes is the eleventh
NEAR = {
    "that just see each other": ("gram", filled((64, 120), LEFT, (20, 53, 44, 69))),
    "that just do not": ("gram", filled((64, 120), LEFT, (20, 54, 44, 70))),
    "whose patches just see each other": ("per_patch", filled((64, 120), LEFT, (20, 57, 44, 73))),
    "whose patches just do not": ("per_patch", filled((64, 120), LEFT, (20, 58, 44, 74))),
}
FAINT = np.where(np.arange(131) < 60, 1, 0.4).astype(np.float32)
WIDE = filled((300, 420), (4, 3, 30, 33), (270, 380, 298, 420))
SHALLOWER = {"style_layers": ("block1_conv2", "block2_conv1"), "content_layers": ("block2_conv1",)}
CASES = {
    f"{style_loss} {normalization}": (FAR, SHALLOWER | {"style_loss": style_loss, "normalization": normalization})
    for style_loss in STYLE_LOSSES
    for normalization in NORMALIZATIONS
}
CASES |= {
    "average pooling": (FAR, {"pooling": "average"}),
    "borders": (BORDERS, {}),
    "borders, per patch": (BORDERS, {"style_loss": "per_patch"}),
    "patches of 5": (FAR, {"style_loss": "per_patch", "patch_size": 5}),
    "patches of 7": (FAR, {"style_loss": "per_patch", "patch_size": 7}),
    **{f"two {which}": (mask, {"style_loss": style_loss}) for which, (style_loss, mask) in NEAR.items()},
    # A pooling drops the last row, and with it one part's whole mask.
    **{
        f"a part without a mask, {style_loss}": (LAST_ROW, {"style_loss": style_loss, "mask_mode": "area"})
        for style_loss in STYLE_LOSSES
    },
    # So thin that it fills no cell by half, which the others do: no cells of it are compared.
    "a faint part, sliced": (filled((74, 131), (3, 5, 21, 22), (50, 100, 66, 117)) * FAINT, {"style_loss": "sliced"}),
    "sliced, beyond the matches": (FAR, {"style_loss": "sliced", "match_once": True, "beyond_matches": 0.5}),
    "the paper's layers": (WIDE, {"style_layers": PAPER.style.style_layers, "content_layers": ("block4_conv1",)}),
    "the refined layers": (
        WIDE,
        {
            "style_loss": "sliced",
            "style_layers": REFINED.style.style_layers,
            "content_layers": REFINED.content.content_layers,
            "normalization": "relative",
        },
    ),
}
EXPECTED_PARTS = {
    name: 1 if name.endswith("see each other") else 3 if mask is FAR else 2 for name, (mask, _) in CASES.items()
}


@contextmanager
def in_one_window():
    """All free pixels are one part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "independent_parts", lambda free, *_: [bounding_box(free)])
        yield


def differences(problem, settings):
    """How far the parts' terms and gradient are from those of one window, relatively; and how many parts there are."""
    extractor = network(settings.layers, settings.network.pooling)
    with pytest.MonkeyPatch.context() as patch:
        # To compile takes longer than to evaluate twice.
        patch.setattr(backend, "compiled", lambda function, shape: lambda x: function(as_tensor(x)))
        found = Objective(problem, extractor, settings)
        with in_one_window():
            one = Objective(problem, extractor, settings)
    assert np.array_equal(found.start, one.start) and np.array_equal(found.start, problem.start[problem.free].ravel())
    (loss, gradient, terms), (expected_loss, expected_gradient, expected) = found(found.start), one(one.start)
    assert list(terms) == list(expected)
    return {
        "parts": len(found._parts),
        "loss": abs(loss / expected_loss - 1),
        "terms": max(abs(terms[name] - value) / (abs(value) or 1) for name, value in expected.items()),
        "gradient": float(np.abs(gradient - expected_gradient).max() / np.abs(expected_gradient).max()),
        "least gradient": float((gradient != 0).mean()),
    }


def all_differences():
    found = {name: differences(problem_of(mask), change(SMALL, **changes)) for name, (mask, changes) in CASES.items()}
    return found | {name: differences(*case()) for name, case in OTHER_CASES.items()} | {"two discs": two_discs()}


@examples(max_examples=6, deadline=None, derandomize=True)
@given(DISCS, DISCS, st.sampled_from(sorted(STYLE_LOSSES)), st.sampled_from((3, 5)))
def any_two_discs(first, second, style_loss, patch_size):
    mask = np.maximum(disc(ODD_SHAPE, *first), 0.7 * disc(ODD_SHAPE, *second))
    assume(len(independent_parts(mask > 0, SMALL.layers, patch_size // 2)) == 2)
    sizes = {} if style_loss == "gram" else {"patch_size": patch_size}
    differs = differences(problem_of(mask), change(SMALL, style_loss=style_loss, **sizes))
    assert differs["parts"] == 2
    assert max(differs[name] for name in ("loss", "terms", "gradient")) < 1e-9, differs


def two_discs():
    """What is wrong with a pair of discs; nothing if they are as one window."""
    try:
        any_two_discs()
    except AssertionError as error:
        return str(error) or "another number of parts"
    return ""


def with_another_query():
    problem = problem_of(FAR)
    return replace(problem, query=problem.start), SMALL


def with_two_styles():
    """One for each of two parts; the third part has none, and the first no content."""
    left = FAR * (np.arange(FAR.shape[1]) < 50).astype(np.float32)
    right = FAR * (np.arange(FAR.shape[0]) > 40).astype(np.float32)[:, None]
    return replace(problem_of(FAR, styles=(left, right)), mask=FAR - left), change(SMALL, style_loss="per_patch")


OTHER_CASES = {"another query": with_another_query, "two styles": with_two_styles}


@pytest.fixture(scope="module")
def found(in_float64):
    return in_float64("test_parts.all_differences()")


@pytest.mark.parametrize("name", [*CASES, *OTHER_CASES])
def test_parts_have_the_values_and_gradients_of_one_window(found, name):
    differs = found[name]
    assert differs["parts"] == EXPECTED_PARTS.get(name, 3)
    assert differs["loss"] < 1e-9 and differs["terms"] < 1e-9 and differs["gradient"] < 1e-9
    assert differs["least gradient"] > 0.5


def test_any_two_discs_have_the_values_and_gradients_of_one_window(found):
    assert not found["two discs"]


# What they cost, and what comes out


def test_the_network_runs_on_the_parts_alone(monkeypatch):
    shapes = []

    class Spy(active.ActiveNetwork):
        def __call__(self, patch):
            shapes.append(tuple(patch.shape))
            return super().__call__(patch)

    monkeypatch.setattr(objective, "ActiveNetwork", Spy)
    found = Objective(problem_of(FAR), network(SMALL.layers), SMALL)
    found(found.start)
    assert sorted(shapes) == sorted([(18, 17, 3), (16, 17, 3), (9, 14, 3)])
    cells = {layer: sum(reach(part, FAR.shape, layer).area for part in found._parts) for layer in SMALL.layers}
    for layer, count in cells.items():
        assert count < reach(bounding_box(FAR), FAR.shape, layer).area / 3


def test_the_image_of_several_parts_leaves_other_pixels_to_the_bit():
    problem = problem_of(FAR)
    found = Objective(problem, network(SMALL.layers), SMALL)
    x = np.random.default_rng(1).uniform(-0.5, 1.5, found.start.size)
    image = problem.image(x)
    np.testing.assert_array_equal(image[~problem.free], problem.content[~problem.free])
    np.testing.assert_array_equal(image[problem.free].ravel(), np.clip(x, 0, 1).astype(np.float32))


@pytest.mark.parametrize("style_loss", ["matched", "sliced"])
def test_two_objects_are_harmonized_in_one_run(monkeypatch, style_loss):
    """The losses at the start are those of one window around both; the painting stays bit for bit."""
    random = np.random.default_rng(0)
    background, composite = random.random((2, 96, 180, 3), np.float32)
    mask = np.maximum(disc((96, 180), 14, 16, 6), disc((96, 180), 80, 160, 7))
    settings = change(SMALL, style_loss=style_loss, scale=1.0, iterations=3, grow=3)
    arguments = background, composite, mask, settings
    counts = []

    def counted(*given):
        parts = independent_parts(*given)
        counts.append(len(parts))
        return parts

    monkeypatch.setattr(objective, "independent_parts", counted)
    result = harmonize(*arguments, network=VGG19(width=0.05))
    assert counts == [2]
    with in_one_window():
        expected = harmonize(*arguments, network=VGG19(width=0.05))
    losses, wanted = result.report.loss, expected.report.loss
    assert losses["initial"]["terms"] == pytest.approx(wanted["initial"]["terms"], rel=1e-5)
    assert losses["final"]["total"] == pytest.approx(wanted["final"]["total"], rel=1e-2)
    assert losses["final"]["total"] < losses["initial"]["total"]
    far = np.ones(mask.shape, bool)
    far[:30, :32] = far[65:, 144:] = False
    np.testing.assert_array_equal(result.image[far], background[far])
    for inside in (disc((96, 180), 14, 16, 4) > 0.9, disc((96, 180), 80, 160, 5) > 0.9):
        assert np.abs(result.image - composite)[inside].max() > 1e-4
