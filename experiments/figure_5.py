"""Figure 5: pasted image harmonisation. Left the target image, right the output of the pipeline."""

from reproduce.settings import preset

from .drawing import panels, save, without_trace
from .runs import Runs

CASES = 6


def make(runs: Runs) -> None:
    settings = preset("paper", "harmonize")
    cases = runs.cases(CASES)
    results = [runs.harmonize(case, settings) for case in cases]
    pairs = [{f"{c.name}: target": c.composite, f"{c.name}: output": r.image} for c, r in zip(cases, results)]
    rows = [left | right for left, right in zip(pairs[::2], pairs[1::2])] + pairs[len(pairs) // 2 * 2 :]
    record = {c.name: {"inputs": c.hashes, "run": without_trace(r.report)} for c, r in zip(cases, results)}
    save(panels(rows), runs.output / "figure_5", {"licence": runs.materials.licence, "cases": record})
