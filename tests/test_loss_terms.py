"""What the losses tell of their work, and the limits of their settings."""

from dataclasses import replace

import numpy as np
import pytest

from reproduce import VGG19, InputError, change
from reproduce.losses import sliced
from reproduce.matching.patches import Matches
from reproduce.presets import PAPER
from reproduce.solving.objective import Objective, Problem, Style

LAYERS = ("block2_conv1", "block3_conv1")
EXTRACTOR = VGG19(width=0.05).extractor(LAYERS)


def problem(shape=(48, 64)):
    random = np.random.default_rng(3)
    content, painting = (random.random((*shape, 3), np.float32) for _ in range(2))
    mask = np.zeros(shape, np.float32)
    mask[16:32, 16:40] = 1
    return Problem(content, (Style(painting, mask),), content, mask, mask > 0)


@pytest.mark.parametrize(
    ("style_loss", "work"),
    [
        ("gram", ["style features"]),
        ("matched", ["matching"]),
        ("per_patch", ["matching"]),
        ("sliced", ["matching", "style features"]),
        ("neighbors", ["matching", "style features"]),
    ],
)
def test_the_work_on_a_style_is_told_to_its_end(style_loss, work, monkeypatch):
    monkeypatch.setattr(sliced, "PROJECTED_NUMBERS", 5000)  # so the painting is looked at several times
    told: list = []
    settings = change(PAPER, style_loss=style_loss, style_layers=LAYERS, content_layers=LAYERS[:1])
    Objective(problem(), EXTRACTOR, settings, lambda *share: told.append(share))
    assert list(dict(told)) == work
    for name in work:
        shares = [share for of, share in told if of == name]
        assert shares[0] > 0 and shares == sorted(set(shares)) and shares[-1] == 1


@pytest.mark.parametrize(("name", "least"), [("matching_memory", 16), ("rematch_every", 0), ("patch_size", 1)])
def test_the_least_value_of_a_setting_is_taken_and_less_is_refused(name, least):
    settings = change(PAPER, style_loss="matched")
    assert getattr(change(settings, **{name: least}).style, name) == least
    with pytest.raises(InputError, match=f"{name} .*Received: {least - 1}"):
        change(settings, **{name: least - 1})


@pytest.mark.parametrize(
    ("rematch_every", "iterations", "pieces"),
    [(0, 100, [100]), (40, 100, [40, 40, 20]), (50, 100, [50, 50]), (200, 100, [100]), (0, 0, [0]), (40, 0, [0])],
)
def test_iterations_are_cut_where_patches_are_matched_again(rematch_every, iterations, pieces):
    assert change(PAPER, style_loss="matched", rematch_every=rematch_every).style.pieces(iterations) == pieces


def test_a_gram_matrix_needs_nothing_made_again():
    style = change(PAPER, style_loss="gram").style
    assert style.pieces(100) == [100] and style.halo == 0


@pytest.mark.parametrize("style_loss", ["matched", "per_patch", "sliced", "neighbors"])
def test_matching_has_the_memory_of_the_settings_in_megabytes(style_loss, monkeypatch):
    given, search = [], Matches.search

    def remember(self, tile, origin, memory):
        given.append(memory)
        search(self, tile, origin, memory)

    monkeypatch.setattr(Matches, "search", remember)
    settings = change(PAPER, style_loss=style_loss, style_layers=LAYERS, content_layers=LAYERS[:1], matching_memory=64)
    Objective(problem(), EXTRACTOR, settings)
    assert set(given) == {64_000_000}


def test_a_thin_part_beside_a_full_one_is_left_out_of_the_sliced_distance(monkeypatch):
    """Its cells lie in the mask by less than half; alone it would be compared by those that do so the most."""
    thin, full = np.zeros((48, 256), np.float32), np.zeros((48, 256), np.float32)
    full[16:32, 16:40], thin[8:40, 216] = 1, 1
    asked, term = [], sliced._term

    def remember(layer, cells, *arguments):
        asked.append((layer, len(cells)))
        return term(layer, cells, *arguments)

    monkeypatch.setattr(sliced, "_term", remember)
    settings = change(PAPER, style_loss="sliced", style_layers=LAYERS, content_layers=LAYERS[:1], mask_mode="area")
    whole, cells = problem((48, 256)), {}
    for name, mask in (("full", full), ("thin", thin), ("both", full + thin)):
        asked.clear()
        style = Style(whole.styles[0].image, mask)
        Objective(replace(whole, styles=(style,), mask=mask, free=mask > 0), EXTRACTOR, settings)
        cells[name] = dict(asked)
    assert cells["both"] == cells["full"]
    assert all(cells["thin"][layer] > 0 for layer in LAYERS)
