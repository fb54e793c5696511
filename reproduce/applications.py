"""The paper's three applications: stylize (3.2), restyle_region (4.2.1) and harmonize (3.3, 4.2.2)."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from .architecture import stride
from .features import Extractor, blank_image
from .images import MAXIMUM_PIXELS, check_image, check_same_size, resize, scaled_shape, size_text
from .masks import check_mask, feather, grow
from .objective import Objective, Problem
from .optimize import STOPPED_BY_USER, Outcome, minimize
from .refine import content_share, match_grain, recolor, smooth_colors
from .regions import blend, order_corners, put_back, quadrilateral_mask, straighten
from .report import array_sha256, environment, peak_memory, reset_peak_memory
from .settings import PAPER, PAPER_BASE, Settings
from .weights import Weights, find_weights


@dataclass(frozen=True)
class Result:
    """An image, float32 (H, W, 3), RGB in [0, 1], of the input's size, and the report on how it came about."""

    image: np.ndarray
    report: dict


@dataclass(frozen=True)
class Progress:
    """Where a run is: `done` of `total` steps of a stage.

    While optimising, steps are iterations, `loss` is the value reached, `image()` makes the full-size result so far.
    """

    stage: str
    done: float
    total: float
    loss: float | None = None
    image: Callable[[], np.ndarray] | None = None


OnProgress = Callable[[Progress], None]


def _silent(progress: Progress) -> None:
    pass


def stylize(
    content: np.ndarray,
    style: np.ndarray,
    settings: Settings = PAPER_BASE,
    *,
    weights: Weights | None = None,
    on_progress: OnProgress = _silent,
) -> Result:
    """Paint the content image in the style of another (paper 3.2; with `GATYS`, Gatys et al. 2016).

    Args:
        content, style: (H, W, 3), RGB in [0, 1], of any two sizes.
        settings: of the method; `feather` and `grow` have no meaning here.
        weights: from `find_weights`, which is called if None.
        on_progress: called at every step.

    Returns:
        The result, of the content image's size.

    Raises:
        ValueError: an input is not an image, or too small.
    """
    content, style = check_image(content, "the content image"), check_image(style, "the style image")
    sized = resize(style, _style_shape(style.shape, content.shape, settings))
    run = _Run("stylize", {"content": content, "style": style}, settings, weights, on_progress)
    height, width = content.shape[:2]
    framed = _to_whole_cells(content, settings)
    mask = np.ones(framed.shape[:2], np.float32)

    def finish(image):
        image = smooth_colors(image[:height, :width], settings.smooth_colors)
        return weaken(image, content, settings.strength)

    return run.solve(framed, sized, mask, finish)


def harmonize(
    background: np.ndarray,
    composite: np.ndarray,
    mask: np.ndarray,
    settings: Settings = PAPER,
    *,
    weights: Weights | None = None,
    on_progress: OnProgress = _silent,
) -> Result:
    """Make an object pasted into a painting look painted; the painting itself stays as it is (paper 3.3).

    Args:
        background: (H, W, 3), RGB in [0, 1]: the painting.
        composite: (H, W, 3): the painting with the object pasted.
        mask: (H, W) in [0, 1], 1 on the object.
        settings: of the method.
        weights: from `find_weights`, which is called if None.
        on_progress: called at every step.

    Returns:
        The result, of the inputs' size: outside the feathered mask the background bit for bit.

    Raises:
        ValueError: an input is no image or mask, sizes differ, or the mask is empty or full.
    """
    background, composite = check_image(background, "the background"), check_image(composite, "the composite")
    check_same_size(background, composite, ("background", "composite"))
    check_same_size(background, mask, ("background", "mask"))
    mask = check_mask(mask)
    inputs = {"background": background, "composite": composite, "mask": mask}
    _check_working_sizes({"background": background.shape}, settings)
    if settings.adapt_content:
        weight = settings.content_weight * content_share(background)
        settings = replace(settings, content_weight=weight, adapt_content=False)  # so the report says what was used
    run = _Run("harmonize", inputs, settings, weights, on_progress)
    alpha = feather(mask, settings.feather)
    loose = feather(grow(mask, settings.grow), settings.feather)
    content = np.where(loose[..., None] > 0, composite, background)
    naive = np.where(alpha[..., None] > 0, composite, background)

    def finish(image):
        image = smooth_colors(image, settings.smooth_colors)
        image = match_grain(image, background, alpha > 0.99, loose == 0) if settings.match_grain else image
        return weaken(blend(image, background, alpha), naive, settings.strength)

    return run.solve(content, background, loose, finish)


