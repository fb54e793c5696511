"""The demonstration: one embedded scene, harmonised with the paper's settings and with `refined`."""

from collections.abc import Iterator

from .. import methods
from ..drawing import panels, save, without_trace
from ..jobs import Job, Runs
from ..request import Request

SHOWN = {"paper's method": methods.PAPER, "refined": methods.REFINED}


def jobs(request: Request) -> Iterator[Job]:
    """A run a method."""
    case = request.first_case()
    return (method.job(request, case) for method in SHOWN.values())


def draw(request: Request, runs: Runs) -> None:
    """Painting, pasted object, results."""
    case = request.first_case()
    results = {label: method.result(request, runs, case) for label, method in SHOWN.items()}
    row = {"painting": case.background, "pasted": case.composite}
    row |= {label: result.image for label, result in results.items()}
    record = {"case": case.name, "runs": [without_trace(result.report) for result in results.values()]}
    save(panels([row]), request.output / "demo", record)
