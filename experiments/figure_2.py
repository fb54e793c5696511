"""Figure 2: the structure of the partial style transfer network, drawn from a run; a box marks the selected area."""

import numpy as np

from reproduce.features import Extractor
from reproduce.masks import feather
from reproduce.regions import quadrilateral_mask, straighten
from reproduce.settings import preset

from .drawing import save, without_trace
from .runs import Runs, weights
from .structure import draw_structure, feature_maps, working_shape


def make(runs: Runs) -> None:
    scene, settings = runs.screen(), preset("paper", "restyle-region")
    image, style, corners = scene.photograph, scene.style, scene.corners
    result = runs.restyle_region("figure 2", image, style, corners, settings)
    straight = {"straightened": straighten(image, corners), "stylised": straighten(result.image, corners)}
    extractor = Extractor(settings.layers, weights())
    shape = working_shape(result.report)
    figure = draw_structure(
        "Partial style transfer network",
        {"image; red: the selected area": _outlined(image, corners), "style image": style, **straight},
        extractor,
        settings,
        feature_maps(extractor, straight, shape),
        result.report,
        {
            "feathered edge": feather(quadrilateral_mask(corners, image.shape[:2]), settings.feather),
            "realigned and put back": result.image,
        },
    )
    save(figure, runs.output / "figure_2", {"corners": corners.tolist(), "run": without_trace(result.report)})


def _outlined(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    inside = quadrilateral_mask(corners, image.shape[:2])
    ring = np.clip(feather(inside, 1.0) * (1 - feather(inside, 1.0)) * 4, 0, 1)[..., None]
    return image * (1 - ring) + np.float32([1, 0, 0]) * ring
