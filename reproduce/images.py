"""Read, write and resize images. The only module that touches image files and codecs.

An image is float32 (height, width, 3), RGB in [0, 1]; a mask is float32 (height, width) in [0, 1].
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

MAXIMUM_PIXELS = 100_000_000
OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")  # what keeps 8 bits of colour or grey at any size
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAXIMUM_PIXELS))  # read once, when cv2 decodes first

import cv2  # noqa: E402

from .architecture import MINIMUM_SIDE  # noqa: E402
from .quiet import silent_stderr  # noqa: E402


def read_image(path: str | Path, over_white: bool = True) -> np.ndarray:
    """Read an image file of any kind that OpenCV knows: grey, colour, palette, 8 or 16 bits a channel.

    EXIF orientation is applied. Transparency is composited over white, or not at all: the colours are as stored then.

    Returns:
        float32 (H, W, 3), RGB in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, not an image, or of an unusable size.
    """
    color, alpha = _decode(path)
    return color if alpha is None or not over_white else color * alpha[..., None] + (1 - alpha[..., None])


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask: the transparency of the file where it has one, else its lightness (white is inside).

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        FileNotFoundError, ValueError: as `read_image`.
    """
    color, alpha = _decode(path)
    return cv2.cvtColor(color, cv2.COLOR_RGB2GRAY) if alpha is None else alpha


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) or mask (H, W) in [0, 1] with 8 bits a channel; the format follows the suffix.

    The file appears whole or not at all: it is written beside its place, then renamed.
    """
    path = check_output(path)
    pixels = to_bytes(image)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(path.suffix, pixels)
    if not done:
        raise ValueError(f"An image of {size_text(pixels.shape)} cannot be written as {path.suffix}: {path}")
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))


def check_output(path: str | Path) -> Path:
    """Return `path` if an image can be written there: to be called before the hours of work, not after.

    Raises:
        ValueError: the suffix is none of `OUTPUT_SUFFIXES`, or the path is a folder.
        FileNotFoundError, PermissionError: the folder does not exist, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        raise ValueError(f"Expected an output file that ends in {', '.join(OUTPUT_SUFFIXES)}. Received: {path}")
    if path.is_dir():
        raise ValueError(f"Expected an output file. Received a folder: {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The output folder does not exist: {path.parent}")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise PermissionError(f"The output folder cannot be written: {path.parent} ({error.strerror})") from error
    return path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def scaled_shape(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) scaled and rounded."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def check_image(image: np.ndarray, name: str) -> np.ndarray:
    """Return `image` as float32 if it is an image as this project means it.

    Raises:
        ValueError: wrong shape, values outside [0, 1] or not finite, or fewer than 16 pixels on a side.
    """
    image = np.asarray(image, np.float32)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"Expected {name} of shape (height, width, 3). Received: {image.shape}")
    _check_size(image.shape, name)
    if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
        raise ValueError(f"Expected {name} with finite values in [0, 1]. Received: {image.min()} to {image.max()}")
    return image


def check_same_size(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> None:
    """Raises ValueError, saying both sizes, if two images differ in size."""
    if first.shape[:2] != second.shape[:2]:
        sizes = " and ".join(f"{name} {size_text(image.shape)}" for name, image in zip(names, (first, second)))
        raise ValueError(f"Expected images of the same size. Received: {sizes}")


def size_text(shape: tuple[int, ...]) -> str:
    """An image's size as people write it: width x height."""
    return f"{shape[1]} x {shape[0]}"


def sha256(path: str | Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_lab(image: np.ndarray) -> np.ndarray:
    """CIE Lab of sRGB (H, W, 3) in [0, 1]: lightness L* in [0, 100], colours a* and b* about -128 to 127."""
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2LAB)


def from_lab(lightness: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] of lightness (H, W) and colours (H, W, 2), clipped where there is no such sRGB."""
    lab = np.dstack([lightness, colors]).astype(np.float32)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)


def _decode(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB (H, W, 3) and, where the file has transparency, alpha (H, W), both float32 in [0, 1]."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    if path.is_dir():
        raise ValueError(f"Expected an image file. Received a folder: {path}")
    encoded = np.fromfile(path, np.uint8)
    # Two readings: only the first applies EXIF orientation, only the second keeps transparency.
    color, _ = _imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, path)
    _check_size(color.shape, str(path))
    stored, exif = _imdecode(encoded, cv2.IMREAD_UNCHANGED, path)
    alpha = None
    if stored.ndim == 3 and stored.shape[2] == 4:
        alpha = _to_unit(_oriented(stored[..., 3], exif), path)
        alpha = None if alpha.min() == 1 else alpha
    return cv2.cvtColor(_to_unit(color, path), cv2.COLOR_BGR2RGB), alpha


def _imdecode(encoded: np.ndarray, flags: int, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels as OpenCV gives them, and the file's EXIF block if it has one."""
    kinds, metadata = (), ()
    try:
        with silent_stderr():  # the codecs complain there about a damaged file; our error says it
            image, kinds, metadata = cv2.imdecodeWithMetadata(encoded, flags) if encoded.size else (None, (), ())
    except cv2.error as error:
        if "IMAGE_PIXELS" in str(error) or "imageSize" in str(error) or "pixels <=" in str(error):
            raise ValueError(f"Expected an image of at most {MAXIMUM_PIXELS // 10**6} megapixels: {path}") from error
        image = None
    if image is None:
        raise ValueError(f"Not an image, or a damaged one: {path}")
    return image, dict(zip(kinds, metadata)).get(cv2.IMAGE_METADATA_EXIF)


def _oriented(alpha: np.ndarray, exif: np.ndarray | None) -> np.ndarray:
    """Turn the transparency as EXIF says: OpenCV does that to a grey image, so it is made one with the same EXIF."""
    if exif is None:
        return alpha
    _, encoded = cv2.imencodeWithMetadata(".png", alpha, [cv2.IMAGE_METADATA_EXIF], [exif])
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)


def _to_unit(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Integers of any width to float32 in [0, 1]; floats are clipped (a NaN is an error)."""
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if not np.isfinite(pixels).all():
        raise ValueError(f"The image has values that are not finite: {path}")
    return np.clip(pixels, 0, 1).astype(np.float32)


def _check_size(shape: tuple[int, ...], name: str) -> None:
    if min(shape[:2]) < MINIMUM_SIDE:
        raise ValueError(f"Expected {name} of at least {MINIMUM_SIDE} pixels on each side. "
                         f"Received: {size_text(shape)}")  # fmt: skip
    if shape[0] * shape[1] > MAXIMUM_PIXELS:
        raise ValueError(f"Expected {name} of at most {MAXIMUM_PIXELS // 10**6} megapixels. "
                         f"Received: {size_text(shape)}")  # fmt: skip


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
