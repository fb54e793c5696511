"""The three applications with a small random network: what is promised about images, sizes, stages and reports."""

import inspect
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Barrier, Thread

import cv2
import numpy as np
import pytest

import reproduce
from reproduce import VGG19, InputError, Stop, Stopped, change
from reproduce.applications.common import fit_scales, scales_for_strokes
from reproduce.applications.registry import APPLICATIONS, PRESETS, find_application, preset
from reproduce.images.arrays import to_bytes
from reproduce.images.masks import feather
from reproduce.images.polish import content_share
from reproduce.images.regions import blend
from reproduce.network import features
from reproduce.network.active import independent_parts
from reproduce.network.weights import Weights
from reproduce.presets import GATYS, PAPER, PAPER_BASE, REFINED
from reproduce.solving.report import Report
from reproduce.solving.run import Stage, stages

SMALL = VGG19(width=0.05)
stylize = partial(reproduce.stylize, network=SMALL)
restyle_region = partial(reproduce.restyle_region, network=SMALL)
harmonize = partial(reproduce.harmonize, network=SMALL)
keep_details = partial(reproduce.keep_details, network=SMALL)

QUICK = change(PAPER, style_layers=("block2_conv1", "block3_conv1"), content_layers=("block3_conv1",), iterations=4)
QUICK_BASE = change(QUICK, style_loss="gram", start="content")
CORNERS = [(12, 9), (60, 14), (55, 48), (9, 41)]
IMAGENET_MEAN_RGB = np.array([123.68, 116.779, 103.939]) / 255


@pytest.fixture
def problems(monkeypatch):
    """The problems that a run has solved."""
    solved = []

    def spy(problem, *arguments):
        solved.append(problem)
        return objective(problem, *arguments)

    objective = reproduce.solving.run.Objective
    monkeypatch.setattr("reproduce.solving.run.Objective", spy)
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


def stopping(stage, done):
    """Arguments of a run that is stopped when a stage has got so far."""
    stop = Stop()

    def on_progress(progress):
        if (progress.stage, progress.done) == (stage, done):
            stop.set()

    return {"stop": stop, "on_progress": on_progress}


# The registry


def test_every_application_has_every_preset_under_one_name():
    assert set(APPLICATIONS) == {"stylize", "restyle-region", "harmonize", "keep-details"}
    assert set(PRESETS) == {"paper", "refined", "gatys"}
    for name, application in APPLICATIONS.items():
        assert application.name == name
        assert application.run.__name__ == name.replace("-", "_")
        assert application.run is getattr(reproduce, application.run.__name__)
        assert tuple(application.presets) == PRESETS
        assert find_application(name) is find_application(name.replace("-", "_")) is application
        for spelled in (name, name.replace("-", "_")):
            assert preset("gatys", spelled) == application.presets["gatys"] == application.preset("gatys")


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
def test_the_inputs_are_the_functions_parameters_in_order(application):
    parameters = inspect.signature(application.run).parameters
    of_all = [
        "settings",
        *(["base"] if application.base else []),
        "network",
        "stop",
        "on_progress",
        "checkpoint",
        "memory",
    ]
    assert [entry.name for entry in application.inputs] == [name for name in parameters if name not in of_all]
    assert [name for name in parameters if name in of_all] == of_all
    required = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    assert (
        [entry.name for entry in application.inputs if entry.required] == required == list(parameters)[: len(required)]
    )
    assert parameters["settings"].default is application.presets["paper"]
    keyword_only = [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    assert set(keyword_only) >= {"network", "stop", "on_progress"}
    assert {entry.kind for entry in application.inputs} <= {
        "image", "images", "layer", "mask", "pairs", "corners", "numbers",
    }  # fmt: skip


def test_names_that_nothing_has():
    with pytest.raises(InputError, match=r"an application out of .*, harmonize, keep-details\. Received: paint"):
        preset("paper", "paint")
    with pytest.raises(InputError, match=r"a preset out of paper, refined, gatys\. Received: papers"):
        preset("papers", "stylize")
    with pytest.raises(InputError, match=r"of stylize\. Received: feather, which restyle-region, harmonize and k"):
        preset("paper", "stylize", feather=3.0)
    with pytest.raises(InputError, match=r"a setting\. Received: brush"):
        preset("paper", "stylize", brush=3)


# Stages


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, [Stage(0.5, 300)]),
        ({"iterations": 0}, [Stage(0.5, 0)]),
        ({"coarse_to_fine": 2}, [Stage(0.125, 300), Stage(0.25, 300), Stage(0.5, 300)]),
        ({"rematch_every": 120}, [Stage(0.5, 120), Stage(0.5, 120, True), Stage(0.5, 60, True)]),
        ({"rematch_every": 300}, [Stage(0.5, 300)]),
        ({"rematch_every": 1000}, [Stage(0.5, 300)]),
        ({"rematch_every": 5, "iterations": 0}, [Stage(0.5, 0)]),
        (
            {"rematch_every": 150, "coarse_to_fine": 1, "scale": 1.0},
            [Stage(0.5, 300), Stage(1.0, 150), Stage(1.0, 150, rematch=True)],
        ),
        ({"style_loss": "gram", "coarse_to_fine": 1}, [Stage(0.25, 300), Stage(0.5, 300)]),
        ({"style_loss": "sliced", "rematch_every": 200}, [Stage(0.5, 200), Stage(0.5, 100, True)]),
        ({"style_loss": "neighbors", "rematch_every": 200}, [Stage(0.5, 200), Stage(0.5, 100, True)]),
    ],
)
def test_stages_by_hand(changes, expected):
    assert stages(change(PAPER, **{"iterations": 300, "scale": 0.5} | changes)) == expected


def test_gram_matrices_are_never_matched_again():
    with pytest.raises(InputError, match="rematch_every, which matched, per_patch, sliced, neighbors have"):
        change(PAPER_BASE, rematch_every=5)


