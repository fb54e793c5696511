"""The measures of `reproduce.metrics` on a case of the materials."""

from functools import cache

import numpy as np

from reproduce import metrics
from reproduce.features import Extractor
from reproduce.masks import feather, grow
from reproduce.settings import PAPER

from .materials import Case
from .runs import weights


class Judgement:
    """image -> its measures, against the case's painting, naive composite and published results."""

    def __init__(self, case: Case):
        grown = feather(grow(case.mask, PAPER.grow), PAPER.feather)
        self._judge = metrics.Judge(
            case.background, case.composite, case.mask, grown, _extractor(), references=case.published
        )

    def __call__(self, image: np.ndarray) -> dict[str, float]:
        return self._judge(image)


@cache
def _extractor() -> Extractor:
    return Extractor(metrics.LAYERS, weights())
