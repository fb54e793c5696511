"""Figure 6: the materials of a harmonisation: background, pasted image, mask, output. DPH has the paper's shield."""

from collections.abc import Iterator

from .. import methods
from ..drawing import panels, save, without_trace
from ..jobs import Job, Runs
from ..request import Request


def jobs(request: Request) -> Iterator[Job]:
    """The run."""
    yield methods.PAPER.job(request, request.paper_case())


def draw(request: Request, runs: Runs) -> None:
    """One row."""
    case = request.paper_case()
    result = methods.PAPER.result(request, runs, case)
    row = {"background": case.background, "pasted image": case.composite, "mask": case.mask, "output": result.image}
    record = {"case": case.name, "inputs": case.hashes, "licence": request.materials.licence}
    save(panels([row]), request.output / "figure_6", record | {"run": without_trace(result.report)})
