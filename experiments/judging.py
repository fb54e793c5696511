"""The measures of `reproduce.metrics` on a case of the materials, and those of a second judge."""

from collections.abc import Callable

import numpy as np

from reproduce import metrics
from reproduce.images.arrays import to_bytes
from reproduce.images.masks import loosen
from reproduce.network.features import VGG19
from reproduce.presets import PAPER

from .materials.cases import Case
from .second_judge import AlexNet

STYLE_LAYERS = ("relu1", "relu2", "relu3")  # of AlexNet: about the reach of the first judge's


def judgement(case: Case, network: VGG19, alexnet: AlexNet | None = None) -> Callable[[np.ndarray], dict[str, float]]:
    """A function image -> its measures, against the case's painting, naive composite and published results.

    With AlexNet also `style_alexnet`, the distance in style as another network sees it, as a share of the naive
    composite's, and `lpips`, how different the object looks from the naive composite's.
    """
    grown = loosen(case.mask, PAPER.mask.grow, PAPER.mask.feather)
    painting, naive = _as_file(case.background), _as_file(case.composite)
    extractor = network.extractor(metrics.LAYERS)
    judge = metrics.Judge(painting, naive, case.mask, grown, extractor, references=case.published)
    if alexnet is None:
        return lambda image: judge(_as_file(image))

    def style_features(image: np.ndarray) -> dict[str, np.ndarray]:
        features = alexnet(image)
        return {layer: features[layer] for layer in STYLE_LAYERS}

    second = metrics.Judge(painting, naive, case.mask, grown, style_features)

    def both(image: np.ndarray) -> dict[str, float]:
        image = _as_file(image)
        of_second = {"style_alexnet": second(image)["style"], "lpips": alexnet.lpips(image, naive, case.mask)}
        return judge(image) | of_second

    return both


def _as_file(image: np.ndarray) -> np.ndarray:
    """The image with 8 bits a channel, as results are kept: a drawn scene has more."""
    return to_bytes(image).astype(np.float32) / 255
