"""Whole commands as a user types them, on small images and a small random network; and every mistake in typing them."""

import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
import reference

from reproduce import VGG19, InputError, change, preset, read_image, read_mask, write_image
from reproduce.applications.registry import APPLICATIONS
from reproduce.command_line import main
from reproduce.images.masks import feather, grow
from reproduce.images.polish import content_share
from reproduce.losses import STYLE_LOSSES
from reproduce.losses.normalization import sum_of
from reproduce.losses.terms import StyleLoss, Term
from reproduce.network import backend
from reproduce.network.backend import as_tensor, ops
from reproduce.network.features import Extractor
from reproduce.network.weights import Weights
from reproduce.options import POSITIVE, option
from reproduce.presets import PAPER
from reproduce.settings import leaves
from reproduce.stopping import SIGNALS, Stopped

HEIGHT, WIDTH = 64, 72
OBJECT = (slice(20, 44), slice(16, 48))
SCREEN = ("12,8", "60,10", "58,52", "10,50")
COMMANDS = {
    "stylize": ["CONTENT", "STYLE"],
    "restyle-region": ["CONTENT", "STYLE", "--corners", *SCREEN],
    "harmonize": ["BACKGROUND", "COMPOSITE", "MASK"],
    "keep-details": ["CONTENT", "STYLE", "MASK"],
}
SHORT = ["--scale", "1", "--iterations", "3", "--quiet"]
REPORT = {
    "settings", "preset", "inputs", "weights", "iterations", "evaluations", "seconds", "seconds_per_evaluation",
    "peak_memory_bytes", "loss", "stop_reason", "versions", "device", "git", "size", "trace", "notices",
}  # fmt: skip


@lru_cache
def small_network(layers, pooling, precision):
    extractor = Extractor(layers, pooling=pooling, width=1 / 16, precision=precision)
    rng = np.random.default_rng(0)
    for _, layer in extractor.steps:
        if layer.weights:
            layer.bias.assign(rng.uniform(0, 0.1, layer.bias.shape))
    return extractor


@dataclass(frozen=True)
class Small(VGG19):
    """VGG-19 with a sixteenth of the channels, random kernels, and biases, without which a blank image is dead."""

    def extractor(self, layers, pooling="max", precision="float32"):
        return small_network(layers, pooling, precision)


SMALL = Small()


@pytest.fixture
def folder(tmp_path):
    return with_images(tmp_path)


def with_images(folder):
    """Images of every kind that the commands take, by the names that `typed` knows."""
    rng = np.random.default_rng(0)
    background = cv2.GaussianBlur(rng.random((HEIGHT, WIDTH, 3)), (5, 5), 1.0)
    composite, mask = background.copy(), np.zeros((HEIGHT, WIDTH))
    composite[OBJECT], mask[OBJECT] = (0.9, 0.5, 0.2), 1
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    images = {
        "background": background, "composite": composite, "mask": mask, "content": np.stack([x, y, 1 - x], axis=2),
        "style": rng.random((50, 90, 3)), "second_style": rng.random((60, 60, 3)),
    }  # fmt: skip
    for name, image in images.items():
        write_image(folder / f"{name}.png", image)
    return folder


def typed(folder, arguments):
    """The arguments as they are typed: a word in capitals is an image of the folder, or the result."""
    return [str(folder / f"{word.lower()}.png") if re.fullmatch("[A-Z_]+[0-9]?", word) else word for word in arguments]


def run(folder, *arguments, network=SMALL):
    """The exit code."""
    try:
        return main(typed(folder, arguments), network)
    except SystemExit as exit:  # argparse's way
        return exit.code


