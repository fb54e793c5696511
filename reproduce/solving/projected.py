"""Projected L-BFGS in the precision of the point itself, for images on which SciPy's, in double, takes too much memory.

In float32 it is 24 bytes a pixel for each gradient that is remembered, and 3 x `BYTES_PER_VARIABLE` beside them: with
ten 288, where `lbfgs` takes 720. It remembers as that does (Nocedal and Wright, *Numerical Optimization*, 2006,
algorithm 7.4), but has a simpler way with bounds (Bertsekas 1982): what lies at one and would leave is held there for
an iteration, and what comes to one on the way stops at it. Steps are halved or better until the value is lower in
earnest (Armijo).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

# Beside the history, in float32: the point, its gradient, the direction, and the gradient where a step was too long.
# The next point and its gradient have a pair's place.
BYTES_PER_VARIABLE = 4 * 4
BLOCK = 2**18  # numbers that are worked on at once, so that nothing between is as large as the image
SUFFICIENT_DECREASE = 1e-4  # share of what the slope promises (Nocedal and Wright 3.1)
SHORTER = 0.1, 0.5  # how much, at most and at least, the next step of a line search is of the last


def projected_lbfgs_bytes(variables: int, history: int) -> float:
    """Memory, in float32, of an optimisation of so many variables that remembers so many gradients."""
    return variables * (8.0 * history + BYTES_PER_VARIABLE)


class _Pair(NamedTuple):
    """A step, and how much the gradient changed on it (n,); their scalar product, and the change's with itself."""

    step: np.ndarray
    change: np.ndarray
    product: float
    square: float


def projected_lbfgs(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    bounds: tuple[float, float] | None,
    iterations: int,
    evaluations: int,
    line_search_steps: int,
    history: int,
    tolerance: float,
    after_iteration: Callable[[float, np.ndarray], None],
) -> str:
    """Minimise a function of x (n,), of the start's type, which gives value and gradient; why it ended.

    Args:
        function: of a vector that it must not keep; the gradient is ours.
        start, bounds, iterations, evaluations, line_search_steps, history, tolerance, after_iteration: as of
            `lbfgs.lbfgsb`.
    """
    lowest, highest = bounds or (-np.inf, np.inf)
    point = np.clip(start, lowest, highest, dtype=start.dtype)
    del start
    value, gradient = function(point)
    pairs: list[_Pair] = []
    done, evaluated = 0, 1
    while True:
        held = ((point <= lowest) & (gradient > 0)) | ((point >= highest) & (gradient < 0))
        direction, steepest = _direction(gradient, pairs, held), not pairs
        del held
        downhill = _product(gradient, direction) < 0
        if steepest and not downhill:
            return "CONVERGENCE: NO VARIABLE CAN LOWER THE VALUE"
        if len(pairs) == history:
            del pairs[0]  # the new one's place
        length, trial = 1 / _product(direction, direction) ** 0.5 if steepest else 1.0, np.empty_like(point)
        for _ in range(line_search_steps if downhill else 0):
            _move(point, length, direction, lowest, highest, out=trial)
            expected = sum(float(gradient[at] @ (trial[at] - point[at])) for at in _blocks(point))
            if expected >= 0:  # what is cut off at the bounds was all that led downhill
                length *= SHORTER[1]
                continue
            new_value, new_gradient = function(trial)
            evaluated += 1
            if new_value <= value + SUFFICIENT_DECREASE * expected:
                break
            # To where a parabola with this slope and these two values is lowest.
            share = expected / (2 * (value + expected - new_value))
            length *= min(max(share, SHORTER[0]), SHORTER[1])
        else:
            if steepest:
                return "ABNORMAL: NO STEP LOWERS THE VALUE"
            pairs.clear()  # and the steepest way is tried
            continue
        decrease, value = value - new_value, new_value
        step, change = np.subtract(trial, point, out=point), np.subtract(new_gradient, gradient, out=gradient)
        point, gradient = trial, new_gradient
        del direction, trial, new_gradient
        pair = _Pair(step, change, _product(step, change), _product(change, change))
        if pair.product > np.finfo(point.dtype).eps * (pair.square * _product(step, step)) ** 0.5 > 0:
            pairs.append(pair)
        del step, change, pair
        done += 1
        after_iteration(value, point)
        if done >= iterations:
            return "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
        if evaluated > evaluations:
            return "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"
        if decrease <= tolerance * max(abs(value + decrease), abs(value), 1.0):
            return "CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH"


def _direction(gradient: np.ndarray, pairs: list[_Pair], held: np.ndarray) -> np.ndarray:
    """Where to go: downhill by what the pairs know of the curvature, and nowhere with what is held."""
    direction = np.negative(gradient)
    direction[held] = 0
    factors = []
    for step, change, product, _ in reversed(pairs):
        factors.append(_product(step, direction) / product)
        _add(direction, -factors[-1], change)
    if pairs:
        direction *= direction.dtype.type(pairs[-1].product / pairs[-1].square)
    for (step, change, product, _), factor in zip(pairs, reversed(factors)):
        _add(direction, factor - _product(change, direction) / product, step)
    direction[held] = 0
    return direction


def _blocks(vector: np.ndarray) -> Iterator[slice]:
    return (slice(first, first + BLOCK) for first in range(0, vector.size, BLOCK))


def _product(a: np.ndarray, b: np.ndarray) -> float:
    """The scalar product, blocks summed in double precision."""
    return sum(float(a[at] @ b[at]) for at in _blocks(a))


def _add(vector: np.ndarray, factor: float, other: np.ndarray) -> None:
    """To a vector so many times another."""
    for at in _blocks(vector):
        vector[at] += vector.dtype.type(factor) * other[at]


def _move(
    point: np.ndarray, length: float, direction: np.ndarray, lowest: float, highest: float, out: np.ndarray
) -> None:
    """The point after so many times a direction, within bounds."""
    for at in _blocks(point):
        np.clip(point[at] + point.dtype.type(length) * direction[at], lowest, highest, out=out[at])
