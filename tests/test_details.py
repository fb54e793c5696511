"""What is left of an object's details: legibility by known answers, the measures, and the experiment in small."""

import csv
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from experiments import request
from experiments.command_line import main
from experiments.legibility import correlation, legibility
from experiments.request import SMOKE_SIDE, Request
from experiments.scenes import DetailScene
from experiments.scenes.board import Glyph
from experiments.tables import details
from reproduce import VGG19
from reproduce.images.arrays import bounded
from reproduce.images.geometry import Rectangle
from reproduce.metrics import LAYERS

NETWORK = VGG19(width=0.05)
TEXT = "RHINE8"
BOXES = [Rectangle(30, 20 + 40 * place, 70, 52 + 40 * place) for place in range(len(TEXT))]
GLYPHS = tuple(map(Glyph, TEXT, BOXES))


@pytest.fixture(scope="module")
def plate():
    """A light plate with dark letters, each in a box of the same size."""
    plate = np.full((100, 280, 3), 230, np.uint8)
    for letter, box in zip(TEXT, BOXES):
        place = box.left + 4, box.bottom - 6
        cv2.putText(plate, letter, place, cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 30, 60), 4, cv2.LINE_AA)
    return plate.astype(np.float32) / 255


def with_crops(plate, crops):
    """The plate with what stands in one box (by its number) copied to another."""
    changed = plate.copy()
    for to, source in crops.items():
        changed[BOXES[to].slices] = plate[BOXES[source].slices]
    return changed


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


# Legibility


@pytest.mark.parametrize(
    "change",
    [
        lambda plate: plate,
        lambda plate: 0.2 + 0.3 * plate,
        lambda plate: 1 - plate,
        lambda plate: np.roll(plate, (2, -2), axis=(0, 1)),
        lambda plate: np.clip(plate + 0.4 * (noise(plate.shape) - 0.5), 0, 1),
    ],
    ids=["itself", "pale", "light on dark", "moved", "with noise"],
)
def test_what_can_be_read(plate, change):
    assert legibility(change(plate), plate, GLYPHS) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda plate: np.full_like(plate, 0.9),
        lambda plate: cv2.GaussianBlur(plate, (0, 0), 20),
        lambda plate: noise(plate.shape),
    ],
    ids=["blank", "blurred", "noise"],
)
def test_what_cannot_be_read(plate, change):
    assert legibility(change(plate), plate, GLYPHS) == 0


@pytest.mark.parametrize(
    ("crops", "share"), [({1: 4}, 5 / 6), ({0: 5, 5: 0}, 4 / 6), ({0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 0}, 0)]
)
def test_another_letter_in_its_place_is_not_read(plate, crops, share):
    assert legibility(with_crops(plate, crops), plate, GLYPHS) == pytest.approx(share)


def test_the_same_letter_elsewhere_on_the_sign_does_as_well(plate):
    twice = with_crops(plate, {1: 0})
    glyphs = [Glyph("R", BOXES[0]), Glyph("R", BOXES[1]), *GLYPHS[2:]]
    assert legibility(twice, twice, glyphs) == 1


def test_correlation_by_hand():
    template = np.array([[0.0, 10], [10, 0]])
    window = np.zeros((4, 5))
    assert correlation(window, template) == 0
    window[1:3, 2:4] = template
    assert correlation(window, template) == pytest.approx(1)
    assert correlation(100 - 3 * window, template) == pytest.approx(1)
    assert correlation(window / 100, template) == pytest.approx(0.05)  # it spreads by 0.05 where 1 is the least


# The measures


def make_scene(name="one", glyphs=GLYPHS[:3], shape=(130, 170)):
    photograph, style = (cv2.GaussianBlur(noise((*shape, 3), [seed, *name.encode()]), (0, 0), 1.5) for seed in (1, 2))
    mask = np.zeros(shape, np.float32)
    mask[20:-20, 10:-10] = 1
    return DetailScene(name, photograph, mask, 1 - style**2, glyphs)


def test_style_distance_is_a_share_of_the_photograph_s():
    scene = make_scene()
    distance = details.style_distance(scene, NETWORK.extractor(LAYERS))
    assert distance(scene.photograph) == pytest.approx(1)
    assert distance(scene.style) < 0.5
    outside = np.where(scene.mask[..., None] > 0, scene.photograph, 0)
    assert distance(outside) == pytest.approx(1, abs=0.1)  # what is not selected hardly counts: it reaches in a little