# Harmonize


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("shape", [(67, 90), (80, 75), (64, 64)])
def test_harmonize_changes_nothing_but_the_object(shape, scale):
    background, composite, mask = pasted(shape)
    result = harmonize(background, composite, mask, change(QUICK, scale=scale))
    assert result.image.shape == background.shape and result.image.dtype == np.float32
    assert result.image.min() >= 0 and result.image.max() <= 1
    outside = ~around(mask, 6)  # the mask's Gaussian, of 2 pixels, is cut off at 3 sigma
    np.testing.assert_array_equal(result.image[outside], background[outside])
    assert np.abs(result.image - background)[mask > 0].mean() > 0.01
    assert result.report.size == {
        "input": [shape[1], shape[0]],
        "working": [round(shape[1] * scale), round(shape[0] * scale)],
    }
    assert result.report.loss["final"]["total"] < 0.9 * result.report.loss["initial"]["total"]


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_mixes_the_naive_composite_and_the_result(strength):
    background, composite, mask = pasted()
    full = harmonize(background, composite, mask, QUICK).image
    image = harmonize(background, composite, mask, change(QUICK, strength=strength)).image
    under = feather(mask, QUICK.mask.feather) > 0
    np.testing.assert_array_equal(image[~under], background[~under])
    expected = composite + strength * (full - composite)
    np.testing.assert_allclose(image[under], expected[under], atol=1e-6)


def test_stylize_at_strength_zero_is_the_photograph():
    content = blobs((40, 52), 0)
    assert np.array_equal(stylize(content, blobs((44, 36), 1), change(QUICK_BASE, strength=0.0)).image, content)


def test_the_refined_preset_harmonizes_the_object_alone(problems):
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, change(REFINED, iterations=4))
    outside = feather(mask, REFINED.mask.feather) == 0
    np.testing.assert_array_equal(result.image[outside], background[outside])
    assert [problem.content.shape[:2] for problem in problems] == [(34, 45), (67, 90)]
    losses = [[entry["loss"] for entry in result.report.trace if entry["stage"] == stage] for stage in (0, 1)]
    assert all(min(stage) < stage[0] for stage in losses)


def test_a_smoother_painting_lets_an_object_keep_more_of_its_content():
    background, composite, mask = pasted()
    smooth = cv2.GaussianBlur(background, (0, 0), 8)
    smooth[:, :4] = 0  # one edge, and nothing else
    weights = []
    for painting in (background, smooth):
        report = harmonize(painting, composite, mask, change(QUICK, content_weight=2.0, adapt_content=True)).report
        assert report.settings["content_weight"] == pytest.approx(2 * content_share(painting))
        assert not report.settings["adapt_content"]  # run again, these settings would do the same
        weights.append(report.settings["content_weight"])
    assert weights[0] < weights[1]


def test_recolored_stages_keep_the_lightness_of_the_object(problems):
    background, composite, mask = pasted()
    harmonize(background, composite, mask, change(QUICK, scale=1.0, coarse_to_fine=1, recolor=True))
    fine = problems[1]
    free = fine.mask > 0
    lightness, expected = (cv2.cvtColor(i, cv2.COLOR_RGB2LAB)[free] for i in (fine.content, composite))
    assert np.abs(lightness - expected)[:, 0].mean() < 1 < np.abs(lightness - expected)[:, 1:].mean()
    np.testing.assert_array_equal(fine.content[~free], background[~free])


def test_recolored_stages_that_match_again_keep_their_colors(problems):
    harmonize(*pasted(), change(QUICK, scale=1.0, coarse_to_fine=1, recolor=True, rematch_every=2))
    assert len(problems) == 3 and problems[2].query is not None
    np.testing.assert_array_equal(problems[2].content, problems[1].content)


def test_a_full_frame_object_has_no_painting_to_take_grain_from():
    background, composite, mask = blobs((40, 52), 0), blobs((40, 52), 1), np.ones((40, 52), np.float32)
    mask[0, 0] = 0
    result = harmonize(background, composite, mask, change(QUICK, match_grain=True))
    assert np.isfinite(result.image).all()


def test_without_a_feather_the_mask_itself_is_the_border():
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, change(QUICK, feather=0.0, scale=1.0))
    np.testing.assert_array_equal(result.image[mask == 0], background[mask == 0])
    assert (np.abs(result.image - background).max(axis=2)[mask > 0] > 0).mean() > 0.95


