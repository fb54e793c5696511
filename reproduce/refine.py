"""What the `refined` preset adds to the optimisation, against the weaknesses that the paper names in section 4.3.

VGG's content features know an object's own colours, and hold on to them as fine coloured noise. So colours come from
the stage before, and lightness from the object (`recolor`); what coloured noise is left is smoothed (`smooth_colors`);
and fine detail is brought to the painting's own strength (`match_grain`). All three work in CIE Lab.
"""

import cv2
import numpy as np

from .images import resize

FLAT = 4.0  # lightness (of 100): weaker edges than this do not keep colours apart
GRAIN_SIGMA = 1.0  # pixels: detail finer than this is grain
LARGEST_GAIN = 2.0  # of grain


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
    colors = guided_filter(colors, lightness, round(radius * shape[0] / reached.shape[0]), FLAT)
    return _join(fine, colors), _join(lightness + fine - coarse, colors)


def smooth_colors(image: np.ndarray, radius: int) -> np.ndarray:
    """Smooth the colours (a*, b*) of an image (H, W, 3) within `radius` pixels, but not across edges of lightness.

    With a radius of 0 the image comes back bit for bit.
    """
    if radius == 0:
        return image
    lightness, colors = _split(image)
    return _join(lightness, guided_filter(colors, lightness, radius, FLAT))


def match_grain(image: np.ndarray, painting: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Strengthen the finest lightness of an image's object until it is as strong as the painting's.

    An object whose detail is stronger stays as it is: its edges are its own, and not noise.

    Args:
        image, painting: (H, W, 3), RGB in [0, 1].
        inside, outside: bool (H, W), the object's pixels, and the painting's that it is compared with; where there are
            none of either, nothing changes.
    """
    if not (inside.any() and outside.any()):
        return image
    lightness, colors = _split(image)
    own = _grain(lightness)
    wanted, found = np.abs(_grain(_split(painting)[0]))[outside].mean(), np.abs(own)[inside].mean()
    gain = np.clip(wanted / max(found, 1e-6), 1, LARGEST_GAIN)
    return _join(lightness + (gain - 1) * own, colors)


def guided_filter(image: np.ndarray, guide: np.ndarray, radius: int, flat: float) -> np.ndarray:
    """Smooth `image` as an affine function of the guide in each window (He et al. 2013, equations 5, 6 and 8).

    Args:
        image: (H, W, K).
        guide: (H, W), whose edges are kept.
        radius: of the square windows, pixels; 0 changes nothing.
        flat: the guide's standard deviation below which a window counts as flat, and is averaged.
    """
    if radius == 0:
        return image
    shape = guide.shape

    def mean(values):
        return cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT_101).reshape(*shape, -1)

    guide = guide[..., None]
    mean_guide, mean_image = mean(guide), mean(image)
    covariance = mean(guide * image) - mean_guide * mean_image
    slope = covariance / (mean(guide * guide) - mean_guide**2 + flat**2)
    return mean(slope) * guide + mean(mean_image - slope * mean_guide)


def _grain(lightness: np.ndarray) -> np.ndarray:
    return lightness - cv2.GaussianBlur(lightness, (0, 0), GRAIN_SIGMA, borderType=cv2.BORDER_REFLECT_101)


def _split(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lightness L* (H, W) in [0, 100], and colours a* and b* (H, W, 2)."""
    lab = cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2LAB)
    return lab[..., 0], lab[..., 1:]


def _join(lightness: np.ndarray, colors: np.ndarray) -> np.ndarray:
    lab = np.dstack([lightness, colors]).astype(np.float32)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
