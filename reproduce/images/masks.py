"""Masks: soften and grow them, know when they can be worked under, and what a picture says as one (paper 3.3).

A mask is float32 (height, width) in [0, 1]; 1 is inside.
"""

import cv2
import numpy as np

from ..errors import InputError, expect
from .arrays import as_float32, brightest, darkest
from .geometry import Rectangle

NOISE = 20 / 255  # a codec's: at most 17 levels were seen
NOISE_REACH = 16  # pixels around an object in which a faint value may be its edge's
FALLING = -0.5  # correlation with the distance: wide soft edges have -0.66 and less, a codec's noise -0.25 and more
STEPS, LABELS = 8, 32  # levels: soft edges have more than the one, maps of labels no more than the other


def feather(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Soften the edge with a Gaussian of `sigma` pixels, cut off at 3 sigma: beyond that the mask is exactly 0.

    Raises:
        InputError: `sigma` is negative or not finite.
    """
    if not 0 <= sigma < np.inf:
        raise InputError(f"Expected a feather of 0 or more pixels. Received: {sigma}")
    if sigma == 0:
        return mask
    side = 2 * int(np.ceil(3 * sigma)) + 1
    soft = cv2.GaussianBlur(mask, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
    support = cv2.dilate(mask, np.ones((side, side), np.uint8))
    return np.where(support > 0, np.clip(soft, 0, 1), 0)


def grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """Dilate by a disc of `radius` pixels."""
    if radius == 0:
        return mask
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


def shrink(mask: np.ndarray, radius: int) -> np.ndarray:
    """Erode by a disc of `radius` pixels; the image's border is no edge."""
    return 1 - grow(1 - mask, radius)


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """The mask with what it encloses, where it is at least half inside."""
    inside = (mask >= 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(inside, contours, -1, 1, cv2.FILLED)
    return np.maximum(mask, inside.astype(np.float32))


def loosen(mask: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """The mask with a margin, grown and then softened: where it is above 0, pixels are free to change (paper 3.3)."""
    return feather(grow(mask, radius), sigma)


def bounding_box(mask: np.ndarray) -> Rectangle:
    """The smallest rectangle that holds every pixel above 0.

    Raises:
        InputError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise InputError("Expected a mask that selects something. Received: an empty mask")
    return Rectangle(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def check_mask(mask: np.ndarray, name: str = "the mask") -> np.ndarray:
    """Return the mask as float32 (H, W) in [0, 1] if it can be worked under.

    Booleans, integers (by their levels, as in a file) and (H, W, 1) are converted.

    Raises:
        InputError: another shape, values outside [0, 1], levels that leave a doubt, or empty, or so full that no
            painting is left to learn from.
    """
    mask = np.asarray(mask)
    mask = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    expect(mask.ndim == 2 and mask.size, f"{name} of shape (height, width)", mask.shape)
    if np.issubdtype(mask.dtype, np.integer):
        mask, _ = read_levels(_shares(mask, name), name)
    mask = as_float32(mask, name)
    if mask.max() < 0.5:
        raise InputError("Expected a mask that selects something. Received: an empty mask, all below 0.5")
    if mask.min() >= 0.5:
        raise InputError("Expected a mask that leaves some painting around the object. Received: a full mask")
    return mask


def _shares(mask: np.ndarray, name: str) -> np.ndarray:
    """Integers as shares of the range that they are of: their type's, or of 8 or 16 bits if that is wider."""
    lowest, highest = int(mask.min()), int(mask.max())
    expect(lowest >= 0 and highest <= 65535, f"{name} with integers from 0 to 65535", f"{lowest} to {highest}")
    whole = 65535 if highest > 255 or mask.dtype.newbyteorder("=") == np.uint16 else 255
    return mask.astype(np.float32) / np.float32(whole)


def read_levels(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """What a grey picture says as a mask, and what had to be done for it, a sentence or nothing.

    A mask says which pixels, so its own levels for outside and inside are found: people have masks of 0 and 1, of
    labels, and JPEGs with noise. A soft mask that uses the whole range is taken as it stands.

    Args:
        values: float32 (H, W) in [0, 1]; lighter is inside.
        name: of the picture, for messages.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: the levels leave a doubt about what is inside; the message says which were found.
    """
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest and lowest in (0, 1):
        return values, ""  # empty or full: whoever works under the mask says so
    few = _few_levels(values)
    is_whole = lowest <= NOISE and highest >= 1 - NOISE
    if is_whole and len(few) != 2 and not _has_labels(values, few):
        return without_noise(values, name)
    levels = _two_levels(values, few) if len(few) == 2 or not is_whole else None
    if levels is None:
        found = ", ".join(f"{255 * level:.4g}" for level in _frequent_levels(values))
        raise InputError(f"Expected a mask of two levels, or a soft one of 0 to 255. Received: levels {found} "
                         f"(of 255): {name}")  # fmt: skip
    if levels == (0, 1):
        return values, ""
    outside, inside = levels
    mask, _ = without_noise(np.clip((values - outside) / (inside - outside), 0, 1).astype(np.float32), name)
    said = f"its levels {255 * outside:.4g} and {255 * inside:.4g} (of 255) are taken for outside and inside"
    return mask, f"{name}: {said}"


def lightness(color: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """What is light in a picture (H, W, 3), (H, W), and a sentence if it is in one colour on black.

    Raises:
        InputError: it has other colours, which leave a doubt about what is inside.
    """
    light = brightest(color)
    spread = light - darkest(color)
    if not spread.any():
        return np.ascontiguousarray(color[..., 0]), ""
    if spread.max() <= 3 * NOISE:
        return cv2.cvtColor(np.ascontiguousarray(color, np.float32), cv2.COLOR_RGB2GRAY), ""
    if light.min() > NOISE or _is_thick(_of_another_color(color, light) & (light > 3 * NOISE), 5):
        raise InputError(f"Expected a mask in grey, or in one colour on black. Received: other colours: {name}")
    return light, f"{name}: what is not black is taken for inside"


def _of_another_color(color: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Which pixels, however light, differ from what is light in the shares of their channels."""
    differ = np.zeros(light.shape, bool)
    for channel in range(3):
        shares = color[..., channel] / np.maximum(light, NOISE)
        differ |= np.abs(shares - np.median(shares[light > light.max() / 2])) > 0.25
    return differ


def without_noise(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """A mask without what a codec left far from the object, and a sentence if there was any of that.

    The foot of a wide soft edge is as faint and as far, but falls with the distance, which noise does not.
    """
    support = (values > NOISE).astype(np.uint8)
    distance = cv2.distanceTransform(1 - support, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if not ((values > 0) & (distance > NOISE_REACH)).any() or not support.any():
        return values, ""
    around = (values > 0) & (distance > NOISE_REACH / 2)
    if np.ptp(values[around]) > 0 and np.corrcoef(values[around], distance[around])[0, 1] < FALLING:
        return values, ""
    cleaned = np.where(values <= NOISE, 0, np.where(values >= 1 - NOISE, 1, values)).astype(np.float32)
    return cleaned, f"{name}: its noise is taken for 0 and 1"


def _frequent_levels(values: np.ndarray) -> list[float]:
    """The most frequent values, no more than can be told apart in a message, in order."""
    found, counts = np.unique(np.round(values * 65535) / 65535, return_counts=True)
    return sorted(found[np.argsort(-counts)][:STEPS].tolist())


def _few_levels(values: np.ndarray) -> list[float]:
    """All values in order; nothing where there are more than labels have."""
    found: list[float] = []
    left = values.ravel()
    while left.size:
        if len(found) == LABELS:
            return []
        found.append(float(left[0]))
        left = left[left != left[0]]
    return sorted(found)


def _two_levels(values: np.ndarray, few: list[float]) -> tuple[float, float] | None:
    """The values of outside and inside where there are two, but for noise and soft edges; else None."""
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest:
        return None
    middle = (lowest + highest) / 2
    outside, inside = (float(np.median(part)) for part in (values[values <= middle], values[values > middle]))
    near = (inside - outside) / 8
    between = (values > outside + near) & (values < inside - near)
    beyond = (values < outside - near) | (values > inside + near)
    in_steps = 0 < len(few) <= STEPS and between.any()  # labels, not a soft edge
    if between.mean() > 0.05 or _is_thick(between, 5) or in_steps or beyond.mean() > 0.001:
        return None
    return outside, inside


def _has_labels(values: np.ndarray, few: list[float]) -> bool:
    """Whether one of few levels, but for the outermost, covers an area: a number for each object."""
    return any(_is_thick(values == level, 9) for level in few[1:-1])


def _is_thick(pixels: np.ndarray, side: int) -> bool:
    """Whether a square of so many pixels fits into them."""
    square = np.ones((side, side), np.uint8)
    return bool(cv2.erode(pixels.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0).any())
