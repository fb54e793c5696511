"""Figure 1: the structure of the style transfer network, drawn from a run."""

import numpy as np

from reproduce.features import Extractor, blank_image
from reproduce.settings import preset

from .drawing import save, without_trace
from .runs import Runs, weights
from .scenes import stylize_pair
from .structure import draw_structure, feature_maps, working_shape


def make(runs: Runs) -> None:
    content, style = (runs.shrink(np.array(image)) for image in stylize_pair())
    settings = preset("paper", "stylize")
    result = runs.stylize("figure 1", content, style, settings)
    extractor = Extractor(settings.layers, weights())
    shape = working_shape(result.report)
    images = {"content": content, "style": style, "output": result.image}
    figure = draw_structure(
        "Style transfer network",
        {"content image": content, "style image": style, "blank image, the start": blank_image(shape)},
        extractor,
        settings,
        feature_maps(extractor, images, shape),
        result.report,
        {"output": result.image},
    )
    save(figure, runs.output / "figure_1", {"run": without_trace(result.report)})