def restyle_region(
    image: np.ndarray,
    style: np.ndarray,
    corners: Sequence[tuple[float, float]],
    settings: Settings = PAPER_BASE,
    *,
    background_style: np.ndarray | None = None,
    weights: Weights | None = None,
    on_progress: OnProgress = _silent,
) -> Result:
    """Paint one quadrilateral of an image, such as a screen, in another style (paper 4.2.1).

    The quadrilateral is straightened, stylised on its own, and put back with a feathered edge.

    Args:
        image, style: (H, W, 3), RGB in [0, 1].
        corners: four points (x, y) in the image, in any order, of a convex quadrilateral.
        settings: of the method.
        background_style: an image whose style the rest takes; None leaves the rest bit for bit.
        weights: from `find_weights`, which is called if None.
        on_progress: called at every step.

    Raises:
        ValueError: an input is not an image, or the corners are none (see `order_corners`).
    """
    image = check_image(image, "the image")
    corners = order_corners(corners, image.shape[:2])
    region = check_image(straighten(image, corners), "the straightened region")
    if background_style is not None:  # said now, not after the region's work
        background_style = check_image(background_style, "the background's style image")
        _style_shape(background_style.shape, image.shape, settings)
    alpha = feather(quadrilateral_mask(corners, image.shape[:2]), settings.feather)
    weights = weights or find_weights()
    shown = _showing(on_progress, lambda painted: put_back(painted, image, corners, alpha))
    restyled = stylize(region, style, settings, weights=weights, on_progress=shown)
    report = restyled.report | {"application": "restyle-region", "corners": corners.tolist()}
    report["inputs"] = {"image": array_sha256(image), "style": restyled.report["inputs"]["style"]}
    report["size"] = report["size"] | {"input": list(image.shape[1::-1]), "region": report["size"]["input"]}
    if background_style is not None and not report["interrupted"]:
        shown = _showing(on_progress, lambda painted: put_back(restyled.image, painted, corners, alpha))
        try:
            rest = stylize(image, background_style, settings, weights=weights, on_progress=shown)
        except KeyboardInterrupt:  # before there was anything of the background: the region is kept
            report["interrupted"] = True
        else:
            image, report["background"] = rest.image, rest.report
            report["interrupted"] = rest.report["interrupted"]
            report["inputs"]["background_style"] = rest.report["inputs"]["style"]
    return Result(put_back(restyled.image, image, corners, alpha), report)


def _showing(on_progress: OnProgress, finish: Callable[[np.ndarray], np.ndarray]) -> OnProgress:
    """`on_progress`, told of a part's run as one of the whole: `finish` makes the whole image of the part's."""

    def shown(progress):
        image = progress.image and (lambda: finish(progress.image()))
        on_progress(replace(progress, image=image))

    return shown


def _style_shape(style: tuple[int, ...], content: tuple[int, ...], settings: Settings) -> tuple[int, int]:
    """(height, width) of a style image whose longer side is a share of the content's.

    Raises:
        ValueError: either image is too small to be worked on, or the style image would be huge.
    """
    shape = scaled_shape(style, max(content[:2]) * settings.style_scale / max(style[:2]))
    if shape[0] * shape[1] > MAXIMUM_PIXELS:
        raise ValueError(f"Expected a style image of at most {MAXIMUM_PIXELS // 10**6} megapixels at style_scale "
                         f"{settings.style_scale:g}. Received: {size_text(shape)}")  # fmt: skip
    _check_working_sizes({"content": content, "style": shape}, settings)
    return shape


def _check_working_sizes(shapes: dict[str, tuple[int, ...]], settings: Settings) -> None:
    """Raises ValueError for an image that has no whole cell of the deepest layer at the coarsest scale."""
    smallest, (scale, _) = stride(settings.layers[-1]), settings.stages[0]
    for name, shape in shapes.items():
        working = scaled_shape(shape, scale)
        if min(working) < smallest:
            raise ValueError(f"Expected a working {name} image of at least {smallest} pixels on each side. "
                             f"Received: {size_text(working)} at scale {scale:g}")  # fmt: skip


def _to_whole_cells(image: np.ndarray, settings: Settings) -> np.ndarray:
    """The image with some of itself reflected at the bottom and at the right, so that poolings drop nothing of it.

    What they drop has next to no features: it would stay as it was at the start, a grey strip where that was blank.
    """
    cell, (coarsest, _) = stride(settings.layers[-1]), settings.stages[0]
    # The shortest length that is a whole number of cells at the coarsest scale, and so, doubled, at every finer one.
    bottom, right = (
        round(cell * math.ceil(length * coarsest / cell - 1e-9) / coarsest) - length for length in image.shape[:2]
    )
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)


def weaken(result: np.ndarray, original: np.ndarray, strength: float) -> np.ndarray:
    """The result at strength 1, the original at 0, a mixture between; where both are the same they stay so."""
    mixture = np.float32(strength) * result + np.float32(1 - strength) * original
    return np.where(result == original, original, mixture)


