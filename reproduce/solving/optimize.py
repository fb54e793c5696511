"""L-BFGS around any function that gives a value, a gradient and the terms of the value (paper 4.1)."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import InputError
from ..stopping import Stop, Stopped
from .lbfgs import lbfgsb, lbfgsb_bytes
from .projected import projected_lbfgs, projected_lbfgs_bytes

LINE_SEARCH_STEPS = 20  # SciPy's default, stated because the limit on evaluations follows from it
STOPPED_BY_USER = "STOPPED BY THE USER"


class Minimizer(NamedTuple):
    """An L-BFGS: what minimises, and its memory in bytes, of (variables, gradients that are remembered)."""

    minimize: Callable[..., str]
    memory_bytes: Callable[[int, int], float]


# By the precision that they are there for.
SOLVERS = {"float64": Minimizer(lbfgsb, lbfgsb_bytes), "float32": Minimizer(projected_lbfgs, projected_lbfgs_bytes)}


class Outcome(NamedTuple):
    """How an optimisation went.

    Attributes:
        x: (n,), the best point seen, of the start's type.
        iterations, evaluations: of the solver; of the function.
        seconds: spent in all.
        stop_reason: SciPy's message, or what stopped it from outside.
        trace: for each evaluation {"loss": ..., "seconds": ..., and its terms}.
        interrupted: true if it was stopped, and could go on.
    """

    x: np.ndarray
    iterations: int
    evaluations: int
    seconds: float
    stop_reason: str
    trace: list[dict]
    interrupted: bool = False


class _NotFinite(Exception):
    """An evaluation gave NaN or infinity."""


def minimize(
    function: Callable[[np.ndarray], tuple[float, np.ndarray, dict[str, float]]],
    start: np.ndarray,
    *,
    bounds: tuple[float, float] | None,
    iterations: int,
    history: int,
    tolerance: float,
    solver_precision: str = "float64",
    stop: Stop | None = None,
    before: Outcome | None = None,
    on_iteration: Callable[[int, float, np.ndarray], None] = lambda iteration, loss, x: None,
    on_evaluation: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Minimise from `start`; a stop and values that are not finite end it with the best point so far.

    L-BFGS's memory is not kept: what goes on from `before` starts at its best point, and gathers a new one.

    Args:
        function: x (n,) -> value, gradient (n,), terms.
        start: (n,). Points that are kept are of its type, whatever the solver computes with.
        bounds: (lowest, highest) value of every variable, or None.
        iterations: of the solver, at most.
        history: gradients that the solver remembers.
        tolerance: stop when an iteration lowers the value by less than this share of the first value; 0 never does.
        solver_precision: one of SOLVERS: SciPy's L-BFGS-B, or our own, which computes in the start's precision.
        stop: asked before each evaluation.
        before: what an interrupted optimisation of the same function has reached, in place of `start`; its iterations
            count, and its trace is continued.
        on_iteration: called with the iteration's number, the value, and x.
        on_evaluation: called with what a stop would now give.

    Raises:
        InputError: the function is not finite at the start.
        Stopped: it was stopped before the first evaluation.
    """
    before = before or Outcome(start, 0, 0, 0.0, "", [])
    recorder = _Recorder(function, Stop() if stop is None else stop, before, on_evaluation)
    iterations, interrupted = iterations - before.iterations, False
    del start, before  # as large as the image

    def after_iteration(value: float, x: np.ndarray) -> None:
        recorder.iterations += 1
        on_iteration(recorder.iterations, value * recorder.scale, x)

    try:
        recorder.begin()
        if iterations == 0:
            stop_reason = "NO ITERATIONS WERE ASKED FOR"
        else:
            # Vectors are too short for OpenBLAS's threads, which wait for one another and take the network's cores.
            with threadpool_limits(1, user_api="blas"):
                stop_reason = SOLVERS[solver_precision].minimize(
                    recorder,
                    recorder.best,
                    bounds=bounds,
                    iterations=iterations,
                    evaluations=iterations * LINE_SEARCH_STEPS,
                    line_search_steps=LINE_SEARCH_STEPS,
                    history=history,
                    tolerance=tolerance,
                    after_iteration=after_iteration,
                )
    except Stopped:
        stop_reason, interrupted = STOPPED_BY_USER, True
    except _NotFinite:
        stop_reason = f"EVALUATION {len(recorder.trace) + 1} WAS NOT FINITE"
    if not recorder.trace:
        if interrupted:
            raise Stopped
        raise InputError("The loss is not finite at the start")
    return recorder.outcome(stop_reason, interrupted)


class _Recorder:
    """The function as L-BFGS wants it: scaled to 1 at the start, traced, its best point kept.

    Scaled, because SciPy compares a decrease with max(|value|, 1), which would stop small losses at once. The start is
    evaluated once for the scale; the solver's own first call gets the same answer again.
    """

    def __init__(self, function: Callable, stop: Stop, before: Outcome, on_evaluation: Callable[[Outcome], None]):
        self.function, self.stop, self.on_evaluation = function, stop, on_evaluation
        self.trace, self.iterations, self.scale = list(before.trace), before.iterations, 1.0
        self.best = before.x
        self.lowest = min((entry["loss"] for entry in self.trace), default=np.inf)
        self.began = time.perf_counter() - before.seconds
        self._start: tuple[np.ndarray, float, np.ndarray] | None = None

    def begin(self) -> None:
        start = self.best
        self._start = start, *self._evaluate(start)
        self.scale = abs(self.trace[0]["loss"]) or 1.0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if self._start is not None and np.array_equal(x, self._start[0]):
            value, gradient = self._start[1:]
            self._start = None
        else:
            value, gradient = self._evaluate(x)
        return value / self.scale, np.divide(gradient, self.scale, dtype=x.dtype)

    def _evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.stop.check()
        value, gradient, terms = self.function(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise _NotFinite
        self.trace.append({"loss": value, "seconds": round(time.perf_counter() - self.began, 3), **terms})
        if value < self.lowest:
            self.best, self.lowest = x.astype(self.best.dtype, copy=x is not self.best), value
        self.on_evaluation(self.outcome(STOPPED_BY_USER, interrupted=True))
        return value, gradient

    def outcome(self, stop_reason: str, interrupted: bool) -> Outcome:
        seconds = time.perf_counter() - self.began
        return Outcome(self.best, self.iterations, len(self.trace), seconds, stop_reason, self.trace, interrupted)
