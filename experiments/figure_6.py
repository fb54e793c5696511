"""Figure 6: the materials of a harmonisation: background, pasted image, mask, output. DPH has the paper's shield."""

from reproduce.settings import preset

from .drawing import panels, save, without_trace
from .runs import Runs


def make(runs: Runs) -> None:
    case = runs.paper_case()
    result = runs.harmonize(case, preset("paper", "harmonize"))
    row = {"background": case.background, "pasted image": case.composite, "mask": case.mask, "output": result.image}
    record = {"case": case.name, "inputs": case.hashes, "licence": runs.materials.licence}
    save(panels([row]), runs.output / "figure_6", record | {"run": without_trace(result.report)})
