"""restyle-region with masks: any shape, several styles, a style for the rest, in one optimisation."""

import json

import cv2
import numpy as np
import pytest
from test_applications import CORNERS, QUICK_BASE, blobs, disc, problems, restyle_region  # noqa: F401
from test_command_line import SHORT, folder, refused, run  # noqa: F401

from reproduce import InputError, change
from reproduce.applications.restyle_region import shares
from reproduce.images.arrays import is_grey

IMAGE, STYLE, OTHER, REST = (blobs(shape, seed) for seed, shape in enumerate([(66, 90), (40, 50), (50, 40), (60, 60)]))
LEFT, RIGHT = disc((66, 90), (33, 25), 14), disc((66, 90), (30, 65), 12)
SETTINGS = change(QUICK_BASE, scale=1.0)


def beyond(mask, pixels=6):
    return cv2.dilate(mask, np.ones((2 * pixels + 1,) * 2, np.uint8)) == 0


def test_a_shape_is_painted_and_nothing_else_changes(problems):  # noqa: F811
    result = restyle_region(IMAGE, STYLE, settings=SETTINGS, mask=LEFT)
    np.testing.assert_array_equal(result.image[beyond(LEFT)], IMAGE[beyond(LEFT)])
    inside = cv2.erode(LEFT, np.ones((7, 7))) > 0
    assert np.abs(result.image - IMAGE)[inside].mean() > 0.002
    (problem,) = problems
    free = problem.free[:66, :90]
    assert not free[beyond(LEFT)].any() and free[LEFT > 0].all()
    assert list(result.report.inputs) == ["image", "style", "mask"]
    assert result.report.application == "restyle-region" and result.report.corners is None


def test_the_style_is_as_large_as_its_part(problems):  # noqa: F811
    restyle_region(IMAGE, STYLE, settings=SETTINGS, mask=LEFT, background_style=REST)
    (problem,) = problems
    assert [style.image.shape[:2] for style in problem.styles] == [(23, 29), (90, 90)]


def test_several_shapes_have_a_style_each(problems):  # noqa: F811
    report = restyle_region(IMAGE, STYLE, settings=SETTINGS, mask=LEFT, also=[(OTHER, RIGHT)]).report
    (problem,) = problems
    for style, own, others in zip(problem.styles, (LEFT, RIGHT), (RIGHT, LEFT)):
        counts = style.mask[:66, :90]
        assert counts[own > 0].min() > 0.2 and counts[others > 0].max() == 0
    assert list(report.inputs) == ["image", "style", "mask", "style 2", "mask 2"]
    assert {name.rsplit(" ", 1)[0] for name in report.loss["final"]["terms"]} == {"content", "style 1", "style 2"}


@pytest.mark.parametrize("feather", [0.0, 2.0])
def test_where_masks_meet_their_shares_are_one(problems, feather):  # noqa: F811
    settings = change(SETTINGS, feather=feather)
    left, right = np.zeros((2, 66, 90), np.float32)
    left[10:50, 10:45] = right[10:50, 45:80] = 1
    restyle_region(IMAGE, STYLE, settings=settings, mask=left, also=[(OTHER, right)], background_style=REST)
    (problem,) = problems
    np.testing.assert_allclose(sum(style.mask for style in problem.styles), 1, atol=1e-6)
    assert problem.free.all()
    seam = sum(style.mask for style in problem.styles[:2])[20:40, 40:50]
    np.testing.assert_allclose(seam, 1, atol=1e-3)  # the rest's style does not come in between


def test_overlapping_masks_share():
    one, other = shares([np.float32([1, 1, 0.5, 0]), np.float32([0, 1, 0.5, 0.25])])
    np.testing.assert_allclose(one, [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(other, [0, 0.5, 0.5, 0.25])


def test_a_style_that_another_covers_whole_still_has_its_share():
    result = restyle_region(IMAGE, STYLE, settings=SETTINGS, mask=LEFT, also=[(OTHER, LEFT)])
    assert np.isfinite(result.image).all()


def test_a_rest_of_which_nothing_is_left_has_no_style(problems):  # noqa: F811
    left = np.zeros((66, 90), np.float32)
    left[:, :40] = 1
    settings = change(SETTINGS, feather=0.0)
    restyle_region(IMAGE, STYLE, settings=settings, mask=left, also=[(OTHER, 1 - left)], background_style=REST)
    assert len(problems[0].styles) == 2


def test_colors_can_be_kept_in_a_shape(problems):  # noqa: F811
    restyle_region(IMAGE, STYLE, settings=change(SETTINGS, keep_colors=True), mask=LEFT)
    assert is_grey(problems[0].content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "corners, or a mask. Received: neither"),
        ({"corners": [(9, 9), (50, 9), (50, 50), (9, 50)], "mask": LEFT}, "corners, or a mask. Received: both"),
        (
            {"corners": [(9, 9), (50, 9), (50, 50), (9, 50)], "also": [(OTHER, LEFT)]},
            "beside a mask, not beside corners",
        ),
        ({"mask": 0 * LEFT}, "a mask that selects something"),
        ({"mask": LEFT[1:]}, "the image 90 x 66 and the mask 90 x 65"),
        ({"mask": LEFT, "also": [(OTHER, RIGHT[:, 1:])]}, "the image 90 x 66 and the mask 89 x 66"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        restyle_region(IMAGE, STYLE, settings=SETTINGS, **arguments)


def test_shapes_as_they_are_typed(folder):  # noqa: F811
    arguments = ["--mask", "MASK", "--also", "SECOND_STYLE", "MASK", "--background-style", "STYLE", "-o", "OUT", *SHORT]
    assert run(folder, "restyle-region", "CONTENT", "STYLE", *arguments) == 0
    report = json.loads((folder / "out.json").read_text())
    assert list(report["inputs"]) == ["image", "style", "mask", "also style", "also mask", "background_style"]
    assert "corners" not in report or report["corners"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of the arguments --corners --mask is required"),
        (["--mask", "MASK", "--also", "SECOND_STYLE"], "--also: expected 2 arguments"),
        (["--mask", "MASK", "--corners", "2,2", "60,2", "60,60", "2,60"], "not allowed with argument"),
    ],
)
def test_shapes_mistyped(folder, capfd, arguments, words):  # noqa: F811
    assert words in refused(folder, capfd, "restyle-region", "CONTENT", "STYLE", *arguments, "-o", "OUT", *SHORT)