def test_a_composite_far_from_the_object_does_not_matter():
    """There the working image is the painting."""
    background, composite, mask = pasted()
    near = around(mask, 12 + 6 + 2)[..., None]
    other = np.where(near, composite, 1 - composite)
    first, second = (harmonize(background, c, mask, QUICK) for c in (composite, other))
    np.testing.assert_allclose(first.image, second.image, atol=1e-4)
    losses = [result.report.loss["initial"]["total"] for result in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_inputs_are_not_written_to():
    arrays = pasted()
    copies = [array.copy() for array in arrays]
    harmonize(*arrays, QUICK)
    for array, copy in zip(arrays, copies):
        np.testing.assert_array_equal(array, copy)


# The result is what is blended, and no more.
UNTOUCHED = change(QUICK, iterations=0, start="content", scale=1.0, style_weight=0.0, content_layers=("block1_conv1",))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("changes", [{}, {"feather": 4.0, "grow": 0}])
def test_thin_lines_do_not_fade(width, changes):
    """All of them is in the result, whatever their ends are softened by."""
    background, composite = blobs((67, 90), 0), blobs((67, 90), 1)
    mask = np.zeros((67, 90), np.float32)
    mask[10 : 10 + width] = mask[45 : 45 + width, 20:60] = 1
    result = harmonize(background, composite, mask, change(UNTOUCHED, **changes)).image
    np.testing.assert_allclose(result[mask > 0], composite[mask > 0], atol=1e-6)
    np.testing.assert_array_equal(to_bytes(result)[mask > 0], to_bytes(composite)[mask > 0])
    outside = ~around(mask, 12)
    np.testing.assert_array_equal(result[outside], background[outside])


def test_the_blend_is_the_feathered_mask_but_never_below_the_mask():
    """White over black shows how much of the composite each pixel has."""
    black, white = np.zeros((2, 67, 90, 3), np.float32) + np.float32([0, 1])[:, None, None, None]
    mask = np.maximum(0.7 * disc((67, 90), (30, 41), 12), disc((67, 90), (30, 41), 8))
    mask[50, 10:80] = 0.4
    shown = harmonize(black, white, mask, UNTOUCHED).image[..., 0]
    np.testing.assert_allclose(shown, np.maximum(mask, feather(mask, 2.0)), atol=1e-6)
    assert (shown > mask).sum() > 500  # an edge is still soft, to the outside


def test_how_much_of_the_painting_is_free_is_said_before_the_work():
    background, composite = blobs((50, 100), 0), blobs((50, 100), 1)
    plain = change(UNTOUCHED, feather=0.0, grow=0)
    for rows, said in ((10, "20.0% of"), (30, "60.0% of"), (31, "warning: 62.0% of")):
        mask = np.zeros((50, 100), np.float32)
        mask[:rows] = 1
        seen = []
        report = harmonize(background, composite, mask, plain, on_progress=seen.append).report
        (notice,) = report.notices
        assert notice.startswith(f"{said} the painting is free to change")
        assert seen[0].notice == notice and [progress.notice for progress in seen[1:]] == [""] * (len(seen) - 1)
        assert ("is the mask white on the object alone?" in notice) == ("warning" in said)
    mask[:] = 0
    mask[20:30, 40:60] = 1
    (notice,) = harmonize(background, composite, mask, change(plain, feather=1.0)).report.notices
    assert notice.startswith("8.3% of")  # three pixels more on every side: 16 x 26


@pytest.mark.parametrize("start", ["content", "style", "blank", "noise"])
def test_no_iterations_give_the_start_under_the_mask(start):
    background, composite, mask = pasted()
    settings = change(QUICK, start=start, scale=1.0, iterations=0)
    result = harmonize(background, composite, mask, settings)
    core = cv2.erode(mask, np.ones((15, 15), np.uint8)) > 0
    expected = {"content": composite, "style": background, "blank": np.broadcast_to(IMAGENET_MEAN_RGB, composite.shape)}
    if start in expected:
        np.testing.assert_allclose(result.image[core], expected[start][core], atol=1e-6)
    else:
        assert result.image[core].std() == pytest.approx(np.sqrt(1 / 12), rel=0.1)
    assert result.report.iterations == 0 and result.report.evaluations == 1


def test_noise_follows_the_seed():
    settings = change(QUICK, start="noise", iterations=2)
    first, again, other = (harmonize(*pasted(), change(settings, seed=seed)).image for seed in (1, 1, 2))
    np.testing.assert_allclose(first, again, atol=1e-3)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("changes", [{"style_loss": "per_patch"}, {"style_loss": "gram"}, {"bounds": False},
                                     {"style_loss": "sliced", "beyond_matches": 0.5}, {"style_loss": "neighbors"},
                                     {"mask_mode": "max", "normalization": "sum"}, {"patch_size": 5}])  # fmt: skip
def test_other_settings_lower_the_loss_too(changes):
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, change(QUICK, **changes))
    assert result.report.loss["final"]["total"] < 0.95 * result.report.loss["initial"]["total"]
    assert result.image.min() >= 0 and result.image.max() <= 1
    outside = ~around(mask, 6)
    np.testing.assert_array_equal(result.image[outside], background[outside])


def test_coarse_to_fine_starts_each_stage_where_the_last_ended(problems):
    result = harmonize(*pasted((96, 128)), change(QUICK, coarse_to_fine=2, scale=1.0))
    assert [problem.content.shape[:2] for problem in problems] == [(24, 32), (48, 64), (96, 128)]
    stages_seen = [entry["stage"] for entry in result.report.trace]
    assert sorted(set(stages_seen)) == [0, 1, 2] and stages_seen == sorted(stages_seen)
    mask, composite = disc((96, 128), (30, 41), 9) > 0, problems[2].content
    assert np.abs(problems[2].start - composite)[mask].mean() > 0.01
    assert result.report.size["working"] == [128, 96]
    assert all(problem.query is None for problem in problems)  # the composite's patches are matched, at every scale


def test_the_reported_losses_are_comparable():
    """Other stages have other targets: first and last loss are those of the last stage."""
    report = harmonize(*pasted(), change(QUICK, coarse_to_fine=1, scale=1.0)).report
    last = [entry["loss"] for entry in report.trace if entry["stage"] == 1]
    assert report.loss["initial"]["total"] == last[0] != report.trace[0]["loss"]
    assert report.loss["final"]["total"] == min(last)


def test_rematching_matches_what_has_been_reached(problems):
    """Matched anew, the same image has another loss; with the old matches it would have the same."""
    result = harmonize(*pasted(), change(QUICK, iterations=6, rematch_every=3))
    assert len(problems) == 2 and problems[0].query is None
    np.testing.assert_array_equal(problems[1].query, problems[1].start)
    first = [entry for entry in result.report.trace if entry["stage"] == 0]
    second = [entry for entry in result.report.trace if entry["stage"] == 1]
    reached = min(first, key=lambda entry: entry["loss"])
    assert second[0]["content block3_conv1"] == pytest.approx(reached["content block3_conv1"], rel=1e-3)
    assert abs(second[0]["style block2_conv1"] / reached["style block2_conv1"] - 1) > 0.01
    assert result.report.iterations == 6


# Stopping


