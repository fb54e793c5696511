"""Figure 2: the structure of the partial style transfer network, drawn from a run; a box marks the selected area."""

import numpy as np

from reproduce.features import Extractor
from reproduce.images import resize, scaled_shape
from reproduce.masks import feather
from reproduce.regions import order_corners, quadrilateral_mask, straighten
from reproduce.settings import preset

from .drawing import save, without_trace
from .runs import Runs, weights
from .scenes import screen_scene
from .structure import draw_structure, feature_map


def make(runs: Runs) -> None:
    scene, settings = screen_scene(), preset("paper", "restyle-region")
    image, style = runs.shrink(scene.photograph), runs.shrink(scene.style)
    corners = order_corners(scene.corners * image.shape[1] / scene.photograph.shape[1], image.shape[:2])
    result = runs.restyle_region("figure 2", image, style, corners, settings)
    straight = {"straightened": straighten(image, corners), "stylised": straighten(result.image, corners)}
    extractor = Extractor(settings.layers, weights())
    shape = scaled_shape(straight["straightened"].shape, settings.scale)
    features = {label: extractor(resize(picture, shape)) for label, picture in straight.items()}
    figure = draw_structure(
        "Partial style transfer network",
        {"image; red: the selected area": _outlined(image, corners), "style image": style, **straight},
        extractor,
        shape,
        settings,
        {layer: {label: feature_map(features[label][layer]) for label in features} for layer in settings.layers},
        result.report["loss"],
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
