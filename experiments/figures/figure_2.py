"""Figure 2: the structure of the partial style transfer network, drawn from a run; a box marks the selected area."""

from collections.abc import Iterator

import numpy as np

from reproduce.images.masks import feather
from reproduce.images.regions import quadrilateral_mask, straighten

from ..drawing import save, without_trace
from ..jobs import Job, Runs
from ..request import Request
from .figure_4 import SETTINGS, screen_job
from .structure import draw_structure, feature_maps, working_shape


def jobs(request: Request) -> Iterator[Job]:
    """The run, which is one of figure 4's too."""
    yield screen_job(request)


def draw(request: Request, runs: Runs) -> None:
    """The screen on its way through the network."""
    scene, result = request.screen(), runs.result(screen_job(request))
    image, style, corners = scene.photograph, scene.style, scene.corners
    straight = {"straightened": straighten(image, corners), "stylised": straighten(result.image, corners)}
    extractor = request.network.extractor(SETTINGS.layers, SETTINGS.network.pooling)
    shape = working_shape(result.report)
    figure = draw_structure(
        "Partial style transfer network",
        {"image; red: the selected area": _outlined(image, corners), "style image": style, **straight},
        extractor,
        SETTINGS,
        feature_maps(extractor, straight, shape),
        result.report,
        {
            "feathered edge": feather(quadrilateral_mask(corners, image.shape[:2]), SETTINGS.mask.feather),
            "realigned and put back": result.image,
        },
    )
    save(figure, request.output / "figure_2", {"corners": corners.tolist(), "run": without_trace(result.report)})


def _outlined(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    inside = quadrilateral_mask(corners, image.shape[:2])
    ring = np.clip(feather(inside, 1.0) * (1 - feather(inside, 1.0)) * 4, 0, 1)[..., None]
    return image * (1 - ring) + np.array([1, 0, 0], np.float32) * ring