def test_a_stopped_run_keeps_the_best_image():
    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, change(QUICK, iterations=50), **stopping("optimizing", 3))
    report = result.report
    assert report.interrupted and report.stop_reason == "STOPPED BY THE USER" and report.iterations == 3
    assert report.loss["final"]["total"] == min(entry["loss"] for entry in report.trace)
    outside = ~around(mask, 6)
    np.testing.assert_array_equal(result.image[outside], background[outside])
    assert np.abs(result.image - background)[mask > 0].mean() > 0.01


@pytest.mark.parametrize("changes", [{"coarse_to_fine": 1, "scale": 1.0}, {"rematch_every": 2}])
@pytest.mark.parametrize("done", [0.5, 1])
def test_a_stop_between_two_stages_keeps_the_first_ones_image(changes, done):
    """While the second stage matches, before it has evaluated anything: in the middle of that, and at its end."""
    matchings, stop = 0, Stop()

    def on_progress(progress):
        nonlocal matchings
        matchings += progress.stage == "matching" and progress.done == done
        if matchings == 2:
            stop.set()

    background, composite, mask = pasted()
    result = harmonize(background, composite, mask, change(QUICK, **changes), stop=stop, on_progress=on_progress)
    assert matchings == 2
    assert result.report.interrupted and result.report.stop_reason == "STOPPED BY THE USER"
    assert {entry["stage"] for entry in result.report.trace} == {0}
    assert result.image.shape == background.shape
    assert result.report.loss["final"]["total"] < result.report.loss["initial"]["total"]
    whole = harmonize(background, composite, mask, change(QUICK, **changes)).report
    first = [entry["loss"] for entry in whole.trace if entry["stage"] == 0]
    assert [entry["loss"] for entry in result.report.trace] == pytest.approx(first, rel=1e-3)


@pytest.mark.parametrize("done", [0.5, 1])
def test_a_stop_before_the_first_evaluation_ends_the_run(done):
    with pytest.raises(Stopped):
        harmonize(*pasted(), QUICK, **stopping("matching", done))


def test_a_stop_before_the_run_ends_it():
    stop, image = Stop(), blobs((67, 90), 0)
    stop.set()
    for run in (partial(harmonize, *pasted(), QUICK), partial(stylize, image, image, QUICK_BASE),
                partial(restyle_region, image, image, CORNERS, QUICK_BASE)):  # fmt: skip
        with pytest.raises(Stopped):
            run(stop=stop)


def test_a_stop_while_the_result_is_finished_loses_nothing(monkeypatch):
    stop = Stop()

    def stopped_meanwhile(*arguments):
        stop.set()
        return blend(*arguments)

    expected = harmonize(*pasted(), QUICK)
    monkeypatch.setattr(sys.modules["reproduce.applications.harmonize"], "blend", stopped_meanwhile)
    result = harmonize(*pasted(), QUICK, stop=stop)
    assert stop
    np.testing.assert_allclose(result.image, expected.image, atol=1e-5)
    assert result.report.iterations == QUICK.solver.iterations
    assert not result.report.interrupted  # there was nothing left to interrupt


def test_a_token_is_asked_and_not_kept():
    """A run that nobody stops leaves the token as it was, for the next."""
    stop = Stop()
    for _ in range(2):
        assert not harmonize(*pasted(), QUICK, stop=stop).report.interrupted
    assert not stop


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
    starting, matching, optimizing = (
        [entry for entry in seen if entry[0] == stage] for stage in ("starting", "matching", "optimizing")
    )
    assert seen == starting + matching + optimizing and matching[-1][1:3] == (1, 1)
    assert starting == [("starting", 0, 1, None)]  # how much of the painting is free
    assert [entry[1:3] for entry in optimizing] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert optimizing[-1][3] == pytest.approx(result.report.loss["final"]["total"], rel=1e-9)


def run_of(application):
    """A short run of an application, by its name."""
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    return {
        "harmonize": lambda: harmonize(*pasted(), QUICK),
        "stylize": lambda: stylize(image, style, QUICK_BASE),
        "restyle-region": lambda: restyle_region(image, style, CORNERS, QUICK_BASE),
        "keep-details": lambda: keep_details(image, style, pasted()[2], QUICK, base=QUICK_BASE),
    }[application]()


@pytest.mark.parametrize("application", APPLICATIONS)
def test_the_report_says_everything_and_survives_json(application):
    result = run_of(application)
    assert isinstance(result.report, Report)
    report = json.loads(json.dumps(result.report.as_dict()))
    assert set(report) == {
        "application", "settings", "inputs", "weights", "size", "iterations", "evaluations", "seconds", "trace",
        "seconds_per_evaluation", "peak_memory_bytes", "loss", "stop_reason", "interrupted", "versions", "git",
        "notices", "device",
    } | {"restyle-region": {"corners"}, "keep-details": {"base"}}.get(application, set())  # fmt: skip
    assert report["application"] == application
    settings = QUICK if application in ("harmonize", "keep-details") else QUICK_BASE
    assert report["settings"] == json.loads(json.dumps(settings.as_dict()))
    assert report["settings"]["iterations"] == 4
    assert report["settings"].get("patch_size") == (3 if settings is QUICK else None)
    assert report["weights"] == {"source": "random", "sha256": None}
    assert all(len(digest) == 64 for digest in report["inputs"].values())
    of_images = [entry.name for entry in APPLICATIONS[application].inputs if entry.kind != "corners" and entry.required]
    assert list(report["inputs"]) == of_images
    assert report["iterations"] == 4 and report["evaluations"] == len(report["trace"]) >= 5
    assert 0 < report["seconds_per_evaluation"] < report["seconds"]
    assert report["peak_memory_bytes"] > 10**7
    for which, entry in (("initial", report["trace"][0]), ("final", min(report["trace"], key=lambda e: e["loss"]))):
        loss = report["loss"][which]
        assert loss["total"] == entry["loss"] == pytest.approx(sum(loss["terms"].values()), rel=1e-12)
        assert list(loss["terms"]) == ["content block3_conv1", "style block2_conv1", "style block3_conv1"]


