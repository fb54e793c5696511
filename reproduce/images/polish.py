"""What is done to images before and after the optimisation, on arrays.

First what the `refined` preset does against the weaknesses that the paper names in section 4.3.

How strong the style has to be is told by the painting (`content_share`).
VGG's content features know an object's own colours, and hold on to them as fine coloured noise. So colours come from
the stage before, and lightness from the object (`recolor`); what coloured noise is left is smoothed (`smooth_colors`);
places that were alike are toned alike again (`even_tones`); fine detail is put together from the painting's own
(`borrow_detail`), and brought to its strength (`match_grain`). All five work in CIE Lab.

Then two ways to keep the content's colours (Gatys et al. 2016b, *Preserving Color in Neural Artistic Style Transfer*):
`without_colors` before and `with_colors` after, or `match_colors` on the style image.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from .arrays import bounded, from_lab, resize, scaled_shape, to_lab

STROKE_SIDE = 700  # pixels of a painting's longer side, at which its strokes are looked for
STROKE_SIGMAS = (1.0, 4.0)  # pixels at that size
MEDIAN_OF_NORMAL = 0.6745  # median magnitude over standard deviation
FAINTEST_DETAIL = 0.1  # of lightness: a blank painting has rounding errors for strokes
TYPICAL_DENSITY = 2 / 3
SPARSEST = 0.15  # sparser paintings, such as blank ones, count as this
FLAT = 4.0  # lightness (of 100): weaker edges than this do not keep colours apart
TONE_SIGMA = 0.04  # of the root of the object's area: what varies more slowly is tone
TONE_RADIUS = 0.5  # of the same: of the windows in which tones are to follow the content's
TONE_SAMPLES = 4.0  # pixels a TONE_SIGMA at which tones are worked on: finer sampled they are no other
GRAIN_SIGMA = 1.0  # pixels: detail finer than this is grain
LARGEST_GAIN = 2.0  # of grain
DETAIL_SIDE = 7  # pixels of a patch of detail
DETAIL_STEP = 3  # pixels from one patch of the object to the next
DETAIL_SIGMA = 3.0  # pixels: what is coarser than this is the object's own
TONE_WEIGHT = 0.07  # of a squared difference of tone, beside the mean one of detail
LOST_SIGMA = 2.0  # pixels around one that say how much detail is lost there
LOST_SHARE = 0.25  # of the painting's mean squared detail: of what is lost as strongly as this, half is given back
DETAIL_PLACES = 1 << 18  # of a painting that are looked at, at most about
AT_ONCE, KNOWN_AT_ONCE = 256, 2048  # patches that are compared at once: 2 MB of distances, which caches hold
FAINTEST_SPREAD = 1 / 255  # of colours
FAINTEST_WEIGHT = 0.01  # of a mean over an object's own pixels: where they are fewer it fades


def content_share(painting: np.ndarray) -> float:
    """How much of its content an object should keep in a painting, as a share of what it keeps in a typical one.

    DPH has a network that knows a painting's style set this; here it follows from how densely the painting is painted.
    """
    return float((TYPICAL_DENSITY / max(stroke_density(painting), SPARSEST)) ** 2)


def stroke_density(painting: np.ndarray) -> float:
    """How evenly a painting (H, W, 3) is covered with detail of a stroke's size, whatever its contrast.

    The median magnitude of its lightness between STROKE_SIGMAS over the root mean square, as a share of what Gaussian
    noise has: 1 for noise, towards 0 where all detail lies in few edges, as in a photograph of something smooth. About
    0.2 for smooth paintings of figures in landscapes, 0.5 for Impressionists, 0.8 for the late van Gogh and Munch.
    """
    lightness = _split(bounded(painting, STROKE_SIDE))[0]
    fine, coarse = (cv2.GaussianBlur(lightness, (0, 0), sigma) for sigma in STROKE_SIGMAS)
    magnitudes = np.abs(fine - coarse)
    spread = np.sqrt(np.mean(np.square(magnitudes)))
    return float(np.median(magnitudes) / (MEDIAN_OF_NORMAL * max(spread, FAINTEST_DETAIL)))


def recolor(reached: np.ndarray, content: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring what a coarser stage has reached together with the content image at this stage's size.

    Args:
        reached: (h, w, 3), RGB in [0, 1]: the coarser stage's result.
        content: (H, W, 3).
        radius: of the smoothing of colours, in pixels of the coarser stage.

    Returns:
        Two images (H, W, 3): the content's lightness with the colours reached, which is the stage's content; and the
        image reached with the content's lightness added where that is finer, which is where the stage starts.
    """
    shape = content.shape[:2]
    lightness, colors = _split(resize(reached, shape))
    fine = _split(content)[0]
    coarse = 100 * resize(resize(fine / 100, reached.shape[:2]), shape)  # images are resized within [0, 1]
    colors = guided_filter(colors, lightness[..., None], round(radius * shape[0] / reached.shape[0]), FLAT)
    return from_lab(fine, colors), from_lab(lightness + fine - coarse, colors)


