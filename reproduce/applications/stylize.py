"""stylize: paint a whole image in the style of another (paper 3.2; Gatys et al. 2016)."""

import numpy as np

from ..images.arrays import check_image, is_grey, resize, split_alpha, to_grey
from ..images.polish import smooth_colors
from ..network.features import VGG19, blank_image
from ..presets import PAPER_BASE
from ..settings import Settings
from ..solving.objective import Style
from ..solving.run import OnProgress, Result, Task, silent, solve
from ..stopping import Stop
from .common import GREY, fit_scales, style_shape, to_whole_cells, weaken


def stylize(
    content: np.ndarray,
    style: np.ndarray,
    settings: Settings = PAPER_BASE,
    *,
    network: VGG19 | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress = silent,
) -> Result:
    """Paint the content image in the style of another (paper 3.2; with `GATYS`, Gatys et al. 2016).

    Args:
        content, style: (H, W, 3), RGB in [0, 1], of any two sizes. Where the content has a fourth channel, how opaque
            it is, what is transparent does not count, and the result keeps that channel.
        settings: of the method; the mask's have no meaning here.
        network: None for VGG-19 with the weights of `find_weights`.
        stop: set from elsewhere, it ends the run with what it has.
        on_progress: called at every step.

    Returns:
        The result, of the content image's size.

    Raises:
        InputError: an input is not an image, or too small.
        Stopped: it was stopped before the first evaluation.
    """
    (content, alpha), style = split_alpha(content, "the content image"), check_image(style, "the style image")
    sized = resize(style, style_shape(style.shape, content.shape, settings))
    settings = fit_scales(settings, content.shape, sized.shape)
    height, width = content.shape[:2]
    opaque = np.ones((height, width), np.float32) if alpha is None else alpha
    shown = np.where(opaque[..., None] > 0, content, blank_image((height, width)))
    framed, counts = to_whole_cells(shown, settings), to_whole_cells(opaque, settings)
    grey = is_grey(content[opaque > 0]) and is_grey(style)

    def finish(image: np.ndarray) -> np.ndarray:
        image = image[:height, :width]
        image = to_grey(image) if grey else smooth_colors(image, settings.polish.smooth_colors)
        image = weaken(image, content, settings.polish.strength)
        return image if alpha is None else np.dstack([image, alpha])

    inputs = {"content": content if alpha is None else np.dstack([content, alpha]), "style": style}
    task = Task("stylize", inputs, framed, (Style(sized, counts),), counts, finish, (GREY,) if grey else ())
    return solve(task, settings, network, stop, on_progress)
