"""The three applications with a small random network: what is promised about images, sizes, stages and reports."""

import json
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from reproduce import applications
from reproduce.applications import harmonize, restyle_region, stylize
from reproduce.features import Extractor
from reproduce.masks import feather
from reproduce.refine import content_share
from reproduce.regions import blend
from reproduce.settings import GATYS, PAPER, PAPER_BASE, REFINED
from reproduce.weights import Weights

QUICK = replace(PAPER, style_layers=("block2_conv1", "block3_conv1"), content_layers=("block3_conv1",), iterations=4)
QUICK_BASE = replace(QUICK, style_loss="gram", start="content")
CORNERS = [(12, 9), (60, 14), (55, 48), (9, 41)]
IMAGENET_MEAN_RGB = np.array([123.68, 116.779, 103.939]) / 255


@lru_cache
def network(layers, weights, pooling):
    return Extractor(layers, pooling=pooling, width=0.05)


@pytest.fixture(autouse=True)
def random_network(monkeypatch):
    found = Weights(Path("random.h5"), "random", "0" * 64)
    monkeypatch.setattr(applications, "find_weights", lambda: found)
    monkeypatch.setattr(applications, "_extractor", network)
    return found


@pytest.fixture
def problems(monkeypatch):
    """The problems that a run has solved."""
    solved = []

    def spy(problem, *arguments):
        solved.append(problem)
        return objective(problem, *arguments)

    objective = applications.Objective
    monkeypatch.setattr(applications, "Objective", spy)
    return solved


def blobs(shape, seed):
    """A random image with structure of several sizes, in [0, 1]."""
    random = np.random.default_rng(seed)
    image = sum(s * cv2.GaussianBlur(random.normal(size=(*shape, 3)), (0, 0), s) for s in (0.5, 2, 6))
    return np.float32((image - image.min()) / np.ptp(image))


def disc(shape, center, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.float32(np.hypot(rows - center[0], columns - center[1]) <= radius)


def pasted(shape=(67, 90)):
    """Background, composite (other pixels everywhere, not only on the object), mask."""
    return blobs(shape, 0), blobs(shape, 1), disc(shape, (30, 41), 12)


def around(mask, radius):
    """Everything within `radius` pixels, by the longer of both distances, of the mask."""
    side = 2 * radius + 1
    return cv2.dilate(mask, np.ones((side, side), np.uint8)) > 0


def stop_at(stage, done):
    def on_progress(progress):
        if (progress.stage, progress.done) == (stage, done):
            raise KeyboardInterrupt

    return on_progress


# Stages


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, [(0.5, 300)]),
        ({"iterations": 0}, [(0.5, 0)]),
        ({"coarse_to_fine": 2}, [(0.125, 300), (0.25, 300), (0.5, 300)]),
        ({"rematch_every": 120}, [(0.5, 120), (0.5, 120), (0.5, 60)]),
        ({"rematch_every": 300}, [(0.5, 300)]),
        ({"rematch_every": 1000}, [(0.5, 300)]),
        ({"rematch_every": 5, "iterations": 0}, [(0.5, 0)]),
        ({"rematch_every": 150, "coarse_to_fine": 1, "scale": 1.0}, [(0.5, 300), (1.0, 150), (1.0, 150)]),
    ],
)
def test_stages_by_hand(changes, expected):
    assert replace(PAPER, **{"iterations": 300, "scale": 0.5} | changes).stages == expected