def test_inputs_are_named_by_their_bytes():
    background, composite, mask = pasted()
    larger, settings = np.maximum(mask, disc(mask.shape, (5, 5), 2)), change(QUICK, iterations=0)
    first, second = (harmonize(background, composite, m, settings).report.inputs for m in (mask, larger))
    assert list(first) == ["background", "composite", "mask"]
    assert [first[name] == second[name] for name in first] == [True, True, False]


MINE, FOUND = (Weights(Path(f"{source}.h5"), source, 64 * digit) for source, digit in (("mine", "1"), ("found", "2")))


@dataclass(frozen=True)
class Named(VGG19):
    """A small random network that says that its weights came from somewhere."""

    def extractor(self, layers, pooling="max", precision="float32"):
        return SMALL.extractor(layers, pooling, precision)


@pytest.mark.parametrize("application", APPLICATIONS)
def test_weights_are_looked_for_only_when_no_network_is_given(monkeypatch, application):
    asked = []
    for module in ("solving.run", "applications.restyle_region", "applications.keep_details"):
        monkeypatch.setattr(sys.modules[f"reproduce.{module}"], "find_weights", lambda: asked.append(1) or FOUND)
        monkeypatch.setattr(sys.modules[f"reproduce.{module}"], "VGG19", Named)
    image, settings = blobs((67, 90), 0), change(QUICK_BASE, iterations=0)
    run = {
        "harmonize": partial(reproduce.harmonize, *pasted(), settings),
        "stylize": partial(reproduce.stylize, image, image, settings),
        "restyle-region": partial(reproduce.restyle_region, image, image, CORNERS, settings, background_style=image),
        "keep-details": partial(reproduce.keep_details, image, image, pasted()[2], settings, base=settings),
    }[application]
    assert run(network=Named(MINE)).report.weights == {"source": "mine", "sha256": "1" * 64}
    assert not asked
    assert run().report.weights == {"source": "found", "sha256": "2" * 64}
    assert len(asked) == 1


# In several threads


def in_threads(*runs):
    """What each gives, all of them begun at once."""
    barrier, given = Barrier(len(runs)), {}

    def start(number, run):
        barrier.wait()
        given[number] = run()

    threads = [Thread(target=start, args=numbered) for numbered in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [given[number] for number in range(len(runs))]


def different_runs():
    """Of two applications, with other images, settings and networks."""
    content, style = blobs((48, 64), 2), blobs((44, 36), 3)
    return (
        lambda: harmonize(*pasted(), QUICK).image,
        lambda: stylize(content, style, change(QUICK_BASE, scale=1.0)).image,
        lambda: stylize(content[::-1], style, change(QUICK_BASE, style_loss="sliced")).image,
    )


def assert_threads_give_the_same(before=lambda: None):
    at_once = in_threads(*different_runs())
    before()
    for together, run in zip(at_once, different_runs()):
        np.testing.assert_allclose(together, run(), atol=1e-5)


def test_runs_in_several_threads_give_what_they_give_one_after_the_other(capfd):
    features._extractor.cache_clear()  # so that they build their networks at once too
    assert_threads_give_the_same()
    os.write(2, b"audible")
    assert capfd.readouterr().err == "audible"


def test_threads_may_be_the_first_to_use_the_network():
    """In a new process: Keras loads, and is kept quiet, while several threads wait for it."""
    code = (
        "import os, test_applications\n"
        "test_applications.assert_threads_give_the_same(before=lambda: os.write(2, b'audible'))"
    )
    tests = Path(__file__).parent
    path = {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | path)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "audible")


# Stylize


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("shape, style_shape", [((67, 91), (50, 33)), ((64, 64), (200, 90))])
def test_stylize_keeps_the_contents_size(shape, style_shape, scale):
    result = stylize(blobs(shape, 0), blobs(style_shape, 1), change(QUICK_BASE, scale=scale))
    assert result.image.shape == (*shape, 3) and result.image.dtype == np.float32
    assert result.image.min() >= 0 and result.image.max() <= 1
    # Whole cells of block3_conv1, the deepest layer here: multiples of its stride.
    working = [4 * math.ceil(length * scale / 4) for length in shape]
    assert result.report.size == {"input": [shape[1], shape[0]], "working": working[::-1]}
    assert result.report.loss["final"]["total"] < 0.9 * result.report.loss["initial"]["total"]


def test_a_reflected_frame_fills_the_cells_that_poolings_would_drop(problems):
    """Pixels without a whole cell of features would stay as they were at the start."""
    content = blobs((67, 90), 0)
    result = stylize(content, blobs((50, 33), 1), change(QUICK_BASE, scale=1.0, coarse_to_fine=1))
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
    settings = change(QUICK_BASE, style_scale=style_scale, scale=scale, iterations=0)
    stylize(blobs((60, 90), 0), blobs((120, 60), 1), settings)
    assert problems[0].styles[0].image.shape[:2] == expected


def test_stylize_starts_as_the_preset_says():
    content, style = blobs((48, 64), 0), blobs((48, 64), 1)
    for settings, expected in ((PAPER_BASE, np.broadcast_to(IMAGENET_MEAN_RGB, content.shape)), (GATYS, content)):
        image = stylize(content, style, change(settings, iterations=0, scale=1.0)).image
        np.testing.assert_allclose(image, expected, atol=1e-6)


def test_the_gatys_preset_runs():
    result = stylize(blobs((48, 64), 0), blobs((48, 64), 1), change(GATYS, iterations=3))
    assert result.report.loss["final"]["total"] < result.report.loss["initial"]["total"]
    assert len(result.report.loss["final"]["terms"]) == 7


# Transparency of the content


