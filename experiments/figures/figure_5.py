"""Figure 5: pasted image harmonisation. Left the target image, right the output of the pipeline."""

from collections.abc import Iterator

from .. import methods
from ..drawing import panels, save, without_trace
from ..jobs import Job, Runs
from ..request import Request

CASES = 6


def jobs(request: Request) -> Iterator[Job]:
    """A run a case."""
    return (methods.PAPER.job(request, case) for case in request.cases(CASES))


def draw(request: Request, runs: Runs) -> None:
    """Two cases a row."""
    pairs, record = [], {}
    for case in request.cases(CASES):
        result = methods.PAPER.result(request, runs, case)
        pairs.append({f"{case.name}: target": case.composite, f"{case.name}: output": result.image})
        record[case.name] = {"inputs": case.hashes, "run": without_trace(result.report)}
    rows = [left | right for left, right in zip(pairs[::2], pairs[1::2])] + pairs[len(pairs) // 2 * 2 :]
    save(panels(rows), request.output / "figure_5", {"licence": request.materials.licence, "cases": record})