def contents(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def as_json(settings):
    return json.loads(json.dumps(settings.as_dict()))


# What works.


@pytest.mark.parametrize("command", COMMANDS)
def test_image_and_report(folder, capfd, command):
    assert run(folder, command, *COMMANDS[command], "-o", "OUT", *SHORT) == 0
    assert capfd.readouterr() == ("", "")  # --quiet
    inputs = COMMANDS[command][: 3 if command in ("harmonize", "keep-details") else 2]
    start = read_image(folder / f"{inputs[-2 if command == 'harmonize' else 0].lower()}.png")
    result = read_image(folder / "out.png")
    assert result.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(result - start).max() > 0.01
    report = json.loads((folder / "out.json").read_text())
    assert report.keys() >= REPORT
    assert report["application"] == command
    assert report["preset"] == "paper"
    assert report["settings"]["scale"] == 1 and report["settings"]["iterations"] == 3
    assert report["settings"] == as_json(preset("paper", command, scale=1.0, iterations=3))
    digests = [hashlib.sha256((folder / f"{name.lower()}.png").read_bytes()).hexdigest() for name in inputs]
    assert list(report["inputs"].values()) == digests
    assert report["weights"] == {"source": "random", "sha256": None}
    assert report["size"]["input"] == [WIDTH, HEIGHT]
    assert report["versions"].keys() == {"python", *backend.versions(), "scipy", "numpy", "opencv"}
    assert report["git"] is None or report["git"].keys() == {"commit", "dirty"}
    assert 0 < report["iterations"] <= 3
    assert report["evaluations"] == len(report["trace"]) >= report["iterations"]
    assert report["peak_memory_bytes"] > 10**7
    assert 0 < report["seconds_per_evaluation"] < report["seconds"]
    assert "ITERATIONS" in report["stop_reason"]
    assert report["loss"]["final"]["total"] < report["loss"]["initial"]["total"] == report["trace"][0]["loss"]
    for loss in report["loss"].values():
        assert loss["total"] == pytest.approx(sum(loss["terms"].values()))
    terms = {"content block4_conv1", *(f"style block{k}_conv1" for k in (3, 4, 5))}
    assert report["loss"]["final"]["terms"].keys() == terms
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("scale", ["1", "0.8"])
def test_harmonize_leaves_the_painting_alone(folder, scale):
    assert run(folder, "harmonize", "BACKGROUND", "COMPOSITE", "MASK", "-o", "OUT", *SHORT, "--scale", scale) == 0
    background, result = (cv2.imread(str(folder / f"{name}.png")) for name in ("background", "out"))
    far = np.ones((HEIGHT, WIDTH), bool)
    far[14:50, 10:54] = False  # 6 pixels: three standard deviations of the feather
    np.testing.assert_array_equal(result[far], background[far])
    assert (result[OBJECT] != background[OBJECT]).any()


def test_restyle_region_leaves_the_rest_alone(folder):
    corners = ["20,12", "51,12", "51,43", "20,43"]
    options = ["--corners", *corners, "-o", "OUT", *SHORT, "--feather", "1"]
    assert run(folder, "restyle-region", "CONTENT", "STYLE", *options) == 0
    image, result = (cv2.imread(str(folder / f"{name}.png")) for name in ("content", "out"))
    rest = np.ones((HEIGHT, WIDTH), bool)
    rest[8:48, 16:56] = False
    np.testing.assert_array_equal(result[rest], image[rest])
    assert (result[14:42, 22:50] != image[14:42, 22:50]).any()
    report = json.loads((folder / "out.json").read_text())
    assert report["corners"] == [[20, 12], [51, 12], [51, 43], [20, 43]]
    assert report["size"]["input"] == [WIDTH, HEIGHT] and report["size"]["region"] == [32, 32]


def test_restyle_region_with_a_style_for_the_rest(folder):
    corners = ["--corners", "2,2", "60,2", "60,60", "2,60"]
    options = [*corners, "--background-style", "SECOND_STYLE", "-o", "OUT", *SHORT]
    assert run(folder, "restyle-region", "CONTENT", "STYLE", *options) == 0
    image, result = read_image(folder / "content.png"), read_image(folder / "out.png")
    assert np.abs(result[:, 68:] - image[:, 68:]).max() > 0.01
    report = json.loads((folder / "out.json").read_text())
    digest = hashlib.sha256((folder / "second_style.png").read_bytes()).hexdigest()
    assert list(report["inputs"]) == ["image", "style", "background_style"]
    assert report["inputs"]["background_style"] == digest
    assert report["background"].keys() >= REPORT - {"preset"}


@pytest.mark.parametrize("name", ["gatys", "paper", "refined"])
def test_presets(folder, name):
    options = ["--preset", name, "--iterations", "1", "--scale", "1", "--quiet"]
    assert run(folder, "stylize", "CONTENT", "STYLE", "-o", "OUT", *options) == 0
    report = json.loads((folder / "out.json").read_text())
    assert report["preset"] == name
    # At half of that size the content would have fewer than two cells of block5_conv1 on a side.
    assert report["settings"] == as_json(preset(name, "stylize", iterations=1, scale=1.0, coarse_to_fine=0))


GIVEN = {
    "pooling": "average", "precision": "bfloat16", "content_layers": ["block3_conv2"], "content_weight": 0.25,
    "style_layers": ["block2_conv1", "block3_conv1"], "layer_weights": [1.0, 0.5],
    "style_weight": 2.5, "patch_size": 1, "rematch_every": 1,
    "matching_memory": 64, "match_once": True, "beyond_matches": 0.5, "neighbor_layers": ["block3_conv1"],
    "neighbor_weight": 0.25, "tv_weight": 0.125, "normalization": "sum",
    "mask_mode": "max", "feather": 1.5, "grow": 3, "scale": 0.9, "style_scale": 0.75, "start": "noise",
    "keep_colors": True, "match_colors": True,
    "adapt_content": True, "recolor": True, "smooth_colors": 2, "even_tones": 0.5, "borrow_detail": True,
    "match_grain": True, "strength": 0.5,
    "iterations": 2, "history": 7, "solver_precision": "float32", "tolerance": 1e-12, "bounds": False,
    "coarse_to_fine": 1, "seed": 5,
}  # fmt: skip


def meaningful(application, style_loss):
    """The names of the settings that have a meaning in an application with a style loss, beside the loss's own."""
    return {
        leaf.name
        for _, leaf, losses in leaves()
        if (not losses or style_loss in losses) and (not leaf.metadata["only"] or application in leaf.metadata["only"])
    }


def as_option(name, value):
    """A setting as it is typed."""
    words = [] if isinstance(value, bool) else [",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return [("--no-" if value is False else "--") + name.replace("_", "-"), *words]


def test_every_setting_is_given():
    assert GIVEN.keys() == {leaf.name for _, leaf, _ in leaves()}
    assert GIVEN.keys() == meaningful("harmonize", "neighbors") | meaningful("stylize", "neighbors")


@pytest.mark.parametrize("application, style_loss", [
    *(("harmonize", style_loss) for style_loss in STYLE_LOSSES), ("stylize", "sliced"), ("restyle-region", "neighbors"),
])  # fmt: skip
def test_options_are_the_settings_fields(folder, application, style_loss):
    """Each option, given a value that the preset has not, arrives in the setting of its name."""
    given = {name: value for name, value in GIVEN.items() if name in meaningful(application, style_loss)}
    before = preset("paper", application, style_loss=style_loss).as_dict()
    assert not [name for name, value in given.items() if before[name] == value]
    options = ["--style-loss", style_loss, *(word for item in given.items() for word in as_option(*item))]
    assert run(folder, application, *COMMANDS[application], "-o", "OUT", "--quiet", *options) == 0
    expected = as_json(preset("paper", application, style_loss=style_loss)) | {"style_loss": style_loss} | given
    if application == "harmonize":
        adapted = given["content_weight"] * content_share(read_image(folder / "background.png"))
        expected |= {"content_weight": pytest.approx(adapted), "adapt_content": False}
    assert json.loads((folder / "out.json").read_text())["settings"] == expected


def test_intermediate_images(folder):
    assert run(folder, "harmonize", *COMMANDS["harmonize"], "-o", "OUT", *SHORT, "--iterations", "5",
               "--save-every", "2") == 0  # fmt: skip
    saved = sorted(path.name for path in folder.glob("out*.png"))
    assert saved == ["out.png", "out_0002.png", "out_0004.png"]
    assert read_image(folder / "out_0002.png").shape == (HEIGHT, WIDTH, 3)
    assert (read_image(folder / "out_0002.png") != read_image(folder / "out_0004.png")).any()


def test_intermediate_images_are_counted_over_all_stages(folder):
    assert run(folder, "harmonize", *COMMANDS["harmonize"], "-o", "OUT", *SHORT, "--iterations", "6",
               "--rematch-every", "2", "--save-every", "3") == 0  # fmt: skip
    assert sorted(path.name for path in folder.glob("out_*.png")) == ["out_0003.png", "out_0006.png"]


def test_progress(folder, capfd):
    options = [option for option in SHORT if option != "--quiet"]
    assert run(folder, "harmonize", *COMMANDS["harmonize"], "-o", "OUT", *options) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"optimizing: 100%\|.*\| 3/3 \[.*left, loss [0-9.]+", err)
    assert re.search(r"out\.png: \d+ evaluations in \d+ s, loss \S+ -> \S+ \(.*ITERATIONS.*\)", err)


def test_progress_as_lines_for_programs(folder, capfd):
    options = [option for option in SHORT if option != "--quiet"]
    assert run(folder, "harmonize", *COMMANDS["harmonize"], "-o", "OUT", *options, "--rematch-every", "2",
               "--progress", "json", "--current", "NOW") == 0  # fmt: skip
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert any("is free to change" in line.get("notice", "") for line in lines)
    steps = [line for line in lines if "loss" in line]
    assert [(line["stage"], line["done"], line["total"]) for line in steps] == [
        ("optimizing", 1, 2), ("optimizing", 2, 2), ("optimizing", 1, 1)]  # fmt: skip
    assert [line["share"] for line in steps] == pytest.approx([1 / 3, 2 / 3, 1])
    assert steps[0]["left"] is None and steps[1]["left"] >= 0 and steps[2]["left"] == 0
    assert [line["seconds"] for line in steps] == sorted(line["seconds"] for line in steps)
    assert read_image(folder / "now.png").shape == (HEIGHT, WIDTH, 3)


def test_the_share_of_two_optimisations_never_falls(folder, capfd):
    for command, more in (("keep-details", []), ("restyle-region", ["--background-style", "SECOND_STYLE"])):
        assert run(folder, command, *COMMANDS[command], *more, "-o", "OUT", *SHORT, "--progress", "json") == 0
        shares = [entry["share"] for entry in map(json.loads, capfd.readouterr().out.splitlines()) if "share" in entry]
        assert shares == sorted(shares) and shares[-1] == 1 and 0.5 in shares


def test_who_reads_the_lines_may_go_and_the_best_so_far_is_kept(folder):
    program = [sys.executable, str(Path(__file__).with_name("program.py"))]
    options = ["-o", "OUT", "--scale", "1", "--iterations", "2000", "--progress", "json"]
    process = subprocess.Popen([*program, *typed(folder, [*HARMONIZE, *options])], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    while '"loss"' not in process.stdout.readline():
        pass
    process.stdout.close()
    assert process.wait(60) == 130
    assert process.stderr.read().count("Traceback") == 0
    assert json.loads((folder / "out.json").read_text())["interrupted"]


def test_the_image_so_far_is_no_input(folder, capfd):
    line = refused(folder, capfd, *HARMONIZE, "-o", "OUT", *SHORT, "--current", "COMPOSITE")
    assert "an output that is not an input" in line


def test_notice(folder, monkeypatch, capfd):
    """What there is to say about weights that were found is said once, before anything is done with them."""
    backend.keras.backend  # noqa: B018  (its first words are not this test's)
    capfd.readouterr()
    (folder / "weights.h5").write_text("no weights")
    found = Weights(folder / "weights.h5", "found", "0" * 64, notice="These weights are random.")
    monkeypatch.setattr("reproduce.command_line.commands.find_weights", lambda file=None, progress=None: found)
    arguments = ["harmonize", *COMMANDS["harmonize"], "-o", "OUT"]
    assert run(folder, *arguments, network=None) == 2
    weights, share, error = capfd.readouterr().err.splitlines()
    assert weights == "These weights are random." and "of the painting is free" in share and "VGG-19" in error
    assert run(folder, *arguments, "--quiet", network=None) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_how_much_of_the_painting_is_free_is_shown_and_reported(folder, capfd):
    write_image(folder / "large.png", np.float64(np.arange(WIDTH) < 50) * np.ones((HEIGHT, 1)))
    for mask, said in (("MASK", "16.7% of the painting is free"), ("LARGE", "warning: 69.4% of the painting is free")):
        command = ["harmonize", "BACKGROUND", "COMPOSITE", mask, "-o", "OUT", "--grow", "0", "--feather", "0", *SHORT]
        assert run(folder, *command) == 0
        assert capfd.readouterr() == ("", "")  # --quiet
        (notice,) = json.loads((folder / "out.json").read_text())["notices"]
        assert notice.startswith(said)
        assert run(folder, *(word for word in command if word != "--quiet")) == 0
        out, err = capfd.readouterr()
        assert out == "" and err.startswith(f"{notice}\n") and err.count(said) == 1


def test_what_was_said_of_the_inputs_is_shown_and_reported_too(folder, capfd):
    """A mask of 0 and 1, and grey images."""
    grey = cv2.imread(str(folder / "background.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "grey.png"), grey)
    cv2.imwrite(str(folder / "other.png"), 255 - grey)
    cv2.imwrite(str(folder / "faint.png"), np.uint8(read_mask(folder / "mask.png")))
    command = ["harmonize", "GREY", "OTHER", "FAINT", "-o", "OUT", *SHORT]
    assert run(folder, *(word for word in command if word != "--quiet")) == 0
    notices = json.loads((folder / "out.json").read_text())["notices"]
    assert len(notices) == 3
    assert "faint.png" in notices[0] and "levels 0 and 1" in notices[0]
    assert "is free to change" in notices[1] and "no colours" in notices[2]
    assert capfd.readouterr().err.startswith("\n".join(notices) + "\n")
    result = cv2.imread(str(folder / "out.png"))
    assert (result == result[..., :1]).all() and (result[OBJECT][..., 0] != grey[OBJECT]).any()


# Transparency of CONTENT.


@pytest.fixture
def cut_out(folder):
    """A content that is transparent in the middle and half transparent at the left; returns its alpha."""
    content, alpha = read_image(folder / "content.png"), np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[20:40, 30:60], alpha[:, :9] = 0, np.arange(1, 10) * 25
    write_image(folder / "cut_out.png", np.dstack([content, alpha / 255]))
    return alpha


@pytest.mark.parametrize("name", ["out.png", "out.tif", "OUT.TIFF"])
def test_transparency_is_kept_to_the_bit(folder, cut_out, name):
    out = folder / name
    assert run(folder, "stylize", "CUT_OUT", "STYLE", "-o", str(out), *SHORT, "--save-every", "2") == 0
    for path in (out, out.with_name(f"{out.stem}_0002{out.suffix}")):
        result = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert result.shape == (HEIGHT, WIDTH, 4) and result.dtype == np.uint8
        np.testing.assert_array_equal(result[..., 3], cut_out)
    content = cv2.imread(str(folder / "cut_out.png"), cv2.IMREAD_UNCHANGED)
    assert np.abs(result.astype(int) - content)[cut_out > 0].mean() > 1


@pytest.mark.parametrize("name", ["out.jpg", "out.bmp"])
def test_a_format_without_transparency_gets_the_image_over_white(folder, cut_out, name):
    options = ["--start", "content", *SHORT]
    for output in (name, "whole.png"):
        assert run(folder, "stylize", "CUT_OUT", "STYLE", "-o", str(folder / output), *options) == 0
    result, whole = (read_image(folder / output) for output in (name, "whole.png"))  # the second over white too
    assert cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED).shape == (HEIGHT, WIDTH, 3)
    assert result[24:36, 34:56].min() > 0.97
    assert np.abs(result - whole)[:, :60].mean() < 0.03


def test_hidden_colours_do_not_count(folder, cut_out):
    reports = []
    for seed in (0, 1):
        content = read_image(folder / "content.png")
        content[cut_out == 0] = np.random.default_rng(seed).random(((cut_out == 0).sum(), 3))
        write_image(folder / "content.png", np.dstack([content, cut_out / 255]))
        assert run(folder, "stylize", "CONTENT", "STYLE", "-o", "OUT", *SHORT) == 0
        reports.append(json.loads((folder / "out.json").read_text()))
        write_image(folder / "content.png", content)
    assert reports[0]["trace"][0]["loss"] == pytest.approx(reports[1]["trace"][0]["loss"], rel=1e-6)
    assert reports[0]["inputs"]["content"] != reports[1]["inputs"]["content"]


def test_a_content_that_is_nowhere_opaque_is_refused(folder, capfd):
    write_image(folder / "nothing.png", np.dstack([read_image(folder / "content.png"), np.zeros((HEIGHT, WIDTH))]))
    line = refused(folder, capfd, "stylize", "NOTHING", "STYLE", "-o", "OUT", *SHORT)
    assert "content image to be opaque somewhere" in line


# A loss of one's own: one class, one line of the registry.


@dataclass(frozen=True)
class Toy(StyleLoss):
    """The mean feature under the mask against the whole style image's."""

    toy_number: float = option(1.0, "what the distance is multiplied by", POSITIVE)

    def layer_terms(self, sources):
        wanted = sources.extractor(sources.painting)
        return {
            layer: self.term(layer, sources.masks[layer], wanted[layer].mean(axis=(0, 1)))
            for layer in self.style_layers
        }

    def term(self, layer, masks, wanted):
        total, target = sum(mask.sum() for mask in masks), as_tensor(wanted)
        return Term(
            layer,
            constants=lambda cut: (cut.of(masks),),
            summary=lambda features, mask: ops.sum(features * mask[..., None], axis=(0, 1)),
            value=lambda sums: self.toy_number * sum_of(ops.square(sums / total - target)),
        )


def test_a_style_loss_is_one_class_and_one_line(folder, monkeypatch, capfd):
    monkeypatch.setitem(STYLE_LOSSES, "toy", Toy)
    options = ["--style-loss", "toy", "--toy-number", "3", "--style-weight", "0.5", *SHORT]
    assert run(folder, *HARMONIZE, "-o", "OUT", *options) == 0
    report = json.loads((folder / "out.json").read_text())
    expected = change(PAPER, style_loss="toy", toy_number=3.0, style_weight=0.5, scale=1.0, iterations=3)
    assert report["settings"] == as_json(expected)
    assert report["settings"]["toy_number"] == 3 and "patch_size" not in report["settings"]
    assert report["loss"]["final"]["total"] < report["loss"]["initial"]["total"]

    # The terms at the start, without the code under test: equation, mask and weights by hand.
    background, composite, mask = (
        read(folder / f"{name}.png")
        for name, read in (("background", read_image), ("composite", read_image), ("mask", read_mask))
    )
    loose = feather(grow(mask, PAPER.mask.grow), PAPER.mask.feather)
    content = np.where(loose[..., None] > 0, composite, background)
    extractor = SMALL.extractor(expected.layers)
    masks = reference.mask_pyramid(loose, expected.layers, "convolve")
    have, want = extractor(content), extractor(background)
    for layer in expected.style.style_layers:
        inside = np.tensordot(masks[layer], have[layer], 2) / masks[layer].sum()
        by_hand = 0.5 * 3 * np.sum((inside - want[layer].mean(axis=(0, 1))) ** 2)
        assert report["trace"][0][f"style {layer}"] == pytest.approx(by_hand, rel=1e-3)

    assert run(folder, "stylize", "CONTENT", "STYLE", "-o", "OUT", *options) == 0
    assert "which matched, per_patch, sliced, neighbors have" in refused(
        folder, capfd, *HARMONIZE, "-o", "OUT", *options, "--patch-size", "3"
    )
    assert "toy_number, which toy has" in refused(folder, capfd, *HARMONIZE, "-o", "OUT", "--toy-number", "3")
    assert "Expected toy_number above 0. Received: -3.0" in refused(
        folder, capfd, *HARMONIZE, "-o", "OUT", *options, "--toy-number", "-3"
    )
    shown = help_of("harmonize", capfd)
    assert "toy: The mean feature under the mask against the whole style image's" in shown
    assert re.search(r"--toy-number X +toy: what the distance is multiplied by \[1\.0\]", shown)


# Stopping.


def pressing(monkeypatch, done, press):
    """Let `press` be called when a run has got to its iteration `done`."""
    from reproduce.command_line.commands import _Show

    show = _Show.__call__

    def watched(self, progress):
        show(self, progress)
        if progress.loss is not None and progress.done == done:
            press()

    monkeypatch.setattr(_Show, "__call__", watched)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_writes_the_best_image_so_far(folder, monkeypatch, number):
    """In the second iteration."""
    before = [signal.getsignal(each) for each in SIGNALS]
    pressing(monkeypatch, 2, lambda: signal.raise_signal(number))
    options = ["-o", "OUT", "--scale", "1", "--iterations", "50", "--quiet"]
    assert run(folder, *HARMONIZE, *options) == 128 + number
    report = json.loads((folder / "out.json").read_text())
    assert report["interrupted"] and "USER" in report["stop_reason"] and report["iterations"] == 2
    assert report["loss"]["final"]["total"] < report["loss"]["initial"]["total"]
    assert read_image(folder / "out.png").shape == (HEIGHT, WIDTH, 3)
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal")
def test_a_signal_that_is_ignored_stays_so(folder, monkeypatch):
    """As SIGHUP under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    pressing(monkeypatch, 2, lambda: signal.raise_signal(signal.SIGHUP))
    try:
        assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not json.loads((folder / "out.json").read_text())["interrupted"]


def test_a_command_in_another_thread(folder):
    """There nobody may handle signals."""
    codes = []
    thread = Thread(target=lambda: codes.append(run(folder, *HARMONIZE, "-o", "OUT", *SHORT)))
    thread.start()
    thread.join()
    assert codes == [0] and (folder / "out.png").exists()


@pytest.mark.parametrize("error, code", [(Stopped(), 130), (KeyboardInterrupt(), 130), (KeyboardInterrupt(143), 143)])
def test_stopped_before_there_is_a_result(folder, monkeypatch, capfd, error, code):
    def press(*arguments, **keywords):
        raise error

    monkeypatch.setattr("reproduce.solving.run.minimize", press)
    before = contents(folder)
    assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT) == code
    assert capfd.readouterr().err.splitlines() == ["reproduce: stopped before there was a result: nothing was written"]
    assert contents(folder) == before


@dataclass(frozen=True)
class Waiting(Small):
    """Building it takes until there is a file `go`."""

    def extractor(self, layers, pooling="max", precision="float32"):
        Path("waiting").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return super().extractor(layers, pooling, precision)


@contextmanager
def command(folder, network, *arguments):
    """A command in a process of its own, which works in `folder / "work"`, with a network of this module."""
    # What started the tests may ignore some signals, as a shell does for what it starts in the background.
    code = (
        "import signal, sys\n"
        "from reproduce.stopping import SIGNALS\n"
        "for number in SIGNALS: signal.signal(number, signal.SIG_DFL)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import test_command_line\n"
        f"sys.exit(test_command_line.main(sys.argv[1:], test_command_line.{network}()))"
    )
    tests = Path(__file__).parent
    (folder / "work").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *typed(folder, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder / "work",
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(path, process):
    until = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


SIGNALLED = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals")
EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@SIGNALLED
@pytest.mark.parametrize("name", EXIT_CODES)
def test_a_signal_to_a_process_in_the_middle_of_its_work(folder, name):
    options = ["-o", "OUT", "--scale", "1", "--iterations", "100000", "--save-every", "1", "--quiet"]
    with command(folder, "Small", *HARMONIZE, *options) as process:
        wait_for(folder / "out_0003.png", process)
        assert not (folder / "out.png").exists() and not (folder / "out.json").exists()
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (EXIT_CODES[name], "", "")
    report = json.loads((folder / "out.json").read_text())
    assert report["interrupted"] and report["stop_reason"] == "STOPPED BY THE USER"
    assert 3 <= report["iterations"] < 100000
    assert report["loss"]["final"]["total"] < report["loss"]["initial"]["total"]
    assert read_image(folder / "out.png").shape == (HEIGHT, WIDTH, 3)
    assert not list(folder.glob(".*"))


@SIGNALLED
@pytest.mark.parametrize("name", EXIT_CODES)
def test_a_signal_to_a_process_before_there_is_a_result(folder, name):
    with command(folder, "Waiting", *HARMONIZE, "-o", "OUT", *SHORT) as process:
        wait_for(folder / "work/waiting", process)
        process.send_signal(getattr(signal, name))
        (folder / "work/go").touch()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (EXIT_CODES[name], "")
    assert err == "reproduce: stopped before there was a result: nothing was written\n"
    assert not list(folder.glob("out*")) and not list(folder.glob(".*"))


@SIGNALLED
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_second_signal_ends_a_process_at_once(folder, name):
    """In the middle of work that would go on for ever, where the first signal is not yet heeded."""
    with command(folder, "Waiting", *HARMONIZE, "-o", "OUT", *SHORT) as process:
        wait_for(folder / "work/waiting", process)
        process.send_signal(getattr(signal, name))
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (EXIT_CODES[name], "")
    assert err == "reproduce: stopped before there was a result: nothing was written\n"
    assert not list(folder.glob("out*")) and not list(folder.glob(".*"))


# Whose fault an error is.


def failing(error):
    def fail(*arguments, **keywords):
        raise error

    return fail


def test_a_fault_of_the_program_shows_its_traceback(folder, monkeypatch, capfd):
    """A ValueError that is not the user's, such as NumPy's when shapes do not fit."""
    monkeypatch.setattr("reproduce.solving.run.minimize", lambda *_, **__: np.zeros(3) + np.zeros(4))
    before = contents(folder)
    with pytest.raises(ValueError, match="could not be broadcast") as caught:
        run(folder, *HARMONIZE, "-o", "OUT", *SHORT)
    assert not isinstance(caught.value, InputError)
    assert capfd.readouterr() == ("", "")
    assert contents(folder) == before


def test_a_mistake_of_the_user_is_one_line_wherever_it_is_found(folder, monkeypatch, capfd):
    error = InputError("Expected a brush.\nReceived: none")
    monkeypatch.setattr("reproduce.solving.run.minimize", failing(error))
    assert refused(folder, capfd, *HARMONIZE, "-o", "OUT", *SHORT) == "Expected a brush. Received: none"


def test_out_of_memory_is_one_line(folder, monkeypatch, capfd):
    monkeypatch.setattr("reproduce.solving.run.minimize", failing(MemoryError("Unable to allocate 1. TiB")))
    assert "out of memory" in refused(folder, capfd, *HARMONIZE, "-o", "OUT", *SHORT)


def test_opencv_out_of_memory_is_one_line(folder, monkeypatch, capfd):
    def exhaust(*arguments, **keywords):
        cv2.copyMakeBorder(np.zeros((1, 1), np.uint8), 0, 2**30, 0, 2**30, cv2.BORDER_CONSTANT)

    monkeypatch.setattr("reproduce.solving.run.minimize", exhaust)
    assert "out of memory" in refused(folder, capfd, "harmonize", *COMMANDS["harmonize"], "-o", "OUT", *SHORT)


def test_select(folder, capfd):
    assert run(folder, "select", "COMPOSITE", "--seed", "20,30", "-o", "OUT") == 0
    expected = np.zeros((HEIGHT, WIDTH))
    expected[OBJECT] = 1
    np.testing.assert_array_equal(read_mask(folder / "out.png"), expected)
    assert capfd.readouterr() == ("", "")


def test_select_with_all_its_options(folder):
    ring = np.zeros((32, 32, 3))
    ring[4:20, 4:20] = 1
    ring[8:16, 8:16] = 0.5
    ring[25:30, 25:30] = 0.9
    write_image(folder / "ring.png", ring)
    assert run(folder, "select", "RING", "--seed", "5,5", "--seed", "27,27", "-o", "OUT") == 0
    assert read_mask(folder / "out.png").sum() == 16 * 16 - 8 * 8 + 5 * 5
    assert run(folder, "select", "RING", "--seed", "5,5", "--fill-holes", "-o", "OUT") == 0
    assert read_mask(folder / "out.png").sum() == 16 * 16
    assert run(folder, "select", "RING", "--seed", "5,5", "--tolerance", "1", "-o", "OUT") == 0
    assert read_mask(folder / "out.png").min() == 1
    assert run(folder, "select", "RING", "--seed", "0,0", "--invert", "-o", "OUT") == 0
    assert read_mask(folder / "out.png").sum() == 16 * 16 + 5 * 5
    assert run(folder, "select", "RING", "--seed", "5,5", "--feather", "1", "-o", "OUT") == 0
    assert 0 < read_mask(folder / "out.png")[4, 4] < 1


def test_paste(folder, capfd):
    assert run(folder, "paste", "BACKGROUND", "COMPOSITE", "MASK", "--at", "0,31.5", "-o", "OUT",
               "--mask-output", "OUT_MASK") == 0  # fmt: skip
    mask = read_mask(folder / "out_mask.png") == 1
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[20:44, :17] = True  # the object's right half
    np.testing.assert_array_equal(mask, expected)
    background, result = read_image(folder / "background.png"), read_image(folder / "out.png")
    np.testing.assert_array_equal(result[~mask], background[~mask])
    np.testing.assert_allclose(result[mask], np.broadcast_to([0.9, 0.5, 0.2], (24 * 17, 3)), atol=1 / 255)
    assert capfd.readouterr() == ("", "")


def test_pasting_a_transparent_object_by_its_own_transparency(folder):
    """White, which such images are shown over, does not come into its soft edge."""
    alpha = np.zeros((40, 40), np.uint8)
    alpha[10:30, 10:30], alpha[12:28, 12:28] = 128, 255
    cv2.imwrite(str(folder / "cut_out.png"), np.dstack([np.zeros((40, 40, 3), np.uint8), alpha]))
    cv2.imwrite(str(folder / "black.png"), np.zeros((60, 60, 3), np.uint8))
    assert run(folder, "paste", str(folder / "black.png"), "CUT_OUT", "CUT_OUT", "--at", "30,30", "-o", "OUT",
               "--mask-output", "OUT_MASK") == 0  # fmt: skip
    assert set(np.unique(np.round(255 * read_mask(folder / "out_mask.png")))) == {0, 128, 255}
    assert read_image(folder / "out.png").max() == 0


def test_paste_beyond_the_left_border(folder):
    """A point may begin with a minus."""
    assert run(folder, "paste", "BACKGROUND", "COMPOSITE", "MASK", "--at", "-5.5,31.5", "--scale", "0.5", "-o", "OUT",
               "--mask-output", "OUT_MASK") == 0  # fmt: skip
    assert np.flatnonzero(read_mask(folder / "out_mask.png").any(axis=0)).tolist() == [0, 1, 2]


def test_pasted_files_can_be_harmonized(folder):
    assert run(folder, "paste", "BACKGROUND", "CONTENT", "MASK", "--at", "40,30", "-o", "PASTED",
               "--mask-output", "PASTED_MASK") == 0  # fmt: skip
    assert run(folder, "harmonize", "BACKGROUND", "PASTED", "PASTED_MASK", "-o", "OUT", *SHORT) == 0


def help_of(command, capfd):
    """What `--help` prints, each option in one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "1000")
        with pytest.raises(SystemExit) as exit:
            main([*filter(None, [command]), "--help"])
    assert exit.value.code == 0
    out, err = capfd.readouterr()
    assert err == ""
    return re.sub(r"\n {10,}", "  ", out)  # what it means stands below an option that is long


@pytest.mark.parametrize("command", ["", *COMMANDS, "select", "paste", "plan", "page"])
def test_help(command, capfd):
    assert help_of(command, capfd).startswith(f"usage: reproduce {command}".strip())


OF_EVERY_RUN = {
    "help", "output", "preset", "weights", "save-every", "current", "progress", "gpu-memory", "quiet", "style-loss",
    "checkpoint-every", "resume", "workers", "memory",
}  # fmt: skip
GROUPS = ["network", "content", "style", "variation", "weighing", "mask", "image", "polish", "solver"]


@pytest.mark.parametrize("application", APPLICATIONS)
def test_help_shows_the_settings_that_have_a_meaning_and_no_others(application, capfd):
    shown = help_of(application, capfd)
    options = set(re.findall(r"^  (?:-\w(?: [^ ,]+)?, )?--([a-z-]+)", shown, re.MULTILINE))
    inputs = {entry.name for entry in APPLICATIONS[application].inputs if entry.option}
    inputs |= {"keep-intermediates"} if APPLICATIONS[application].base else set()
    names = set().union(*(meaningful(application, style_loss) for style_loss in STYLE_LOSSES))
    assert options == OF_EVERY_RUN | {name.replace("_", "-") for name in names | inputs}
    usage = shown[: shown.index("\n\n")]
    assert set(re.findall(r"--([a-z-]+)", usage)) - {f"no-{name}" for name in options} == options - {"help", "output"}
    groups = re.findall(r"^(\w+) \(in brackets the value of 'paper'\):$", shown, re.MULTILINE)
    assert groups == [name for name in GROUPS if name != "mask" or application != "stylize"]
    assert list(dict.fromkeys(group for group, _, _ in leaves())) == GROUPS


@pytest.mark.parametrize("application", APPLICATIONS)
def test_help_shows_the_values_of_the_paper_and_whose_a_setting_is(application, capfd):
    shown = help_of(application, capfd)
    defaults = preset("paper", application).as_dict()
    for group, leaf, losses in leaves():
        if leaf.name not in meaningful(application, losses[0] if losses else ""):
            continue
        (line,) = re.findall(rf"^  --{leaf.name.replace('_', '-')}[ ,].*$", shown, re.MULTILINE)
        value = defaults.get(leaf.name, leaf.default)
        assert line.endswith(f"{leaf.metadata['help']} [{','.join(value) if isinstance(value, tuple) else value}]")
        of_all = not losses or set(losses) == set(STYLE_LOSSES)
        assert (f" {', '.join(losses)}: " in line) == (not of_all), (group, line)


# What is refused: one line, exit code 2, nothing written.


def refused(folder, capfd, *arguments, network=SMALL):
    """Run a command that must be refused; return its one line without the prefix."""
    before = contents(folder)
    code = run(folder, *arguments, network=network)
    out, err = capfd.readouterr()
    assert code == 2, err
    assert out == ""
    assert err.count("\n") == 1 and err.startswith("reproduce: error: "), err
    assert contents(folder) == before
    return err.removeprefix("reproduce: error: ").strip()


HARMONIZE = ["harmonize", "BACKGROUND", "COMPOSITE", "MASK"]
SELECT = ["select", "CONTENT", "--seed", "3,4", "-o", "OUT"]
PASTE = ["paste", "BACKGROUND", "COMPOSITE", "MASK", "--at", "9,9", "-o", "OUT", "--mask-output", "OUT_MASK"]


@pytest.mark.parametrize("arguments, message", [
    ([], "COMMAND"),
    (["paint"], "paint"),
    (["stylize", "CONTENT", "-o", "OUT"], "STYLE"),
    (["stylize", "CONTENT", "STYLE"], "-o"),
    (["harmonize", "BACKGROUND", "COMPOSITE", "-o", "OUT"], "MASK"),
    ([*HARMONIZE, "STYLE", "-o", "OUT"], "unrecognized arguments"),
    ([*HARMONIZE, "-o", "OUT", "--brush", "3"], "--brush"),
    ([*HARMONIZE, "-o", "OUT", "--preset", "papers"], "papers"),
    ([*HARMONIZE, "-o", "OUT", "--pooling", "mean"], "mean"),
    ([*HARMONIZE, "-o", "OUT", "--iterations", "many"], "many"),
    ([*HARMONIZE, "-o", "OUT", "--iterations", "2.5"], "2.5"),
    ([*HARMONIZE, "-o", "OUT", "--iterations", "-1"], "Expected iterations of 0 or more. Received: -1"),
    ([*HARMONIZE, "-o", "OUT", "--save-every", "-1"], "Expected --save-every of 0 or more. Received: -1"),
    ([*HARMONIZE, "-o", "OUT", "--patch-size", "4"], "Expected patch_size odd and positive. Received: 4"),
    ([*HARMONIZE, "-o", "OUT", "--patch-size", "0"], "Expected patch_size odd and positive. Received: 0"),
    ([*HARMONIZE, "-o", "OUT", "--scale", "0"], "Expected scale in (0, 1]. Received: 0.0"),
    ([*HARMONIZE, "-o", "OUT", "--scale", "nan"], "Expected scale in (0, 1]. Received: nan"),
    ([*HARMONIZE, "-o", "OUT", "--style-weight", "-1"], "Expected style_weight of 0 or more. Received: -1.0"),
    ([*HARMONIZE, "-o", "OUT", "--seed", "-1"], "Expected seed of 0 or more. Received: -1"),
    ([*HARMONIZE, "-o", "OUT", "--style-weight", "0", "--content-weight", "0"], "nothing to optimise"),
    ([*HARMONIZE, "-o", "OUT", "--style-layers", "block6_conv1"], "Received: block6_conv1"),
    (["restyle-region", "CONTENT", "STYLE", "-o", "OUT"], "--corners"),
    (["restyle-region", "CONTENT", "STYLE", "-o", "OUT", "--corners", *SCREEN[:3]], "expected 4 arguments"),
    (["restyle-region", "CONTENT", "STYLE", "-o", "OUT", "--corners", *SCREEN[:3], "7"], "a point x,y in pixels"),
    (["select", "CONTENT", "-o", "OUT"], "--seed"),
    (["select", "CONTENT", "--seed", "3", "-o", "OUT"], "expected a point x,y in pixels, received '3'"),
    (["select", "CONTENT", "--seed", "3,4,5", "-o", "OUT"], "received '3,4,5'"),
    (["select", "CONTENT", "--seed", "3;4", "-o", "OUT"], "received '3;4'"),
    (["paste", "BACKGROUND", "COMPOSITE", "MASK", "--at", "9,9", "-o", "OUT"], "--mask-output"),
    (["paste", "BACKGROUND", "COMPOSITE", "MASK", "-o", "OUT", "--mask-output", "OUT_MASK"], "--at"),
])  # fmt: skip
def test_mistyped(folder, capfd, arguments, message):
    assert message in refused(folder, capfd, *arguments)


@pytest.mark.parametrize("arguments, message", [
    (["select", "CONTENT", "--seed", f"{WIDTH},4", "-o", "OUT"], f"inside the image of {WIDTH} x {HEIGHT} pixels"),
    (["select", "CONTENT", "--seed", f"3,{HEIGHT}", "-o", "OUT"], f"inside the image of {WIDTH} x {HEIGHT} pixels"),
    (["select", "CONTENT", "--seed", "-1,4", "-o", "OUT"], "Received: -1"),
    (["select", "CONTENT", "--seed", "3,4", "--seed", "nan,4", "-o", "OUT"], "inside the image"),
    ([*SELECT, "--tolerance", "2"], "Expected a tolerance in [0, 1]. Received: 2.0"),
    ([*SELECT, "--feather", "-1"], "Expected a feather of 0 or more"),
    ([*SELECT, "--feather", "inf"], "Expected a feather of 0 or more"),
    ([*PASTE, "--scale", "0"], "Expected a scale above 0"),
    ([*PASTE, "--scale", "1e9"], "Expected a scale above 0 that keeps the object under 100 megapixels"),
    ([*PASTE, "--at", "500,9"], f"an object that lies on the background of {WIDTH} x {HEIGHT}"),
    ([*PASTE, "--at", "inf,9"], "Expected a point x,y"),
    ([*PASTE, "--mask-output", "OUT"], "Expected two output files"),
    (["paste", "BACKGROUND", "STYLE", "MASK", *PASTE[4:]], f"object 90 x 50 and mask {WIDTH} x {HEIGHT}"),
])  # fmt: skip
def test_impossible_selections_and_pastings(folder, capfd, arguments, message):
    assert message in refused(folder, capfd, *arguments)


def test_pasting_an_empty_mask(folder, capfd):
    write_image(folder / "empty.png", np.zeros((HEIGHT, WIDTH)))
    message = refused(folder, capfd, "paste", "BACKGROUND", "COMPOSITE", "EMPTY", *PASTE[4:])
    assert "an empty mask" in message


def corrupt(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def make_huge(path):
    """12000 x 9000 pixels of one bit."""
    header = struct.pack(">IIBBBBB", 12000, 9000, 1, 0, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(bytes(9000 * 1501)), b"IEND": b""}
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def make_folder(path):
    path.unlink()
    path.mkdir()


BAD_FILES = {
    "missing": (Path.unlink, "No such file"),
    "a folder": (make_folder, "a folder"),
    "empty": (lambda path: path.write_bytes(b""), "Not an image, or a damaged one"),
    "a text": (lambda path: path.write_text("# Harmonisation\n"), "Not an image, or a damaged one"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "Not an image, or a damaged one"),
    "corrupt": (corrupt, "Not an image, or a damaged one"),
    "one pixel": (lambda path: cv2.imwrite(str(path), np.zeros((1, 1), np.uint8)), "Received: 1 x 1"),
    "fifteen pixels": (lambda path: cv2.imwrite(str(path), np.zeros((40, 15), np.uint8)), "Received: 15 x 40"),
    "108 megapixels": (make_huge, "at most 100 megapixels"),
}
EVERY_INPUT = [
    (command, place)
    for command in (
        ["stylize", "CONTENT", "STYLE", "-o", "OUT"],
        ["restyle-region", "CONTENT", "STYLE", "--background-style", "SECOND_STYLE", "--corners", *SCREEN, "-o", "OUT"],
        [*HARMONIZE, "-o", "OUT"],
        SELECT,
        PASTE,
    )
    for place, word in enumerate(command)
    if word in ("CONTENT", "STYLE", "SECOND_STYLE", "BACKGROUND", "COMPOSITE", "MASK")
]


@pytest.mark.parametrize("bad", BAD_FILES)
def test_bad_files(folder, capfd, bad):
    """Every bad file in the place of every input of every command."""
    spoil, message = BAD_FILES[bad]
    (folder / "bad.png").write_bytes((folder / "background.png").read_bytes())
    spoil(folder / "bad.png")
    inputs = EVERY_INPUT if bad != "108 megapixels" else EVERY_INPUT[:1]  # that one takes seconds
    for command, place in inputs:
        line = refused(folder, capfd, *command[:place], "BAD", *command[place + 1 :])
        assert message in line and "bad.png" in line, command


@pytest.mark.parametrize("arguments", [
    ["stylize", "CONTENT", "STYLE", "-o", "OUT"],
    ["restyle-region", "CONTENT", "STYLE", "--corners", *SCREEN, "-o", "OUT"],
    [*HARMONIZE, "-o", "OUT"],
    SELECT,
    PASTE,
    ["paste", "BACKGROUND", "COMPOSITE", "MASK", "--at", "9,9", "-o", "OUT_MASK", "--mask-output", "OUT"],
], ids=lambda arguments: " ".join(arguments[:1] + arguments[-2:]))  # fmt: skip
def test_bad_outputs(folder, capfd, arguments):
    (folder / "file").write_text("")
    (folder / "folder.png").mkdir()
    bad = {
        "nowhere/out.png": "output folder does not exist",
        "file/out.png": "output folder does not exist",
        "folder.png": "Received a folder",
        "out": "Expected an output file that ends in .png",
        "out.txt": "Expected an output file that ends in .png",
    }
    where = arguments.index("OUT")
    for name, message in bad.items():
        assert message in refused(folder, capfd, *arguments[:where], str(folder / name), *arguments[where + 1 :])


def test_a_folder_in_the_place_of_the_report(folder, capfd):
    (folder / "result.json").mkdir()
    line = refused(folder, capfd, *HARMONIZE, "-o", str(folder / "result.png"))
    assert "a place for the report. Received: a folder" in line and "result.json" in line


def spelled(path):
    """Other ways to write a path, and other names of its file."""
    folder = path.parent
    (folder / "folder").mkdir(exist_ok=True)
    (folder / "way").symlink_to(folder, target_is_directory=True)
    (folder / "link.png").symlink_to(path.name)
    os.link(path, folder / "hard.png")
    return [str(path), f"{folder}/./{path.name}", f"{folder}/folder/../{path.name}", f"{folder}/way/{path.name}",
            f"{folder}/link.png", f"{folder}/hard.png"]  # fmt: skip


@pytest.mark.parametrize("command, place", EVERY_INPUT, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_an_output_that_is_an_input_is_refused(folder, capfd, command, place):
    """However it is spelled, in the place of every input and every output."""
    (folder / "given.png").write_bytes((folder / f"{command[place].lower()}.png").read_bytes())
    for path in spelled(folder / "given.png"):
        for output in ("OUT", "OUT_MASK"):
            if output in command:
                words = [*command[:place], "GIVEN", *command[place + 1 :]]
                words[words.index(output)] = path
                assert "an output that is not an input" in refused(folder, capfd, *words)


def test_an_output_beside_an_input_is_not_refused(folder):
    """Names that differ in their case, too, where the file system tells those apart."""
    for name in ("content2.png", "Content.png"):
        if not (folder / name).exists():
            assert run(folder, *SELECT[:-1], str(folder / name)) == 0


def test_an_input_that_an_intermediate_image_would_replace_is_refused(folder, capfd):
    for name in ("out_0002.png", "out_12345.png"):
        (folder / name).write_bytes((folder / "composite.png").read_bytes())
        options = ["-o", "OUT", "--save-every", "2", *SHORT]
        line = refused(folder, capfd, "harmonize", "BACKGROUND", str(folder / name), "MASK", *options)
        assert "an input that --save-every leaves" in line and name in line
    assert run(folder, "harmonize", "BACKGROUND", str(folder / name), "MASK", "-o", "OUT", *SHORT) == 0


@pytest.mark.parametrize("content", ['{"name": "package"}', "[]", "notes", ""])
def test_a_file_that_is_no_report_is_never_replaced(folder, capfd, content):
    (folder / "out.json").write_text(content)
    for command in COMMANDS:
        line = refused(folder, capfd, command, *COMMANDS[command], "-o", "OUT", *SHORT)
        assert "a file that is no report, and is not replaced" in line and "out.json" in line


def test_a_report_is_replaced_by_the_next(folder):
    for iterations in ("1", "2"):
        assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT, "--iterations", iterations) == 0
        assert json.loads((folder / "out.json").read_text())["iterations"] == int(iterations)


@pytest.mark.parametrize("name, width", [("out.jpg", 65600), ("out.png", 1000100)])
def test_an_image_that_its_format_cannot_hold_is_refused_before_the_work(folder, capfd, monkeypatch, name, width):
    cv2.imwrite(str(folder / "wide.bmp"), np.zeros((16, width), np.uint8))
    monkeypatch.setattr("reproduce.solving.run.Objective", failing(AssertionError("the work was begun")))
    line = refused(folder, capfd, "stylize", str(folder / "wide.bmp"), "STYLE", "-o", str(folder / name), *SHORT)
    assert line == f"An image of {width} x 16 cannot be written as .{name[-3:]}: {folder / name}"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that even root cannot write to")
def test_output_folder_that_cannot_be_written(folder, capfd):
    assert "cannot be written: /proc" in refused(folder, capfd, *HARMONIZE, "-o", "/proc/out.png")


def test_corners_on_the_last_pixels_are_the_last_that_there_are(folder, capfd):
    """People give an image's width and height."""
    corners = ["0,0", f"{WIDTH},0", f"{WIDTH},{HEIGHT}", f"0,{HEIGHT}"]
    line = refused(folder, capfd, "restyle-region", "CONTENT", "STYLE", "--corners", *corners, "-o", "OUT", *SHORT)
    assert f"inside the image of {WIDTH} x {HEIGHT}, from 0,0 to {WIDTH - 1},{HEIGHT - 1}" in line
    corners = ["0,0", f"{WIDTH - 1},0", f"{WIDTH - 1},{HEIGHT - 1}", f"0,{HEIGHT - 1}"]
    assert run(folder, "restyle-region", "CONTENT", "STYLE", "--corners", *corners, "-o", "OUT", *SHORT) == 0


@pytest.mark.parametrize("corners, message", [
    (["-1,8", "60,10", "58,52", "10,50"], "corners inside the image of 72 x 64"),
    (["12,8", "72,10", "58,52", "10,50"], "corners inside the image of 72 x 64"),
    (["12,8", "60,10", "58,52", "10,64"], "corners inside the image of 72 x 64"),
    (["12,8", "60,8", "36,60", "36,20"], "a convex quadrilateral"),  # within the triangle of the others
    (["12,8", "30,8", "60,8", "36,60"], "a convex quadrilateral"),  # on a line
    (["12,8", "12,8", "12,8", "12,8"], "a convex quadrilateral"),
    (["12,8", "20,8", "20,16", "12,16"], "at least 16 pixels"),
])  # fmt: skip
def test_bad_corners(folder, capfd, corners, message):
    options = ["--corners", *corners, "-o", "OUT", *SHORT]
    assert message in refused(folder, capfd, "restyle-region", "CONTENT", "STYLE", *options)


@pytest.mark.parametrize("spoil, message", [
    (lambda mask: np.zeros_like(mask), "an empty mask"),
    (lambda mask: mask * 0 + 1 / 255, "levels 1 (of 255)"),
    (lambda mask: mask * 0.3 + np.roll(mask, 7, axis=1) * 0.2, "levels 0, 51, 76, 128 (of 255)"),
    (lambda mask: np.ones_like(mask), "a full mask"),
    (lambda mask: mask[:-3], "background 72 x 64 and mask 72 x 61"),
    (lambda mask: mask.T, "background 72 x 64 and mask 64 x 72"),
])  # fmt: skip
def test_bad_masks(folder, capfd, spoil, message):
    write_image(folder / "bad.png", spoil(read_mask(folder / "mask.png")))
    assert message in refused(folder, capfd, "harmonize", "BACKGROUND", "COMPOSITE", "BAD", "-o", "OUT", *SHORT)


def test_composite_of_another_size(folder, capfd):
    line = refused(folder, capfd, "harmonize", "BACKGROUND", "STYLE", "MASK", "-o", "OUT", *SHORT)
    assert "background 72 x 64 and composite 90 x 50" in line


@pytest.mark.parametrize("style_loss", ["matched", "per_patch"])
def test_patch_larger_than_a_layer(folder, capfd, style_loss):
    """64 x 72 pixels are 4 x 4 features at block5_conv1."""
    options = ["-o", "OUT", *SHORT, "--style-loss", style_loss]
    line = refused(folder, capfd, *HARMONIZE, *options, "--patch-size", "5")
    assert "4 x 4 features of block5_conv1" in line and "patch_size 5" in line


def test_patch_as_large_as_it_may_be(folder):
    """Half as large, 2 x 2 features are too few for the deepest layer, but not those of the layer before."""
    layers = ["--style-layers", "block3_conv1,block4_conv1"]
    assert run(folder, "harmonize", *layers, *HARMONIZE[1:], "-o", "OUT", *SHORT, "--scale", "0.5") == 0
    assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT, "--scale", "0.5") == 2


HAVE = {
    (
        "stylize",
        "feather",
    ): "Received: feather, which restyle-region, harmonize and keep-details have",
    ("stylize", "grow"): "a setting of stylize. Received: grow, which harmonize and keep-details have",
    ("restyle-region", "mask_mode"): "Received: mask_mode, which harmonize and keep-details have",
    ("harmonize", "style_scale"): "of harmonize. Received: style_scale, which stylize and restyle-region have",
    ("gram", "match_once"): "a setting of the style loss gram. Received: match_once, which sliced, neighbors have",
    (
        "gram",
        "patch_size",
    ): "the style loss gram. Received: patch_size, which matched, per_patch, sliced, neighbors have",
    ("stylize", "borrow_detail"): "of stylize. Received: borrow_detail, which harmonize and keep-details have",
    ("sliced", "neighbor_weight"): "the style loss sliced. Received: neighbor_weight, which neighbors has",
    ("matched", "beyond_matches"): "the style loss matched. Received: beyond_matches, which sliced, neighbors have",
}


@pytest.mark.parametrize("where, name", HAVE, ids=" ".join)
def test_settings_without_a_meaning_are_refused_and_it_is_said_what_has_them(folder, capfd, where, name):
    application = where if where in APPLICATIONS else "harmonize"
    loss = ["--style-loss", where] if where in STYLE_LOSSES else []
    arguments = [application, *COMMANDS[application], "-o", "OUT", *loss, *as_option(name, GIVEN[name])]
    assert HAVE[where, name] in refused(folder, capfd, *arguments)


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_every_setting_without_a_meaning_is_refused(folder, capfd, application, style_loss):
    without = GIVEN.keys() - meaningful(application, style_loss)
    assert without
    for name in without:
        line = refused(folder, capfd, application, *COMMANDS[application], "-o", "OUT", "--style-loss", style_loss,
                       *as_option(name, GIVEN[name]))  # fmt: skip
        assert re.search(rf"Received: {name}, which .+ (has|have)$", line)


def test_patch_size_is_refused_where_there_are_no_patches(folder, capfd):
    """The presets of whole images compare whole Gram matrices."""
    line = refused(folder, capfd, "stylize", "CONTENT", "STYLE", "-o", "OUT", *SHORT, "--patch-size", "9")
    assert line == (
        "Expected a setting of the style loss gram. Received: patch_size, "
        "which matched, per_patch, sliced, neighbors have"
    )


def test_scale_that_leaves_too_few_pixels(folder, capfd):
    line = refused(folder, capfd, *HARMONIZE, "-o", "OUT", *SHORT, "--scale", "0.2")
    assert "at least 16 pixels" in line and "14 x 13" in line


@pytest.mark.parametrize("content", [None, b"", b"no weights", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_bad_weights(folder, capfd, content):
    backend.keras.backend  # noqa: B018  (its first words are not this test's)
    capfd.readouterr()
    if content is not None:
        (folder / "weights.h5").write_bytes(content)
    line = refused(folder, capfd, *HARMONIZE, "-o", "OUT", "--quiet", "--weights", str(folder / "weights.h5"),
                   network=None)  # fmt: skip
    assert "VGG-19" in line and "weights.h5" in line


# In a process of its own, as a user starts it.


def execute(folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "reproduce", *typed(folder, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env=os.environ | environment,
    )


@pytest.fixture
def without_network(folder):
    """The environment of a process in which the backend must not load: it takes seconds."""
    for module in ("tensorflow", "keras"):
        (folder / f"{module}.py").write_text(f"raise SystemExit('{module} was loaded')")
    return {"PYTHONPATH": str(folder)}


def test_select_and_paste_as_processes(folder, without_network):
    selected = execute(folder, "select", "COMPOSITE", "--seed", "20,30", "-o", "CHOSEN", **without_network)
    assert (selected.returncode, selected.stdout, selected.stderr) == (0, "", "")
    pasted = execute(folder, "paste", "BACKGROUND", "COMPOSITE", "CHOSEN", "--at", "40,30", "-o", "OUT",
                     "--mask-output", "OUT_MASK", **without_network)  # fmt: skip
    assert (pasted.returncode, pasted.stdout, pasted.stderr) == (0, "", "")
    assert read_mask(folder / "out_mask.png").sum() == read_mask(folder / "mask.png").sum()


def test_help_and_mistakes_as_processes(folder, without_network):
    for arguments in (["--help"], ["harmonize", "--help"], ["plan", "--help"]):
        shown = execute(folder, *arguments, **without_network)
        assert (shown.returncode, shown.stderr) == (0, "") and shown.stdout.startswith("usage: reproduce")
    mistyped = execute(folder, *HARMONIZE, "-o", "OUT", "--style-scale", "2", **without_network)
    assert (mistyped.returncode, mistyped.stdout) == (2, "") and mistyped.stderr.count("\n") == 1
    needed = execute(folder, *HARMONIZE, "-o", "OUT", **without_network)
    assert "keras was loaded" in needed.stderr  # or these files would prove nothing


def test_an_error_as_a_process(folder):
    """One line on stderr also after the backend has loaded, which likes to talk."""
    weights = folder / "weights.h5"
    weights.write_text("no weights")
    process = execute(folder, *HARMONIZE, "-o", "OUT", "--weights", str(weights))
    assert process.returncode == 2 and process.stdout == ""
    assert re.fullmatch(r"reproduce: error: .*VGG-19.*weights\.h5.*\n", process.stderr)
    assert not (folder / "out.png").exists()


def test_python_interface_is_listed():
    import reproduce

    for name in reproduce.__all__:
        assert getattr(reproduce, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'harmonise'"):
        reproduce.harmonise  # noqa: B018