def smooth_colors(image: np.ndarray, radius: int) -> np.ndarray:
    """Smooth the colours (a*, b*) of an image (H, W, 3) within `radius` pixels, but not across edges of lightness.

    With a radius of 0 the image comes back bit for bit.
    """
    if radius == 0:
        return image
    lightness, colors = _split(image)
    return from_lab(lightness, guided_filter(colors, lightness[..., None], radius, FLAT))


def even_tones(image: np.ndarray, content: np.ndarray, mask: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Tone and colour an image's object alike where its content is alike, and near.

    Distances of distributions say which tones the object is to have, not where: a flat surface may end half pink and
    half yellow. So what TONE_SIGMA leaves of lightness and colours becomes an affine function of the content's, in
    windows of TONE_RADIUS (a guided filter); what is finer, such as strokes, stays.

    Args:
        image, content: (H, W, 3), RGB in [0, 1].
        mask: (H, W) in [0, 1], the object; where it is 0 little or nothing changes.
        share: of the change that is made: a painter's surfaces are not all of one tone either.
    """
    side = math.sqrt(mask.sum())
    if side < 1 or not share:
        return image
    scale = min(1.0, TONE_SAMPLES / (TONE_SIGMA * side))
    shape = scaled_shape(mask.shape, scale)
    weights = resize(mask, shape)
    sigma, radius = TONE_SIGMA * side * scale, round(TONE_RADIUS * side * scale)

    def smooth(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)

    tones, wanted = (_mean_inside(to_lab(resize(each, shape)), weights, smooth) for each in (image, content))
    change = guided_filter(tones, wanted, radius, FLAT, weights) - tones
    # Farther out than the edge is soft tones mean nothing.
    change *= share * np.minimum(1, 2 * smooth(weights))[..., None]
    lab = to_lab(image) + cv2.resize(change, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return from_lab(lab[..., 0], lab[..., 1:])


def without_colors(image: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) in greys of the same lightness."""
    lightness, colors = _split(image)
    return from_lab(lightness, np.zeros_like(colors))


def with_colors(image: np.ndarray, colored: np.ndarray) -> np.ndarray:
    """The lightness of one image (H, W, 3) with the colours of another (Gatys et al. 2016b, section 3.2)."""
    return from_lab(_split(image)[0], _split(colored)[1])


def match_colors(image: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The image with the mean and the covariance of other colours (Gatys et al. 2016b, section 3.1, "image analogies").

    x -> C^(1/2) S^(-1/2) (x - mean of the image) + mean of the wanted, for covariances S of the image and C.

    Args:
        image: (H, W, 3), RGB in [0, 1].
        wanted: (n, 3).
    """
    own, wanted = image.reshape(-1, 3).astype(np.float64), wanted.reshape(-1, 3).astype(np.float64)
    change = _power(np.cov(wanted.T), 0.5) @ _power(np.cov(own.T), -0.5)
    matched = (own - own.mean(axis=0)) @ change.T + wanted.mean(axis=0)
    return np.clip(matched, 0, 1).astype(np.float32).reshape(image.shape)


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric matrix; what varies by less than a grey level counts as that."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, FAINTEST_SPREAD**2) ** exponent) @ vectors.T


def match_grain(image: np.ndarray, painting: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Strengthen the finest lightness of an image's object until its Laplacian is as strong as the painting's.

    At most it is doubled: more would strengthen noise. An object whose detail is stronger stays as it is: its edges are
    its own, and not noise.

    Args:
        image, painting: (H, W, 3), RGB in [0, 1].
        inside, outside: bool (H, W), the object's pixels, and the painting's that it is compared with; where there are
            none of either, nothing changes.
    """
    if not (inside.any() and outside.any()):
        return image
    lightness, colors = _split(image)
    own = lightness - cv2.GaussianBlur(lightness, (0, 0), GRAIN_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    wanted = np.abs(_laplacian(_split(painting)[0])[outside]).mean()
    found, more = _laplacian(lightness)[inside], _laplacian(own)[inside]
    gains = np.linspace(0, LARGEST_GAIN - 1, 16)
    gain = np.interp(wanted, [np.abs(found + gain * more).mean() for gain in gains], gains)
    return from_lab(lightness + gain * own, colors)


def borrow_detail(image: np.ndarray, painting: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Put the fine lightness of an image's object together from patches of the painting's (Luan et al. 2018, 4.3).

    Every DETAIL_STEP pixels a patch of what DETAIL_SIGMA takes away is compared with the painting's own, and with its
    lightness and colours around; the most similar ones are laid over each other, and averaged. Lines, and marks that
    the painting has, stay; photographic texture and noise have nothing in it that is like them. Where what is lost is
    strong beside the painting's own detail, such as an eye in a small face, it is given back.

    Args:
        image, painting: (H, W, 3), RGB in [0, 1]; of a painting smaller than a patch nothing is taken.
        inside: bool (H, W), the object's pixels.
    """
    grid = np.zeros(inside.shape, bool)
    grid[::DETAIL_STEP, ::DETAIL_STEP] = True
    places = np.argwhere(grid & inside)
    if min(painting.shape[:2]) < DETAIL_SIDE or not len(places):
        return image
    radius, step = DETAIL_SIDE // 2, math.ceil(math.sqrt(inside.size / DETAIL_PLACES))
    height, width = painting.shape[:2]
    rows, columns = np.mgrid[radius : height - radius : step, radius : width - radius : step]
    of_painting = np.stack([rows.ravel(), columns.ravel()], axis=1)
    details, tones = _detail_and_tone(image)
    theirs, their_tones = _detail_and_tone(painting)
    window = _window(DETAIL_SIDE)
    own = _described(_patches(details, places), tones[tuple(places.T)], window)
    known = _described(_patches(theirs, of_painting), their_tones[tuple(of_painting.T)], window)
    found = _patches(theirs, of_painting[_nearest(own, known)])
    total, weight = (np.zeros(np.add(inside.shape, 2 * radius), np.float32) for _ in range(2))
    for number, share in enumerate(window):
        at = tuple((places + divmod(number, DETAIL_SIDE)).T)  # each place once: they are a step apart
        total[at] += share * found[:, number]
        weight[at] += share
    total, weight = (array[radius:-radius, radius:-radius] for array in (total, weight))
    borrowed = np.where(weight > 0, total / np.maximum(weight, 1e-6), details)
    lost = details - borrowed
    energy = np.square(cv2.GaussianBlur(np.square(lost), (0, 0), LOST_SIGMA, borderType=cv2.BORDER_REFLECT_101))
    noise = np.square(LOST_SHARE * np.square(theirs).mean())
    kept = np.divide(energy, energy + noise, out=np.zeros_like(energy), where=energy > 0)
    return from_lab(tones[..., 0] + borrowed + kept * lost, _split(image)[1])


def _detail_and_tone(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lightness finer than DETAIL_SIGMA (H, W), and Lab without it (H, W, 3)."""
    lab = to_lab(image)
    tone = cv2.GaussianBlur(lab, (0, 0), DETAIL_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return lab[..., 0] - tone[..., 0], tone


def _window(side: int) -> np.ndarray:
    """How much each pixel of a patch counts, (side * side): 1 in all, least at the corners."""
    line = np.hanning(side + 2)[1:-1]
    window = np.outer(line, line).ravel()
    return (window / window.sum()).astype(np.float32)


def _patches(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The patches around places (n, 2) of an image (H, W): (n, DETAIL_SIDE * DETAIL_SIDE)."""
    radius = DETAIL_SIDE // 2
    padded = cv2.copyMakeBorder(image, radius, radius, radius, radius, cv2.BORDER_REFLECT_101)
    views = np.lib.stride_tricks.sliding_window_view(padded, (DETAIL_SIDE, DETAIL_SIDE))
    return views[tuple(places.T)].reshape(len(places), -1)


def _described(patches: np.ndarray, tones: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Vectors whose squared distances are those of details, weighted, and of tones (n, 3)."""
    return np.concatenate([patches * np.sqrt(window), tones * np.float32(math.sqrt(TONE_WEIGHT))], axis=1)


def _nearest(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of each vector (n, d) the number of the nearest known one (m, d), the first of equals."""
    # The nearest has the largest product, less half its square: a product with one number more.
    known = np.concatenate([known, -np.square(known).sum(axis=1, keepdims=True) / 2], axis=1)
    blocks = [(first, known[first : first + KNOWN_AT_ONCE].T.copy()) for first in range(0, len(known), KNOWN_AT_ONCE)]

    def nearest(first: int) -> np.ndarray:
        some = vectors[first : first + AT_ONCE]
        some = np.concatenate([some, np.ones((len(some), 1), some.dtype)], axis=1)
        best, found = np.full(len(some), -np.inf, some.dtype), np.zeros(len(some), int)
        for start, block in blocks:
            products = some @ block
            places = products.argmax(axis=1)
            values = np.take_along_axis(products, places[:, None], axis=1)[:, 0]
            better = values > best
            best[better], found[better] = values[better], start + places[better]
        return found

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(nearest, range(0, len(vectors), AT_ONCE))))


def guided_filter(
    image: np.ndarray, guide: np.ndarray, radius: int, flat: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """Smooth `image` as an affine function of the guide in each window (He et al. 2013, equations 16, 19 and 20).

    Args:
        image: (H, W, K).
        guide: (H, W, G), whose edges are kept.
        radius: of the square windows, pixels; 0 changes nothing.
        flat: the guide's standard deviation below which a window counts as flat, and is averaged.
        weights: (H, W), how much each pixel counts; None: all the same.
    """
    if radius == 0:
        return image
    height, width, depth = guide.shape

    def smooth(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT_101)

    def mean(values: np.ndarray) -> np.ndarray:
        flattened = values.reshape(height, width, -1)
        return _mean_inside(flattened, weights, smooth).reshape(values.shape)

    def covariance(values: np.ndarray, mean_values: np.ndarray) -> np.ndarray:
        products = mean(guide[..., :, None] * values[..., None, :])
        return products - mean_guide[..., :, None] * mean_values[..., None, :]

    mean_guide, mean_image = mean(guide), mean(image)
    own = covariance(guide, mean_guide) + flat**2 * np.eye(depth, dtype=guide.dtype)
    slope = np.linalg.solve(own, covariance(image, mean_image))
    offset = mean_image - np.einsum("hwg,hwgk->hwk", mean_guide, slope)
    return np.einsum("hwg,hwgk->hwk", guide, mean(slope)) + mean(offset)


def _mean_inside(
    values: np.ndarray, weights: np.ndarray | None, smooth: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Smoothed values (H, W, K), each pixel counting as weights (H, W) say; they fade where hardly one counts."""
    if weights is None:
        return smooth(values).reshape(values.shape)
    total = smooth(values * weights[..., None]).reshape(values.shape)
    return total / np.maximum(smooth(weights), FAINTEST_WEIGHT)[..., None]


def _laplacian(lightness: np.ndarray) -> np.ndarray:
    return cv2.Laplacian(lightness, cv2.CV_32F, ksize=1)


def _split(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lightness (H, W) and colours (H, W, 2) of an image."""
    lab = to_lab(image)
    return lab[..., 0], lab[..., 1:]
