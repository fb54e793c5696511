"""The content's own colours kept, in two ways; several styles blended in one image."""

import json

import cv2
import numpy as np
import pytest
from test_applications import QUICK, QUICK_BASE, blobs, harmonize, pasted, problems, stylize  # noqa: F401
from test_command_line import SHORT, folder, refused, run  # noqa: F401

from reproduce import InputError, change
from reproduce.images.arrays import is_grey, to_lab
from reproduce.images.polish import match_colors, with_colors, without_colors

CONTENT, STYLE, OTHER = 0.25 + blobs((48, 64), 0) / 2, blobs((50, 70), 1), blobs((64, 48), 2)  # content: within sRGB


def colors(image):
    return to_lab(image)[..., 1:]


def test_greys_of_the_same_lightness():
    grey = without_colors(CONTENT)
    assert is_grey(grey)
    np.testing.assert_allclose(to_lab(grey)[..., 0], to_lab(CONTENT)[..., 0], atol=0.2)


def test_an_image_with_its_own_colors_is_itself():
    np.testing.assert_allclose(with_colors(CONTENT, CONTENT), CONTENT, atol=4e-3)
    np.testing.assert_allclose(with_colors(without_colors(CONTENT), CONTENT), CONTENT, atol=4e-3)


def test_matched_colors_have_the_mean_and_the_covariance():
    wanted = CONTENT.reshape(-1, 3)
    matched = match_colors(0.3 + 0.4 * STYLE, wanted).reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(axis=0), wanted.mean(axis=0), atol=4e-3)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(wanted.T), atol=5e-4)


def test_colors_that_match_already_stay():
    np.testing.assert_allclose(match_colors(CONTENT, CONTENT.reshape(-1, 3)), CONTENT, atol=1e-5)


@pytest.mark.parametrize("flat", ["image", "wanted"])
def test_colors_of_flat_images_are_finite(flat):
    images = {"image": CONTENT, "wanted": STYLE, flat: np.full((8, 8, 3), 0.4, np.float32)}
    matched = match_colors(images["image"], images["wanted"].reshape(-1, 3))
    assert np.isfinite(matched).all() and matched.min() >= 0 and matched.max() <= 1
    np.testing.assert_allclose(matched.mean(axis=(0, 1)), images["wanted"].mean(axis=(0, 1)), atol=0.02)


def test_stylize_keeps_the_content_s_colors(problems):  # noqa: F811
    result = stylize(CONTENT, STYLE, change(QUICK_BASE, keep_colors=True)).image
    (problem,) = problems
    assert is_grey(problem.content) and is_grey(problem.styles[0].image)
    lightness, (wanted, found) = to_lab(result)[..., 0], (colors(image) for image in (CONTENT, result))
    inside = ((result > 0) & (result < 1)).all(axis=-1)  # what left sRGB was clipped
    assert inside.mean() > 0.9
    np.testing.assert_allclose(found[inside], wanted[inside], atol=0.5)
    assert np.abs(lightness - to_lab(CONTENT)[..., 0]).max() > 3


def test_harmonize_keeps_the_object_s_colors_and_the_painting(problems):  # noqa: F811
    background, composite, mask = (0.3 + 0.4 * image if image.ndim == 3 else image for image in pasted())
    result = harmonize(background, composite, mask, change(QUICK, keep_colors=True, grow=0, feather=1.0)).image
    (problem,) = problems
    assert is_grey(problem.content) and is_grey(problem.styles[0].image)
    far = cv2.dilate(mask, np.ones((9, 9))) == 0
    np.testing.assert_array_equal(result[far], background[far])
    inside = (cv2.erode(mask, np.ones((9, 9))) > 0) & ((result > 0) & (result < 1)).all(axis=-1)
    np.testing.assert_allclose(colors(result)[inside], colors(composite)[inside], atol=0.5)


def test_the_style_image_is_brought_to_the_content_s_colors(problems):  # noqa: F811
    stylize(CONTENT, STYLE, change(QUICK_BASE, match_colors=True, scale=1.0))
    background, composite, mask = pasted()
    harmonize(background, composite, mask, change(QUICK, match_colors=True, scale=1.0))
    for problem, wanted in zip(problems, (CONTENT.reshape(-1, 3), composite[mask > 0]), strict=True):
        found = problem.styles[0].image.mean(axis=(0, 1))
        np.testing.assert_allclose(found, wanted.mean(axis=0), atol=0.02)


# Several styles


def terms(style, blend=(), **changes):
    settings = change(QUICK_BASE, iterations=0, **changes)
    return stylize(CONTENT, style, settings, blend=blend).report.loss["initial"]["terms"]


def test_blended_styles_are_those_of_each_by_their_shares():
    one, other, both = terms(STYLE), terms(OTHER), terms([STYLE, OTHER], (3, 1))
    expected = {"content block3_conv1": one["content block3_conv1"]}
    for layer in QUICK.style.style_layers:
        expected |= {
            f"style 1 {layer}": 0.75 * one[f"style {layer}"],
            f"style 2 {layer}": 0.25 * other[f"style {layer}"],
        }
    assert both == pytest.approx(expected, rel=1e-5)
    equally = terms([STYLE, OTHER])
    assert equally["style 1 block2_conv1"] == pytest.approx(one["style block2_conv1"] / 2, rel=1e-5)


def test_one_style_in_a_list_is_that_style():
    assert terms([STYLE], (7,)) == terms(STYLE)


@pytest.mark.parametrize(
    ("styles", "blend", "message"),
    [
        (2, (1.0,), r"a number of blend for each of 2 styles. Received: \[1.0\]"),
        (1, (1.0, 2.0), "a number of blend for each of 1 styles"),
        (2, (0, 0), "numbers of blend of 0 or more, not all of them 0"),
        (2, (1, -1), "numbers of blend of 0 or more"),
        (2, (1, float("nan")), "numbers of blend of 0 or more"),
        (0, (), "at least one style image"),
    ],
)
def test_shares_that_are_none(styles, blend, message):
    with pytest.raises(InputError, match=f"Expected {message}"):
        stylize(CONTENT, [STYLE, OTHER][:styles], QUICK_BASE, blend=blend)


def test_two_styles_and_their_shares_as_they_are_typed(folder):  # noqa: F811
    assert run(folder, "stylize", "CONTENT", "STYLE", "SECOND_STYLE", "--blend", "1,3", "-o", "OUT", *SHORT) == 0
    report = json.loads((folder / "out.json").read_text())
    assert list(report["inputs"]) == ["content", "style", "style 2"]
    names = {name.split()[0] + " " + name.split()[1] for name in report["loss"]["final"]["terms"]}
    assert {"style 1", "style 2"} < names


def test_a_share_too_few_is_said_in_one_line(folder, capfd):  # noqa: F811
    line = refused(folder, capfd, "stylize", "CONTENT", "STYLE", "SECOND_STYLE", "--blend", "1", "-o", "OUT", *SHORT)
    assert "a number of blend for each of 2 styles" in line
    line = refused(folder, capfd, "stylize", "CONTENT", "STYLE", "--blend", "1,x", "-o", "OUT", *SHORT)
    assert "expected numbers X,Y,..., received '1,x'" in line


def test_every_style_must_be_another_file_than_the_output(folder, capfd):  # noqa: F811
    line = refused(folder, capfd, "stylize", "CONTENT", "STYLE", "SECOND_STYLE", "-o", "SECOND_STYLE", *SHORT)
    assert "an output that is not an input" in line