# Harmonize


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("shape", [(67, 90), (80, 75), (64, 64)])
def test_harmonize_changes_nothing_but_the_object(shape, scale):
    background, composite, mask = pasted(shape)
    result = harmonize(background, composite, mask, replace(QUICK, scale=scale))
    assert result.image.shape == background.shape and result.image.dtype == np.float32
    assert result.image.min() >= 0 and result.image.max() <= 1
    outside = ~around(mask, 6)  # the mask's Gaussian, of 2 pixels, is cut off at 3 sigma
    np.testing.assert_array_equal(result.image[outside], background[outside])
    assert np.abs(result.image - background)[mask > 0].mean() > 0.01
    assert result.report["size"] == {
        "input": [shape[1], shape[0]],
        "working": [round(shape[1] * scale), round(shape[0] * scale)],
    }
    assert result.report["loss"]["final"]["total"] < 0.9 * result.report["loss"]["initial"]["total"]


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_mixes_the_naive_composite_and_the_result(strength):
    background, composite, mask = pasted()
    full = harmonize(background, composite, mask, QUICK).image
    image = harmonize(background, composite, mask, replace(QUICK, strength=strength)).image
    under = feather(mask, QUICK.feather) > 0
    np.testing.assert_array_equal(image[~under], background[~under])
    expected = composite + strength * (full - composite)
    np.testing.assert_allclose(image[under], expected[under], atol=1e-6)


def test_stylize_at_strength_zero_is_the_photograph():
    content = blobs((40, 52), 0)
    assert np.array_equal(stylize(content, blobs((44, 36), 1), replace(QUICK_BASE, strength=0.0)).image, content)


def test_the_refined_preset_harmonizes_the_object_alone(problems):
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, replace(REFINED, iterations=4))
    outside = feather(mask, REFINED.feather) == 0
    np.testing.assert_array_equal(result.image[outside], background[outside])
    assert [problem.content.shape[:2] for problem in problems] == [(34, 45), (67, 90)]
    losses = [[entry["loss"] for entry in result.report["trace"] if entry["stage"] == stage] for stage in (0, 1)]
    assert all(min(stage) < stage[0] for stage in losses)


def test_a_smoother_painting_lets_an_object_keep_more_of_its_content():
    background, composite, mask = pasted()
    smooth = cv2.GaussianBlur(background, (0, 0), 8)
    smooth[:, :4] = 0  # one edge, and nothing else
    weights = []
    for painting in (background, smooth):
        report = harmonize(painting, composite, mask, replace(QUICK, content_weight=2.0, adapt_content=True)).report
        assert report["settings"]["content_weight"] == pytest.approx(2 * content_share(painting))
        assert not report["settings"]["adapt_content"]  # run again, these settings would do the same
        weights.append(report["settings"]["content_weight"])
    assert weights[0] < weights[1]


def test_recolored_stages_keep_the_lightness_of_the_object(problems):
    background, composite, mask = pasted()
    harmonize(background, composite, mask, replace(QUICK, scale=1.0, coarse_to_fine=1, recolor=True))
    fine = problems[1]
    free = fine.mask > 0
    lightness, expected = (cv2.cvtColor(i, cv2.COLOR_RGB2LAB)[free] for i in (fine.content, composite))
    assert np.abs(lightness - expected)[:, 0].mean() < 1 < np.abs(lightness - expected)[:, 1:].mean()
    np.testing.assert_array_equal(fine.content[~free], background[~free])


def test_recolored_stages_that_match_again_keep_their_colors(problems):
    harmonize(*pasted(), replace(QUICK, scale=1.0, coarse_to_fine=1, recolor=True, rematch_every=2))
    assert len(problems) == 3 and problems[2].query is not None
    np.testing.assert_array_equal(problems[2].content, problems[1].content)


def test_a_full_frame_object_has_no_painting_to_take_grain_from():
    background, composite, mask = blobs((40, 52), 0), blobs((40, 52), 1), np.ones((40, 52), np.float32)
    mask[0, 0] = 0
    result = harmonize(background, composite, mask, replace(QUICK, match_grain=True))
    assert np.isfinite(result.image).all()


def test_without_a_feather_the_mask_itself_is_the_border():
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, replace(QUICK, feather=0.0, scale=1.0))
    np.testing.assert_array_equal(result.image[mask == 0], background[mask == 0])
    assert (np.abs(result.image - background).max(axis=2)[mask > 0] > 0).mean() > 0.95


