"""stylize: paint a whole image in the style of another (paper 3.2; Gatys et al. 2016)."""

import numpy as np

from ..images.arrays import check_image, resize
from ..images.polish import smooth_colors
from ..network.features import VGG19
from ..presets import PAPER_BASE
from ..settings import Settings
from ..solving.objective import Style
from ..solving.run import OnProgress, Result, Task, silent, solve
from ..stopping import Stop
from .common import style_shape, to_whole_cells, weaken


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
        content, style: (H, W, 3), RGB in [0, 1], of any two sizes.
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
    content, style = check_image(content, "the content image"), check_image(style, "the style image")
    sized = resize(style, style_shape(style.shape, content.shape, settings))
    height, width = content.shape[:2]
    framed = to_whole_cells(content, settings)
    everywhere = np.ones(framed.shape[:2], np.float32)

    def finish(image: np.ndarray) -> np.ndarray:
        smooth = smooth_colors(image[:height, :width], settings.polish.smooth_colors)
        return weaken(smooth, content, settings.polish.strength)

    inputs = {"content": content, "style": style}
    task = Task("stylize", inputs, framed, (Style(sized, everywhere),), everywhere, finish)
    return solve(task, settings, network, stop, on_progress)
