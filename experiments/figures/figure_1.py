"""Figure 1: the structure of the style transfer network, drawn from a run."""

from collections.abc import Iterator

from reproduce.applications.registry import preset
from reproduce.network.features import blank_image

from ..drawing import save, without_trace
from ..jobs import Job, Runs
from ..request import Request
from .structure import draw_structure, feature_maps, working_shape

SETTINGS = preset("paper", "stylize")


def jobs(request: Request) -> Iterator[Job]:
    """The run."""
    yield _job(request)


def draw(request: Request, runs: Runs) -> None:
    """The photograph on its way through the network."""
    content, style = request.pair()
    result = runs.result(_job(request))
    extractor = request.network.extractor(SETTINGS.layers, SETTINGS.network.pooling)
    shape = working_shape(result.report)
    images = {"content": content, "style": style, "output": result.image}
    figure = draw_structure(
        "Style transfer network",
        {"content image": content, "style image": style, "blank image, the start": blank_image(shape)},
        extractor,
        SETTINGS,
        feature_maps(extractor, images, shape),
        result.report,
        {"output": result.image},
    )
    save(figure, request.output / "figure_1", {"run": without_trace(result.report)})


def _job(request: Request) -> Job:
    content, style = request.pair()
    return request.job("figure 1", "stylize", SETTINGS, content=content, style=style)
