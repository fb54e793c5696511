"""A mask at the size of each layer's features (paper 3.3.1)."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from .architecture import operations_until

MODES = ("convolve", "area", "max")


def masks_at_layers(mask: np.ndarray, layers: Sequence[str], mode: str) -> dict[str, np.ndarray]:
    """Take a mask down the network, so that it has the size of each layer's features (paper 3.3.1).

    The paper halves the mask at convolutions and pools it at poolings, which cannot both fit the features; DPH, and
    `convolve` here, average 3 x 3 at convolutions and halve at poolings. At the image's border the average takes the
    nearest pixel, so that a full mask stays full (DPH averages in zeros there).

    Args:
        mask: (H, W) in [0, 1].
        layers: names of layers.
        mode: "convolve"; "area": 2 x 2 averages at poolings only; "max": 2 x 2 maxima at poolings only.

    Returns:
        Layer name -> float32 (h, w) in [0, 1], (h, w) being the layer's size.
    """
    at_layers = {}
    for operation in operations_until(tuple(layers)):
        if operation.kind == "pooling":
            mask = _halve(mask, np.max if mode == "max" else np.mean)
        elif mode == "convolve":
            # filter2D, not blur: a running sum would leave rounding errors where the mask is 0.
            mask = cv2.filter2D(mask, -1, np.full((3, 3), 1 / 9, np.float32), borderType=cv2.BORDER_REPLICATE)
        if operation.name in layers:
            at_layers[operation.name] = mask
    return at_layers


def _halve(mask: np.ndarray, reduce: Callable) -> np.ndarray:
    """2 x 2 cells to one; an odd last row or column is dropped, as the network's pooling drops it."""
    height, width = mask.shape[0] // 2, mask.shape[1] // 2
    return reduce(mask[: 2 * height, : 2 * width].reshape(height, 2, width, 2), axis=(1, 3))
