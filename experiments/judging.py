"""The measures of `reproduce.metrics` on a case of the materials."""

from collections.abc import Callable

import numpy as np

from reproduce import metrics
from reproduce.images.arrays import to_bytes
from reproduce.images.masks import loosen
from reproduce.network.features import VGG19
from reproduce.presets import PAPER

from .materials.cases import Case


def judgement(case: Case, network: VGG19) -> Callable[[np.ndarray], dict[str, float]]:
    """A function image -> its measures, against the case's painting, naive composite and published results."""
    grown = loosen(case.mask, PAPER.mask.grow, PAPER.mask.feather)
    painting, naive = _as_file(case.background), _as_file(case.composite)
    extractor = network.extractor(metrics.LAYERS)
    judge = metrics.Judge(painting, naive, case.mask, grown, extractor, references=case.published)
    return lambda image: judge(_as_file(image))


def _as_file(image: np.ndarray) -> np.ndarray:
    """The image with 8 bits a channel, as results are kept: a drawn scene has more."""
    return to_bytes(image).astype(np.float32) / 255
