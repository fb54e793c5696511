"""What a file's numbers mean as colours: to sRGB from an ICC profile, or from Adobe RGB where only a flag says so."""

import io

import numpy as np
from PIL import Image, ImageCms

from .arrays import to_shares

CONVERTED = "converted to sRGB"
# Adobe RGB (1998), 4.3.1: both have the same white. From its linear light to that of sRGB.
FROM_ADOBE_RGB = np.array([[1.39835574, -0.39835574, 0], [0, 1, 0], [0, -0.04292899, 1.04292899]])
ADOBE_GAMMA = 2 + 51 / 256
EXIF, INTEROPERABILITY, INDEX = 0x8769, 0xA005, 1  # EXIF's tags


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[np.ndarray | None, str]:
    """Colours in sRGB by the image's own profile, with 8 bits a channel, and a sentence about it.

    Args:
        image: of mode L, RGB or CMYK.
        profile: ICC, if it has one.

    Returns:
        float32 (H, W, 3) in [0, 1]; None if there is no profile that fits, or if it means what sRGB means but for
        rounding. The sentence is empty if there is nothing to say.
    """
    if not profile:
        return None, ""
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(own).strip()
        if image.mode != "CMYK":
            image = _as_grey(image) if own.profile.xcolor_space.strip() == "GRAY" else image.convert("RGB")
        after = _converted(image, own)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None, "its colour profile is damaged or of another kind of colour, and is ignored"
    if np.abs(np.asarray(image.convert("RGB")).astype(int) - after).max() <= 1:
        return None, ""
    return to_shares(after), f"{CONVERTED} from its colour profile ({name or 'unnamed'})"


def _converted(image: Image.Image, own: ImageCms.ImageCmsProfile) -> np.ndarray:
    """uint8 (H, W, 3) in sRGB."""
    srgb = ImageCms.createProfile("sRGB")
    if image.mode != "L":
        return np.asarray(ImageCms.profileToProfile(image, own, srgb, outputMode="RGB"))
    # All levels once, without littleCMS's shortcuts, which are wrong by up to 10 levels near black.
    levels, exactly = Image.fromarray(np.arange(256, dtype=np.uint8)[None]), ImageCms.Flags.NOOPTIMIZE
    table = np.asarray(ImageCms.profileToProfile(levels, own, srgb, outputMode="RGB", flags=exactly))
    return table[0][np.asarray(image)]


def _as_grey(image: Image.Image) -> Image.Image:
    channels = np.asarray(image.convert("RGB"))
    if (channels != channels[..., :1]).any():
        raise ValueError("a profile of grey for a picture in colours")
    return image.convert("L")


def says_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF data say Adobe RGB, as cameras write that may leave the profile out (DCF 2.0, option R03)."""
    try:
        return str(image.getexif().get_ifd(INTEROPERABILITY).get(INDEX, "")).startswith("R03")
    except Exception:  # whatever damaged bytes lead Pillow to
        return False


def from_adobe_rgb(color: np.ndarray) -> np.ndarray:
    """sRGB of Adobe RGB (H, W, 3) in [0, 1], clipped where there is no such sRGB."""
    linear = np.clip(color.astype(np.float64) ** ADOBE_GAMMA @ FROM_ADOBE_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return encoded.astype(np.float32)
