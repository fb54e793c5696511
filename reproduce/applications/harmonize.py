"""harmonize: make an object pasted into a painting look painted (paper 3.3, 4.2.2)."""

import numpy as np

from ..images.arrays import check_image, check_same_size, is_grey, to_grey
from ..images.masks import check_mask, feather, loosen
from ..images.polish import (
    borrow_detail,
    content_share,
    even_tones,
    match_grain,
    smooth_colors,
    with_colors,
    without_colors,
)
from ..images.regions import blend
from ..network.features import VGG19
from ..presets import PAPER
from ..settings import Settings, change
from ..solving.checkpoint import Checkpoint
from ..solving.memory import HARMONIZING_BYTES
from ..solving.objective import Style
from ..solving.run import OnProgress, Result, Task, silent, solve
from ..stopping import Stop
from .common import GREY, check_working_sizes, fit_scales, in_colors, weaken

MUCH = 0.6  # of a painting


def harmonize(
    background: np.ndarray,
    composite: np.ndarray,
    mask: np.ndarray,
    settings: Settings = PAPER,
    *,
    network: VGG19 | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress = silent,
    checkpoint: Checkpoint | None = None,
    memory: float | None = None,
) -> Result:
    """Make an object pasted into a painting look painted; the painting itself stays as it is (paper 3.3).

    Args:
        background: (H, W, 3), RGB in [0, 1]: the painting.
        composite: (H, W, 3): the painting with the object pasted.
        mask: (H, W) in [0, 1], 1 on the object.
        settings: of the method.
        network: None for VGG-19 with the weights of `find_weights`.
        stop: set from elsewhere, it ends the run with what it has.
        on_progress: called at every step.
        checkpoint: keeps what the run reaches, and what an earlier run had reached.
        memory: gigabytes that the process may hold; None: what is free, less a reserve. Large images then go through
            the network in strips, with the same result.

    Returns:
        The result, of the inputs' size: outside the feathered mask the background bit for bit.

    Raises:
        InputError: an input is no image or mask, sizes differ, or the mask is empty or full.
        Stopped: it was stopped before the first evaluation.
    """
    background, composite = check_image(background, "the background"), check_image(composite, "the composite")
    check_same_size(background, composite, ("background", "composite"))
    check_same_size(background, mask, ("background", "mask"))
    mask, settings = check_mask(mask), fit_scales(settings, background.shape)
    check_working_sizes({"background": background.shape}, settings)
    found: tuple[str, ...] = ()
    if settings.polish.adapt_content:
        share = content_share(background)
        weight = settings.content.content_weight * share
        # So the report says what was used.
        settings = change(settings, content_weight=weight, adapt_content=False)
        found = (f"as densely as the painting is painted, content weighs {share:.2g} times as usual: {weight:.3g}",)
    polish = settings.polish
    loose = loosen(mask, settings.mask.grow, settings.mask.feather)
    content = np.where(loose[..., None] > 0, composite, background)
    painting, keep_colors = in_colors(background, composite[mask >= 0.5], settings), settings.image.keep_colors
    content = without_colors(content) if keep_colors else content
    grey = is_grey(background) and is_grey(composite)

    def finish(image: np.ndarray) -> np.ndarray:
        image = to_grey(image) if grey else smooth_colors(image, polish.smooth_colors)
        image = even_tones(image, composite, mask, polish.even_tones)
        image = with_colors(image, composite) if keep_colors else image
        image = borrow_detail(image, background, loose > 0) if polish.borrow_detail else image
        soft = feather(mask, settings.mask.feather)
        image = match_grain(image, background, soft > 0.99, loose == 0) if polish.match_grain else image
        image = to_grey(image) if grey else image  # grain is matched in Lab, whose rounding has colours
        # Never below the mask: lines of a few pixels would fade. What lies around is optimised anyway.
        alpha = np.maximum(soft, mask)
        naive = np.where(alpha[..., None] > 0, composite, background)
        return weaken(blend(image, background, alpha), naive, polish.strength)

    inputs = {"background": background, "composite": composite, "mask": mask}
    notices = (_freedom(float((loose > 0).mean())), *found, *([GREY] if grey else []))
    task = Task("harmonize", inputs, content, (Style(painting, loose),), loose, finish, notices, HARMONIZING_BYTES)
    return solve(task, settings, network, stop, on_progress, checkpoint, memory)


def _freedom(share: float) -> str:
    """How much of the painting may change, said before the work."""
    said = f"{share:.1%} of the painting is free to change: the object and its margin"
    return f"warning: {said}; is the mask white on the object alone?" if share > MUCH else said
