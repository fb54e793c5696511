"""A run: one optimisation from full-size images to a full-size result, in stages, with its report."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..files import array_sha256
from ..images.arrays import resize, scaled_shape
from ..images.polish import recolor
from ..network.active import independent_parts
from ..network.backend import device, reset_peak_gpu_memory
from ..network.features import VGG19, Extractor, blank_image
from ..network.weights import find_weights
from ..settings import Settings
from ..stopping import Stop, Stopped
from .checkpoint import Checkpoint
from .memory import PAINTING_BYTES, Canvas, Fit, fit, give_back_memory, memory_limits
from .objective import Objective, Problem, Style
from .optimize import STOPPED_BY_USER, Outcome, minimize
from .report import Report, commit, peak_memory, reset_peak_memory, versions
from .strips import Cutting

Shape = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Result:
    """An image, float32 (H, W, 3), RGB in [0, 1], of the input's size, and the report on how it came about.

    Where the content of `stylize` had a fourth channel, how opaque it is, the image has that too. `steps` are images on
    the way to it, by name, in an application that has some.
    """

    image: np.ndarray
    report: Report
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Where a run is: `done` of `total` steps of a stage.

    While optimising, steps are iterations, `loss` is the value reached, `image()` makes the full-size result so far,
    and `share` is how much of the work of all stages is done, by the pixels that they have. Before that, each `notice`
    of what a user should know comes by itself.
    """

    stage: str
    done: float
    total: float
    loss: float | None = None
    image: Callable[[], np.ndarray] | None = None
    notice: str = ""
    share: float | None = None


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """An `on_progress` that tells nobody."""


@dataclass(frozen=True)
class Stage:
    """One optimisation of a run; it starts where the one before ended.

    Attributes:
        scale: working size as a share of the input's.
        iterations: at most.
        rematch: true if it is there to match again, at the same scale, on what has been reached.
    """

    scale: float
    iterations: int
    rematch: bool = False


def stages(settings: Settings) -> list[Stage]:
    """The optimisations that a run is made of: coarser scales first; the last may be cut, to match again in between."""
    scale, solver = settings.image.scale, settings.solver
    coarse = [Stage(scale / 2**level, solver.iterations) for level in range(solver.coarse_to_fine, 0, -1)]
    first, *others = settings.style.pieces(solver.iterations)
    return [*coarse, Stage(scale, first), *(Stage(scale, piece, rematch=True) for piece in others)]


@dataclass(frozen=True)
class Task:
    """What an application asks of a run. Images and masks are full-size.

    Attributes:
        application: its name, for the report.
        inputs: name -> array as the user gave it, for the report.
        content: (H, W, 3), the image that is optimised.
        styles: images whose styles are wanted, each with how much the pixels count for it, (H, W).
        mask: (H, W), how much each pixel counts in the content loss; where it is above 0, pixels are free.
        finish: makes the result of the enlarged working image (H, W, 3); it may have another size.
        notices: what the user should know before the work, a sentence each.
        bytes_per_pixel: of the full-size images and masks that are held for each pixel of them.
    """

    application: str
    inputs: dict[str, np.ndarray]
    content: np.ndarray
    styles: tuple[Style, ...]
    mask: np.ndarray
    finish: Callable[[np.ndarray], np.ndarray]
    notices: tuple[str, ...] = ()
    bytes_per_pixel: float = PAINTING_BYTES


def solve(
    task: Task,
    settings: Settings,
    network: VGG19 | None,
    stop: Stop | None,
    on_progress: OnProgress,
    checkpoint: Checkpoint | None = None,
    memory: float | None = None,
) -> Result:
    """Optimise in stages; if stopped, what the last finished evaluation has reached is the result.

    Args:
        memory: gigabytes that the process may hold; None: what is free, less a reserve.

    Raises:
        InputError: the checkpoint is another run's.
        TooLarge: it cannot be done within that memory.
        Stopped: it was stopped before the first evaluation.
    """
    stop = Stop() if stop is None else stop  # one that is not set is false
    checkpoint = checkpoint or Checkpoint()
    try:
        return _solve(task, settings, network, stop, on_progress, checkpoint, memory)
    finally:
        if stop:
            checkpoint.write()


