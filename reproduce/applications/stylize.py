"""stylize: paint a whole image in the style of another, or of several (paper 3.2; Gatys et al. 2016)."""

from collections.abc import Sequence

import numpy as np

from ..errors import expect
from ..images.arrays import check_image, resize, split_alpha
from ..network.features import VGG19, blank_image
from ..presets import PAPER_BASE
from ..settings import Settings
from ..solving.checkpoint import Checkpoint
from ..solving.objective import Style
from ..solving.run import OnProgress, Result, silent
from ..stopping import Stop
from .common import numbered, style_shape, weaken
from .painting import paint


def stylize(
    content: np.ndarray,
    style: np.ndarray | Sequence[np.ndarray],
    settings: Settings = PAPER_BASE,
    *,
    blend: Sequence[float] = (),
    network: VGG19 | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress = silent,
    checkpoint: Checkpoint | None = None,
    memory: float | None = None,
) -> Result:
    """Paint the content image in the style of another (paper 3.2; with `GATYS`, Gatys et al. 2016).

    Args:
        content: (H, W, 3), RGB in [0, 1]. Where it has a fourth channel, how opaque it is, what is transparent does not
            count, and the result keeps that channel.
        style: (H, W, 3) of any size, or several, whose styles are blended.
        settings: of the method; the mask's have no meaning here.
        blend: how much each of several styles counts beside the others; none: all the same.
        network: None for VGG-19 with the weights of `find_weights`.
        stop: set from elsewhere, it ends the run with what it has.
        on_progress: called at every step.
        checkpoint: keeps what the run reaches, and what an earlier run had reached.
        memory: gigabytes that the process may hold; None: what is free, less a reserve. Large images then go through
            the network in strips, with the same result.

    Returns:
        The result, of the content image's size.

    Raises:
        InputError: an input is not an image, or too small, or `blend` has not one number for each style.
        Stopped: it was stopped before the first evaluation.
    """
    content, alpha = split_alpha(content, "the content image")
    given = [style] if isinstance(style, np.ndarray) else list(style)
    styles = [check_image(image, "the style image") for image in given]
    weights = _shares(blend, len(styles))
    paintings = [resize(image, style_shape(image.shape, content.shape, settings)) for image in styles]
    shown, opaque = content, alpha
    if opaque is None:
        opaque = np.ones(content.shape[:2], np.float32)
    else:
        shown = np.where(opaque[..., None] > 0, content, blank_image(opaque.shape))

    def finish(image: np.ndarray) -> np.ndarray:
        image = weaken(image, content, settings.polish.strength)
        return image if alpha is None else np.dstack([image, alpha])

    inputs = {"content": content if alpha is None else np.dstack([content, alpha])}
    inputs |= {numbered("style", number): image for number, image in enumerate(styles, start=1)}
    blended = [Style(painting, opaque, weight) for painting, weight in zip(paintings, weights)]
    return paint(
        "stylize", inputs, shown, blended, opaque, finish, settings, network, stop, on_progress, checkpoint, memory
    )


def _shares(blend: Sequence[float], styles: int) -> list[float]:
    """How much each of so many styles counts, 1 in all."""
    weights = np.array(blend or [1.0] * styles, np.float64)
    expect(styles > 0, "at least one style image", "none")
    expect(len(weights) == styles, f"a number of blend for each of {styles} styles", list(blend))
    expect(np.isfinite(weights).all() and (weights >= 0).all() and weights.any(),
           "numbers of blend of 0 or more, not all of them 0", list(blend))  # fmt: skip
    return list(weights / weights.sum())
