"""Figure 7: target, original style transfer network (Gatys et al. 2016), our pipeline; with details of the object.

Beside the paper's three columns a fourth: the `refined` preset.
"""

from reproduce.architecture import Rectangle
from reproduce.masks import bounding_box
from reproduce.settings import preset

from .drawing import panels, save, without_trace
from .judging import Judgement
from .runs import Runs


def make(runs: Runs) -> None:
    case = runs.paper_case()
    gatys = runs.stylize(f"{case.name}, Gatys", case.composite, case.background, preset("gatys", "stylize"))
    ours = runs.harmonize(case, preset("paper", "harmonize"))
    refined = runs.harmonize(case, preset("refined", "harmonize"))
    row = {"target": case.composite, "original style transfer network": gatys.image, "our pipeline": ours.image}
    row["refined (not in the paper)"] = refined.image
    judgement = Judgement(case)
    record = {"case": case.name, "inputs": case.hashes, "licence": runs.materials.licence}
    record["measures"] = {label: judgement(image) for label, image in row.items()}
    record["runs"] = [without_trace(result.report) for result in (gatys, ours, refined)]
    save(panels([row], [_detail(case.mask)]), runs.output / "figure_7", record)


def _detail(mask) -> Rectangle:
    """The middle of the object at half its width and height: large enough to see texture and noise."""
    box = bounding_box(mask > 0.5)
    height, width = box.shape
    return Rectangle(box.top + height // 4, box.left + width // 4, box.bottom - height // 4, box.right - width // 4)