def transparent(shape=(67, 90)):
    """An image with an opaque half, a soft edge of a few pixels, and a transparent rest whose colours are others."""
    image, columns = blobs(shape, 0), np.mgrid[: shape[0], : shape[1]][1]
    alpha = np.float32(np.clip((45 - columns) / 5, 0, 1))
    alpha[:6] = 0
    return np.dstack([np.where(alpha[..., None] > 0, image, blobs(shape, 5)), alpha])


@pytest.mark.parametrize("settings", [QUICK_BASE, change(QUICK_BASE, style_loss="sliced", scale=1.0),
                                      change(QUICK_BASE, start="blank", coarse_to_fine=1, recolor=True)])  # fmt: skip
def test_what_is_transparent_does_not_count(settings):
    content, style = transparent(), blobs((50, 40), 1)
    hidden = content[..., 3] == 0
    other = content.copy()
    other[hidden, :3] = np.random.default_rng(0).random((hidden.sum(), 3))
    first, second = (stylize(each, style, settings) for each in (content, other))
    for result in (first, second):
        assert result.image.shape == (67, 90, 4) and result.image.dtype == np.float32
        np.testing.assert_array_equal(result.image[..., 3], content[..., 3])
    assert first.report.loss["initial"]["terms"] == pytest.approx(second.report.loss["initial"]["terms"], rel=1e-6)
    assert [e["loss"] for e in first.report.trace] == pytest.approx([e["loss"] for e in second.report.trace], rel=1e-3)
    np.testing.assert_allclose(first.image[~hidden], second.image[~hidden], atol=1e-3)
    assert np.abs(first.image - content)[~hidden].max() > 0.001
    assert first.report.inputs["content"] != second.report.inputs["content"]


def test_what_is_transparent_is_not_free_and_has_no_colours_of_its_own(problems):
    content = transparent((64, 96))
    stylize(content, blobs((50, 40), 1), change(QUICK_BASE, scale=1.0, iterations=0))
    (problem,) = problems
    alpha = content[..., 3]
    np.testing.assert_array_equal(problem.mask, alpha)
    np.testing.assert_array_equal(problem.styles[0].mask, alpha)
    np.testing.assert_array_equal(problem.free, alpha > 0)
    np.testing.assert_array_equal(problem.content[alpha > 0], content[alpha > 0, :3])
    assert np.abs(problem.content[alpha == 0] - IMAGENET_MEAN_RGB).max() < 1e-6  # which is nothing to the network


def test_an_opaque_content_with_a_fourth_channel_is_that_content():
    content, style = blobs((67, 90), 0), blobs((50, 40), 1)
    expected, found = (
        stylize(each, style, QUICK_BASE) for each in (content, np.dstack([content, np.ones((67, 90), np.float32)]))
    )
    assert found.report.loss["initial"]["terms"] == pytest.approx(expected.report.loss["initial"]["terms"], rel=1e-6)
    np.testing.assert_allclose(found.image[..., :3], expected.image, atol=1e-3)
    assert (found.image[..., 3] == 1).all()


def test_a_transparent_content_of_bytes_keeps_its_alpha_to_the_bit():
    content = np.random.default_rng(0).integers(0, 256, (40, 52, 4), np.uint8)
    content[..., 3] = np.arange(40 * 52).reshape(40, 52) % 256
    image = stylize(content, blobs((44, 36), 1), QUICK_BASE).image
    np.testing.assert_array_equal(to_bytes(image)[..., 3], content[..., 3])


def test_opaque_islands_are_parts_of_their_own(monkeypatch):
    content = np.zeros((64, 160, 4), np.float32)
    content[..., :3] = blobs((64, 160), 0)
    content[4:20, 4:24, 3] = content[40:60, 130:156, 3] = 1
    counts = []

    def counted(*given):
        parts = independent_parts(*given)
        counts.append(len(parts))
        return parts

    monkeypatch.setattr("reproduce.solving.objective.independent_parts", counted)
    result = stylize(content, blobs((44, 36), 1), change(QUICK_BASE, scale=1.0))
    assert counts == [2]
    assert result.report.loss["final"]["total"] < 0.9 * result.report.loss["initial"]["total"]


def test_intermediate_images_are_transparent_too():
    shown = []

    def on_progress(progress):
        if progress.image:
            shown.append(progress.image())

    result = stylize(transparent(), blobs((50, 40), 1), QUICK_BASE, on_progress=on_progress)
    assert len(shown) == 4 and all(np.array_equal(image[..., 3], result.image[..., 3]) for image in shown)


@pytest.mark.parametrize(
    "content, message",
    [
        (np.dstack([blobs((40, 52), 0), np.zeros((40, 52), np.float32)]), "opaque somewhere.*transparent everywhere"),
        (np.dstack([blobs((40, 52), 0), np.full((40, 52), 2.0)]), r"transparency of the content image.*\[0, 1\]"),
        (np.dstack([blobs((40, 52), 0), np.full((40, 52), np.nan)]), "transparency of the content image.*finite"),
        (blobs((40, 52), 0)[..., :2], r"\(height, width, 3\).*\(40, 52, 2\)"),
        (np.dstack([blobs((40, 52), 0)] * 2), r"\(height, width, 3\).*\(40, 52, 6\)"),
    ],
)
def test_contents_that_are_refused(content, message):
    with pytest.raises(InputError, match=message):
        stylize(content, blobs((44, 36), 1), QUICK_BASE)


def test_a_style_has_no_transparency():
    with pytest.raises(InputError, match=r"style image of shape \(height, width, 3\)"):
        stylize(blobs((40, 52), 0), transparent((44, 48)), QUICK_BASE)


# Grey


def grey(shape, seed):
    return np.repeat(blobs(shape, seed).mean(axis=2, keepdims=True), 3, axis=2)


