"""What stylize and restyle-region share: an image optimised where it counts, towards styles with a mask each."""

from collections.abc import Callable, Sequence

import numpy as np

from ..images.arrays import is_grey, to_grey
from ..images.masks import bounding_box
from ..images.polish import smooth_colors, with_colors, without_colors
from ..network.features import VGG19
from ..settings import Settings
from ..solving.checkpoint import Checkpoint
from ..solving.objective import Style
from ..solving.run import OnProgress, Result, Task, solve
from ..stopping import Stop
from .common import GREY, fit_scales, in_colors, scales_for_strokes, to_whole_cells


def paint(
    application: str,
    inputs: dict[str, np.ndarray],
    content: np.ndarray,
    styles: Sequence[Style],
    counts: np.ndarray,
    finish: Callable[[np.ndarray], np.ndarray],
    settings: Settings,
    network: VGG19 | None,
    stop: Stop | None,
    on_progress: OnProgress,
    checkpoint: Checkpoint | None,
    memory: float | None,
) -> Result:
    """Paint the content image, of any size, where it counts.

    Args:
        application, inputs: for the report.
        content: (H, W, 3), RGB in [0, 1].
        styles: of the size that their strokes are to have; masks are (H, W).
        counts: (H, W), how much each pixel counts in the content loss; where it is above 0, pixels are free.
        finish: makes the application's result of what is painted, (H, W, 3).
    """
    height, width = content.shape[:2]
    box = bounding_box(counts).shape
    shapes = [style.image.shape for style in styles]
    settings = fit_scales(scales_for_strokes(settings, shapes), box, *shapes)
    grey = is_grey(content[counts > 0]) and all(is_grey(style.image) for style in styles)
    framed = to_whole_cells(content, settings)
    if settings.image.keep_colors:
        framed = without_colors(framed)
    masks = {id(mask): to_whole_cells(mask, settings) for mask in (counts, *(style.mask for style in styles))}

    def framed_style(style: Style) -> Style:
        inside = style.mask >= min(0.5, style.mask.max())
        return Style(in_colors(style.image, content[inside], settings), masks[id(style.mask)], style.weight)

    def painted(image: np.ndarray) -> np.ndarray:
        image = image[:height, :width]
        image = to_grey(image) if grey else smooth_colors(image, settings.polish.smooth_colors)
        return finish(with_colors(image, content) if settings.image.keep_colors else image)

    framed_styles = tuple(map(framed_style, styles))
    task = Task(application, inputs, framed, framed_styles, masks[id(counts)], painted, (GREY,) if grey else ())
    return solve(task, settings, network, stop, on_progress, checkpoint, memory)
