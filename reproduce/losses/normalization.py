"""What the sums of the equations are divided by: one table, of which each loss takes its own column.

"sum" is what equations 1 to 4 print. "mean" divides as the published code of DPH does, which the paper's weights
1 : 0.05 belong to. "gatys" divides as Gatys et al. 2016. "keras" divides as Keras's own style transfer example, which
the paper's program may have grown from. "relative" divides by what the target alone gives, so that weights mean the
same at every layer and size.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..network.backend import Tensor, ops

FAINTEST_TARGET = 1e-12  # what a target gives at least, where features are all dead


class Normalization(NamedTuple):
    """The columns. A divisor is a function of what the sum runs over; None is what the target alone gives.

    Attributes:
        content: of equation 1's sum, from the layer's positions in the whole image and its channels.
        gram: of equation 2's sum, from the sum of the mask and the channels.
        distance: of equation 3's sum, from the channels and the pixels of the whole image.
        average: true if sums over patches (equation 4) and over free pixels (total variation) are averages.
        own_variation: true if the total variation is a share of the style image's own.
        shared: true if the style layers share its weight out (equations 3 and 4 sum over layers, and so does DPH).
        pixels: of the whole image, which `distance` is told.
    """

    content: Callable[[float, float], float] | None
    gram: Callable[[float, float], float]
    distance: Callable[[float, float], float] | None
    average: bool
    own_variation: bool
    shared: bool
    pixels: int = 1


NORMALIZATIONS = {
    "mean": Normalization(
        content=lambda positions, channels: positions * channels,
        gram=lambda mask, channels: mask * channels,
        distance=lambda channels, pixels: channels**2,
        average=True, own_variation=False, shared=False,
    ),
    "sum": Normalization(
        content=lambda positions, channels: 2,
        gram=lambda mask, channels: 1,
        distance=lambda channels, pixels: 1,
        average=False, own_variation=False, shared=False,
    ),
    "gatys": Normalization(
        content=lambda positions, channels: 2,
        gram=lambda mask, channels: mask,
        distance=lambda channels, pixels: 4 * channels**2,
        average=True, own_variation=False, shared=True,
    ),
    "keras": Normalization(
        content=lambda positions, channels: 1,
        gram=lambda mask, channels: 1,
        distance=lambda channels, pixels: 4 * 3**2 * pixels**2,  # 3 are the channels of the image, not the layer's
        average=False, own_variation=False, shared=True,
    ),
    "relative": Normalization(
        content=None, gram=lambda mask, channels: mask, distance=None, average=True, own_variation=True, shared=True
    ),
}  # fmt: skip


def normalization_of(name: str, shape: tuple[int, int]) -> Normalization:
    """The row `name` for a whole image of (height, width) `shape`."""
    return NORMALIZATIONS[name]._replace(pixels=shape[0] * shape[1])


def normalized(total: Tensor, of_target: Callable[[], Tensor], divisor: float | None) -> Tensor:
    """A sum over its divisor, or over what the target alone gives where there is none.

    Where features are all dead, and that is 0, it becomes a large number instead of infinity.
    """
    return total / ops.maximum(of_target(), FAINTEST_TARGET) if divisor is None else total / divisor


def sum_of(values: Tensor) -> Tensor:
    """The sum in float64: in float32 its rounding would tell L-BFGS that it had converged."""
    return ops.sum(ops.cast(values, "float64"))
