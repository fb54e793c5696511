"""What is minimised: a value for each loss, which owns its numbers and makes its terms. A new style loss is one file
and one line here.
"""

from .gram import Gram
from .matched import Matched
from .neighbors import Neighbors
from .per_patch import PerPatch
from .sliced import Sliced
from .terms import StyleLoss

# By the name that `--style-loss` and reports call it.
STYLE_LOSSES: dict[str, type[StyleLoss]] = {
    "matched": Matched,
    "per_patch": PerPatch,
    "gram": Gram,
    "sliced": Sliced,
    "neighbors": Neighbors,
}