def grey_runs(content, style):
    """Each application with what it takes of two images, and as much polish as there is."""
    mask, composite = disc((67, 90), (30, 41), 12), content[::-1]
    of_objects = {"even_tones": 0.5, "borrow_detail": True, "match_grain": True}
    polished = {"smooth_colors": 3, "recolor": True, "coarse_to_fine": 1, "scale": 1.0, "strength": 0.9}
    return {
        "stylize": lambda: stylize(content, style, QUICK_BASE),
        "stylize, polished": lambda: stylize(content, style, change(QUICK_BASE, **polished)),
        "restyle-region": lambda: restyle_region(content, style, CORNERS, QUICK_BASE),
        "restyle-region, all": lambda: restyle_region(content, style, CORNERS, QUICK_BASE, background_style=style),
        "harmonize": lambda: harmonize(style, composite, mask, QUICK),
        "harmonize, polished": lambda: harmonize(style, composite, mask, change(QUICK, **of_objects, **polished)),
    }


@pytest.mark.parametrize("name", grey_runs(*np.zeros((2, 67, 90, 3))))
def test_grey_inputs_give_a_grey_result(name):
    result = grey_runs(grey((67, 90), 0), grey((67, 90), 1))[name]()
    assert np.ptp(result.image, axis=2).max() == 0
    assert any("no colours" in notice for notice in result.report.notices)


@pytest.mark.parametrize("name", ["stylize", "harmonize, polished"])
@pytest.mark.parametrize("which", ["content", "style"])
def test_a_grey_input_with_another_in_colour_gives_colours(name, which):
    made = (grey, blobs) if which == "style" else (blobs, grey)
    result = grey_runs(made[0]((67, 90), 0), made[1]((67, 90), 1))[name]()
    assert np.ptp(result.image, axis=2).max() > 0.02
    assert not any("no colours" in notice for notice in result.report.notices)


def test_a_grey_that_a_codec_has_rounded_is_grey_and_a_tint_is_none():
    content, style = grey((67, 90), 0), np.clip(grey((67, 90), 1), 0.1, 0.9)
    for step, expected in ((2 / 255, True), (4 / 255, False)):
        tinted = style.copy()
        tinted[10:20, 10:20, 0] += step
        assert (np.ptp(stylize(content, tinted, QUICK_BASE).image, axis=2).max() == 0) == expected


def test_hidden_colours_are_no_colours():
    content = transparent()
    shown = content[..., 3] > 0
    content[shown, :3] = grey((67, 90), 0)[shown]
    image = stylize(content, grey((50, 40), 1), QUICK_BASE).image
    assert np.ptp(image[..., :3], axis=2).max() == 0


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
    assert result.report.size == {"input": [90, 67], "region": [49, 35], "working": [28, 20]}
    assert sorted(result.report.corners) == sorted(list(map(float, corner)) for corner in CORNERS)
    assert list(result.report.inputs) == ["image", "style"]


def test_the_order_of_the_corners_does_not_matter():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    settings = change(QUICK_BASE, iterations=0, start="style")
    first = restyle_region(image, style, CORNERS, settings).image
    for order in ([2, 0, 3, 1], [1, 2, 3, 0], [3, 2, 1, 0]):
        again = restyle_region(image, style, [CORNERS[i] for i in order], settings).image
        np.testing.assert_array_equal(again, first)


def test_unchanged_a_region_comes_back_as_it_was():
    """Straightened, not optimised at all, and put back: only resampled."""
    image = cv2.GaussianBlur(blobs((67, 90), 0), (0, 0), 3)
    settings = change(QUICK_BASE, iterations=0, scale=1.0)
    result = restyle_region(image, blobs((40, 48), 1), CORNERS, settings)
    assert np.abs(result.image - image).max() < 0.02


def test_the_rest_may_take_another_style():
    image, style, other = blobs((67, 90), 0), blobs((40, 48), 1), blobs((40, 48), 2)
    result = restyle_region(image, style, CORNERS, QUICK_BASE, background_style=other)
    outside = quadrilateral((67, 90), CORNERS) == 0
    assert np.abs(result.image - image)[outside].mean() > 0.01
    assert list(result.report.inputs) == ["image", "style", "background_style"]
    assert not result.report.interrupted
    background = result.report.background
    assert isinstance(background, Report) and background.iterations == 4
    report = json.loads(json.dumps(result.report.as_dict()))
    assert report["application"] == "restyle-region" and report["corners"] == result.report.corners
    alone = stylize(image, other, QUICK_BASE).report
    assert report["background"].keys() == alone.as_dict().keys()  # neither corners nor another background
    assert report["background"]["application"] == "stylize"
    assert report["background"]["size"] == {"input": [90, 67], "working": alone.size["working"]}
    assert report["background"]["loss"]["initial"]["total"] == pytest.approx(alone.loss["initial"]["total"], rel=1e-5)
    assert report["inputs"]["background_style"] == report["background"]["inputs"]["style"] == alone.inputs["style"]


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
    with pytest.raises(InputError, match=r"working style image of at least 4 pixels.*45 x 1 at scale 0.5"):
        restyle_region(image, style, CORNERS, QUICK_BASE, background_style=blobs((16, 700), 2))
    assert not problems


def test_a_stopped_region_is_put_back_and_nothing_else_is_begun():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    result = restyle_region(image, style, CORNERS, QUICK_BASE, background_style=style, **stopping("optimizing", 2))
    report = result.report.as_dict()
    assert report["interrupted"] and report["iterations"] == 2
    assert "background" not in report and list(report["inputs"]) == ["image", "style"]
    outside = ~around(quadrilateral((67, 90), CORNERS), 8)
    np.testing.assert_array_equal(result.image[outside], image[outside])
    assert np.abs(result.image - image)[~outside].max() > 0.05


def stopping_the_second(stage, done):
    """Arguments of a run that is stopped when a stage has got so far for the second time."""
    stop, seen = Stop(), []

    def on_progress(progress):
        if (progress.stage, progress.done) == (stage, done):
            seen.append(progress)
            if len(seen) == 2:
                stop.set()

    return {"stop": stop, "on_progress": on_progress}


