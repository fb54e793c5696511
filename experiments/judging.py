"""The measures of `reproduce.metrics` on a case of the materials."""

from functools import cache

import numpy as np

from reproduce import metrics
from reproduce.features import Extractor
from reproduce.images import to_bytes
from reproduce.masks import feather, grow
from reproduce.settings import PAPER

from .materials import Case
from .runs import weights


class Judgement:
    """image -> its measures, against the case's painting, naive composite and published results."""

    def __init__(self, case: Case):
        grown = feather(grow(case.mask, PAPER.grow), PAPER.feather)
        painting, naive = _as_file(case.background), _as_file(case.composite)
        self._judge = metrics.Judge(painting, naive, case.mask, grown, _extractor(), references=case.published)

    def __call__(self, image: np.ndarray) -> dict[str, float]:
        return self._judge(_as_file(image))


def _as_file(image: np.ndarray) -> np.ndarray:
    """The image with 8 bits a channel, as results are kept: a drawn scene has more."""
    return to_bytes(image).astype(np.float32) / 255


@cache
def _extractor() -> Extractor:
    return Extractor(metrics.LAYERS, weights())
