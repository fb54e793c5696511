"""keep-details: the paper's whole pipeline, step by step what its parts are on their own."""

import json

import cv2
import numpy as np
import pytest
from test_applications import QUICK, QUICK_BASE, blobs, disc, harmonize, keep_details, stopping, stylize
from test_command_line import SHORT, folder, refused, run  # noqa: F401

from reproduce import InputError, Stop, Stopped, change, read_image, read_mask
from reproduce.applications.registry import APPLICATIONS, preset
from reproduce.images.regions import blend

CONTENT, STYLE, MASK = blobs((67, 90), 0), blobs((50, 70), 1), disc((67, 90), (30, 41), 12)
KEPT, BASE = change(QUICK, iterations=2), change(QUICK_BASE, iterations=2)


def test_it_is_stylize_then_paste_then_harmonize():
    result = keep_details(CONTENT, STYLE, MASK, KEPT, base=BASE)
    base = stylize(CONTENT, STYLE, BASE).image
    pasted = blend(CONTENT, base, MASK)
    np.testing.assert_array_equal(result.steps["stylized"], base)
    np.testing.assert_array_equal(result.steps["pasted"], pasted)
    np.testing.assert_array_equal(result.steps["mask"], MASK)
    np.testing.assert_array_equal(pasted[MASK == 1], CONTENT[MASK == 1])
    np.testing.assert_allclose(result.image, harmonize(base, pasted, MASK, KEPT).image, atol=1e-6)
    outside = cv2.dilate(MASK, np.ones((31, 31), np.uint8)) == 0
    np.testing.assert_array_equal(result.image[outside], base[outside])


def test_the_report_tells_both_runs():
    report = keep_details(CONTENT, STYLE, MASK, KEPT, base=BASE).report.as_dict()
    assert report["application"] == "keep-details" and list(report["inputs"]) == ["content", "style", "mask"]
    assert report["settings"]["style_loss"] == "matched" and report["settings"]["strength"] == 1
    assert report["base"]["application"] == "stylize" and report["base"]["settings"]["style_loss"] == "gram"


def test_a_painted_image_of_one_s_own():
    painted = blobs((67, 90), 5)
    result = keep_details(CONTENT, STYLE, MASK, KEPT, stylized=painted)
    expected = harmonize(painted, blend(CONTENT, painted, MASK), MASK, KEPT).image
    np.testing.assert_allclose(result.image, expected, atol=1e-6)
    assert list(result.report.inputs) == ["content", "style", "mask", "stylized"]
    assert "base" not in result.report.as_dict()


@pytest.mark.parametrize("strength", [0.0, 0.25])
def test_strength_is_between_the_painted_object_and_the_kept_one(strength):
    painted = blobs((67, 90), 5)
    whole, part = (
        keep_details(CONTENT, STYLE, MASK, change(KEPT, strength=share), stylized=painted) for share in (1.0, strength)
    )
    np.testing.assert_allclose(part.image, painted + strength * (whole.image - painted), atol=1e-5)
    assert part.report.settings["strength"] == strength


def test_stopped_while_the_whole_is_painted_that_is_the_result():
    result = keep_details(CONTENT, STYLE, MASK, KEPT, base=BASE, **stopping("optimizing", 1))
    assert result.report.interrupted and result.report.application == "keep-details"
    np.testing.assert_array_equal(result.image, result.steps["stylized"])
    assert list(result.steps) == ["stylized"]


def test_stopped_before_the_object_s_first_evaluation_the_whole_is_kept():
    stop, seen = Stop(), []

    def on_progress(progress):
        seen.append(progress.stage)
        if "optimizing" in seen and progress.stage not in ("optimizing", "starting"):
            stop.set()

    result = keep_details(CONTENT, STYLE, MASK, KEPT, base=BASE, stop=stop, on_progress=on_progress)
    assert result.report.interrupted
    np.testing.assert_array_equal(result.image, result.steps["stylized"])


def test_stopped_before_anything_there_is_nothing():
    stop = Stop()
    stop.set()
    for stylized in (None, CONTENT):
        with pytest.raises(Stopped):
            keep_details(CONTENT, STYLE, MASK, KEPT, base=BASE, stylized=stylized, stop=stop)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": MASK[1:]}, "the content image 90 x 67 and the mask 90 x 66"),
        ({"mask": 0 * MASK}, "a mask that selects something"),
        ({"stylized": CONTENT[:, 1:]}, "the content image 90 x 67 and the stylized image 89 x 67"),
        ({"content": CONTENT[..., 0]}, "the content image"),
    ],
)
def test_what_is_refused_before_any_work(changes, message):
    inputs = {"content": CONTENT, "style": STYLE, "mask": MASK} | changes

    def never(progress):
        raise AssertionError(progress)

    with pytest.raises(InputError, match=message):
        keep_details(**inputs, settings=KEPT, base=BASE, on_progress=never)


# As it is typed


def test_the_painted_image_is_written_too(folder):  # noqa: F811
    assert run(folder, "keep-details", "CONTENT", "STYLE", "MASK", "-o", "OUT", *SHORT) == 0
    assert {path.name for path in folder.glob("out*")} == {"out.png", "out.json", "out_stylized.png"}
    assert run(folder, "stylize", "CONTENT", "STYLE", "-o", "BASE", *SHORT) == 0
    np.testing.assert_array_equal(read_image(folder / "out_stylized.png"), read_image(folder / "base.png"))
    report = json.loads((folder / "out.json").read_text())
    assert report["base"]["settings"]["iterations"] == report["settings"]["iterations"]
    assert list(report["inputs"]) == ["content", "style", "mask"]


def test_the_painted_image_is_taken_and_the_steps_are_kept(folder):  # noqa: F811
    arguments = ["--stylized", "BACKGROUND", "--keep-intermediates", "-o", "OUT", *SHORT]
    assert run(folder, "keep-details", "CONTENT", "STYLE", "MASK", *arguments) == 0
    assert {path.name for path in folder.glob("out*")} == {"out.png", "out.json", "out_pasted.png", "out_mask.png"}
    mask = read_mask(folder / "mask.png")
    pasted, content, painted = (read_image(folder / f"{name}.png") for name in ("out_pasted", "content", "background"))
    np.testing.assert_array_equal(pasted[mask == 1], content[mask == 1])
    np.testing.assert_array_equal(pasted[mask == 0], painted[mask == 0])
    np.testing.assert_array_equal(read_mask(folder / "out_mask.png"), mask)


def test_no_input_is_written_over(folder, capfd):  # noqa: F811
    (folder / "out_pasted.png").write_bytes((folder / "mask.png").read_bytes())
    arguments = ["CONTENT", "STYLE", str(folder / "out_pasted.png"), "--keep-intermediates", "-o", "OUT", *SHORT]
    assert "an output that is not an input" in refused(folder, capfd, "keep-details", *arguments)


def test_the_plan_is_of_both_runs():
    one, first = APPLICATIONS["keep-details"], APPLICATIONS["stylize"]
    settings, base = preset("refined", "keep-details"), one.base_preset("refined", iterations=7, patch_size=5)
    assert base == preset("refined", "stylize", iterations=7)
    whole = one.estimate((600, 800), [(100, 100)], settings, base=base)
    own = one.estimate((600, 800), [(100, 100)], settings)
    before = first.estimate((600, 800), [(100, 100)], base)
    assert whole.memory_bytes == max(own.memory_bytes, before.memory_bytes)
    assert whole.seconds(1e11) == pytest.approx(own.seconds(1e11) + before.seconds(1e11))