def test_a_composite_far_from_the_object_does_not_matter():
    """There the working image is the painting."""
    background, composite, mask = pasted()
    near = around(mask, 12 + 6 + 2)[..., None]
    other = np.where(near, composite, 1 - composite)
    first, second = (harmonize(background, c, mask, QUICK) for c in (composite, other))
    np.testing.assert_allclose(first.image, second.image, atol=1e-4)
    losses = [result.report["loss"]["initial"]["total"] for result in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_inputs_are_not_written_to():
    arrays = pasted()
    copies = [array.copy() for array in arrays]
    harmonize(*arrays, QUICK)
    for array, copy in zip(arrays, copies):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("start", ["content", "style", "blank", "noise"])
def test_no_iterations_give_the_start_under_the_mask(start):
    background, composite, mask = pasted()
    settings = replace(QUICK, start=start, scale=1.0, iterations=0)
    result = harmonize(background, composite, mask, settings)
    core = cv2.erode(mask, np.ones((15, 15), np.uint8)) > 0
    expected = {"content": composite, "style": background, "blank": np.broadcast_to(IMAGENET_MEAN_RGB, composite.shape)}
    if start in expected:
        np.testing.assert_allclose(result.image[core], expected[start][core], atol=1e-6)
    else:
        assert result.image[core].std() == pytest.approx(np.sqrt(1 / 12), rel=0.1)
    assert result.report["iterations"] == 0 and result.report["evaluations"] == 1


def test_noise_follows_the_seed():
    settings = replace(QUICK, start="noise", iterations=2)
    first, again, other = (harmonize(*pasted(), replace(settings, seed=seed)).image for seed in (1, 1, 2))
    np.testing.assert_allclose(first, again, atol=1e-3)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("changes", [{"style_loss": "per_patch"}, {"style_loss": "gram"}, {"bounds": False},
                                     {"mask_mode": "max", "normalization": "sum"}, {"patch_size": 5}])  # fmt: skip
def test_other_settings_lower_the_loss_too(changes):
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, replace(QUICK, **changes))
    assert result.report["loss"]["final"]["total"] < 0.95 * result.report["loss"]["initial"]["total"]
    assert result.image.min() >= 0 and result.image.max() <= 1
    outside = ~around(mask, 6)
    np.testing.assert_array_equal(result.image[outside], background[outside])


def test_coarse_to_fine_starts_each_stage_where_the_last_ended(problems):
    result = harmonize(*pasted((96, 128)), replace(QUICK, coarse_to_fine=2, scale=1.0))
    assert [problem.content.shape[:2] for problem in problems] == [(24, 32), (48, 64), (96, 128)]
    stages_seen = [entry["stage"] for entry in result.report["trace"]]
    assert sorted(set(stages_seen)) == [0, 1, 2] and stages_seen == sorted(stages_seen)
    mask, composite = disc((96, 128), (30, 41), 9) > 0, problems[2].content
    assert np.abs(problems[2].start - composite)[mask].mean() > 0.01
    assert result.report["size"]["working"] == [128, 96]
    assert all(problem.query is None for problem in problems)  # the composite's patches are matched, at every scale


def test_the_reported_losses_are_comparable():
    """Other stages have other targets: first and last loss are those of the last stage."""
    report = harmonize(*pasted(), replace(QUICK, coarse_to_fine=1, scale=1.0)).report
    last = [entry["loss"] for entry in report["trace"] if entry["stage"] == 1]
    assert report["loss"]["initial"]["total"] == last[0] != report["trace"][0]["loss"]
    assert report["loss"]["final"]["total"] == min(last)


