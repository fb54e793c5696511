"""Patch matching against a brute-force twin, to the bit where features are integers."""

import tracemalloc

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce import patches
from reproduce.architecture import Rectangle
from reproduce.features import crop
from reproduce.patches import Matches, patch_norms, patches_of

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
def test_matches_are_the_twins_for_integer_features(seed, size, shape, depth):
    """Integers from 0 to 2, so that products are exact; a similarity may only be a hair from the best."""
    random = np.random.default_rng(seed)
    features = random.integers(0, 3, (*shape[:2], depth)).astype(np.float32)
    painting = random.integers(0, 3, (*shape[2:], depth)).astype(np.float32)
    wanted = random.random(shape[:2]) > 0.3
    found = match(features, wanted, painting, size)
    scores, positions = reference.nearest_patches(features, wanted, painting, size)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6)
    different = np.flatnonzero((found.positions != positions).any(axis=1))
    for index in different:  # only where two different patches are equally similar but for rounding
        row, column = np.argwhere(wanted)[index]
        query = reference.patch_at(features, row, column, size).astype(np.float64)
        there = reference.patch_at(painting, *found.positions[index], size).astype(np.float64)
        twin = reference.patch_at(painting, *positions[index], size)
        assert not np.array_equal(there, twin)
        assert (query * there).sum() / np.linalg.norm(there) == pytest.approx(scores[index], rel=1e-12)


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
    np.testing.assert_array_equal(tiled.vectors, whole.vectors)


@sizes
def test_chunks_of_any_length_find_the_same(random, size, monkeypatch):
    features, painting = random.random((6, 7, 3), np.float32), np.tile(random.random((5, 4, 3), np.float32), (3, 3, 1))
    wanted = random.random((6, 7)) > 0.3
    whole = match(features, wanted, painting, size)
    tiny = match(features, wanted, painting, size, memory=1)
    np.testing.assert_array_equal(tiny.positions, whole.positions)
    for length, rows, columns in ((2, 8, 32), (7, 2, 3), (31, 1, 1)):
        monkeypatch.setattr(patches, "CHUNK", length)
        monkeypatch.setattr(patches, "ROWS", rows)
        monkeypatch.setattr(patches, "COLUMNS", columns)
        chunked = match(features, wanted, painting, size)
        np.testing.assert_allclose(chunked.scores, whole.scores, rtol=1e-6)
        np.testing.assert_array_equal(chunked.positions, whole.positions)


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
def test_patches_of_matches_its_twin(random, size):
    features = random.random((5, 4, 3), np.float32)
    np.testing.assert_array_equal(np.asarray(patches_of(features, size)), reference.all_patches(features, size))


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