def test_a_region_is_kept_when_its_background_is_stopped_before_there_is_any():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    alone = restyle_region(image, style, CORNERS, QUICK_BASE)
    stops = stopping_the_second("style features", 1)
    result = restyle_region(image, style, CORNERS, QUICK_BASE, background_style=blobs((40, 48), 2), **stops)
    np.testing.assert_allclose(result.image, alone.image, atol=1e-5)
    outside = ~around(quadrilateral((67, 90), CORNERS), 8)
    np.testing.assert_array_equal(result.image[outside], image[outside])
    assert result.report.interrupted and result.report.iterations == 4 and result.report.background is None


def test_a_region_is_kept_when_its_background_is_stopped_on_its_way():
    image, style = blobs((67, 90), 0), blobs((40, 48), 1)
    alone = restyle_region(image, style, CORNERS, QUICK_BASE)
    stops = stopping_the_second("optimizing", 2)
    result = restyle_region(image, style, CORNERS, QUICK_BASE, background_style=blobs((40, 48), 2), **stops)
    mask = quadrilateral((67, 90), CORNERS)
    core, outside = cv2.erode(mask, np.ones((17, 17), np.uint8)) > 0, mask == 0
    np.testing.assert_allclose(result.image[core], alone.image[core], atol=1e-5)
    assert np.abs(result.image - image)[outside].mean() > 0.01
    assert result.report.interrupted and result.report.iterations == 4
    background = result.report.background
    assert background.interrupted and background.iterations == 2
    assert background.stop_reason == "STOPPED BY THE USER"


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
        "0 to 255 as floats": ((255 * background, composite, mask), r"\[0, 1\].* 255"),
        "integers": (((255 * background).astype(int), composite, mask), r"unsigned bytes.* int64"),
        "not a number": ((background, nan, mask), "finite"),
        "grey": ((background[..., 0], composite, mask), r"\(height, width, 3\)"),
        "too small": ((background[:15], composite[:15], mask[:15]), "90 x 15"),
    }


@pytest.mark.parametrize("name", bad_harmonize_inputs())
def test_harmonize_refuses(name):
    arrays, message = bad_harmonize_inputs()[name]
    with pytest.raises(InputError, match=message) as caught:
        harmonize(*arrays, QUICK)
    assert "\n" not in str(caught.value)


def test_harmonize_refuses_a_patch_larger_than_the_painting_has():
    with pytest.raises(InputError, match="patch_size 21"):
        harmonize(*pasted(), change(QUICK, patch_size=21))


def test_stylize_refuses_what_is_no_image_or_too_small():
    good = blobs((48, 64), 0)
    with pytest.raises(InputError, match="content image of at least 16 pixels"):
        stylize(good[:10], good, QUICK_BASE)
    with pytest.raises(InputError, match=r"style image of shape \(height, width, 3\)"):
        stylize(good, good[..., :1], QUICK_BASE)
    with pytest.raises(InputError, match=r"working content image.*at least 16 pixels.*8 x 8 at scale 0.5"):
        stylize(good[:16, :16], good, PAPER_BASE)
    with pytest.raises(InputError, match=r"at most 100 megapixels at style_scale 1e\+06"):
        stylize(good, good, change(QUICK_BASE, style_scale=1e6))


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
    with pytest.raises(InputError, match=message):
        restyle_region(blobs((67, 90), 0), blobs((40, 48), 1), corners, QUICK_BASE)


@pytest.mark.parametrize(
    ("content", "style", "expected"),
    [
        ((160, 170), (150, 160), 3),  # an eighth has 20 pixels, 18 for the style: more than two cells of 8
        ((160, 170), (40, 170), 1),
        ((119, 170), (128, 170), 2),
        ((33, 33), (33, 33), 1),
        ((20, 20), (20, 20), 0),
    ],
)
def test_scales_at_which_images_have_no_features_are_left_out(content, style, expected):
    settings = change(GATYS, style_layers=("block4_conv1",), layer_weights=(), scale=1.0)
    assert fit_scales(settings, (*content, 3), style) == change(settings, coarse_to_fine=expected)
    assert fit_scales(change(settings, coarse_to_fine=0), content, style).solver.coarse_to_fine == 0


@pytest.mark.parametrize(
    ("longest", "scale", "coarser", "expected"),
    [(700, 1.0, 3, 3), (1400, 1.0, 3, 3), (1500, 1.0, 3, 4), (4096, 1.0, 3, 5), (4096, 0.5, 1, 2), (4096, 1.0, 0, 0),
     (4096, 1.0, 15, 16)],
)  # fmt: skip
def test_large_strokes_come_at_more_coarse_scales(longest, scale, coarser, expected):
    settings = change(GATYS, scale=scale, coarse_to_fine=coarser)
    found = scales_for_strokes(settings, [(60, 40, 3), (100, longest, 3)])
    assert found == change(settings, coarse_to_fine=expected)


def test_scales_at_which_no_patch_would_fit_are_left_out():
    settings = change(QUICK, style_layers=("block4_conv1",), scale=1.0, coarse_to_fine=3)
    for patch_size, expected in ((1, 3), (3, 2), (5, 2), (7, 1)):  # 20, 40 and 80 pixels are 2, 5 and 10 cells
        fitting = fit_scales(change(settings, patch_size=patch_size), (160, 170, 3))
        assert fitting.solver.coarse_to_fine == expected


def test_small_images_are_solved_at_fewer_scales(problems):
    report = stylize(blobs((70, 90), 0), blobs((66, 64), 1), change(GATYS, iterations=1, scale=1.0)).report
    assert report.settings["coarse_to_fine"] == 1
    assert [problem.content.shape for problem in problems] == [(48, 48, 3), (96, 96, 3)]  # of whole cells
