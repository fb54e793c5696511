"""Figure 3: the structure of the paste image harmonisation network, drawn from a run."""

from reproduce.features import Extractor
from reproduce.images import resize
from reproduce.masks import feather, grow, masks_at_layers
from reproduce.settings import preset

from .drawing import save, without_trace
from .runs import Runs, weights
from .structure import draw_structure, feature_maps, working_shape


def make(runs: Runs) -> None:
    case, settings = runs.paper_case(), preset("paper", "harmonize")
    result = runs.harmonize(case, settings)
    extractor = Extractor(settings.layers, weights())
    shape = working_shape(result.report)
    loose = feather(grow(case.mask, settings.grow), settings.feather)
    masks = masks_at_layers(resize(loose, shape), settings.layers, settings.mask_mode)
    images = {"painting": case.background, "pasted": case.composite, "output": result.image}
    rows = {layer: {"mask": masks[layer]} | maps for layer, maps in feature_maps(extractor, images, shape).items()}
    figure = draw_structure(
        "Paste image harmonisation network",
        {"painting": case.background, "target: the object pasted": case.composite, "mask, grown": loose},
        extractor,
        settings,
        rows,
        result.report,
        {"output": result.image},
    )
    record = {"case": case.name, "inputs": case.hashes, "licence": runs.materials.licence}
    save(figure, runs.output / "figure_3", record | {"run": without_trace(result.report)})
