"""Read and write image files."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..errors import InputError, expect
from ..files import check_folder, write_atomically
from ..terminal import silent_stderr
from .arrays import as_float32, over, size_text, to_bytes, to_shares
from .decoding import decode
from .masks import lightness, read_levels, without_noise

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")  # what keeps 8 bits of colour or grey
TRANSPARENT_SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """What an image file holds.

    Attributes:
        color: float32 (H, W, 3), sRGB in [0, 1], as stored, whatever is transparent.
        alpha: float32 (H, W) in [0, 1], how opaque each pixel is; None where all are.
        sha256: of the file, hexadecimal.
        notices: what was not taken as it stands, a sentence each.
    """

    color: np.ndarray
    alpha: np.ndarray | None
    sha256: str
    notices: tuple[str, ...] = ()

    @property
    def over_white(self) -> np.ndarray:
        """The colours as they show on white paper."""
        return self.color if self.alpha is None else over(self.color, 1.0, self.alpha)

    @property
    def layer(self) -> np.ndarray:
        """The colours, with alpha as a fourth channel where something is transparent."""
        return self.color if self.alpha is None else np.dstack([self.color, self.alpha])


def read_picture(path: str | Path) -> Picture:
    """Read an image file of one of `FORMATS`, or a pipe that holds one.

    8 or 16 bits a channel, or floats (TIFF), which are cut to [0, 1]; grey, colour, palette, CMYK. EXIF orientation is
    applied, a colour profile is converted to sRGB (with 8 bits), of several pictures the first is taken.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is a folder, not an image, of a kind that cannot be read, or of an unusable size.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    if path.is_dir():
        raise InputError(f"Expected an image file. Received a folder: {path}")
    content = path.read_bytes()
    color, alpha, notices = decode(content, path)
    said = tuple(f"{path}: {text}" for text in notices)
    return Picture(color, alpha, hashlib.sha256(content).hexdigest(), said)


def read_image(path: str | Path, over_white: bool = True) -> np.ndarray:
    """The colours of an image file, as `read_picture` reads it.

    Transparency is composited over white, or not at all: the colours are as stored then.

    Returns:
        float32 (H, W, 3), RGB in [0, 1].

    Raises:
        FileNotFoundError, InputError: as `read_picture`.
    """
    picture = read_picture(path)
    return picture.over_white if over_white else picture.color


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask: the transparency of the file where it has one that parts, else its lightness (white is inside).

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        FileNotFoundError, InputError: as `read_picture`, or as `read_levels`.
    """
    return mask_of(read_picture(path), str(path))[0]


def mask_of(picture: Picture, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The mask that a picture is, (H, W), and what was not taken as it stands.

    Transparency parts an object from the rest only where some of it is mostly opaque and some mostly not. Else what
    counts is how light the picture is, as `lightness` and `read_levels` take it.

    Raises:
        InputError: colours or levels leave a doubt about what is inside.
    """
    alpha = picture.alpha
    if alpha is not None and alpha.min() < 0.5 <= alpha.max():
        mask, *notices = without_noise(alpha, name)
    else:
        grey, in_one_color = lightness(picture.color, name)
        mask, of_levels = read_levels(grey, name)
        notices = [in_one_color, of_levels]
    return mask, (*picture.notices, *(notice for notice in notices if notice))


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3), with alpha (H, W, 4), or a mask (H, W), in [0, 1], with 8 bits a channel.

    The format follows the suffix; where it knows no transparency, the image is composited over white. The file appears
    whole or not at all: it is written beside its place, then renamed. Unsigned integers are taken by their range.

    Raises:
        InputError: another shape or type, or values outside [0, 1] or not finite; or as `check_output`, `encode_image`.
        FileNotFoundError, PermissionError: as `check_output`.
    """
    path, image = check_output(path), np.asarray(image)
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    is_one = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
    expect(is_one and image.size, "an image of shape (height, width), or with 3 or 4 channels", image.shape)
    encoded = encode_image(path, as_float32(to_shares(image), "an image"))
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded))


def encode_image(path: Path, image: np.ndarray) -> bytes:
    """What `write_image` writes.

    Raises:
        InputError: the image is too large for the format.
    """
    if image.ndim == 3 and image.shape[2] == 4 and path.suffix.lower() not in TRANSPARENT_SUFFIXES:
        image = over(image[..., :3], 1.0, image[..., 3])
    pixels = to_bytes(image)
    if pixels.ndim == 3 and pixels.shape[2] == 4 and path.suffix.lower() != ".png":
        file = io.BytesIO()  # OpenCV's TIFFs do not say what the fourth channel is
        Image.fromarray(pixels).save(file, "TIFF", compression="tiff_lzw")
        return file.getvalue()
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    with silent_stderr():  # it complains there about what it cannot encode
        done, encoded = cv2.imencode(path.suffix, pixels)
    if not done:
        raise InputError(f"An image of {size_text(pixels.shape)} cannot be written as {path.suffix}: {path}")
    return encoded.tobytes()


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