def test_rematching_matches_what_has_been_reached(problems):
    """Matched anew, the same image has another loss; with the old matches it would have the same."""
    result = harmonize(*pasted(), replace(QUICK, iterations=6, rematch_every=3))
    assert len(problems) == 2 and problems[0].query is None
    np.testing.assert_array_equal(problems[1].query, problems[1].start)
    first = [entry for entry in result.report["trace"] if entry["stage"] == 0]
    second = [entry for entry in result.report["trace"] if entry["stage"] == 1]
    reached = min(first, key=lambda entry: entry["loss"])
    assert second[0]["content block3_conv1"] == pytest.approx(reached["content block3_conv1"], rel=1e-3)
    assert abs(second[0]["style block2_conv1"] / reached["style block2_conv1"] - 1) > 0.01
    assert result.report["iterations"] == 6


# Ctrl-C


def test_ctrl_c_keeps_the_best_image():
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, replace(QUICK, iterations=50), on_progress=stop_at("optimizing", 3))
    report = result.report
    assert report["interrupted"] and report["stop_reason"] == "STOPPED BY THE USER" and report["iterations"] == 3
    assert report["loss"]["final"]["total"] == min(entry["loss"] for entry in report["trace"])
    outside = ~around(mask, 6)
    np.testing.assert_array_equal(result.image[outside], background[outside])
    assert np.abs(result.image - background)[mask > 0].mean() > 0.01


@pytest.mark.parametrize("changes", [{"coarse_to_fine": 1, "scale": 1.0}, {"rematch_every": 2}])
def test_ctrl_c_between_two_stages_keeps_the_first_ones_image(changes):
    """While the second stage matches, before it has evaluated anything."""
    matchings = 0

    def on_progress(progress):
        nonlocal matchings
        matchings += progress.stage == "matching" and progress.done == 1
        if matchings == 2:
            raise KeyboardInterrupt

    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, replace(QUICK, **changes), on_progress=on_progress)
    assert result.report["interrupted"] and result.report["stop_reason"] == "STOPPED BY THE USER"
    assert {entry["stage"] for entry in result.report["trace"]} == {0}
    assert result.image.shape == background.shape
    assert result.report["loss"]["final"]["total"] < result.report["loss"]["initial"]["total"]


def test_ctrl_c_before_the_first_evaluation_ends_the_run():
    with pytest.raises(KeyboardInterrupt):
        harmonize(*pasted(), QUICK, on_progress=stop_at("matching", 0.5))


def test_ctrl_c_while_the_result_is_finished_loses_nothing(monkeypatch):
    def interrupted_once(*arguments):
        monkeypatch.setattr(applications, "blend", blend)
        raise KeyboardInterrupt

    expected = harmonize(*pasted(), QUICK)
    monkeypatch.setattr(applications, "blend", interrupted_once)
    result = harmonize(*pasted(), QUICK)
    np.testing.assert_allclose(result.image, expected.image, atol=1e-5)
    assert result.report["interrupted"] and not expected.report["interrupted"]
    assert result.report["iterations"] == QUICK.iterations


# Progress and report


def test_progress_counts_and_shows_the_image_so_far():
    background, composite, mask = pasted()
    seen = []

    def on_progress(progress):
        seen.append((progress.stage, progress.done, progress.total, progress.loss))
        if progress.stage == "optimizing":
            image = progress.image()
            assert image.shape == background.shape
            outside = ~around(mask, 6)
            np.testing.assert_array_equal(image[outside], background[outside])

    result = harmonize(background, composite, mask, QUICK, on_progress=on_progress)
    matching = [entry for entry in seen if entry[0] == "matching"]
    optimizing = [entry for entry in seen if entry[0] == "optimizing"]
    assert seen == matching + optimizing and matching[-1][1:3] == (1, 1)
    assert [entry[1:3] for entry in optimizing] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert optimizing[-1][3] == pytest.approx(result.report["loss"]["final"]["total"], rel=1e-9)


