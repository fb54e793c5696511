"""Figure 7: target, original style transfer network (Gatys et al. 2016), our pipeline; with details of the object.

Beside the paper's three columns a fourth: the `refined` preset.
"""

from collections.abc import Iterator

from reproduce.images.masks import bounding_box

from .. import methods
from ..drawing import middle, panels, save, without_trace
from ..jobs import Job, Runs
from ..judging import judgement
from ..request import Request

SHOWN = {
    "original style transfer network": methods.GATYS,
    "our pipeline": methods.PAPER,
    "refined (not in the paper)": methods.REFINED,
}


def jobs(request: Request) -> Iterator[Job]:
    """A run a method."""
    case = request.paper_case()
    return (method.job(request, case) for method in SHOWN.values())


def draw(request: Request, runs: Runs) -> None:
    """The whole images, and below each the middle of the object."""
    case = request.paper_case()
    results = {label: method.result(request, runs, case) for label, method in SHOWN.items()}
    row = {"target": case.composite} | {label: result.image for label, result in results.items()}
    judge = judgement(case, request.network)
    record = {
        "case": case.name,
        "inputs": case.hashes,
        "licence": request.materials.licence,
        "measures": {label: judge(image) for label, image in row.items()},
        "runs": [without_trace(result.report) for result in results.values()],
    }
    save(panels([row], [middle(bounding_box(case.mask > 0.5))]), request.output / "figure_7", record)
