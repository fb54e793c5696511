"""What a result is judged by: style, content, grain, seam, tones, the painting left as it was, distance to a reference.

The paper judges by eye. These measures put numbers beside the eye; each is a pure function of NumPy arrays, and `Judge`
computes them all for the results of one case. Style, one_sided, content, stretch and reference compare with the
naive composite (the object pasted as it is), which is 1 in all of them by definition.

Images are float32 (H, W, 3), RGB in [0, 1]; masks are float32 (H, W) in [0, 1]; features are (h, w, C), as `Extractor`
gives them. The object is where its mask exceeds 0.5; the painting's own pixels are where the grown mask is 0.
"""

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from .errors import InputError
from .images.arrays import check_image, check_same_size, resize, to_lab
from .images.masks import check_mask
from .losses.sliced import quantiles
from .network.backend import as_array

LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3")  # layers that no preset optimises
NEAREST_PLACES = 2048  # of the object at most whose nearest in the painting is looked for
PROJECTIONS = 128  # other directions move a style ratio by about 0.01 (standard deviation)
QUANTILES = 1024
WINDOW_SIGMA = 1.5  # pixels, Wang et al. 2004
STRUCTURE_CONSTANT = (0.03 * 100) ** 2  # C2 of Wang et al. 2004, for lightness in [0, 100]
EDGE_WIDTH = 4  # pixels: a composite's soft edge and the reach of a Laplacian
SEAM_WIDTH = 2  # pixels on each side of the mask's edge
SEAM_NEIGHBOURHOOD = 24  # pixels on each side of the mask's edge
TONE_SIGMA = 0.01  # of the longer side: what varies more slowly than this is tone
ALIKE = 24  # groups of alike places
MANY_PLACES = 20_000  # whose tones are grouped
ALMOST_ALL = 0.005, 0.995  # quantiles of the painting's lightness
CLEARLY = 3.0  # of lightness in [0, 100]

Features = Mapping[str, np.ndarray]