@pytest.mark.parametrize("application", ["harmonize", "stylize", "restyle-region"])
def test_the_report_says_everything_and_survives_json(application):
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    result = {
        "harmonize": lambda: harmonize(*pasted(), QUICK),
        "stylize": lambda: stylize(image, style, QUICK_BASE),
        "restyle-region": lambda: restyle_region(image, style, CORNERS, QUICK_BASE),
    }[application]()
    report = json.loads(json.dumps(result.report))
    assert set(report) >= {
        "application", "settings", "inputs", "weights", "size", "iterations", "evaluations", "seconds", "trace",
        "seconds_per_evaluation", "peak_memory_bytes", "loss", "stop_reason", "interrupted", "versions", "git",
    }  # fmt: skip
    assert report["application"] == application
    assert report["settings"]["iterations"] == 4 and report["settings"]["patch_size"] == 3
    assert report["weights"] == {"source": "random", "sha256": "0" * 64}
    assert all(len(digest) == 64 for digest in report["inputs"].values())
    assert report["iterations"] == 4 and report["evaluations"] == len(report["trace"]) >= 5
    assert 0 < report["seconds_per_evaluation"] < report["seconds"]
    assert report["peak_memory_bytes"] > 10**7
    for which, entry in (("initial", report["trace"][0]), ("final", min(report["trace"], key=lambda e: e["loss"]))):
        loss = report["loss"][which]
        assert loss["total"] == entry["loss"] == pytest.approx(sum(loss["terms"].values()), rel=1e-12)
        assert list(loss["terms"]) == ["content block3_conv1", "style block2_conv1", "style block3_conv1"]


def test_inputs_are_named_by_their_bytes():
    background, composite, mask = pasted()
    larger, settings = np.maximum(mask, disc(mask.shape, (5, 5), 2)), replace(QUICK, iterations=0)
    first, second = (harmonize(background, composite, m, settings).report["inputs"] for m in (mask, larger))
    assert list(first) == ["background", "composite", "mask"]
    assert [first[name] == second[name] for name in first] == [True, True, False]


def test_weights_are_looked_for_only_when_none_are_given(monkeypatch):
    monkeypatch.setattr(applications, "find_weights", lambda: pytest.fail("looked for weights"))
    mine = Weights(Path("mine.h5"), "mine", "1" * 64)
    report = harmonize(*pasted(), replace(QUICK, iterations=0), weights=mine).report
    assert report["weights"]["source"] == "mine"


# Stylize


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("shape, style_shape", [((67, 91), (50, 33)), ((64, 64), (200, 90))])
def test_stylize_keeps_the_contents_size(shape, style_shape, scale):
    result = stylize(blobs(shape, 0), blobs(style_shape, 1), replace(QUICK_BASE, scale=scale))
    assert result.image.shape == (*shape, 3) and result.image.dtype == np.float32
    assert result.image.min() >= 0 and result.image.max() <= 1
    # Whole cells of block3_conv1, the deepest layer here: multiples of its stride.
    working = [4 * math.ceil(length * scale / 4) for length in shape]
    assert result.report["size"] == {"input": [shape[1], shape[0]], "working": working[::-1]}
    assert result.report["loss"]["final"]["total"] < 0.9 * result.report["loss"]["initial"]["total"]


def test_a_reflected_frame_fills_the_cells_that_poolings_would_drop(problems):
    """Pixels without a whole cell of features would stay as they were at the start."""
    content = blobs((67, 90), 0)
    result = stylize(content, blobs((50, 33), 1), replace(QUICK_BASE, scale=1.0, coarse_to_fine=1))
    assert [problem.content.shape[:2] for problem in problems] == [(36, 48), (72, 96)]
    framed = problems[1].content
    np.testing.assert_array_equal(framed[:67, :90], content)
    np.testing.assert_array_equal(framed[67:, :90], content[65:60:-1])
    np.testing.assert_array_equal(framed[:67, 90:], content[:, 88:82:-1])
    assert (problems[1].mask == 1).all()
    assert result.image.shape == content.shape


