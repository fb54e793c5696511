"""Read and write image files. The only module that touches codecs."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..files import check_folder, write_atomically
from ..terminal import silent_stderr
from .arrays import MAXIMUM_PIXELS, check_size, size_text, to_bytes

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")  # what keeps 8 bits of colour or grey at any size


def read_image(path: str | Path, over_white: bool = True) -> np.ndarray:
    """Read an image file of any kind that OpenCV knows: grey, colour, palette, 8 or 16 bits a channel.

    EXIF orientation is applied. Transparency is composited over white, or not at all: the colours are as stored then.

    Returns:
        float32 (H, W, 3), RGB in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is a folder, not an image, or of an unusable size.
    """
    color, alpha = _decode(path)
    return color if alpha is None or not over_white else color * alpha[..., None] + (1 - alpha[..., None])


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask: the transparency of the file where it has one, else its lightness (white is inside).

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        FileNotFoundError, InputError: as `read_image`.
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
        raise InputError(f"An image of {size_text(pixels.shape)} cannot be written as {path.suffix}: {path}")
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))


def check_output(path: str | Path) -> Path:
    """Return `path` if an image can be written there: to be called before the hours of work, not after.

    Raises:
        InputError: the suffix is none of `OUTPUT_SUFFIXES`, or the path is a folder.
        FileNotFoundError, PermissionError: the folder does not exist, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        raise InputError(f"Expected an output file that ends in {', '.join(OUTPUT_SUFFIXES)}. Received: {path}")
    if path.is_dir():
        raise InputError(f"Expected an output file. Received a folder: {path}")
    check_folder(path.parent)
    return path


def _decode(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB (H, W, 3) and, where the file has transparency, alpha (H, W), both float32 in [0, 1]."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    if path.is_dir():
        raise InputError(f"Expected an image file. Received a folder: {path}")
    encoded = np.fromfile(path, np.uint8)
    # Two readings: only the first applies EXIF orientation, only the second keeps transparency.
    color, _ = _imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, path)
    check_size(color.shape, str(path))
    stored, exif = _imdecode(encoded, cv2.IMREAD_UNCHANGED, path)
    alpha = None
    if stored.ndim == 3 and stored.shape[2] == 4:
        alpha = _to_unit(_oriented(stored[..., 3], exif), path)
        alpha = None if alpha.min() == 1 else alpha
    return cv2.cvtColor(_to_unit(color, path), cv2.COLOR_BGR2RGB), alpha


def _imdecode(encoded: np.ndarray, flags: int, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels as OpenCV gives them, and the file's EXIF block if it has one."""
    image: np.ndarray | None = None
    kinds: Sequence[int] = ()
    metadata: Sequence[np.ndarray] = ()
    try:
        with silent_stderr():  # the codecs complain there about a damaged file; our error says it
            if encoded.size:
                image, kinds, metadata = cv2.imdecodeWithMetadata(encoded, flags)
    except cv2.error as error:
        if "IMAGE_PIXELS" in str(error) or "imageSize" in str(error) or "pixels <=" in str(error):
            raise InputError(f"Expected an image of at most {MAXIMUM_PIXELS // 10**6} megapixels: {path}") from error
    if image is None:
        raise InputError(f"Not an image, or a damaged one: {path}")
    return image, dict(zip(kinds, metadata)).get(cv2.IMAGE_METADATA_EXIF)


def _oriented(alpha: np.ndarray, exif: np.ndarray | None) -> np.ndarray:
    """Turn the transparency as EXIF says: OpenCV does that to a grey image, so it is made one with the same EXIF."""
    if exif is None:
        return alpha
    _, encoded = cv2.imencodeWithMetadata(".png", alpha, [cv2.IMAGE_METADATA_EXIF], [exif])
    turned = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    assert turned is not None  # it was encoded a line above
    return turned


def _to_unit(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Integers of any width to float32 in [0, 1]; floats are clipped (a NaN is an error)."""
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if not np.isfinite(pixels).all():
        raise InputError(f"The image has values that are not finite: {path}")
    return np.clip(pixels, 0, 1).astype(np.float32)
