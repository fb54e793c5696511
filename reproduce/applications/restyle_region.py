"""restyle-region: paint one quadrilateral of an image, such as a screen, in another style (paper 4.2.1)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..files import array_sha256
from ..images.arrays import check_image
from ..images.masks import feather
from ..images.regions import order_corners, put_back, quadrilateral_mask, straighten
from ..network.features import VGG19
from ..network.weights import find_weights
from ..presets import PAPER_BASE
from ..settings import Settings
from ..solving.optimize import STOPPED_BY_USER
from ..solving.run import OnProgress, Progress, Result, silent
from ..stopping import Stop, Stopped
from .common import style_shape
from .stylize import stylize


def restyle_region(
    image: np.ndarray,
    style: np.ndarray,
    corners: Sequence[tuple[float, float]],
    settings: Settings = PAPER_BASE,
    *,
    background_style: np.ndarray | None = None,
    network: VGG19 | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress = silent,
) -> Result:
    """Paint one quadrilateral of an image, such as a screen, in another style (paper 4.2.1).

    The quadrilateral is straightened, stylised on its own, and put back with a feathered edge.

    Args:
        image, style: (H, W, 3), RGB in [0, 1].
        corners: four points (x, y) in the image, in any order, of a convex quadrilateral.
        settings: of the method.
        background_style: an image whose style the rest takes; None leaves the rest bit for bit.
        network: None for VGG-19 with the weights of `find_weights`.
        stop: set from elsewhere, it ends the run with what it has.
        on_progress: called at every step.

    Raises:
        InputError: an input is not an image, or the corners are none (see `order_corners`).
        Stopped: it was stopped before the first evaluation.
    """
    image, style = check_image(image, "the image"), check_image(style, "the style image")
    ordered = order_corners(corners, image.shape[:2])
    region = check_image(straighten(image, ordered), "the straightened region")
    if background_style is not None:  # said now, not after the region's work
        background_style = check_image(background_style, "the background's style image")
        style_shape(background_style.shape, image.shape, settings)
    alpha = feather(quadrilateral_mask(ordered, image.shape[:2]), settings.mask.feather)
    network, stop = network or VGG19(find_weights()), Stop() if stop is None else stop

    shown = _showing(on_progress, lambda painted: put_back(painted, image, ordered, alpha))
    restyled = stylize(region, style, settings, network=network, stop=stop, on_progress=shown)
    of_region = restyled.report
    report = replace(
        of_region,
        application="restyle-region",
        inputs={"image": array_sha256(image), "style": of_region.inputs["style"]},
        size={**of_region.size, "input": list(image.shape[1::-1]), "region": of_region.size["input"]},
        corners=ordered.tolist(),
    )
    rest = image
    if background_style is not None and not report.interrupted:
        shown = _showing(on_progress, lambda painted: put_back(restyled.image, painted, ordered, alpha))
        try:
            painted = stylize(image, background_style, settings, network=network, stop=stop, on_progress=shown)
        except Stopped:  # before there was anything of the background: the region is kept
            report = replace(report, interrupted=True, stop_reason=STOPPED_BY_USER)
        else:
            rest = painted.image
            report = replace(
                report,
                interrupted=painted.report.interrupted,
                inputs={**report.inputs, "background_style": painted.report.inputs["style"]},
                background=painted.report,
            )
    return Result(put_back(restyled.image, rest, ordered, alpha), report)


def _showing(on_progress: OnProgress, finish: Callable[[np.ndarray], np.ndarray]) -> OnProgress:
    """`on_progress`, told of a part's run as one of the whole: `finish` makes the whole image of the part's."""

    def shown(progress: Progress) -> None:
        part = progress.image
        on_progress(replace(progress, image=part and (lambda: finish(part()))))

    return shown