@pytest.mark.parametrize(
    "style_scale, scale, expected",
    [(1.0, 1.0, (90, 45)), (1.0, 0.5, (45, 22)), (0.5, 1.0, (45, 22)), (2.0, 0.5, (90, 45))],
)
def test_the_style_images_longer_side_is_a_share_of_the_contents(problems, style_scale, scale, expected):
    settings = replace(QUICK_BASE, style_scale=style_scale, scale=scale, iterations=0)
    stylize(blobs((60, 90), 0), blobs((120, 60), 1), settings)
    assert problems[0].style.shape[:2] == expected


def test_stylize_starts_as_the_preset_says():
    content, style = blobs((48, 64), 0), blobs((48, 64), 1)
    for settings, expected in ((PAPER_BASE, np.broadcast_to(IMAGENET_MEAN_RGB, content.shape)), (GATYS, content)):
        image = stylize(content, style, replace(settings, iterations=0, scale=1.0)).image
        np.testing.assert_allclose(image, expected, atol=1e-6)


def test_the_gatys_preset_runs():
    result = stylize(blobs((48, 64), 0), blobs((48, 64), 1), replace(GATYS, iterations=3))
    assert result.report["loss"]["final"]["total"] < result.report["loss"]["initial"]["total"]
    assert len(result.report["loss"]["final"]["terms"]) == 6


# Restyle a region


def quadrilateral(shape, points):
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, np.int32(points), 1)
    return mask.astype(np.float32)


def test_restyle_region_changes_the_quadrilateral_alone():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    result = restyle_region(image, style, CORNERS, QUICK_BASE)
    assert result.image.shape == image.shape and result.image.dtype == np.float32
    inside = quadrilateral((67, 90), CORNERS)
    outside = ~around(inside, 8)  # 6 of the feather, and the soft pixels on the edge
    np.testing.assert_array_equal(result.image[outside], image[outside])
    assert np.abs(result.image - image)[inside > 0].mean() > 0.01
    assert result.report["size"] == {"input": [90, 67], "region": [49, 35], "working": [28, 20]}
    assert sorted(result.report["corners"]) == sorted(list(map(float, corner)) for corner in CORNERS)
    assert list(result.report["inputs"]) == ["image", "style"]


def test_the_order_of_the_corners_does_not_matter():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    settings = replace(QUICK_BASE, iterations=0, start="style")
    first = restyle_region(image, style, CORNERS, settings).image
    for order in ([2, 0, 3, 1], [1, 2, 3, 0], [3, 2, 1, 0]):
        again = restyle_region(image, style, [CORNERS[i] for i in order], settings).image
        np.testing.assert_array_equal(again, first)


def test_unchanged_a_region_comes_back_as_it_was():
    """Straightened, not optimised at all, and put back: only resampled."""
    image = cv2.GaussianBlur(blobs((67, 90), 0), (0, 0), 3)
    settings = replace(QUICK_BASE, iterations=0, scale=1.0)
    result = restyle_region(image, blobs((40, 48), 1), CORNERS, settings)
    assert np.abs(result.image - image).max() < 0.02


def test_the_rest_may_take_another_style():
    image, style, other = blobs((67, 90), 0), blobs((40, 48), 1), blobs((40, 48), 2)
    result = restyle_region(image, style, CORNERS, QUICK_BASE, background_style=other)
    outside = quadrilateral((67, 90), CORNERS) == 0
    assert np.abs(result.image - image)[outside].mean() > 0.01
    assert list(result.report["inputs"]) == ["image", "style", "background_style"]
    assert result.report["background"]["iterations"] == 4
    json.dumps(result.report)


def test_progress_of_a_region_shows_the_whole_image():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    shown = []

    def on_progress(progress):
        if progress.image:
            shown.append(progress.image())

    result = restyle_region(image, style, CORNERS, QUICK_BASE, background_style=style, on_progress=on_progress)
    assert {step.shape for step in shown} == {image.shape} and len(shown) == 8
    outside = ~around(quadrilateral((67, 90), CORNERS), 8)
    np.testing.assert_array_equal(shown[3][outside], image[outside])
    assert np.abs(shown[3] - image)[~outside].max() > 0.05
    np.testing.assert_allclose(shown[7], result.image, atol=1e-5)


