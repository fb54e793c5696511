"""Patch matching against a brute-force twin: the same places, wherever rounding leaves no choice."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.images.geometry import Rectangle
from reproduce.matching import patches
from reproduce.matching.patches import Matches, patch_norms
from reproduce.network.features import crop

EQUAL = 1e-6  # similarities this close, relatively, are equal, and the first place of equals is found
ROUNDING = 3e-7  # what sums and norms in float32 may be off by
sizes = pytest.mark.parametrize("size", [1, 3, 5, 7])


def with_halo(features, size):
    return np.pad(features, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)))


def match(features, wanted, painting, size, keep_patches=False, **options):
    found = Matches(with_halo(features, size), wanted, size, keep_patches)
    found.search(with_halo(painting, size), **options)
    return found


def search_in_tiles(found, painting, size, rows, columns, reverse=False):
    """Search a painting cut into tiles at the given rows and columns, each with its halo."""
    height, width = painting.shape[:2]
    tiles = [
        Rectangle(top, left, bottom, right)
        for top, bottom in zip([0, *rows], [*rows, height])
        for left, right in zip([0, *columns], [*columns, width])
    ]
    for tile in reversed(tiles) if reverse else tiles:
        found.search(crop(painting, tile.grow(size // 2)), tile[:2])


def assert_first_of_the_best(found, features, wanted, painting, size):
    """The rule itself, with room for rounding: as good as the best place, and no place before it is."""
    table = reference.similarities(features, wanted, painting, size)
    places = np.ravel_multi_index(found.positions.T, painting.shape[:2])
    best = table.max(axis=1)
    for similarities, place, most in zip(table, places, best):
        assert similarities[place] >= most - (EQUAL + ROUNDING) * abs(most)
        before = similarities[:place].max(initial=-np.inf)
        assert before < most - (EQUAL - ROUNDING) * abs(most)
    np.testing.assert_allclose(found.scores, best, rtol=EQUAL + ROUNDING)


@sizes
def test_random_features_match_the_twin(random, size):
    features, painting = random.random((6, 5, 4), np.float32), random.random((9, 8, 4), np.float32)
    wanted = random.random((6, 5)) > 0.4
    found = match(features, wanted, painting, size)
    scores, positions = reference.nearest_patches(features, wanted, painting, size)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_array_equal(found.vectors[:, 0, 0], painting[positions[:, 0], positions[:, 1]])


@sizes
def test_ties_go_to_the_first_position(random, size):
    """Every patch of the painting occurs many times, and all sums are small integers."""
    tile = random.integers(0, 3, (2, 3, 2)).astype(np.float32)
    painting = np.tile(tile, (5, 4, 1))
    features = np.tile(random.integers(0, 3, (3, 2, 2)).astype(np.float32), (2, 3, 1))
    wanted = np.ones(features.shape[:2], bool)
    found = match(features, wanted, painting, size)
    scores, positions = reference.nearest_patches(features, wanted, painting, size)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6)
    np.testing.assert_array_equal(found.positions, positions)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 3, 5, 7]), st.tuples(*[st.integers(1, 7)] * 4), st.integers(1, 3))
def test_of_integer_features_the_first_of_the_best_is_found(seed, size, shape, depth):
    """Integers from 0 to 2, so that products are exact, and many places are as good as each other."""
    random = np.random.default_rng(seed)
    features = random.integers(0, 3, (*shape[:2], depth)).astype(np.float32)
    painting = random.integers(0, 3, (*shape[2:], depth)).astype(np.float32)
    wanted = random.random(shape[:2]) > 0.3
    found = match(features, wanted, painting, size)
    assert_first_of_the_best(found, features, wanted, painting, size)


def test_one_by_hand():
    """Cosine, not product or distance: (1, 1) is most like (2, 2), although (9, 1) has the larger product."""
    painting = np.float32([[[9, 1], [2, 2], [1, 0]]])
    found = match(np.float32([[[1, 1]]]), np.ones((1, 1), bool), painting, 1)
    assert found.positions.tolist() == [[0, 1]]
    assert found.scores[0] == pytest.approx(np.sqrt(2), rel=1e-6)
    assert found.vectors.tolist() == [[[[2, 2]]]]


def test_beyond_the_border_there_are_zeros():
    """A corner's patch has zeros beyond the border: its like is the painting's own corner, not the same tone inside."""
    features, painting = np.ones((4, 4, 1), np.float32), np.ones((6, 7, 1), np.float32)
    wanted = np.zeros((4, 4), bool)
    wanted[0, 0] = wanted[3, 3] = wanted[1, 1] = wanted[0, 2] = True
    found = match(features, wanted, painting, 3)
    assert found.positions.tolist() == [[0, 0], [0, 1], [1, 1], [5, 6]]


def test_wanted_positions_are_found_in_row_major_order_and_no_others(random):
    features, painting = random.random((5, 6, 3), np.float32), random.random((7, 7, 3), np.float32)
    wanted = np.zeros((5, 6), bool)
    wanted[4, 0] = wanted[0, 5] = wanted[2, 3] = True
    everywhere = match(features, np.ones_like(wanted), painting, 3)
    some = match(features, wanted, painting, 3)
    np.testing.assert_array_equal(some.positions, everywhere.positions[wanted.ravel()])
    none = match(features, np.zeros_like(wanted), painting, 3)
    assert none.positions.shape == (0, 2) and none.vectors.shape == (0, 1, 1, 3)


@sizes
def test_features_outside_the_wanted_positions_belong_to_patches(random, size):
    """The halo holds the neighbours of a cut-out, which is not the border of an image."""
    features, painting = random.random((9, 10, 3), np.float32), random.random((8, 8, 3), np.float32)
    radius = size // 2
    whole = match(features, np.ones((9, 10), bool), painting, size)
    cut_out = Matches(crop(features, Rectangle(2, 3, 7, 8).grow(radius)), np.ones((5, 5), bool), size)
    cut_out.search(with_halo(painting, size))
    np.testing.assert_array_equal(cut_out.positions, whole.positions.reshape(9, 10, 2)[2:7, 3:8].reshape(-1, 2))


@sizes
@pytest.mark.parametrize("reverse", [False, True])
def test_tiles_find_what_the_whole_painting_has(random, size, reverse):
    tile = random.integers(0, 3, (3, 2, 2)).astype(np.float32)
    painting = np.tile(tile, (4, 5, 1))  # 12 x 10, full of ties across tiles
    painting[7:9, 4:6] = random.random((2, 2, 2))
    features = random.integers(0, 3, (5, 6, 2)).astype(np.float32)
    wanted = random.random((5, 6)) > 0.2
    whole = match(features, wanted, painting, size, keep_patches=True)
    tiled = Matches(with_halo(features, size), wanted, size, keep_patches=True)
    search_in_tiles(tiled, painting, size, rows=[5, 9], columns=[4], reverse=reverse)
    np.testing.assert_allclose(tiled.scores, whole.scores, rtol=1e-6)
    np.testing.assert_array_equal(tiled.positions, whole.positions)
    np.testing.assert_array_equal(tiled.vectors, whole.vectors)  # copies of the painting's
    assert_first_of_the_best(tiled, features, wanted, painting, size)


# Equals: a painting that repeats exactly


@pytest.fixture
def repeating(random):
    """Features, where they are wanted, and a painting that has every patch of its middle several times, to the bit."""
    tile = random.random((5, 4, 3), np.float32)
    return random.random((6, 7, 3), np.float32), random.random((6, 7)) > 0.3, np.tile(tile, (3, 3, 1))


def cut(length, rows, columns):
    """The search's own pieces: positions of the painting, rows and columns of queries."""
    return {"CHUNK": length, "ROWS": rows, "COLUMNS": columns}