def _solve(
    task: Task,
    settings: Settings,
    network: VGG19 | None,
    stop: Stop,
    on_progress: OnProgress,
    checkpoint: Checkpoint,
    memory: float | None,
) -> Result:
    reset_peak_memory()
    reset_peak_gpu_memory()
    began, network = time.perf_counter(), network or VGG19(find_weights())
    inputs = {name: array_sha256(array) for name, array in task.inputs.items()}
    before = checkpoint.begin(_made_of(task, inputs, settings, network))
    began -= sum(outcome.seconds for outcome in before)
    fitting = _fit(task, settings, memory)
    notices = [*task.notices, *_notices(fitting, settings)]
    settings = fitting.settings  # so the report says what was done
    if before:
        done = sum(outcome.iterations for outcome in before)
        notices.append(f"went on after {done} iterations of a run that had been cut off")
    for notice in notices:
        on_progress(Progress("starting", 0.0, 1.0, notice=notice))
    extractor = network.extractor(settings.layers, settings.network.pooling, settings.network.precision)
    full = task.content.shape[:2]
    reached: np.ndarray | None = None
    problem: Problem | None = None
    outcomes: list[Outcome] = []
    planned = stages(settings)
    optimizer = _Optimizer(task, settings, planned, extractor, stop, on_progress, checkpoint, fitting.cutting)
    for number, stage in enumerate(planned):
        if problem is None or reached is None or not stage.rematch:
            problem = _problem(task, settings, scaled_shape(full, stage.scale), stage.scale, reached)
        else:
            problem = _matched_again(problem, reached)
        outcome = before[number] if number < len(before) else None
        if outcome is None or outcome.interrupted:
            try:
                outcome = optimizer.outcome(problem, number, outcome)
            except Stopped:  # before this stage's first evaluation: what the last one reached is kept
                if not outcomes:
                    raise
                outcomes[-1] = outcomes[-1]._replace(stop_reason=STOPPED_BY_USER, interrupted=True)
                break
        outcomes.append(outcome)
        reached = problem.image(outcome.x)
        if outcome.interrupted:
            break
    assert reached is not None  # there is always a stage
    result = task.finish(resize(reached, full))
    size = {"input": list(result.shape[1::-1]), "working": list(reached.shape[1::-1])}
    return Result(result, _report(task, settings, network, inputs, notices, size, outcomes, began))


def _made_of(task: Task, inputs: dict[str, str], settings: Settings, network: VGG19) -> dict[str, Any]:
    """All that an optimisation depends on."""
    weights, blend = network.origin["sha256"], [style.weight for style in task.styles]
    return {"application": task.application, **inputs, "blend": blend, **settings.as_dict(), "weights": weights}


def _with_share(on_progress: OnProgress, planned: list[Stage], number: int) -> OnProgress:
    """`on_progress`, told by a stage's iterations how much of the whole run is done."""
    works = [stage.iterations * stage.scale**2 for stage in planned]
    before, whole = sum(works[:number]), sum(works) or 1.0

    def shown(progress: Progress) -> None:
        if progress.loss is not None:
            done = before + works[number] * progress.done / progress.total
            progress = replace(progress, share=done / whole)
        on_progress(progress)

    return shown


def _fit(task: Task, settings: Settings, memory: float | None) -> Fit:
    """How the last stage, which is the largest, stays within a limit of memory."""
    full = task.content.shape[:2]
    shape = scaled_shape(full, stages(settings)[-1].scale)
    free = resize(task.mask, shape) > 0
    if not free.any():  # which the objective refuses
        return Fit(0.0, None, 1, settings)
    parts = independent_parts(free, settings.layers, settings.style.halo)
    return fit(memory_limits(memory), Canvas(full[0] * full[1], task.bytes_per_pixel), parts, shape, settings)


def _notices(fitting: Fit, settings: Settings) -> tuple[str, ...]:
    """What is done otherwise than without a limit of memory."""
    asked, done, said = settings.solver, fitting.settings.solver, []
    if fitting.cutting is not None:
        said.append(f"for memory, the image goes through the network in {fitting.strips} strips")
    if done.solver_precision != asked.solver_precision:
        said.append("for memory, L-BFGS is our own in single precision, not SciPy's in double")
    if done.history != asked.history:
        said.append(f"for memory, L-BFGS remembers {done.history} gradients, not {asked.history}")
    return tuple(said)


def _problem(task: Task, settings: Settings, shape: Shape, scale: float, reached: np.ndarray | None) -> Problem:
    """The problem of a stage at a new scale, which starts at what a coarser one has reached."""
    content, mask = resize(task.content, shape), resize(task.mask, shape)
    styles = tuple(
        Style(
            resize(style.image, scaled_shape(style.image.shape, scale)),
            mask if style.mask is task.mask else resize(style.mask, shape),
            style.weight,
        )
        for style in task.styles
    )
    start = _start(task, settings, shape) if reached is None else resize(reached, shape)
    if settings.polish.recolor and reached is not None:
        recolored, start = recolor(reached, content, settings.polish.smooth_colors)
        content = np.where(mask[..., None] > 0, recolored, content)
    return Problem(content, styles, start, mask, free=mask > 0)


