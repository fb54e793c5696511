"""keep-details: paint a whole image, but for an object whose details are to stay (paper 3.3, the whole pipeline)."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..files import array_sha256
from ..images.arrays import check_image, check_same_size
from ..images.masks import check_mask
from ..images.regions import blend
from ..network.features import VGG19
from ..network.weights import find_weights
from ..presets import PAPER, PAPER_BASE
from ..settings import Settings, change
from ..solving.checkpoint import Checkpoint
from ..solving.optimize import STOPPED_BY_USER
from ..solving.run import OnProgress, Result, silent
from ..stopping import Stop, Stopped
from .common import check_working_sizes, fit_scales, half, weaken
from .harmonize import harmonize
from .stylize import stylize


def keep_details(
    content: np.ndarray,
    style: np.ndarray,
    mask: np.ndarray,
    settings: Settings = PAPER,
    *,
    stylized: np.ndarray | None = None,
    base: Settings = PAPER_BASE,
    network: VGG19 | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress = silent,
    checkpoint: Checkpoint | None = None,
    memory: float | None = None,
) -> Result:
    """Paint an image, crop an object out of the original, paste it back, and make it look painted (paper 3.3).

    Args:
        content, style: (H, W, 3), RGB in [0, 1], of any two sizes.
        mask: (H, W) in [0, 1], 1 on the object.
        settings: of the object's optimisation, as of `harmonize`; a `strength` below 1 mixes the kept object with the
            painted image's own.
        stylized: (H, W, 3), the painted image, where there is one already.
        base: settings of the painted image, as of `stylize`.
        network: None for VGG-19 with the weights of `find_weights`.
        stop: set from elsewhere, it ends the run with what it has.
        on_progress: called at every step.
        checkpoint: keeps what the run reaches, and what an earlier run had reached.
        memory: gigabytes that the process may hold; None: what is free, less a reserve. Large images then go through
            the network in strips, with the same result.

    Returns:
        The result; its `steps` are the painted image, "stylized", that with the object, "pasted", and the "mask".

    Raises:
        InputError: an input is no image or mask, sizes differ, or the mask is empty or full.
        Stopped: it was stopped before the first evaluation.
    """
    content, style, mask = check_image(content, "the content image"), check_image(style, "the style"), check_mask(mask)
    check_same_size(content, mask, ("the content image", "the mask"))
    check_working_sizes({"content": content.shape}, fit_scales(settings, content.shape))
    inputs = {"content": array_sha256(content), "style": array_sha256(style), "mask": array_sha256(mask)}
    network = network or VGG19(find_weights())
    how: dict[str, Any] = {"network": network, "stop": stop, "checkpoint": checkpoint, "memory": memory}
    of_base = None
    if stylized is None:
        shown = half(on_progress, 0)
        painted = stylize(content, style, base, on_progress=shown, **how)
        on_progress = half(on_progress, 1)
        stylized, of_base = painted.image, painted.report
        if of_base.interrupted:
            return Result(stylized, replace(of_base, application="keep-details", inputs=inputs), {"stylized": stylized})
    else:
        stylized = check_image(stylized, "the stylized image")
        check_same_size(content, stylized, ("the content image", "the stylized image"))
        inputs["stylized"] = array_sha256(stylized)
    steps = {"stylized": stylized, "pasted": blend(content, stylized, mask), "mask": mask}
    whole = change(settings, strength=1.0)
    try:
        kept = harmonize(stylized, steps["pasted"], mask, whole, on_progress=on_progress, **how)
    except Stopped:
        if of_base is None:
            raise
        report = replace(of_base, interrupted=True, stop_reason=STOPPED_BY_USER)
        return Result(stylized, replace(report, application="keep-details", inputs=inputs), steps)
    strength = settings.polish.strength
    report = replace(
        kept.report,
        application="keep-details",
        inputs=inputs,
        settings={**kept.report.settings, "strength": strength},
        base=of_base,
    )
    return Result(weaken(kept.image, stylized, strength), report, steps)