def test_a_style_for_the_rest_is_checked_before_any_work(problems):
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    with pytest.raises(ValueError, match=r"working style image of at least 4 pixels.*45 x 1 at scale 0.5"):
        restyle_region(image, style, CORNERS, QUICK_BASE, background_style=blobs((16, 700), 2))
    assert not problems


def test_an_interrupted_region_is_put_back_and_nothing_else_is_begun():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    result = restyle_region(
        image, style, CORNERS, QUICK_BASE, background_style=style, on_progress=stop_at("optimizing", 2)
    )
    assert result.report["interrupted"] and "background" not in result.report
    outside = ~around(quadrilateral((67, 90), CORNERS), 8)
    np.testing.assert_array_equal(result.image[outside], image[outside])


# Bad input


def bad_harmonize_inputs():
    background, composite, mask = pasted()
    nan = composite.copy()
    nan[3, 3] = np.nan
    return {
        "sizes of images": ((background, composite[:-1], mask), r"background 90 x 67 and composite 90 x 66"),
        "sizes of mask": ((background, composite, mask[:, :-2]), r"background 90 x 67 and mask 88 x 67"),
        "empty mask": ((background, composite, 0 * mask), "empty mask"),
        "full mask": ((background, composite, np.ones_like(mask)), "full mask"),
        "mask in colour": ((background, composite, background), "shape"),
        "mask of 255": ((background, composite, 255 * mask), r"\[0, 1\]"),
        "bytes": (((255 * background).astype(np.uint8), composite, mask), r"\[0, 1\].* 255"),
        "not a number": ((background, nan, mask), "finite"),
        "grey": ((background[..., 0], composite, mask), r"\(height, width, 3\)"),
        "too small": ((background[:15], composite[:15], mask[:15]), "90 x 15"),
    }


@pytest.mark.parametrize("name", bad_harmonize_inputs())
def test_harmonize_refuses(name):
    arrays, message = bad_harmonize_inputs()[name]
    with pytest.raises(ValueError, match=message) as caught:
        harmonize(*arrays, QUICK)
    assert "\n" not in str(caught.value)


def test_harmonize_refuses_a_patch_larger_than_the_painting_has():
    with pytest.raises(ValueError, match="patch_size 21"):
        harmonize(*pasted(), replace(QUICK, patch_size=21))


def test_stylize_refuses_what_is_no_image_or_too_small():
    good = blobs((48, 64), 0)
    with pytest.raises(ValueError, match="content image of at least 16 pixels"):
        stylize(good[:10], good, QUICK_BASE)
    with pytest.raises(ValueError, match=r"style image of shape \(height, width, 3\)"):
        stylize(good, good[..., :1], QUICK_BASE)
    with pytest.raises(ValueError, match=r"working content image.*at least 16 pixels.*8 x 8 at scale 0.5"):
        stylize(good[:16, :16], good, PAPER_BASE)
    with pytest.raises(ValueError, match=r"at most 100 megapixels at style_scale 1e\+06"):
        stylize(good, good, replace(QUICK_BASE, style_scale=1e6))


@pytest.mark.parametrize(
    "corners, message",
    [
        (CORNERS[:3], "four corners"),
        ([(12, 9), (95, 14), (55, 48), (9, 41)], "inside the image of 90 x 67"),
        ([(10, 10), (20, 20), (30, 30), (10, 40)], "line"),
        ([(10, 10), (60, 10), (20, 20), (10, 60)], "convex"),
    ],
)
def test_restyle_region_refuses(corners, message):
    with pytest.raises(ValueError, match=message):
        restyle_region(blobs((67, 90), 0), blobs((40, 48), 1), corners, QUICK_BASE)
