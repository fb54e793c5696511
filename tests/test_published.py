"""The preset `gatys` beside published pictures: what is measured, what a folder must hold, and real pairs in small."""

import re

import numpy as np
import pytest

from experiments import command_line
from experiments.tables.published import LAYERS, contrast, gram_distances
from reproduce import VGG19, find_weights, preset, read_image, stylize, write_image
from reproduce.images.arrays import resize, scaled_shape
from reproduce.metrics import content as content_kept

NETWORK = VGG19(width=0.05)


def test_contrast_by_hand():
    checks = np.indices((4, 4)).sum(axis=0)[..., None] % 2 * np.ones(3)
    assert contrast(checks) == pytest.approx(127.5)
    assert contrast(0.5 * checks + 0.2) == pytest.approx(127.5 / 2)
    assert contrast(checks * (0, 1, 0)) == pytest.approx(0.587 * 127.5)


def test_gram_distances_by_hand():
    """Features twice as large have a Gram matrix four times as large; other places do not matter."""
    style = np.random.default_rng(0).random((1, 6, 4, 3))

    def extractor(image):
        return {"a": image[0] if image.ndim == 4 else image}

    assert gram_distances(2 * style, style, extractor) == pytest.approx({"a": 3}, rel=1e-5)
    assert gram_distances(style[:, ::-1], style, extractor) == pytest.approx({"a": 0}, abs=1e-6)


def write_pair(folder, name="one", endings=("content", "style", "published")):
    random = np.random.default_rng(0)
    for ending in endings:
        small = random.random((6, 8, 3), np.float32)
        write_image(folder / f"{name}_{ending}.png", resize(small, (60, 80) if ending == "published" else (90, 120)))


def run(folder, *more):
    arguments = ["published", "--iterations", "1", "--output", str(folder / "out"), "--cache", str(folder / "cache")]
    return command_line.main([*arguments, *more], NETWORK)


def test_the_table_of_a_folder(tmp_path):
    write_pair(tmp_path)
    write_pair(tmp_path, "two")
    assert run(tmp_path, "--pairs", str(tmp_path)) == 0
    lines = (tmp_path / "out/published.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| one", "| two"]
    assert len({line.count("|") for line in lines}) == 1
    assert (tmp_path / "out/published.png").exists()


@pytest.mark.parametrize(
    ("endings", "message"),
    [((), "Expected a folder with NAME_content"), (("content", "published"), "Expected one_style in .*no such file")],
)
def test_a_folder_without_pairs(tmp_path, capsys, endings, message):
    write_pair(tmp_path, endings=endings)
    assert run(tmp_path, "--pairs", str(tmp_path)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_no_folder(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "(--pairs). Received: none" in capsys.readouterr().err


@pytest.mark.weights
def test_gatys_comes_as_near_to_the_style_as_the_published_picture(materials):
    """Starry Night at 192 pixels, with a third of the iterations."""
    published = read_image(materials / "neural_style/tubingen_starry.png")
    published = resize(published, scaled_shape(published.shape, 0.375))
    content = resize(read_image(materials / "photos/tubingen.jpg"), published.shape[:2])
    painting = read_image(materials / "styles/starry_night.jpg")
    network = VGG19(find_weights())
    result = stylize(content, painting, preset("gatys", "stylize", scale=1.0, iterations=30), network=network).image
    sized = resize(painting, scaled_shape(painting.shape, max(content.shape) / max(painting.shape)))
    ours, theirs = (gram_distances(image, sized, network.extractor(LAYERS)) for image in (result, published))
    assert np.mean([ours[layer] / theirs[layer] for layer in LAYERS]) < 1.1
    assert contrast(result) == pytest.approx(contrast(sized), rel=0.15)
    assert content_kept(result, content, np.ones(content.shape[:2])) > 0.3