CUTS = [{}, *(cut(*pieces) for pieces in ((2, 8, 32), (7, 2, 3), (31, 1, 1)))]


@sizes
@pytest.mark.parametrize("pieces", CUTS, ids=str)
def test_chunks_of_any_length_find_the_first_place(repeating, size, pieces, monkeypatch):
    features, wanted, painting = repeating
    expected = reference.nearest_patches(features, wanted, painting, size)[1]
    for name, value in pieces.items():
        monkeypatch.setattr(patches, name, value)
    found = match(features, wanted, painting, size)
    np.testing.assert_array_equal(found.positions, expected)
    assert_first_of_the_best(found, features, wanted, painting, size)


@sizes
def test_the_least_memory_finds_the_first_place(repeating, size):
    features, wanted, painting = repeating
    expected = reference.nearest_patches(features, wanted, painting, size)[1]
    np.testing.assert_array_equal(match(features, wanted, painting, size, memory=1).positions, expected)


@sizes
@pytest.mark.parametrize("pieces", [{}, cut(7, 2, 3)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_tiles_in_any_order_find_the_first_place(repeating, size, reverse, pieces, monkeypatch):
    features, wanted, painting = repeating
    expected = reference.nearest_patches(features, wanted, painting, size)[1]
    for name, value in pieces.items():
        monkeypatch.setattr(patches, name, value)
    for rows, columns in (([5, 10], [4, 8]), ([2, 6, 11], [7]), ([], [1, 11])):
        tiled = Matches(with_halo(features, size), wanted, size)
        search_in_tiles(tiled, painting, size, rows, columns, reverse)
        np.testing.assert_array_equal(tiled.positions, expected)


@pytest.mark.parametrize("worse, first_wins", [(1e-5, False), (4e-6, False), (1e-7, True), (0, True)])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_later_place_wins_if_it_is_better_by_more_than_rounding(random, size, worse, first_wins, monkeypatch):
    """The query's own patch stands late in a painting that is like it nowhere else but at one place, a hair worse."""
    query = random.random((size, size, 3), np.float32)
    query[..., 2] = 0
    painting = np.zeros((12, 16, 3), np.float32)
    painting[..., 2] = 1  # what the query has nothing of
    for (row, column), part in zip(((2, 3), (8, 12)), (sideways(query, worse), query)):
        painting[Rectangle(row, column, row + 1, column + 1).grow(size // 2).slices] = part
    expected = [[2, 3] if first_wins else [8, 12]]
    tilings = [([], []), ([6], []), ([], [9]), ([4, 8], [5, 11])]
    for pieces, (rows, columns), reverse in product((cut(8192, 8, 32), cut(40, 8, 32)), tilings, (False, True)):
        for name, value in pieces.items():
            monkeypatch.setattr(patches, name, value)
        found = Matches(query, np.ones((1, 1), bool), size)
        search_in_tiles(found, painting, size, rows, columns, reverse)
        assert found.positions.tolist() == expected


def sideways(patch, worse):
    """The patch turned out of its plane until its cosine with itself has lost the share `worse`."""
    turned = patch.copy()
    turned[..., 2] = np.sqrt((1 / (1 - worse) ** 2 - 1) * np.square(patch, dtype=np.float64).sum() / patch[..., 0].size)
    return turned


# Special cases


def test_zero_patches_are_like_nothing():
    """A patch of zeros has no direction: its similarity is 0, below any positive one and equal to no likeness."""
    painting = np.zeros((3, 4, 2), np.float32)
    painting[2, 3] = 1
    queries = np.float32([[[1, 1], [0, 0]]])
    found = match(queries, np.ones((1, 2), bool), painting, 1)
    assert found.positions.tolist() == [[2, 3], [0, 0]]
    np.testing.assert_allclose(found.scores, [np.sqrt(2), 0], rtol=1e-6)
    nothing = match(queries, np.ones((1, 2), bool), np.zeros((3, 4, 2), np.float32), 3)
    assert nothing.positions.tolist() == [[0, 0], [0, 0]] and not nothing.scores.any()


@sizes
def test_kept_patches_are_the_paintings(random, size):
    features, painting = random.random((4, 5, 3), np.float32), random.random((6, 5, 3), np.float32)
    found = match(features, np.ones((4, 5), bool), painting, size, keep_patches=True)
    assert found.vectors.shape == (20, size, size, 3)
    for position, vectors in zip(found.positions, found.vectors):
        np.testing.assert_array_equal(vectors.reshape(-1, 3), reference.patch_at(painting, *position, size))


def test_the_scale_of_queries_and_painting_does_not_matter(random):
    features, painting = random.random((4, 5, 3), np.float32), random.random((6, 5, 3), np.float32)
    wanted = np.ones((4, 5), bool)
    positions = match(features, wanted, painting, 3).positions
    np.testing.assert_array_equal(match(1e4 * features, wanted, 1e-3 * painting, 3).positions, positions)


def test_an_image_matches_itself(random):
    features = random.random((6, 7, 5), np.float32)
    found = match(features, np.ones((6, 7), bool), features, 3)
    assert found.positions.tolist() == [list(place) for place in np.ndindex(6, 7)]


@sizes
def test_patch_norms_are_those_of_the_patches(random, size):
    features = random.random((5, 6, 3), np.float32)
    expected = np.linalg.norm(reference.all_patches(features, size).astype(np.float64), axis=(1, 2)).reshape(5, 6)
    np.testing.assert_allclose(patch_norms(features, size // 2), expected, rtol=1e-12)
    assert not patch_norms(np.zeros((5, 6, 3), np.float32), size // 2).any()


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_workspace_keeps_to_its_bound(random, size):
    """Patches as vectors would be 9 x 10.5 MB for size 3, and all products at once 190 MB."""
    features, painting = random.random((40, 41, 32), np.float32), random.random((170, 171, 32), np.float32)
    found = Matches(with_halo(features, size), random.random((40, 41)) > 0.97, size)
    tile, memory = with_halo(painting, size), 16_000_000
    tracemalloc.start()
    found.search(tile, memory=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.01 * memory  # the rest: indices and small objects
