"""The demonstration: one embedded scene, harmonised with the paper's settings."""

from reproduce.settings import preset

from .drawing import panels, save, without_trace
from .runs import Runs


def make(runs: Runs) -> None:
    case = runs.cases(1)[0]
    result = runs.harmonize(case, preset("paper", "harmonize"))
    row = {"painting": case.background, "pasted": case.composite, "mask": case.mask, "result": result.image}
    save(panels([row]), runs.output / "demo", {"case": case.name, "run": without_trace(result.report)})
