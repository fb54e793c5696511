"""restyle-region: paint a part of an image in another style, such as a screen (paper 4.2.1), or any shape."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import expect
from ..files import array_sha256
from ..images.arrays import check_image, check_same_size, resize
from ..images.masks import bounding_box, check_mask, feather
from ..images.regions import blend, order_corners, put_back, quadrilateral_mask, straighten
from ..network.features import VGG19
from ..network.weights import find_weights
from ..presets import PAPER_BASE
from ..settings import Settings
from ..solving.checkpoint import Checkpoint
from ..solving.objective import Style
from ..solving.optimize import STOPPED_BY_USER
from ..solving.run import OnProgress, Progress, Result, silent
from ..stopping import Stop, Stopped
from .common import half, numbered, style_shape, weaken
from .painting import paint
from .stylize import stylize


def restyle_region(
    image: np.ndarray,
    style: np.ndarray,
    corners: Sequence[tuple[float, float]] | None = None,
    settings: Settings = PAPER_BASE,
    *,
    mask: np.ndarray | None = None,
    also: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    background_style: np.ndarray | None = None,
    network: VGG19 | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress = silent,
    checkpoint: Checkpoint | None = None,
    memory: float | None = None,
) -> Result:
    """Paint a part of an image in another style: a quadrilateral, such as a screen (paper 4.2.1), or any shape.

    A quadrilateral is straightened, stylised on its own, and put back with a feathered edge. A shape is painted where
    it is: only its pixels are free, and only its features count (guided Gram matrices, Gatys et al. 2017, *Controlling
    Perceptual Factors in Neural Style Transfer*, section 3.2).

    Args:
        image: (H, W, 3), RGB in [0, 1].
        style: (H, W, 3) of any size; its longer side is made that of the part.
        corners: four points (x, y) in the image, in any order, of a convex quadrilateral.
        settings: of the method.
        mask: (H, W) in [0, 1], the shape, in place of corners.
        also: more pairs of a style image and a mask, painted at once; where masks overlap, each has its share.
        background_style: an image whose style the rest takes; None leaves the rest bit for bit.
        network: None for VGG-19 with the weights of `find_weights`.
        stop: set from elsewhere, it ends the run with what it has.
        on_progress: called at every step.
        checkpoint: keeps what the run reaches, and what an earlier run had reached.
        memory: gigabytes that the process may hold; None: what is free, less a reserve. Large images then go through
            the network in strips, with the same result.

    Raises:
        InputError: an input is not an image, or the corners are none (see `order_corners`); a mask is none, is empty
            or has another size; there are both corners and a mask, or neither.
        Stopped: it was stopped before the first evaluation.
    """
    image, style = check_image(image, "the image"), check_image(style, "the style image")
    expect((corners is None) != (mask is None), "corners, or a mask", "neither" if mask is None else "both")
    expect(corners is None or not also, "other styles beside a mask, not beside corners", f"{len(also)} of them")
    if mask is not None:
        pairs = [(style, mask), *also]
        return _restyle_shapes(image, pairs, background_style, settings, network, stop, on_progress, checkpoint, memory)
    assert corners is not None
    ordered = order_corners(corners, image.shape[:2])
    region = check_image(straighten(image, ordered), "the straightened region")
    if background_style is not None:  # said now, not after the region's work
        background_style = check_image(background_style, "the background's style image")
        style_shape(background_style.shape, image.shape, settings)
    alpha = feather(quadrilateral_mask(ordered, image.shape[:2]), settings.mask.feather)
    how: dict[str, Any] = {
        "network": network or VGG19(find_weights()),
        "stop": stop,
        "checkpoint": checkpoint,
        "memory": memory,
    }

    of_part = on_progress if background_style is None else half(on_progress, 0)
    shown = _showing(of_part, lambda painted: put_back(painted, image, ordered, alpha))
    restyled = stylize(region, style, settings, on_progress=shown, **how)
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
        shown = _showing(half(on_progress, 1), lambda painted: put_back(restyled.image, painted, ordered, alpha))
        try:
            painted = stylize(image, background_style, settings, on_progress=shown, **how)
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


def _restyle_shapes(
    image: np.ndarray,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    background_style: np.ndarray | None,
    settings: Settings,
    network: VGG19 | None,
    stop: Stop | None,
    on_progress: OnProgress,
    checkpoint: Checkpoint | None,
    memory: float | None,
) -> Result:
    """Paint where masks are, in one optimisation; with a style for the rest, the whole image."""
    inputs, paintings, masks = {"image": image}, [], []
    for number, (style, mask) in enumerate(pairs, start=1):
        style, mask = check_image(style, "the style image"), check_mask(mask)
        check_same_size(image, mask, ("the image", "the mask"))
        sized = style_shape(style.shape, bounding_box(mask >= 0.5).shape, settings)
        paintings.append(resize(style, sized))
        masks.append(feather(mask, settings.mask.feather))
        inputs |= {numbered("style", number): style, numbered("mask", number): mask}
    masks = shares(masks)
    painted = np.minimum(sum(masks), 1)
    if background_style is not None:
        style = inputs["background_style"] = check_image(background_style, "the background's style image")
        paintings.append(resize(style, style_shape(style.shape, image.shape, settings)))
        masks.append(1 - painted)
        painted = np.ones_like(painted)

    def finish(result: np.ndarray) -> np.ndarray:
        return weaken(blend(result, image, painted), image, settings.polish.strength)

    styles = [Style(*pair) for pair in zip(paintings, masks) if pair[1].any()]
    how = settings, network, stop, on_progress, checkpoint, memory
    return paint("restyle-region", inputs, image, styles, painted, finish, *how)


def shares(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The masks (H, W), so that where several meet they are 1 in all at most."""
    total = np.maximum(sum(masks), 1)
    return [mask / total for mask in masks]


def _showing(on_progress: OnProgress, finish: Callable[[np.ndarray], np.ndarray]) -> OnProgress:
    """`on_progress`, told of a part's run as one of the whole: `finish` makes the whole image of the part's."""

    def shown(progress: Progress) -> None:
        part = progress.image
        on_progress(replace(progress, image=part and (lambda: finish(part()))))

    return shown
