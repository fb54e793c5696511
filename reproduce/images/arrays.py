"""Images and masks as arrays: sizes, checks, resizing, colour spaces.

An image is float32 (height, width, 3), RGB in [0, 1]; a mask is float32 (height, width) in [0, 1].
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import InputError

MAXIMUM_PIXELS = 100_000_000
MINIMUM_SIDE = 16  # pixels: one feature of VGG-19's fifth block


def to_bytes(image: np.ndarray) -> np.ndarray:
    """[0, 1] to uint8: clipped and rounded, so that 8-bit files survive a round trip bit for bit."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width): area averages when shrinking, cubic when enlarging, clipped to [0, 1]."""
    if image.shape[:2] == tuple(shape):
        return image
    shrinking = shape[0] * shape[1] < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)
    return np.clip(resized, 0, 1)


def scaled_shape(shape: Sequence[float], scale: float) -> tuple[int, int]:
    """(height, width) scaled and rounded."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def check_image(image: np.ndarray, name: str) -> np.ndarray:
    """Return `image` as float32 if it is an image as this project means it.

    Raises:
        InputError: wrong shape, values outside [0, 1] or not finite, or fewer than 16 pixels on a side.
    """
    image = np.asarray(image, np.float32)
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"Expected {name} of shape (height, width, 3). Received: {image.shape}")
    check_size(image.shape, name)
    if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
        raise InputError(f"Expected {name} with finite values in [0, 1]. Received: {image.min()} to {image.max()}")
    return image


def check_size(shape: tuple[int, ...], name: str) -> None:
    if min(shape[:2]) < MINIMUM_SIDE:
        raise InputError(f"Expected {name} of at least {MINIMUM_SIDE} pixels on each side. "
                         f"Received: {size_text(shape)}")  # fmt: skip
    if shape[0] * shape[1] > MAXIMUM_PIXELS:
        raise InputError(f"Expected {name} of at most {MAXIMUM_PIXELS // 10**6} megapixels. "
                         f"Received: {size_text(shape)}")  # fmt: skip


def check_same_size(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> None:
    """Raises InputError, saying both sizes, if two images differ in size."""
    if first.shape[:2] != second.shape[:2]:
        sizes = " and ".join(f"{name} {size_text(image.shape)}" for name, image in zip(names, (first, second)))
        raise InputError(f"Expected images of the same size. Received: {sizes}")


def size_text(shape: Sequence[int]) -> str:
    """An image's size as people write it: width x height."""
    return f"{shape[1]} x {shape[0]}"


def to_lab(image: np.ndarray) -> np.ndarray:
    """CIE Lab of sRGB (H, W, 3) in [0, 1]: lightness L* in [0, 100], colours a* and b* about -128 to 127."""
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2LAB)


def from_lab(lightness: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] of lightness (H, W) and colours (H, W, 2), clipped where there is no such sRGB."""
    lab = np.dstack([lightness, colors]).astype(np.float32)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
