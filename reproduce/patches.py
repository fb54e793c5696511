"""Find for every patch of features under the mask the painting's most similar patch (paper 3.3.2).

A patch is d x d positions of all channels, taken at every position (stride 1), zero beyond the image's border; so the
cosine of two patches counts the positions that both have, as DPH's does. The search is exact.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from .backend import as_tensor, ops

CHUNK = 1 << 15  # positions of the painting compared at once: a query's products with them stay in a core's cache


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

        Among equals the first position, row by row, wins.

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
        better = np.flatnonzero((scores > self.scores) | ((scores == self.scores) & earlier))
        self.scores[better], self.positions[better] = scores[better], positions[better]
        for dy in range(-self.kept_radius, self.kept_radius + 1):
            for dx in range(-self.kept_radius, self.kept_radius + 1):
                matched = tile[rows[better] + dy, columns[better] + dx]
                self.vectors[better, dy + self.kept_radius, dx + self.kept_radius] = matched


def patches_of(features, size: int):
    """The size x size patch around every position, zero beyond the border: (h, w, C) -> (h w, size size, C).

    Made of shifted slices: Keras's own `extract_patches` is a convolution, and 40 times slower.
    """
    height, width, depth = features.shape
    radius = size // 2
    padded = ops.pad(features, ((radius, radius), (radius, radius), (0, 0)))
    shifted = [padded[dy : dy + height, dx : dx + width] for dy in range(size) for dx in range(size)]
    return ops.reshape(ops.stack(shifted, axis=2), (height * width, size * size, depth))


def patch_norms(features: np.ndarray, radius: int) -> np.ndarray:
    """Euclidean norm of the patch around every position, (h, w) for features (h, w, C); zeros beyond the border."""
    squares = np.einsum("ijk,ijk->ij", features, features, dtype=np.float64)  # in one pass, without a copy in float64
    side = 2 * radius + 1
    sums = cv2.filter2D(squares, -1, np.ones((side, side)), borderType=cv2.BORDER_CONSTANT)
    return np.sqrt(sums)


def _search(features, wanted, tile, radius, memory) -> tuple[np.ndarray, np.ndarray]:
    """Per query the largest of (query . patch) / |patch| over the tile, and its centre's flat index in the tile."""
    height, width, depth = tile.shape
    norms = patch_norms(tile, radius).astype(np.float32).ravel()
    inverse_norms = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    candidate = np.zeros((height, width), bool)
    candidate[radius : height - radius, radius : width - radius] = True
    flat = tile.reshape(-1, depth)
    reach = radius * (width + 1)  # from a patch's centre to its corner, in flat positions
    scores = np.full(wanted.shape, -np.inf, np.float32)
    centers = np.zeros(wanted.shape, np.int64)
    memory -= norms.nbytes + inverse_norms.nbytes + candidate.nbytes
    length = _chunk_length(memory, wanted.shape[1], depth, radius, reach)
    for start in range(reach, height * width - reach, length):
        stop = min(start + length, height * width - reach)
        rejected = np.flatnonzero(~candidate.ravel()[start:stop])
        chunk = as_tensor(flat[start - reach : stop + reach].T)
        for row, column, products in _patch_products(features, wanted, chunk, radius, width):
            products *= inverse_norms[start:stop]
            products[rejected] = -np.inf
            index = products.argmax()
            if products[index] > scores[row, column]:
                scores[row, column], centers[row, column] = products[index], start + index
    return scores[wanted], centers[wanted]


def _patch_products(features, wanted, chunk, radius, width) -> Iterator[tuple[int, int, np.ndarray]]:
    """(row, column, dot products with the chunk's patches) for each query; the products' buffer is used again.

    A patch's dot product is the sum, over its d x d positions, of the dot products of single positions. One matrix
    product gives those for a row of queries. With positions numbered row by row, a step to the next column is 1 in both
    images and a step to the next row is one row's width, so what is added are shifted copies: first over the d columns,
    which serves d rows of queries, then over the d rows. Patches as long vectors would need d * d times as many
    multiplications.
    """
    side, inner = 2 * radius + 1, chunk.shape[1] - 2 * radius
    count = inner - 2 * radius * width
    column_sums = np.empty((side, wanted.shape[1], inner), np.float32)  # of the last d rows, a row at [row % side]
    products = np.empty(count, np.float32)
    for row, columns, singles in _single_products(features, wanted, chunk, side):
        for column in columns:
            place = column - columns[0]
            shifted = (singles[place + offset, offset : offset + inner] for offset in range(side))
            _sum_into(column_sums[row % side, column], shifted)
        center = row - side + 1
        for column in np.flatnonzero(wanted[center]) if center >= 0 else ():
            shifted = (
                column_sums[(center + offset) % side, column, offset * width : offset * width + count]
                for offset in range(side)
            )
            _sum_into(products, shifted)
            yield center, column, products


def _single_products(features, wanted, chunk, side) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(row, its columns that queries need, products (columns and d - 1 more, positions)) for each row that is needed.

    A row's matrix product runs in the background while the one before it is being summed.
    """
    needed = []
    for row in range(len(features)):
        around = wanted[max(row - side + 1, 0) : row + 1]  # the rows of queries whose patches hold this row
        if around.any():
            needed.append((row, np.flatnonzero(around.any(axis=0))))

    def multiply(row, columns):
        return ops.convert_to_numpy(ops.matmul(features[row, columns[0] : columns[-1] + side], chunk))

    with ThreadPoolExecutor(1) as background:
        coming = background.submit(multiply, *needed[0]) if needed else None
        for number, (row, columns) in enumerate(needed):
            singles = coming.result()
            if number + 1 < len(needed):
                coming = background.submit(multiply, *needed[number + 1])
            yield row, columns, singles


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
    bytes_each = 4 * (side * columns + 2 * (columns + 2 * radius) + depth + 2)
    return max(1, min(CHUNK, memory // bytes_each - 2 * reach))
