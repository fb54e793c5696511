"""The content loss (equation 1)."""

from dataclasses import dataclass

import numpy as np

from ..network.architecture import check_layers, feature_shape
from ..network.backend import Tensor, ops
from ..network.features import Tile
from ..options import NOT_NEGATIVE, Options, option
from .normalization import FAINTEST_TARGET, Normalization, normalized, sum_of
from .terms import Term, weighted


@dataclass(frozen=True)
class Content(Options):
    """The content loss: weight from paper 4.1."""

    content_layers: tuple[str, ...] = option(("block4_conv1",), "layers whose features carry the content")
    content_weight: float = option(0.05, "weight of the content loss", NOT_NEGATIVE)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers("content_layers", self.content_layers)

    @property
    def used(self) -> tuple[str, ...]:
        """Layers that have a term."""
        return self.content_layers if self.content_weight else ()

    def terms(
        self,
        content: list[Tile],
        masks: dict[str, list[np.ndarray]],
        shape: tuple[int, int],
        normalization: Normalization,
    ) -> dict[str, Term]:
        """Layer -> its weighted term; the layers share the weight.

        Args:
            content: of each part the content image's features at the cells that the free pixels reach.
            masks: layer -> of each part (h, w), how much each of those cells counts.
            shape: (height, width) of the whole image.
            normalization: what sums are divided by.
        """
        if not self.content_weight:
            return {}
        weight = self.content_weight / len(self.content_layers)
        return {
            layer: weighted(weight, _term(layer, content, masks[layer], shape, normalization))
            for layer in self.content_layers
        }


def _term(
    layer: str,
    content: list[Tile],
    masks: list[np.ndarray],
    shape: tuple[int, int],
    normalization: Normalization,
) -> Term:
    targets, positions = [part.without_halo(layer) for part in content], int(np.prod(feature_shape(shape, layer)))
    if normalization.content is None:  # what all targets give, not those of some cells
        own = sum(float(np.einsum("ijk,ijk,ij", t, t, m, dtype=np.float64)) for t, m in zip(targets, masks))
        normalization = normalization._replace(content=lambda positions, channels: max(own, FAINTEST_TARGET))
    return Term(
        layer,
        constants=lambda cut: (cut.of(targets), cut.of(masks)),
        summary=lambda features, target, mask: content_loss(features, target, mask, positions, normalization),
    )


def content_loss(
    features: Tensor, target: Tensor, mask: Tensor, positions: int, normalization: Normalization
) -> Tensor:
    """Equation 1, under the mask: sum m (F - T)^2 / 2; "mean": sum m (F - T)^2 / (positions C);
    "keras": sum m (F - T)^2.

    Args:
        features, target: (n, C) or (h, w, C).
        mask: (n,) or (h, w), the weight m of each position.
        positions: positions of the layer in the whole image. DPH's mean runs over all of them, inside the mask or not.
        normalization: its column `content`.
    """
    total = sum_of(ops.square(features - target) * mask[..., None])
    divide = normalization.content
    divisor = divide and divide(positions, features.shape[-1])
    return normalized(total, lambda: sum_of(ops.square(target) * mask[..., None]), divisor)
