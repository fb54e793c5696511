"""What is left to chance follows from the seed: the directions of the sliced loss, and the painting's other places."""

import numpy as np
import pytest

from reproduce import VGG19, change
from reproduce.losses import sliced
from reproduce.presets import PAPER
from reproduce.solving.objective import Objective, Problem, Style

LAYERS = ("block2_conv1", "block3_conv1")
SLICED = change(PAPER, style_loss="sliced", style_layers=LAYERS, content_layers=LAYERS[:1], content_weight=0.0,
                tv_weight=0.0)  # fmt: skip
EXTRACTOR = VGG19(width=0.05).extractor(LAYERS)


def problem():
    random = np.random.default_rng(7)
    content, painting = (random.random((32, 40, 3), np.float32) for _ in range(2))
    mask = np.zeros((32, 40), np.float32)
    mask[8:24, 8:32] = 1
    return Problem(content, (Style(painting, mask),), content, mask, mask > 0)


def terms(seed, **changes):
    """The terms of the sliced loss at the start."""
    objective = Objective(problem(), EXTRACTOR, change(SLICED, seed=seed, **changes))
    return objective(objective.start)[2]


def test_the_same_seed_gives_the_same_loss():
    assert terms(0) == terms(0) and terms(5) == terms(5)


def test_the_directions_follow_from_the_seed():
    """Without other places nothing else is left to chance: in each layer another seed gives another distance."""
    one, other = terms(0), terms(1)
    assert one.keys() == other.keys() and any(name.startswith("style") for name in one)
    for name in one:
        if name.startswith("style"):
            assert one[name] != other[name]
            assert one[name] == pytest.approx(other[name], rel=0.5)  # of the same two sets


@pytest.mark.parametrize("numbers", [1, 7_000, 20_000, 100_000])
def test_a_large_painting_is_looked_at_several_times(numbers, monkeypatch):
    """Where not all projections can be held: for one direction of one layer after the other, or for some."""
    at_once, passes, of_pass = terms(3, beyond_matches=0.5), [], sliced._gathered
    monkeypatch.setattr(sliced, "PROJECTED_NUMBERS", numbers)

    def remember(along, places, *given):
        passes.append({layer: (len(some), len(places[layer])) for layer, some in along.items()})
        return of_pass(along, places, *given)

    monkeypatch.setattr(sliced, "_gathered", remember)
    assert terms(3, beyond_matches=0.5) == pytest.approx(at_once, rel=1e-5)
    of_all = [some for each in passes for some in each.values()]
    held = [sum(directions * places for directions, places in each.values()) for each in passes]
    assert all(some <= numbers or next(iter(each.values()))[0] == 1 for some, each in zip(held, passes))
    fewest = -(-sum(directions * places for directions, places in of_all) // numbers)
    assert min(fewest, sum(directions for directions, _ in of_all)) <= len(passes) <= 2 * fewest + 1


@pytest.mark.parametrize("beyond_matches", [0.0, 1.0])
def test_the_places_beyond_the_matches_follow_from_the_seed(beyond_matches, monkeypatch):
    """Only those: the matches themselves are no matter of chance."""
    asked, gather = [], sliced.gather

    def remember(extractor, painting, places, *given):
        asked.append(places)
        return gather(extractor, painting, places, *given)

    monkeypatch.setattr(sliced, "gather", remember)
    for seed in (0, 0, 1):
        terms(seed, beyond_matches=beyond_matches)
    first, again, other = asked
    for layer in LAYERS:
        np.testing.assert_array_equal(first[layer], again[layer])
        matched = round(len(first[layer]) / (1 + beyond_matches))
        np.testing.assert_array_equal(first[layer][:matched], other[layer][:matched])
        assert len(first[layer]) == len(other[layer])
        assert np.array_equal(first[layer], other[layer]) == (beyond_matches == 0)
