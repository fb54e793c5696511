"""Images and masks as arrays: sizes, checks, resizing, colour spaces.

An image is float32 (height, width, 3), RGB in [0, 1]; a mask is float32 (height, width) in [0, 1].
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import InputError

MAXIMUM_PIXELS = 100_000_000
ROUNDING = 1e-6  # of computations with float32
MINIMUM_SIDE = 16  # pixels: one feature of VGG-19's fifth block


def to_bytes(image: np.ndarray) -> np.ndarray:
    """[0, 1] to uint8: clipped and rounded, so that 8-bit files survive a round trip bit for bit; bytes stay bytes."""
    if image.dtype == np.uint8:
        return image
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


def bounded(image: np.ndarray, longest: int) -> np.ndarray:
    """The image or mask, shrunk if its longer side has more than so many pixels."""
    share = longest / max(image.shape[:2])
    return resize(image, scaled_shape(image.shape, share)) if share < 1 else image


def check_image(image: np.ndarray, name: str) -> np.ndarray:
    """Return `image` as float32 in [0, 1], contiguous, if it is an image. Unsigned integers are taken by their range.

    Raises:
        InputError: wrong shape or type, values outside [0, 1] or not finite, or fewer than 16 pixels on a side.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"Expected {name} of shape (height, width, 3). Received: {image.shape}")
    check_size(image.shape, name)
    return as_float32(to_shares(image), name)


def split_alpha(image: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours, and how opaque each pixel is where the image has that as a fourth channel, both as `check_image`.

    Raises:
        InputError: as `check_image`, or nothing is opaque.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 4:
        return check_image(image, name), None
    color = check_image(image[..., :3], name)
    alpha = check_image(np.repeat(image[..., 3:], 3, axis=2), f"the transparency of {name}")[..., 0]
    if not alpha.any():
        raise InputError(f"Expected {name} to be opaque somewhere. Received: one that is transparent everywhere")
    return color, np.ascontiguousarray(alpha)


def to_shares(image: np.ndarray) -> np.ndarray:
    """Unsigned bytes, or pairs of them, as float32 shares of their range; other arrays as they are."""
    if image.dtype.kind != "u" or image.dtype.itemsize > 2:
        return image
    return np.divide(image, np.float32(np.iinfo(image.dtype).max), dtype=np.float32)  # without a copy in between


def is_grey(image: np.ndarray) -> bool:
    """Whether an image (H, W, 3) has no colours, but for the rounding of a codec."""
    return bool(np.max(brightest(image) - darkest(image)) <= 2 / 255 + ROUNDING)


def brightest(image: np.ndarray) -> np.ndarray:
    """The largest of three channels (H, W): channel by channel, which is faster than along a short axis."""
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def darkest(image: np.ndarray) -> np.ndarray:
    """The smallest of three channels (H, W)."""
    return np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])


def to_grey(image: np.ndarray) -> np.ndarray:
    """The image without colours."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def as_float32(values: np.ndarray, name: str) -> np.ndarray:
    """Floats or booleans as float32, contiguous; beyond [0, 1] by no more than rounding they are cut.

    Raises:
        InputError: of another type, not finite, or outside [0, 1].
    """
    if values.dtype == bool:
        return np.ascontiguousarray(values, np.float32)
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"Expected {name} of floats in [0, 1], or of unsigned bytes. Received: {values.dtype}")
    lowest, highest = values.min(), values.max()
    if not (lowest >= -ROUNDING and highest <= 1 + ROUNDING):  # also where one is not a number
        raise InputError(f"Expected {name} with finite values in [0, 1]. Received: {lowest} to {highest}")
    values = np.ascontiguousarray(values, np.float32)
    return values if lowest >= 0 and highest <= 1 else np.clip(values, 0, 1)


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


def over(color: np.ndarray, under: np.ndarray | float, alpha: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) over others, or over one grey, by their alpha (H, W)."""
    return color * alpha[..., None] + under * (1 - alpha[..., None])
