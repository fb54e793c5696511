"""Figure 3: the structure of the paste image harmonisation network, drawn from a run."""

from collections.abc import Iterator

from reproduce.images.arrays import resize
from reproduce.images.masks import loosen
from reproduce.network.mask_pyramid import masks_at_layers

from .. import methods
from ..drawing import save, without_trace
from ..jobs import Job, Runs
from ..request import Request
from .structure import draw_structure, feature_maps, working_shape


def jobs(request: Request) -> Iterator[Job]:
    """The run."""
    yield methods.PAPER.job(request, request.paper_case())


def draw(request: Request, runs: Runs) -> None:
    """The pasted object and its mask on their way through the network."""
    case, settings = request.paper_case(), methods.PAPER.settings
    result = methods.PAPER.result(request, runs, case)
    extractor = request.network.extractor(settings.layers, settings.network.pooling)
    shape = working_shape(result.report)
    loose = loosen(case.mask, settings.mask.grow, settings.mask.feather)
    masks = masks_at_layers(resize(loose, shape), settings.layers, settings.mask.mask_mode)
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
    record = {"case": case.name, "inputs": case.hashes, "licence": request.materials.licence}
    save(figure, request.output / "figure_3", record | {"run": without_trace(result.report)})
