"""One correspondence for all layers."""

from types import SimpleNamespace

import numpy as np
import pytest

from reproduce.images.geometry import Rectangle
from reproduce.matching.correspondence import carry, gather, target_places
from reproduce.network.features import Extractor


def found(wanted, positions):
    return SimpleNamespace(wanted=np.array(wanted, bool), positions=np.array(positions))


def test_a_cell_goes_to_its_corner_of_the_match_by_hand():
    """Cells of block 3 lie four to one of block 4: (1, 2) matched (5, 7), so its lower right one goes to (11, 15)."""
    mask = np.zeros((4, 4), np.float32)
    mask[1, 1] = mask[0, 0] = 1  # cells (3, 5) and (2, 4) of the image, within a rectangle that starts at (2, 4)
    pairs = carry(
        found([[True]], [[5, 7]]), Rectangle(1, 2, 2, 3), "block4_conv1", mask, Rectangle(2, 4, 6, 8), "block3_conv1"
    )
    assert pairs.cells.tolist() == [0, 5]
    assert pairs.places.tolist() == [[10, 14], [11, 15]]


def test_at_the_deepest_layer_itself_nothing_is_moved():
    wanted, at = [[True, False], [True, True]], Rectangle(3, 3, 5, 5)
    positions = [[0, 9], [4, 4], [2, 1]]
    pairs = carry(found(wanted, positions), at, "block4_conv1", np.float32(wanted), at, "block4_conv1")
    assert pairs.cells.tolist() == [0, 2, 3]
    assert pairs.places.tolist() == positions


def test_only_what_the_mask_covers_by_more_than_half_is_carried():
    at = Rectangle(0, 0, 1, 3)
    mask = np.float32([[0.5, 0.51, 1]])
    pairs = carry(found([[True] * 3], [[0, 0], [1, 1], [2, 2]]), at, "block4_conv1", mask, at, "block4_conv1")
    assert pairs.cells.tolist() == [1, 2]
    thin = carry(found([[True] * 3], [[0, 0], [1, 1], [2, 2]]), at, "block4_conv1", mask / 4, at, "block4_conv1")
    assert thin.cells.tolist() == [2]


def test_cells_without_a_match_are_left_out():
    """An odd last column has no deep cell, since the pooling drops it; another deep cell was not matched."""
    pairs = carry(
        found([[True, False]], [[0, 0]]),
        Rectangle(0, 0, 1, 2),
        "block4_conv1",
        np.ones((2, 5), np.float32),
        Rectangle(0, 0, 2, 5),
        "block3_conv1",
    )
    assert pairs.cells.tolist() == [0, 1, 5, 6]


@pytest.mark.parametrize("shape", [(40, 56), (33, 1100)])  # the second in two tiles
def test_gathered_features_are_the_whole_paintings(random, shape):
    extractor = Extractor(("block1_conv1", "block3_conv1"), width=0.1)
    painting = random.random((*shape, 3), np.float32)
    whole = extractor(painting)
    places = {
        layer: np.stack([random.integers(0, side, 50) for side in features.shape[:2]], axis=1)
        for layer, features in whole.items()
    }
    for layer, features in gather(extractor, painting, places).items():
        np.testing.assert_allclose(features, whole[layer][tuple(places[layer].T)], rtol=1e-4, atol=1e-4)


def test_what_is_kept_of_features_is_gathered_in_their_place(random):
    extractor = Extractor(("block1_conv1", "block3_conv1"), width=0.1)
    painting = random.random((33, 1100, 3), np.float32)
    places = {layer: np.array([[3, 20], [0, 270], [7, 1], [3, 20]]) for layer in extractor.layers}
    whole = gather(extractor, painting, places)
    kept = gather(extractor, painting, places, lambda layer, features: features[:, :2] * len(layer))
    for layer, features in whole.items():
        np.testing.assert_allclose(kept[layer], features[:, :2] * len(layer), rtol=1e-6)


MATCHED = np.array([[2, 1], [0, 3], [2, 1], [2, 1]])


def test_matched_places_are_used_as_often_as_they_matched_or_once(random):
    tones = random.random((8, 12, 3))
    often, once = (target_places(MATCHED, tones, once, 0.0, seed=0) for once in (False, True))
    assert often.tolist() == MATCHED.tolist()
    assert once.tolist() == [[0, 3], [2, 1]]


def test_places_beyond_the_matches_are_spread_over_the_painting():
    tones = np.zeros((8, 12, 3))
    places = target_places(MATCHED, tones, False, 300.0, seed=0)
    assert places[:4].tolist() == MATCHED.tolist()
    assert len(places) == 4 + 1200
    assert np.unique(places[4:], axis=0).shape == (8 * 12, 2)  # every cell of the layer, none outside it
    again, other = (target_places(MATCHED, tones, False, 300.0, seed) for seed in (0, 1))
    np.testing.assert_array_equal(again, places)
    assert not np.array_equal(other, places)


def test_places_beyond_the_matches_are_of_the_matches_tones(random):
    """Tones go from 0 to 1 down, the matches lie from row 10 to 29: nothing lighter or darker is added."""
    tones = np.linspace(0, 1, 40)[:, None, None] * np.ones((1, 9, 3))
    matched = np.stack([random.integers(10, 30, 400), random.integers(0, 9, 400)], axis=1)
    rows = np.unique(target_places(matched, tones, True, 20.0, seed=0)[:, 0])
    assert rows.tolist() == list(range(10, 30))
    tones[20, :, 1] = 5.0  # and of one channel few matches: too few to count
    matched = np.concatenate([matched[matched[:, 0] != 20], [[20, 0]]])
    beyond = target_places(matched, tones, False, 20.0, seed=0)[len(matched) :]
    assert 20 not in beyond[:, 0]
