"""Bytes of an image file to colours in sRGB and alpha.

Pillow says what a file means: its modes, its transparency, its orientation, its colour profile. OpenCV reads the deeper
values that Pillow reduces to 8 bits: those of TIFFs by their tags, others where both agree on what they are.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from PIL import Image, ImageCms

from ..errors import InputError, expect
from ..terminal import silent_stderr
from .arrays import MAXIMUM_PIXELS, check_size, to_bytes, to_shares
from .kinds import is_heic, refuse_what_is_no_picture
from .profiles import CONVERTED, from_adobe_rgb, says_adobe_rgb, to_srgb
from .tiff import MULTIPLIED, UNSIGNED, WHITE_IS_0, Tiff, read_tags

# What Pillow is trusted with; its other plug-ins start programs (EPS), or are of kinds that `kinds` knows.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "HEIF", "BMP", "GIF", "PPM", "JPEG2000", "TGA", "PCX", "ICO",
           "DDS", "SGI", "QOI")  # fmt: skip
ORIENTATION = 0x0112  # EXIF's tag
Decoded = tuple[np.ndarray, np.ndarray | None]  # colours (H, W, 3) in [0, 1], alpha (H, W)
_lock = Lock()


def decode(content: bytes, path: Path) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """What a file holds.

    Args:
        content: of the file.
        path: for messages.

    Returns:
        float32 colours (H, W, 3), sRGB in [0, 1], and alpha (H, W) in [0, 1] or None, both as they are seen; and what
        was not taken as it stands.

    Raises:
        InputError: not an image, one of a kind that cannot be read, or of an unusable size.
    """
    refuse_what_is_no_picture(content, path)
    if is_heic(content):
        _learn_heic(path)
    with _without_warnings():  # of Pillow's: our errors say what matters
        color, alpha, notices = _decode(content, path)
    check_size(color.shape, str(path))
    alpha = None if alpha is None or alpha.min() == 1 else np.ascontiguousarray(alpha)
    return np.ascontiguousarray(color), alpha, notices


def _learn_heic(path: Path) -> None:
    """Raises InputError unless pillow-heif is there, which Pillow reads it with."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        advice = "pip install pillow-heif reads it, or convert it to JPEG"
        raise InputError(f"Expected an image. Received HEIC; {advice}: {path}") from None
    register_heif_opener()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """One thread at a time: which warnings are shown is the whole process's."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(content: bytes, path: Path) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Colours, alpha or None, and what was not taken as it stands."""
    notices: list[str] = []
    tiff = read_tags(content)
    if tiff is not None:
        tiff.check(path)
        check_size(tiff.shape, str(path))
        decoded = _decode_deep_tiff(content, tiff, path, notices) if tiff.is_deep else None
        if decoded is not None:
            return *decoded, notices
    opened = _open(content, path, notices)
    orientation = _orientation(opened, notices)
    profile = opened.info.get("icc_profile")
    deeper = _deeper(content, opened, orientation) if _may_be_deep(opened, content) else None
    if deeper is not None:
        color, alpha = _in_srgb(deeper[0], profile, notices), deeper[1]
    else:
        color, alpha = _pixels(opened, profile, notices)
        color, alpha = _oriented(color, orientation), None if alpha is None else _oriented(alpha, orientation)
    if tiff is not None and not tiff.has_alpha:
        alpha = None
    if not profile and says_adobe_rgb(opened):
        color = from_adobe_rgb(color)
        notices.append(f"{CONVERTED} from Adobe RGB, as its EXIF data say")
    return color, alpha, notices


def _may_be_deep(image: Image.Image, content: bytes) -> bool:
    """Whether there may be 16 bits where Pillow has 8; TIFFs are another matter."""
    return image.format in ("PPM", "JPEG2000") or (image.format == "PNG" and content[24] == 16)


def _open(content: bytes, path: Path, notices: list[str]) -> Image.Image:
    """Pillow's image, as stored, with its pixels."""
    try:
        Image.init()  # knows its plug-ins then, HEIF's too where that is installed
        image = Image.open(io.BytesIO(content), formats=[kind for kind in FORMATS if kind in Image.OPEN])
        check_size(image.size[::-1], str(path))
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a telephone's has previews behind
        with silent_stderr():  # where libtiff complains
            image.load()
        if image.format == "PNG" and image.mode == "L" and "transparency" in image.info:
            # The grey that stands for transparent: Pillow leaves it in the file's own 2, 4 or 8 bits.
            image.info["transparency"] *= 255 // (2 ** content[24] - 1)
    except Image.DecompressionBombError as error:
        raise InputError(f"Expected an image of at most {MAXIMUM_PIXELS // 10**6} megapixels: {path}") from error
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever damaged bytes lead them to
        bare = _without_texts(content)
        if len(bare) < len(content):
            return _open(bare, path, notices)
        raise InputError(f"Not an image, or a damaged one: {path}") from error
    if frames > 1:
        notices.append(f"the first of its {frames} pictures is used")
    return image


