"""Find for every patch of features under the mask the painting's most similar patch (paper 3.3.2).

A patch is d x d positions of all channels, taken at every position (stride 1), zero beyond the image's border; so the
cosine of two patches counts the positions that both have, as DPH's does. The search is exact.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from ..network.backend import Tensor, as_array, as_tensor, ops

CHUNK = 1 << 13  # positions of the painting compared at once
WORKERS = 3  # chunks compared at once: while some are summed, the matrix product of another has a core
ROWS, COLUMNS = 8, 32  # of queries in one matrix product, and in one sum: many for speed, few for the caches
# Similarities this close, relatively, are equal: matrix products of other shapes, or of other processors, differ by
# less, and a place that a painting repeats must not be found here on one machine and there on another.
ROUNDING = np.float32(1e-6)


class Matches:
    """The best match of each query so far: its similarity, its place, and the painting's features there.

    Args:
        features: (h, w, C), the image's features at one layer with `patch_size // 2` more cells on every side.
        wanted: bool (h, w) without those cells: true where a match is looked for.
        patch_size: side d of a patch, odd.
        keep_patches: keep the whole matched patches, not only their centres.

    Attributes:
        scores: (n,) float32, the dot product of query and matched patch over the matched patch's norm.
        positions: (n, 2) int64, (row, column) of the matches in the painting's features.
        vectors: (n, d', d', C) float32, the matched features; d' is 1, or d with `keep_patches`.
        All run over the wanted positions in row-major order.
    """

    def __init__(self, features: np.ndarray, wanted: np.ndarray, patch_size: int, keep_patches: bool = False):
        self.features, self.wanted, self.radius = features, wanted, patch_size // 2
        self.kept_radius = self.radius if keep_patches else 0
        count, side = int(wanted.sum()), 2 * self.kept_radius + 1
        self.scores = np.full(count, -np.inf, np.float32)
        self.positions = np.full((count, 2), np.iinfo(np.int64).max)
        self.vectors = np.zeros((count, side, side, features.shape[2]), np.float32)

    def search(self, tile: np.ndarray, origin: tuple[int, int] = (0, 0), memory: int = 512_000_000) -> None:
        """Compare every query with every patch of a part of the painting; keep the better match.

        Among equals (within ROUNDING) the first position, row by row, wins.

        Args:
            tile: (h, w, C), features with `patch_size // 2` more cells on every side, zero where the painting ends.
            origin: (row, column) in the painting of the first position of the tile without those cells.
            memory: bytes of workspace, beside the features themselves, that the search may take.
        """
        scores, centers = _search(self.features, self.wanted, tile, self.radius, memory)
        rows, columns = np.divmod(centers, tile.shape[1])
        positions = np.stack([rows, columns], axis=1) + np.subtract(origin, self.radius)
        earlier = (positions[:, 0] < self.positions[:, 0]) | (
            (positions[:, 0] == self.positions[:, 0]) & (positions[:, 1] < self.positions[:, 1])
        )
        better = np.flatnonzero((scores > _just_above(self.scores)) | ((_just_above(scores) >= self.scores) & earlier))
        self.scores[better], self.positions[better] = scores[better], positions[better]
        for dy in range(-self.kept_radius, self.kept_radius + 1):
            for dx in range(-self.kept_radius, self.kept_radius + 1):
                matched = tile[rows[better] + dy, columns[better] + dx]
                self.vectors[better, dy + self.kept_radius, dx + self.kept_radius] = matched


def patch_norms(features: np.ndarray, radius: int) -> np.ndarray:
    """Euclidean norm of the patch around every position, (h, w) for features (h, w, C); zeros beyond the border."""
    squares = np.einsum("ijk,ijk->ij", features, features, dtype=np.float64)  # in one pass, without a copy in float64
    side = 2 * radius + 1
    sums = cv2.filter2D(squares, -1, np.ones((side, side)), borderType=cv2.BORDER_CONSTANT)
    return np.sqrt(sums)


def _search(
    features: np.ndarray, wanted: np.ndarray, tile: np.ndarray, radius: int, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """Per query the largest of (query . patch) / |patch| over the tile, and its centre's flat index in the tile."""
    height, width, depth = tile.shape
    norms = patch_norms(tile, radius).astype(np.float32).ravel()
    inverse_norms = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    candidate = np.zeros((height, width), bool)
    candidate[radius : height - radius, radius : width - radius] = True
    flat = tile.reshape(-1, depth)
    reach = radius * (width + 1)  # from a patch's centre to its corner, in flat positions
    memory -= norms.nbytes + inverse_norms.nbytes + candidate.nbytes
    length = _chunk_length(memory // WORKERS, wanted.shape[1], depth, radius, reach)

    def search_chunk(start: int) -> tuple[np.ndarray, np.ndarray]:
        centers = slice(start, min(start + length, height * width - reach))
        chunk = as_tensor(flat[centers.start - reach : centers.stop + reach].T)
        rejected = np.flatnonzero(~candidate.ravel()[centers])
        scores, best = _best_in_chunk(features, wanted, chunk, inverse_norms[centers], rejected, radius, width)
        return scores, best + start

    scores = np.full(wanted.shape, -np.inf, np.float32)
    centers = np.zeros(wanted.shape, np.int64)
    with ThreadPoolExecutor(WORKERS) as pool:
        for chunk_scores, chunk_centers in pool.map(search_chunk, range(reach, height * width - reach, length)):
            better = chunk_scores > _just_above(scores)
            scores[better], centers[better] = chunk_scores[better], chunk_centers[better]
    return scores[wanted], centers[wanted]


def _best_in_chunk(
    features: np.ndarray,
    wanted: np.ndarray,
    chunk: Tensor,
    inverse_norms: np.ndarray,
    rejected: np.ndarray,
    radius: int,
    width: int,
) -> tuple[np.ndarray, np.ndarray]:
    """For each query (h, w) the largest product with one of the chunk's patches over that's norm, and its place there.

    A patch's dot product is the sum, over its d x d positions, of the dot products of single positions. One matrix
    product gives those for some rows of queries. With positions numbered row by row, a step to the next column is 1 in
    both images and a step to the next row is one row's width, so what is added are shifted copies: first over the d
    columns, which serves d rows of queries, then over the d rows. Patches as long vectors would need d * d times as
    many multiplications.
    """
    side, inner, count = 2 * radius + 1, chunk.shape[1] - 2 * radius, len(inverse_norms)
    scores = np.full(wanted.shape, -np.inf, np.float32)
    places = np.zeros(wanted.shape, np.int64)
    column_sums = np.empty((side, wanted.shape[1], inner), np.float32)  # of the last d rows, a row at [row % side]
    products = np.empty((COLUMNS, count), np.float32)
    for row, columns, singles in _single_products(features, wanted, chunk, side):
        for block in _blocks(columns):
            first, last = block.start - columns.start, block.stop - columns.start
            shifted = (singles[first + k : last + k, k : k + inner] for k in range(side))
            _sum_into(column_sums[row % side, block.start : block.stop], shifted)
        del singles, shifted  # before others are computed
        center = row - side + 1
        for block in _blocks(_span(wanted[center])) if center >= 0 else ():
            sums = column_sums[:, block.start : block.stop]
            shifted = (sums[(center + k) % side, :, k * width : k * width + count] for k in range(side))
            found = products[: len(block)]
            _sum_into(found, shifted)
            found *= inverse_norms
            found[:, rejected] = -np.inf
            best = (found >= _just_below(found.max(axis=1, keepdims=True))).argmax(axis=1)
            places[center, block] = best
            scores[center, block] = found[np.arange(len(block)), best]
    return scores, places


def _single_products(
    features: np.ndarray, wanted: np.ndarray, chunk: Tensor, side: int
) -> Iterator[tuple[int, range, np.ndarray]]:
    """(row, the columns that queries need, products (columns and d - 1 more, positions)), for each needed row."""
    needed = []
    for row in range(len(features)):
        columns = _span(np.any(wanted[max(row - side + 1, 0) : row + 1], axis=0))  # of the queries that hold this row
        if columns:
            needed.append((row, columns))
    for first in range(0, len(needed), ROWS):
        batch = needed[first : first + ROWS]
        parts = [features[row, columns.start : columns.stop + side - 1] for row, columns in batch]
        products = as_array(ops.matmul(np.concatenate(parts), chunk))
        for (row, columns), singles in zip(batch, np.split(products, np.cumsum([len(part) for part in parts])[:-1])):
            yield row, columns, singles
        del products, singles  # before there are others


def _just_above(scores: np.ndarray) -> np.ndarray:
    return scores * (1 + ROUNDING * np.sign(scores))


def _just_below(scores: np.ndarray) -> np.ndarray:
    return scores * (1 - ROUNDING * np.sign(scores))


def _span(flags: np.ndarray) -> range:
    """From the first true to the last."""
    places = np.flatnonzero(flags)
    return range(places[0], places[-1] + 1) if len(places) else range(0)


def _blocks(columns: range) -> list[range]:
    return [columns[first : first + COLUMNS] for first in range(0, len(columns), COLUMNS)]


def _sum_into(out: np.ndarray, summands: Iterator[np.ndarray]) -> None:
    """Add up arrays of one shape, passing over `out` once less than copying the first would."""
    first = next(summands)
    second = next(summands, None)
    if second is None:
        out[:] = first
        return
    np.add(first, second, out=out)
    for summand in summands:
        out += summand


def _chunk_length(memory: int, columns: int, depth: int, radius: int, reach: int) -> int:
    """How many of the painting's positions to compare at once within `memory` bytes; at least one."""
    side = 2 * radius + 1
    floats_each = side * columns + ROWS * (columns + 2 * radius) + depth + COLUMNS
    bytes_each = 4 * floats_each + COLUMNS  # which are equal to the best, a byte each
    return max(1, min(CHUNK, memory // bytes_each - 2 * reach))
