"""SciPy's L-BFGS-B without what SciPy's Python puts around it: for each variable a tuple of its bounds, and copies.

These take some 400 bytes a pixel for as long as an optimisation lasts, and several times that before it begins. Here it
is 48 for each gradient that is remembered, and 3 x `BYTES_PER_VARIABLE`. What is called, `setulb`, is SciPy's own and
may change with it: its version stands in requirements.txt, and the tests of `optimize` compare with `scipy.optimize`.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import _lbfgsb_py as scipy_lbfgsb

# Beside the history: the solver's five vectors, four of integers, the point, the gradient, and the upper bounds.
BYTES_PER_VARIABLE = 8 * 5 + 4 * 4 + 8 * 3
NEW_POINT, EVALUATE, STOP = 1, 3, 5  # what `setulb` asks for, or is told
EVALUATIONS_REACHED, ITERATIONS_REACHED = 502, 504  # why it stops


def lbfgsb_bytes(variables: int, history: int) -> float:
    """Memory of an optimisation of so many variables that remembers so many gradients."""
    return variables * (16.0 * history + BYTES_PER_VARIABLE)


def lbfgsb(
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
    """Minimise a function of x (n,), which gives value and gradient, as `scipy.optimize.minimize` does; why it ended.

    Args:
        function: of a vector that it must not keep.
        start: (n,); what lies beyond the bounds is moved there.
        bounds: (lowest, highest) value of every variable, or None.
        iterations, evaluations: at most; evaluations may be a few more, to the end of an iteration.
        line_search_steps: at most, in each iteration.
        history: gradients that are remembered.
        tolerance: SciPy's `ftol`; there is none for gradients.
        after_iteration: called with value and x, which it must not keep.
    """
    n, m = start.size, history
    x = np.array(start, np.float64)
    del start
    if bounds is not None:
        np.clip(x, *bounds, out=x)
    # Pages of zeros that nobody writes to take no memory.
    lower, upper, kinds = np.zeros(n), np.zeros(n), np.zeros(n, np.int32)
    if bounds is not None:
        kinds[:] = 2  # both bounds
        upper[:] = bounds[1]
        if bounds[0]:
            lower[:] = bounds[0]
    value, gradient = np.array(0.0), np.zeros(n)
    work, integers = np.zeros(2 * m * n + 5 * n + 11 * m * m + 8 * m), np.zeros(3 * n, np.int32)
    task, line_search = np.zeros(2, np.int32), np.zeros(2, np.int32)
    logical, counts, numbers = np.zeros(4, np.int32), np.zeros(44, np.int32), np.zeros(29)
    factor, done, evaluated = tolerance / np.finfo(float).eps, 0, 0
    while True:
        scipy_lbfgsb._lbfgsb.setulb(
            m, x, lower, upper, kinds, value, gradient, factor, 0.0, work, integers, task, logical, counts, numbers,
            line_search_steps, line_search,
        )  # fmt: skip
        if task[0] == EVALUATE:
            evaluated += 1
            value[()], gradient[:] = function(x)
        elif task[0] == NEW_POINT:
            done += 1
            after_iteration(float(value), x)
            if done >= iterations:
                task[:] = STOP, ITERATIONS_REACHED
            elif evaluated > evaluations:
                task[:] = STOP, EVALUATIONS_REACHED
        else:
            return f"{scipy_lbfgsb.status_messages[task[0]]}: {scipy_lbfgsb.task_messages[task[1]]}"
