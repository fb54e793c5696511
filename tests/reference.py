"""Slow NumPy twins of the paper's equations, written from the text with explicit loops, to test the fast code against.

Nothing here imports the code under test. Features are (h, w, C), masks (h, w), all sums float64.
"""

import numpy as np


def content_loss(features, target, mask, positions, normalization):
    """Equation 1 under a mask; "mean" as DPH: over all positions of the layer and all channels."""
    total = 0.0
    for index in np.ndindex(features.shape):
        difference = float(features[index]) - float(target[index])
        total += float(mask[index[:2]]) * difference * difference
    return total / {"mean": positions * features.shape[2], "keras": 1}.get(normalization, 2)


def gram_matrix(vectors, mask, normalization):
    """Equation 2, entry by entry, of vectors (n, C) that are first multiplied by their mask (n,)."""
    count, channels = vectors.shape
    gram = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            for k in range(count):
                gram[i, j] += float(mask[k] * vectors[k, i]) * float(mask[k] * vectors[k, j])
    weight = sum(float(value) for value in mask)
    if normalization == "mean":
        return gram / (weight * channels)
    return gram / weight if normalization == "gatys" else gram


def gram_distance(gram, target, normalization, pixels=1):
    """Equation 3 of one layer: squared Frobenius distance, over its entries ("mean"), or over 4 C^2 ("gatys")."""
    channels = len(gram)
    total = sum((float(gram[index]) - float(target[index])) ** 2 for index in np.ndindex(gram.shape))
    return total / {"sum": 1, "mean": channels**2, "gatys": 4 * channels**2, "keras": 36 * pixels**2}[normalization]


def patch_gram_distance(patches, targets, mask, normalization, pixels=1):
    """Equation 4 of one layer as printed: two C x C Gram matrices for each of the patches (n, d d, C)."""
    ones = np.ones(patches.shape[1])
    total = 0.0
    for patch, target, weight in zip(patches, targets, mask):
        grams = gram_matrix(patch, ones, normalization), gram_matrix(target, ones, normalization)
        total += float(weight) * gram_distance(*grams, normalization, pixels)
    return total if normalization in ("sum", "keras") else total / float(np.sum(mask, dtype=np.float64))


def cosine_distance(features, targets, mask, normalization):
    """One minus the cosine of each feature's angle to its target, weighted by the mask; all (n, C) and (n,).

    Nothing has an angle to features of zeros: their cosine is 0.
    """
    total = 0.0
    for feature, target, weight in zip(features, targets, mask):
        pairs = [(float(one), float(other)) for one, other in zip(feature, target)]
        lengths = (sum(one * one for one, _ in pairs) * sum(other * other for _, other in pairs)) ** 0.5
        cosine = sum(one * other for one, other in pairs) / lengths if lengths else 0.0
        total += float(weight) * (1 - cosine)
    return total if normalization in ("sum", "keras") else total / float(np.sum(mask, dtype=np.float64))


def total_variation(image, free, normalization):
    """Half the squared difference of each pair of neighbours of which at least one is free."""
    height, width, channels = image.shape
    total = 0.0
    for row, column in np.ndindex(height, width):
        for other in ((row + 1, column), (row, column + 1)):
            if other[0] < height and other[1] < width and (free[row, column] or free[other]):
                total += float(np.sum((image[row, column].astype(np.float64) - image[other]) ** 2)) / 2
    return total if normalization in ("sum", "keras") else total / (float(np.sum(free, dtype=np.float64)) * channels)


def patch_at(features, row, column, size):
    """The size x size patch centred on a position, zero beyond the border: (size size, C)."""
    height, width, channels = features.shape
    patch = np.zeros((size, size, channels), features.dtype)
    for i in range(size):
        for j in range(size):
            y, x = row + i - size // 2, column + j - size // 2
            if 0 <= y < height and 0 <= x < width:
                patch[i, j] = features[y, x]
    return patch.reshape(size * size, channels)


def all_patches(features, size):
    """The patch around every position, row by row: (h w, size size, C)."""
    return np.stack([patch_at(features, *place, size) for place in np.ndindex(features.shape[:2])])


def similarities(features, wanted, painting, size):
    """Products of the patch at each wanted position with each of the painting's, those at length 1: (n, places).

    A patch of zeros has no direction: it is 0 similar.
    """
    candidates = all_patches(painting, size).astype(np.float64)
    lengths = np.sqrt((candidates**2).sum(axis=(1, 2)))
    found = []
    for row, column in np.argwhere(wanted):
        query = patch_at(features, row, column, size).astype(np.float64)
        products = [(query * candidate).sum() for candidate in candidates]
        found.append([product / length if length > 0 else 0.0 for product, length in zip(products, lengths)])
    return np.array(found).reshape(-1, len(candidates))


def nearest_patches(features, wanted, painting, size, rounding=1e-6):
    """For each wanted position the painting's most cosine-similar patch; the first of those equal within rounding.

    Returns:
        scores (n,), the query's product with the painting's patch at length 1 (0 where that patch is 0), float64, and
        positions (n, 2), (row, column).
    """
    scores, positions = [], []
    for row in similarities(features, wanted, painting, size):
        best = max(row)
        first = next(index for index, value in enumerate(row) if value >= best - rounding * abs(best))
        scores.append(row[first])
        positions.append(divmod(first, painting.shape[1]))
    return np.array(scores), np.array(positions).reshape(-1, 2)


def mask_pyramid(mask, layers, mode):
    """The mask at convolution layers of VGG-19 (2, 2, 4, 4 and 4 convolutions, each block then pooled).

    Each convolution averages 3 x 3 ("convolve" only), the nearest pixel standing in beyond the border; each pooling
    takes the mean (the maximum, for "max") of 2 x 2, without an odd last row or column.
    """
    mask, found = np.asarray(mask, np.float64), {}
    for block, convolutions in enumerate((2, 2, 4, 4, 4), start=1):
        for convolution in range(1, convolutions + 1):
            mask = _average_3x3(mask) if mode == "convolve" else mask
            found[f"block{block}_conv{convolution}"] = mask
        halved = np.zeros((mask.shape[0] // 2, mask.shape[1] // 2))
        for row, column in np.ndindex(halved.shape):
            cells = mask[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            halved[row, column] = cells.max() if mode == "max" else cells.mean()
        mask = halved
        if 0 in mask.shape:
            break
    return {layer: found[layer] for layer in layers}


def _average_3x3(mask):
    averaged = np.zeros_like(mask)
    height, width = mask.shape
    for row, column in np.ndindex(mask.shape):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                averaged[row, column] += (
                    mask[min(max(row + dy, 0), height - 1), min(max(column + dx, 0), width - 1)] / 9
                )
    return averaged