class _Run:
    """One optimisation from full-size images to a full-size result, with its report."""

    def __init__(self, application: str, inputs: dict[str, np.ndarray], settings: Settings, weights, on_progress):
        reset_peak_memory()
        self.began = time.perf_counter()
        self.application, self.settings, self.on_progress = application, settings, on_progress
        self.inputs = {name: array_sha256(array) for name, array in inputs.items()}
        self.weights = weights or find_weights()
        self.extractor = _extractor(settings.layers, self.weights, settings.pooling)

    def solve(self, content: np.ndarray, style: np.ndarray, mask: np.ndarray, finish: Callable) -> Result:
        """Optimise `content` under `mask`, in stages; `finish` turns the enlarged working image into the result.

        All images are full-size; each stage works at its own scale and starts where the one before ended. The result
        has the size that `finish` gives it.
        """
        full, image, outcomes = content.shape[:2], None, []
        for scale, iterations in self.settings.stages:
            shape = scaled_shape(full, scale)
            # A further stage at the same scale is there to match again, on what has been reached.
            again = image is not None and image.shape[:2] == shape
            if not again:
                target, working_mask = resize(content, shape), resize(mask, shape)
                working_style = resize(style, scaled_shape(style.shape, scale))
                start = self._start(content, style, shape) if image is None else resize(image, shape)
                if self.settings.recolor and image is not None:
                    recolored, start = recolor(image, target, self.settings.smooth_colors)
                    target = np.where(working_mask[..., None] > 0, recolored, target)
            working = Problem(
                content=target,
                style=working_style,
                start=image if again else start,
                mask=working_mask,
                query=image if again else None,
            )
            try:
                objective = Objective(working, self.extractor, self.settings, self._report_share)
                outcome = self._minimize(objective, iterations, lambda x, o=objective: finish(resize(o.image(x), full)))
            except KeyboardInterrupt:  # before this stage's first evaluation: what the last one reached is kept
                if not outcomes:
                    raise
                outcomes[-1] = outcomes[-1]._replace(stop_reason=STOPPED_BY_USER, interrupted=True)
                break
            outcomes.append(outcome)
            image = objective.image(outcome.x)
            if outcome.interrupted:
                break
        try:
            result = finish(resize(image, full))
        except KeyboardInterrupt:  # the work is done: what little is left is done all the same
            result = finish(resize(image, full))
            outcomes[-1] = outcomes[-1]._replace(interrupted=True)
        return Result(result, self._report(result.shape[:2], image.shape[:2], outcomes))

    def _minimize(self, objective: Objective, iterations: int, image_at: Callable) -> Outcome:
        def on_iteration(iteration, loss, x):
            self.on_progress(Progress("optimizing", iteration, iterations, loss, lambda: image_at(x)))

        settings = self.settings
        return minimize(
            objective,
            objective.start,
            bounds=(0.0, 1.0) if settings.bounds else None,
            iterations=iterations,
            history=settings.history,
            tolerance=settings.tolerance,
            on_iteration=on_iteration,
        )

    def _start(self, content: np.ndarray, style: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The first image at (height, width) `shape` (paper 3.2: a blank image; 3.3: the target image)."""
        if self.settings.start == "noise":
            return np.random.default_rng(self.settings.seed).random((*shape, 3), np.float32)
        return {
            "content": lambda: resize(content, shape),
            "style": lambda: resize(style, shape),
            "blank": lambda: blank_image(shape),
        }[self.settings.start]()

    def _report_share(self, stage: str, share: float) -> None:
        self.on_progress(Progress(stage, share, 1.0))

    def _report(self, full: tuple[int, int], working: tuple[int, int], outcomes: list[Outcome]) -> dict:
        evaluations = sum(outcome.evaluations for outcome in outcomes)
        solving = sum(outcome.seconds for outcome in outcomes)
        trace = [{"stage": stage, **entry} for stage, outcome in enumerate(outcomes) for entry in outcome.trace]
        last = outcomes[-1].trace  # losses of other stages have other targets, and cannot be compared
        lowest = min(last, key=lambda entry: entry["loss"])
        return {
            "application": self.application,
            "settings": self.settings.as_dict(),
            "inputs": self.inputs,
            "weights": {"source": self.weights.source, "sha256": self.weights.sha256},
            "size": {"input": list(full[::-1]), "working": list(working[::-1])},
            "iterations": sum(outcome.iterations for outcome in outcomes),
            "evaluations": evaluations,
            "seconds": round(time.perf_counter() - self.began, 3),
            "seconds_per_evaluation": round(solving / evaluations, 4),
            "peak_memory_bytes": peak_memory(),
            "loss": {"initial": _loss(last[0]), "final": _loss(lowest)},
            "stop_reason": outcomes[-1].stop_reason,
            "interrupted": outcomes[-1].interrupted,
            **environment(),
            "trace": trace,
        }


def _loss(entry: dict) -> dict:
    return {"total": entry["loss"], "terms": {k: v for k, v in entry.items() if k not in ("loss", "seconds")}}


@lru_cache(maxsize=2)
def _extractor(layers: tuple[str, ...], weights: Weights, pooling: str) -> Extractor:
    return Extractor(layers, weights, pooling)