# The experiment


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the experiment in small, on noise in place of the drawn scenes: drawing takes seconds."""
    glyphs_of = ((), GLYPHS[:3])
    scenes = {name: make_scene(name, glyphs) for name, glyphs in zip(request.DETAIL_SCENES, glyphs_of)}
    monkeypatch.setattr(request, "_drawn_detail", scenes.get)

    def run(*arguments):
        places = ("--output", str(tmp_path / "made"), "--cache", str(tmp_path / "cache"))
        return main(["details", *arguments, *places, "--smoke"], NETWORK)

    return run


METHODS = ["stylised", "pasted", "paper pipeline", "stylised (refined)", "refined"]


def rows_of(folder):
    with open(folder / "made" / "details.csv") as file:
        return list(csv.DictReader(file))


def test_the_drawn_scenes_in_small(run, tmp_path, capsys):
    assert run() == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {
        f"details.{s}" for s in ("png", "json", "csv", "md")
    }
    first, second = request.DETAIL_SCENES[:2]
    rows = rows_of(tmp_path)
    assert [(row["case"], row["method"]) for row in rows] == [(c, m) for c in (first, second) for m in METHODS]
    assert {row["kind"] for row in rows} == {"drawn scenes"}
    values = {(row["case"], row["method"]): row for row in rows}
    assert values[first, "pasted"]["legibility"] == "" and float(values[second, "pasted"]["legibility"]) == 1
    for row in rows:
        assert -1 <= float(row["content"]) < 1.001 and float(row["style"]) > 0 and float(row["seam"]) > 0
        assert row["method"] != "pasted" or float(row["content"]) > 0.9  # all of it but at the edge
        if row["method"] in ("stylised", "stylised (refined)"):
            assert float(row["content_gain"]) == 0 and float(row["style_ratio"]) == 1
    record = json.loads((tmp_path / "made" / "details.json").read_text())
    assert [run["application"] for run in record["runs"]] == ["stylize", "keep-details"] * 4
    titles = re.findall(r"^\w.*$", (tmp_path / "made" / "details.md").read_text(), re.MULTILINE)
    assert titles == ["Medians over the drawn scenes", first, second]
    # Those that paint the whole are counted beforehand; those that keep the object start from them.
    assert "run 4 of 4" in capsys.readouterr().err and len(list((tmp_path / "cache").glob("*.json"))) == 8
    before = (tmp_path / "made" / "details.png").read_bytes()
    assert run() == 0
    assert (
        before == (tmp_path / "made" / "details.png").read_bytes() and len(list((tmp_path / "cache").iterdir())) == 16
    )


def write_pair(folder, endings=("content", "style", "mask"), shape=(130, 160)):
    """A photograph, a painting and a mask, as another program writes them."""
    mask = np.zeros(shape, np.uint8)
    mask[30:100, 40:120] = 255
    images = {"content": noise((130, 160, 3)), "style": noise((70, 60, 3), 1)}
    for ending in endings:
        pixels = mask if ending == "mask" else np.uint8(255 * cv2.GaussianBlur(images[ending], (0, 0), 2))
        Image.fromarray(pixels).save(folder / f"mine_{ending}.{'png' if ending == 'mask' else 'jpg'}")


def test_a_folder_s_photographs(run, tmp_path, monkeypatch):
    write_pair(tmp_path)
    asked = Request(materials=None, output=tmp_path, network=NETWORK, smoke=True, pairs=tmp_path)
    assert [kind for kind, _ in details._scenes(asked)] == ["drawn scenes"] * 2 + ["photographs"]
    monkeypatch.setattr(request, "DETAIL_SCENES", ())
    assert run("--pairs", str(tmp_path)) == 0
    rows = rows_of(tmp_path)
    assert [(row["case"], row["method"]) for row in rows] == [("mine", method) for method in METHODS]
    assert {row["kind"] for row in rows} == {"photographs"} and "legibility" not in rows[0]
    assert (tmp_path / "made" / "details.md").read_text().startswith("Medians over the photographs\n")


@pytest.mark.parametrize(
    ("endings", "message"),
    [
        (("content", "style"), r"Expected a folder with NAME_content, NAME_style and NAME_mask images \(--pairs\)"),
        (("content", "mask"), "Expected mine_style in .*no such file"),
    ],
)
def test_a_folder_that_lacks_an_image(run, tmp_path, capsys, endings, message):
    write_pair(tmp_path, endings)
    assert run("--pairs", str(tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_a_mask_of_another_size(run, tmp_path, capsys):
    write_pair(tmp_path, shape=(130, 161))
    assert run("--pairs", str(tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"mine_content.jpg 160 x 130 and .*mine_mask.png 161 x 130", line)


def test_large_photographs_are_made_smaller(tmp_path):
    assert bounded(np.zeros((600, 1280, 3), np.float32), details.LONGEST).shape == (300, 640, 3)
    assert bounded(np.zeros((600, 40), np.float32), details.LONGEST).shape == (600, 40)


def test_a_small_scene_has_its_glyphs_where_they_were(tmp_path, monkeypatch):
    scene = make_scene(shape=(2 * SMOKE_SIDE, SMOKE_SIDE))
    monkeypatch.setattr(request, "_drawn_detail", lambda name: scene)
    asked = Request(materials=None, output=tmp_path, network=NETWORK)
    (whole, *more), small = asked.details(), next(replace(asked, smoke=True).details())
    assert len(more) == len(request.DETAIL_SCENES) - 1 and whole.glyphs == GLYPHS[:3]
    assert small.photograph.shape == (SMOKE_SIDE, SMOKE_SIDE // 2, 3) and small.mask.shape == (
        SMOKE_SIDE,
        SMOKE_SIDE // 2,
    )
    assert small.glyphs[1] == Glyph("H", Rectangle(15, 30, 35, 46))