def _matched_again(problem: Problem, reached: np.ndarray) -> Problem:
    return Problem(problem.content, problem.styles, reached, problem.mask, problem.free, query=reached)


def _start(task: Task, settings: Settings, shape: Shape) -> np.ndarray:
    """The first image at (height, width) `shape` (paper 3.2: a blank image; 3.3: the target image)."""
    kind = settings.image.start
    if kind == "noise":
        return np.random.default_rng(settings.solver.seed).random((*shape, 3), np.float32)
    if kind == "blank":
        return blank_image(shape)
    return resize(task.content if kind == "content" else task.styles[0].image, shape)


@dataclass(frozen=True)
class _Optimizer:
    """Does the optimisations of a run, tells of them, and keeps what they reach."""

    task: Task
    settings: Settings
    stages: list[Stage]
    extractor: Extractor
    stop: Stop
    on_progress: OnProgress
    checkpoint: Checkpoint
    cutting: Cutting | None

    def outcome(self, problem: Problem, number: int, before: Outcome | None) -> Outcome:
        """How the optimisation of a stage went; it goes on from what it had reached before.

        Raises:
            Stopped: it was stopped before its first evaluation.
        """
        stage, on_progress = self.stages[number], _with_share(self.on_progress, self.stages, number)

        def on_share(name: str, share: float) -> None:
            self.stop.check()
            self.checkpoint.write_if_due()
            on_progress(Progress(name, share, 1.0))

        def on_iteration(iteration: int, loss: float, x: np.ndarray) -> None:
            def image() -> np.ndarray:
                return self.task.finish(resize(problem.image(x), self.task.content.shape[:2]))

            on_progress(Progress("optimizing", iteration, iterations, loss, image))

        iterations, solver = stage.iterations, self.settings.solver
        if before is not None:  # the solver's memory is lost, and takes so many to be gathered anew
            iterations += min(solver.history, before.iterations)
        keep = partial(self.checkpoint.keep, number, in_place=stage.rematch)
        try:
            objective = Objective(problem, self.extractor, self.settings, on_share, self.cutting)
        except Stopped:
            if before is None:
                raise
            return before
        give_back_memory()
        outcome = minimize(
            objective,
            objective.start,
            bounds=(0.0, 1.0) if solver.bounds else None,
            iterations=iterations,
            history=solver.history,
            solver_precision=solver.solver_precision,
            tolerance=solver.tolerance,
            stop=self.stop,
            before=before,
            on_iteration=on_iteration,
            on_evaluation=keep,
        )
        keep(outcome)
        del objective
        gc.collect()  # compiled functions refer to themselves, and hold all its targets
        give_back_memory()
        return outcome


def _report(
    task: Task,
    settings: Settings,
    network: VGG19,
    inputs: dict[str, str],
    notices: list[str],
    size: dict[str, list[int]],
    outcomes: list[Outcome],
    began: float,
) -> Report:
    evaluations = sum(outcome.evaluations for outcome in outcomes)
    trace = [{"stage": number, **entry} for number, outcome in enumerate(outcomes) for entry in outcome.trace]
    last = outcomes[-1]  # losses of other stages have other targets, and cannot be compared
    return Report(
        application=task.application,
        settings=settings.as_dict(),
        inputs=inputs,
        weights=network.origin,
        size=size,
        iterations=sum(outcome.iterations for outcome in outcomes),
        evaluations=evaluations,
        seconds=round(time.perf_counter() - began, 3),
        seconds_per_evaluation=round(sum(outcome.seconds for outcome in outcomes) / evaluations, 4),
        peak_memory_bytes=peak_memory(),
        loss={"initial": _loss(last.trace[0]), "final": _loss(min(last.trace, key=lambda entry: entry["loss"]))},
        stop_reason=last.stop_reason,
        interrupted=last.interrupted,
        notices=notices,
        versions=versions(),
        device=device(),
        git=commit(),
        trace=trace,
    )


def _loss(entry: dict[str, float]) -> dict[str, Any]:
    return {"total": entry["loss"], "terms": {k: v for k, v in entry.items() if k not in ("loss", "seconds")}}