class Judge:
    """Measures the results of one case; what belongs to the painting and to the naive composite is computed once.

    Args:
        painting: the painting without the object.
        naive: the painting with the object pasted on it: the control.
        mask: the object.
        grown_mask: where a result may differ from the painting, so at least the object.
        extractor: image -> features of each layer, shallow to deep, such as `Extractor(LAYERS, weights)`.
        references: published results by name; each gives one more measure, `reference_<name>`.

    Raises:
        InputError: an image or a mask is not one, or they differ in size, or the grown mask leaves nothing outside.

    Notes:
        The extractor sees whole images: about 3 kB of memory a pixel.
    """

    def __init__(
        self,
        painting: np.ndarray,
        naive: np.ndarray,
        mask: np.ndarray,
        grown_mask: np.ndarray,
        extractor: Callable[[np.ndarray], Features],
        references: Mapping[str, np.ndarray] | None = None,
    ):
        self.painting = check_image(painting, "the painting")
        self.mask, self.grown_mask = check_mask(mask), check_mask(grown_mask)
        self.naive = self._check(naive, "the naive composite")
        for other, name in ((self.mask, "the mask"), (self.grown_mask, "the grown mask")):
            check_same_size(self.painting, other, ("the painting", name))
        if self.grown_mask.min() > 0:
            raise InputError("Expected a grown mask that is 0 somewhere. Received: a full mask")
        self.extractor = extractor
        references = {name: self._check(image, name) for name, image in (references or {}).items()}

        whole = np.ones_like(self.mask)
        of_painting = self._features(self.painting, whole)
        self.style = {layer: projected_quantiles(f) for layer, f in of_painting.items()}
        # The shallowest layer knows little but colours, which are not what this is to measure.
        self.marks = dict(list(of_painting.items())[1:] or of_painting)
        self.references = {name: self._features(image) for name, image in references.items()}
        naive_features = self._features(self.naive)
        self.naive_style = style_distances(naive_features, self.style)
        self.naive_marks = self._marks_distances(naive_features)
        self.naive_distances = self._reference_distances(naive_features)

    def __call__(self, result: np.ndarray) -> dict[str, float]:
        """Every measure of one result, by name.

        Raises:
            InputError: the result is not an image of the painting's size.
        """
        result = self._check(result, "the result")
        features = self._features(result)
        style = style_distances(features, self.style)
        measures: dict[str, float] = {
            "background": background(result, self.painting, self.grown_mask),
            "style": _mean_ratio(style, self.naive_style),
            "one_sided": _mean_ratio(self._marks_distances(features), self.naive_marks),
            "content": content(result, self.naive, self.mask),
            "grain": grain(lightness(result), lightness(self.painting), self.mask, self.grown_mask),
            "color_grain": grain(chroma(result), chroma(self.painting), self.mask, self.grown_mask),
            "seam": seam(result, self.painting, self.mask),
            "stretch": stretch(result, self.naive, self.mask),
            "uneven": uneven(result, self.naive, self.mask),
            "beyond": beyond(result, self.painting, self.mask),
        }
        for name, distance in self._reference_distances(features).items():
            measures[f"reference_{name}"] = _ratio(distance, self.naive_distances[name])
        return measures

    def _check(self, image: np.ndarray, name: str) -> np.ndarray:
        image = check_image(image, name)
        check_same_size(self.painting, image, ("the painting", name))
        return image

    def _features(self, image: np.ndarray, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
        mask = self.mask if mask is None else mask
        return {layer: features_inside(np.asarray(f), mask) for layer, f in self.extractor(image).items()}

    def _marks_distances(self, features: Features) -> dict[str, float]:
        return {layer: nearest_distance(features[layer], own) for layer, own in self.marks.items()}

    def _reference_distances(self, features: Features) -> dict[str, float]:
        return {name: perceptual_distance(features, reference) for name, reference in self.references.items()}


def background(result: np.ndarray, painting: np.ndarray, grown_mask: np.ndarray) -> float:
    """The largest change of any channel where the grown mask is 0. In [0, 1]; must be 0."""
    return float(np.abs(result - painting)[grown_mask == 0].max())


def sliced_wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """Sliced 2-Wasserstein distance of two distributions, from their `projected_quantiles` (Heitz et al. 2021, eq. 3).

    sqrt(mean over projections v and levels q of (Q_first(v, q) - Q_second(v, q))^2), the root being taken so that the
    distance has the features' own unit. In [0, inf); 0 where the distributions are the same.
    """
    return float(np.sqrt(np.mean(np.square(first - second))))


def style_distances(features: Features, style: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Layer -> `sliced_wasserstein` of features (N, C) and a painting's, given as `projected_quantiles`."""
    return {layer: sliced_wasserstein(projected_quantiles(f), style[layer]) for layer, f in features.items()}


def projected_quantiles(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Quantiles of features (N, C) along random directions, so that sets of any size N can be compared.

    A cell of this array is a sorted projection, interpolated at one of the levels (i + 0.5) / QUANTILES. The directions
    are uniform on the sphere and follow from `seed` and C alone.

    Returns:
        (QUANTILES, PROJECTIONS).
    """
    directions = np.random.default_rng(seed).standard_normal((features.shape[1], PROJECTIONS)).astype(np.float32)
    projected = np.sort((directions / np.linalg.norm(directions, axis=0)).T @ features.T, axis=1)
    return as_array(quantiles(projected, QUANTILES)).T


def features_inside(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The features (h, w, C) at the positions that lie by more than half in the mask (H, W): (N, C).

    An object so thin that no position does keeps those that lie in it the most.
    """
    area = resize(mask, features.shape[:2])
    return features[area > 0.5] if area.max() > 0.5 else features[area == area.max()]


def content(result: np.ndarray, naive: np.ndarray, mask: np.ndarray) -> float:
    """How much of the object's structure is left: the structure term of SSIM of lightness, averaged in the mask.

    (cov(x, y) + C) / (std(x) std(y) + C) in a Gaussian window (Wang et al. 2004, eq. 10), with their C2 for C. In
    [-1, 1]; higher is better, 1 for the naive composite itself. Brightness and contrast do not count.
    """
    x, y = lightness(result).astype(np.float64), lightness(naive).astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = np.maximum(_window_mean(x * x) - mean_x**2, 0)
    variance_y = np.maximum(_window_mean(y * y) - mean_y**2, 0)
    covariance = _window_mean(x * y) - mean_x * mean_y
    structure = (covariance + STRUCTURE_CONSTANT) / (np.sqrt(variance_x * variance_y) + STRUCTURE_CONSTANT)
    return float(structure[mask > 0.5].mean())


def grain(result: np.ndarray, painting: np.ndarray, mask: np.ndarray, grown_mask: np.ndarray) -> float:
    """Fine detail of the object against that of the painting around it.

    The mean magnitude of the 3 x 3 Laplacian within the mask, less EDGE_WIDTH pixels at its edge (they are the seam's),
    over its mean outside the grown mask. Magnitudes are averaged rather than squares, so that a few sharp edges of the
    object do not pass for grain. In [0, inf); 1 is the painting's own grain, over 1 is noise, under 1 is blur.

    Args:
        result, painting: (H, W) or (H, W, K), such as `lightness` or `chroma`.
    """
    depth = -signed_distance(mask)
    inner = depth > EDGE_WIDTH if depth.max() > EDGE_WIDTH else depth > 0
    return _ratio(_laplacian(result)[inner].mean(), _laplacian(painting)[grown_mask == 0].mean())


def seam(result: np.ndarray, painting: np.ndarray, mask: np.ndarray) -> float:
    """How much the mask's edge stands out: the change of colour across it, against the painting's in its neighbourhood.

    The mean magnitude of the CIE Lab derivative along the edge's normal, within SEAM_WIDTH pixels of the edge, over the
    same of the painting within SEAM_NEIGHBOURHOOD pixels. In [0, inf); 1 is an edge no harder than the painting there;
    lower is less visible, though an object that the painting's own style outlines is rightly above 1.
    """
    distance = signed_distance(mask)
    edge, neighbourhood = np.abs(distance) <= SEAM_WIDTH, np.abs(distance) <= SEAM_NEIGHBOURHOOD
    across = _derivative_across(to_lab(result), distance)[edge].mean()
    return _ratio(across, _derivative_across(to_lab(painting), distance)[neighbourhood].mean())


def nearest_distance(features: np.ndarray, painting: np.ndarray) -> float:
    """How far features are from their nearest in a painting: one direction of the relaxed EMD (Kolkin et al. 2019, 5).

    The mean of 1 - cosine of each of at most NEAREST_PLACES features (N, C), taken at even steps, and the most similar
    of the painting's (M, C). In [0, 1] for features after a ReLU. Unlike the distance of distributions it asks that
    what the object has should be the painting's, and not that it has all that the painting has.
    """
    chosen, painting = _unit(features[:: math.ceil(len(features) / NEAREST_PLACES)]), _unit(painting).T
    nearest = [(some @ painting).max(axis=1) for some in np.array_split(chosen, math.ceil(len(chosen) / 256))]
    return max(0.0, float(1 - np.mean(np.concatenate(nearest))))


def stretch(result: np.ndarray, naive: np.ndarray, mask: np.ndarray) -> float:
    """How the object's tones are spread beside the naive composite's: over 1 is stretched, under 1 is compressed.

    The slope of the line that says the `tones` of the result's lightness from those of the naive composite's, by least
    squares within the mask. 1 where the composite's has no spread.
    """
    inside = mask > 0.5
    after, before = (tones(lightness(image)[..., None], mask)[inside, 0] for image in (result, naive))
    spread = np.mean(np.square(before - before.mean()))
    return float(np.mean((after - after.mean()) * (before - before.mean())) / spread) if spread > 1e-6 else 1.0


def uneven(result: np.ndarray, naive: np.ndarray, mask: np.ndarray) -> float:
    """How differently places that were alike in the naive composite are toned and coloured in the result.

    The places of the mask are put into ALIKE groups by the `tones` of their L*, a* and b* in the naive composite
    (k-means); the measure is the root mean square distance, in Lab, of the result's tones from their group's mean. In
    [0, inf); the composite's own value is what the groups leave.
    """
    inside = mask > 0.5
    before, after = (tones(to_lab(image), mask)[inside].astype(np.float32) for image in (naive, result))
    step = max(1, math.ceil(len(before) / MANY_PLACES))
    before, after = before[::step], after[::step]
    if len(before) == 1:
        return 0.0
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 0.1)
    count = min(ALIKE, len(before))
    _, groups, _ = cv2.kmeans(before, count, None, criteria, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    squared = 0.0
    for group in range(count):
        of_group = after[groups[:, 0] == group]
        squared += np.square(of_group - of_group.mean(axis=0)).sum() if len(of_group) else 0
    return float(np.sqrt(squared / len(after)))


def beyond(result: np.ndarray, painting: np.ndarray, mask: np.ndarray) -> float:
    """The share of the object that is clearly lighter or darker than almost all of the painting. In [0, 1].

    By more than CLEARLY of lightness beyond the quantiles ALMOST_ALL of the painting's.
    """
    darkest, lightest = np.quantile(lightness(painting), ALMOST_ALL)
    own = lightness(result)[mask > 0.5]
    return float(np.mean((own < darkest - CLEARLY) | (own > lightest + CLEARLY)))


def tones(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The slow part of values (H, W, K) within a mask, (H, W, K): their Gaussian mean over the mask's own pixels."""
    weights = (mask > 0.5).astype(np.float32)
    sigma = TONE_SIGMA * max(mask.shape)
    weighted = cv2.GaussianBlur(values * weights[..., None], (0, 0), sigma).reshape(values.shape)
    return weighted / np.maximum(cv2.GaussianBlur(weights, (0, 0), sigma), 1e-6)[..., None]


def perceptual_distance(first: Features, second: Features) -> float:
    """Distance of images by what VGG sees at the same positions (Zhang et al. 2018, eq. 1, without learned weights).

    The squared difference of feature vectors of unit length, averaged over positions, then over layers. In [0, 2] for
    features after a ReLU; 0 for the same image, lower is closer.

    Args:
        first, second: layer name -> features (N, C) at the same positions.
    """
    distances = [np.square(_unit(first[layer]) - _unit(second[layer])).sum(axis=1).mean() for layer in first]
    return float(np.mean(distances))


def lightness(image: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB, in [0, 100]: (H, W)."""
    return to_lab(image)[..., 0]


def chroma(image: np.ndarray) -> np.ndarray:
    """CIE a* and b* of sRGB, about -128 to 127: (H, W, 2)."""
    return to_lab(image)[..., 1:]


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Pixels from the edge of the mask, counted from 1: negative inside, positive outside."""
    inside = (mask > 0.5).astype(np.uint8)
    outward = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return outward - cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _window_mean(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (11, 11), WINDOW_SIGMA, borderType=cv2.BORDER_REFLECT_101)


def _laplacian(image: np.ndarray) -> np.ndarray:
    """Length over the channels of the Laplacian: (H, W)."""
    laplacian = cv2.Laplacian(image, cv2.CV_32F, ksize=1)
    return np.abs(laplacian) if laplacian.ndim == 2 else np.linalg.norm(laplacian, axis=-1)


def _derivative_across(image: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Length over the channels of the derivative along the gradient of `distance`: (H, W)."""
    # Smoothed: the distance's own gradient wavers along the staircase of the edge.
    normal = np.stack(np.gradient(cv2.GaussianBlur(distance, (0, 0), 2.0)))
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-6)
    down, right = np.gradient(image, axis=(0, 1))
    return np.linalg.norm(down * normal[0, ..., None] + right * normal[1, ..., None], axis=-1)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-10)


def _mean_ratio(values: Mapping[str, float], controls: Mapping[str, float]) -> float:
    return float(np.mean([_ratio(values[layer], control) for layer, control in controls.items()]))


def _ratio(value: float, control: float) -> float:
    """value / control; where the control is 0, 1 for a value that is 0 too, else infinity."""
    if control > 0:
        return float(value / control)
    return 1.0 if value == 0 else float("inf")