def _without_texts(content: bytes) -> bytes:
    """A PNG without its chunks of text, which Pillow refuses where they are long; another file as it is."""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        return content
    kept, at = [content[:8]], 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] not in (b"tEXt", b"zTXt", b"iTXt"):
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def _orientation(image: Image.Image, notices: list[str]) -> int:
    """EXIF's orientation, 1 to 8, of what Pillow has not yet turned."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever damaged bytes lead Pillow to
        notices.append("its EXIF data are damaged, and are ignored")
        return 1
    return found if found in range(1, 9) else 1


def _pixels(image: Image.Image, profile: bytes | None, notices: list[str]) -> Decoded:
    """Pillow's image as colours and alpha."""
    if image.mode.startswith("I"):  # 16 bits of grey
        values, key = np.asarray(image), image.info.get("transparency")
        alpha = None if key is None else (values != key).astype(np.float32)
        grey = to_shares(np.clip(values, 0, 65535).astype(np.uint16))
        return _in_srgb(np.repeat(grey[..., None], 3, axis=2), profile, notices), alpha
    alpha = None
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = to_shares(np.asarray(image.getchannel("A")))
        image = image.convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image, profile = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image, None
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    converted, notice = to_srgb(image, profile)
    notices += [notice] if notice else []
    return (to_shares(np.asarray(image.convert("RGB"))) if converted is None else converted), alpha


def _in_srgb(color: np.ndarray, profile: bytes | None, notices: list[str]) -> np.ndarray:
    """Deeper colours, converted with 8 bits if their profile says that they are not sRGB."""
    converted, notice = to_srgb(Image.fromarray(to_bytes(color)), profile) if profile else (None, "")
    notices += [notice] if notice else []
    return color if converted is None else converted


def _decode_deep_tiff(content: bytes, tiff: Tiff, path: Path, notices: list[str]) -> Decoded | None:
    """A TIFF of 16 bits or floats: OpenCV gives its numbers as they are stored, but upright; the tags say the rest.

    Returns:
        None if OpenCV does not know how it is compressed, and Pillow, which knows more, gives the same with 8 bits.
    """
    stored = _opencv(content)
    if stored is None and tiff.kind == UNSIGNED and tiff.photometric != WHITE_IS_0:
        return None
    expected = np.dtype(f"{'u' if tiff.kind == UNSIGNED else 'f'}{tiff.bits // 8}")
    if stored is None or stored.dtype != expected or stored[0, 0].size != tiff.channels:
        raise InputError(f"Not an image, or a damaged one: {path}")
    if not tiff.is_alone:
        notices.append("the first of its pictures is used")
    values = to_shares(stored.reshape(*stored.shape[:2], -1)).astype(np.float32, copy=False)
    expect(np.isfinite(values).all(), "finite values", f"some that are not finite: {path}")
    if tiff.photometric == WHITE_IS_0:
        values = 1 - values
    color = values[..., 2::-1] if tiff.channels > 2 else np.repeat(values, 3, axis=2)
    alpha = np.clip(values[..., 3], 0, 1) if tiff.channels == 4 and tiff.has_alpha else None
    if alpha is not None and MULTIPLIED in tiff.extra:
        color = np.divide(color, alpha[..., None], out=np.zeros_like(color), where=alpha[..., None] > 0)
    return _in_srgb(_cut(color, notices), tiff.profile, notices), alpha


def _deeper(content: bytes, image: Image.Image, orientation: int) -> Decoded | None:
    """Colours and alpha with more than 8 bits, upright, where OpenCV finds those that Pillow has in 8."""
    if image.mode not in ("RGB", "RGBA"):
        return None
    stored = _opencv(content)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] not in (3, 4):
        return None
    shallow = _oriented(np.asarray(image.convert("RGB")).astype(int), orientation)
    key = image.info.get("transparency")
    for turned in (stored, _oriented(stored, orientation)):
        color, alpha = turned[..., 2::-1], None
        if color.shape == shallow.shape and np.abs((color >> 8).astype(int) - shallow).max() <= 1:
            if key is not None:  # a colour that stands for transparent, in the file's own depth
                alpha = (color != np.array(key)).any(axis=-1).astype(np.float32)
            elif image.mode == "RGBA" and turned.shape[2] == 4:
                alpha = to_shares(turned[..., 3])
            return to_shares(color), alpha
    return None


def _opencv(content: bytes) -> np.ndarray | None:
    try:
        with silent_stderr():  # the codecs complain there about a damaged file; our error says it
            return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    except cv2.error:
        return None


def _cut(values: np.ndarray, notices: list[str]) -> np.ndarray:
    """Floats cut to [0, 1]."""
    if values.max() > 1.001 or values.min() < -0.001:
        notices.append(f"its values from {values.min():.3g} to {values.max():.3g} are cut to 0 to 1")
    return np.clip(values, 0, 1)


def _oriented(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, ...) as EXIF's orientation 1 to 8 says."""
    turns = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0)
    turned = np.rot90(image, turns)
    return np.fliplr(turned) if orientation in (2, 4, 5, 7) else turned
