"""The solver on functions whose minimum is known, and on functions that fail."""

import time
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize
from threadpoolctl import threadpool_info

from reproduce.errors import InputError
from reproduce.solving.lbfgs import lbfgsb
from reproduce.solving.optimize import minimize
from reproduce.stopping import Stop

OPTIONS = {"bounds": None, "iterations": 200, "history": 10, "tolerance": 0.0}


def quadratic(x, center=(0.2, 0.7, -1.5), scale=1.0):
    """Minimum 0 at `center`, ten times as steep in each further direction."""
    steepness = 10.0 ** np.arange(len(center))
    difference = x - np.asarray(center)
    value = float((steepness * difference**2).sum())
    return scale * value, scale * 2 * steepness * difference, {"bowl": scale * value}


def rosenbrock(x, scale=1.0):
    """Minimum 0 at (1, 1), at the end of a bent valley."""
    value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    slope = np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])
    return scale * value, scale * slope, {"valley": scale * value}


def slow(x):
    """|x|^4: converges, but never within a few iterations, to the bit."""
    return float((x**4).sum()), 4 * x**3, {}


class Failing:
    """A function that does something else from one evaluation on."""

    def __init__(self, at, fail, function=rosenbrock):
        self.at, self.fail, self.function, self.calls = at, fail, function, []

    def __call__(self, x):
        self.calls.append(x.copy())
        return self.fail(x) if len(self.calls) >= self.at else self.function(x)


def test_it_finds_the_minimum_of_a_quadratic():
    outcome = minimize(quadratic, np.zeros(3), **OPTIONS)
    np.testing.assert_allclose(outcome.x, [0.2, 0.7, -1.5], atol=1e-6)


def test_it_finds_the_minimum_of_rosenbrock():
    outcome = minimize(rosenbrock, np.array([-1.2, 1.0]), **OPTIONS)
    np.testing.assert_allclose(outcome.x, [1, 1], atol=1e-6)
    assert outcome.evaluations == len(outcome.trace) < 100
    assert not outcome.interrupted


def test_bounds_hold_at_every_evaluation():
    function = Failing(10**9, None, quadratic)
    outcome = minimize(function, np.full(3, 0.5), **OPTIONS | {"bounds": (0.0, 0.6)})
    calls = np.array(function.calls)
    assert calls.min() >= 0 and calls.max() <= 0.6
    np.testing.assert_allclose(outcome.x, [0.2, 0.6, 0], atol=1e-6)


def test_iterations_are_limited_and_scipy_says_so():
    numbers = []
    outcome = minimize(
        rosenbrock, np.array([-1.2, 1.0]), **OPTIONS | {"iterations": 5}, on_iteration=lambda n, *_: numbers.append(n)
    )
    assert outcome.iterations == 5 and numbers == [1, 2, 3, 4, 5]
    assert outcome.stop_reason == "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
    assert outcome.evaluations >= 6


def test_on_iteration_gets_the_value_in_the_functions_own_units():
    seen = []
    minimize(
        lambda x: rosenbrock(x, 1e6),
        np.array([-1.2, 1.0]),
        **OPTIONS | {"iterations": 5},
        on_iteration=lambda number, loss, x: seen.append((loss, rosenbrock(x, 1e6)[0])),
    )
    for loss, expected in seen:
        assert loss == pytest.approx(expected, rel=1e-12)


def test_scipys_vector_products_take_one_thread():
    """As long as it runs: short vectors make threads wait for one another."""

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before, during = threads(), []

    def function(x):
        during.append(threads())
        return quadratic(x)

    minimize(function, np.zeros(3), **OPTIONS)
    assert before and all(counts == [1] * len(before) for counts in during) and threads() == before


def test_tolerance_stops_it_and_scipy_says_so():
    loose = minimize(slow, np.ones(4), **OPTIONS | {"tolerance": 1e-3})
    tight = minimize(slow, np.ones(4), **OPTIONS | {"tolerance": 1e-9})
    assert loose.stop_reason == tight.stop_reason == "CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH"
    assert loose.iterations < tight.iterations < 200


def test_tolerance_is_a_share_of_the_first_value():
    """All but the last iteration lowered the loss by more than that share."""
    losses = []
    minimize(
        lambda x: (1e-7 * slow(x)[0], 1e-7 * slow(x)[1], {}),
        np.ones(4),
        **OPTIONS | {"tolerance": 1e-3},
        on_iteration=lambda number, loss, x: losses.append(loss),
    )
    decreases = -np.diff([4e-7, *losses])
    assert (decreases[:-1] > 1e-3 * 4e-7).all() and decreases[-1] <= 1e-3 * 4e-7


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40, 1e-12, 1e12])
def test_the_scale_of_the_loss_changes_nothing(scale):
    """SciPy stops when values, not shares, get small: a loss of 1e-12 must not look converged."""
    start = np.array([-1.2, 1.0])
    plain = minimize(rosenbrock, start, **OPTIONS)
    scaled = minimize(lambda x: rosenbrock(x, scale), start, **OPTIONS)
    np.testing.assert_allclose(scaled.x, [1, 1], atol=1e-6)
    if np.log2(scale).is_integer():  # no rounding: the very same path
        np.testing.assert_array_equal(scaled.x, plain.x)
        assert [entry["loss"] / scale for entry in scaled.trace] == [entry["loss"] for entry in plain.trace]
    else:
        several = slice(0, 20)
        found = [entry["loss"] / scale for entry in scaled.trace[several]]
        assert found == pytest.approx([entry["loss"] for entry in plain.trace[several]], rel=1e-6)


def test_no_iterations_give_the_start():
    start = np.array([-1.2, 1.0])
    outcome = minimize(rosenbrock, start, **OPTIONS | {"iterations": 0})
    np.testing.assert_array_equal(outcome.x, start)
    assert (outcome.iterations, outcome.evaluations, len(outcome.trace)) == (0, 1, 1)
    assert outcome.trace[0]["loss"] == rosenbrock(start)[0]
    assert outcome.stop_reason == "NO ITERATIONS WERE ASKED FOR"


def test_a_start_at_the_minimum_stays_there():
    outcome = minimize(quadratic, np.array([0.2, 0.7, -1.5]), **OPTIONS)
    np.testing.assert_array_equal(outcome.x, [0.2, 0.7, -1.5])
    assert outcome.trace[0]["loss"] == 0 and outcome.stop_reason.startswith("CONVERGENCE")


def test_the_start_is_not_written_to_and_not_evaluated_twice():
    start = np.array([-1.2, 1.0])
    function = Failing(10**9, None)
    minimize(function, start, **OPTIONS | {"iterations": 3})
    assert start.tolist() == [-1.2, 1.0]
    assert sum(np.array_equal(call, start) for call in function.calls) == 1


def test_a_start_outside_the_bounds_is_moved_inside():
    """The answer at the start is not taken for the one at the point inside."""
    function = Failing(10**9, None, quadratic)
    outcome = minimize(function, np.full(3, 2.0), **OPTIONS | {"bounds": (0.0, 0.6)})
    assert [call.tolist() for call in function.calls[:2]] == [[2.0] * 3, [0.6] * 3]
    np.testing.assert_allclose(outcome.x, [0.2, 0.6, 0], atol=1e-6)


def test_nothing_is_warned_of():
    """By NumPy or SciPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minimize(rosenbrock, np.array([-1.2, 1.0]), **OPTIONS | {"iterations": 3})


def test_the_history_is_what_the_solver_remembers():
    start = np.linspace(-1.2, 1.0, 12)

    def chained(x):
        """Rosenbrock's valley from each variable to the next."""
        bend, slope = x[1:] - x[:-1] ** 2, np.zeros_like(x)
        slope[:-1] = -400 * x[:-1] * bend - 2 * (1 - x[:-1])
        slope[1:] += 200 * bend
        return float((100 * bend**2 + (1 - x[:-1]) ** 2).sum()), slope, {}

    short, long, same = (
        minimize(chained, start, **OPTIONS | {"iterations": 30, "history": history}) for history in (1, 10, 10)
    )
    np.testing.assert_array_equal(long.x, same.x)
    assert not np.array_equal(short.x, long.x)
    assert min(entry["loss"] for entry in long.trace) < min(entry["loss"] for entry in short.trace)


def test_a_line_search_gives_up_after_twenty_steps():
    """Along a slope that lies every step is too long."""
    outcome = minimize(lambda x: (float(np.abs(x).sum()) + 1, -np.ones(2), {}), np.zeros(2), **OPTIONS)
    assert outcome.evaluations == 21 and outcome.iterations == 0
    np.testing.assert_array_equal(outcome.x, [0, 0])


def test_of_equal_points_the_first_is_the_best():
    outcome = minimize(lambda x: (1.0, np.ones(2), {}), np.array([0.5, 0.25]), **OPTIONS | {"iterations": 3})
    assert outcome.evaluations > 1
    np.testing.assert_array_equal(outcome.x, [0.5, 0.25])


def test_seconds_are_those_of_the_work():
    def tired(x):
        time.sleep(0.02)
        return rosenbrock(x)

    began = time.perf_counter()
    outcome = minimize(tired, np.array([-1.2, 1.0]), **OPTIONS | {"iterations": 3})
    assert 0.02 * outcome.evaluations <= outcome.seconds <= time.perf_counter() - began
    for number, entry in enumerate(outcome.trace, start=1):
        assert entry["seconds"] >= 0.02 * number - 1e-3
        assert entry["seconds"] == round(entry["seconds"], 3)  # a report holds hundreds


def test_the_trace_holds_terms_and_rising_times():
    outcome = minimize(rosenbrock, np.array([-1.2, 1.0]), **OPTIONS | {"iterations": 5})
    assert all(entry["valley"] == entry["loss"] for entry in outcome.trace)
    seconds = [entry["seconds"] for entry in outcome.trace]
    assert seconds == sorted(seconds) and seconds[-1] <= outcome.seconds + 1e-3


def test_the_best_point_is_the_lowest_of_the_trace():
    """Not the last one: here a step that went wrong, after which the user stops."""
    stop = Stop()

    def go_wrong(x):
        stop.set()
        return 1e9, np.ones(2), {}

    outcome = minimize(Failing(8, go_wrong), np.array([-1.2, 1.0]), **OPTIONS, stop=stop)
    losses = [entry["loss"] for entry in outcome.trace]
    assert losses[-1] == 1e9
    assert rosenbrock(outcome.x)[0] == min(losses)


@pytest.mark.parametrize("value, slope", [(np.nan, [0.0, 0.0]), (np.inf, [0.0, 0.0]), (1.0, [0.0, np.nan])])
def test_a_start_that_is_not_finite_is_an_error(value, slope):
    with pytest.raises(InputError, match=r"^The loss is not finite at the start$"):
        minimize(lambda x: (value, np.array(slope), {}), np.zeros(2), **OPTIONS)


@pytest.mark.parametrize("failure", [(np.nan, np.zeros(2)), (np.inf, np.zeros(2)), (1.0, np.array([np.nan, 0]))])
def test_a_later_evaluation_that_is_not_finite_keeps_the_best(failure):
    function = Failing(6, lambda x: (*failure, {}))
    outcome = minimize(function, np.array([-1.2, 1.0]), **OPTIONS)
    assert outcome.evaluations == len(outcome.trace) == 5
    assert rosenbrock(outcome.x)[0] == min(entry["loss"] for entry in outcome.trace)
    assert "EVALUATION 6 WAS NOT FINITE" in outcome.stop_reason and not outcome.interrupted


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_errors_are_not_swallowed(error):
    """Nor is Ctrl-C, where nobody has made a stop of it."""

    def broken(x):
        raise error("out of memory")

    with pytest.raises(error, match="out of memory"):
        minimize(Failing(3, broken), np.array([-1.2, 1.0]), **OPTIONS)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0), (-0.5, 0.7)])
def test_it_goes_where_scipys_own_goes(bounds):
    """To the bit, evaluation by evaluation, from a start that lies beyond the bounds; with SciPy's reason to end."""
    start, visited = np.linspace(-1.2, 1.4, 40), {"ours": [], "scipy": []}

    def chained(x, whose):
        bend, slope = x[1:] - x[:-1] ** 2, np.zeros_like(x)
        slope[:-1] = -400 * x[:-1] * bend - 2 * (1 - x[:-1])
        slope[1:] += 200 * bend
        visited[whose].append(x.copy())
        return float((100 * bend**2 + (1 - x[:-1]) ** 2).sum()), slope

    message = lbfgsb(
        lambda x: chained(x, "ours"), start, bounds=bounds, iterations=25, evaluations=500, line_search_steps=20,
        history=5, tolerance=0.0, after_iteration=lambda value, x: None,
    )  # fmt: skip
    options = {"maxiter": 25, "maxfun": 500, "maxls": 20, "maxcor": 5, "ftol": 0.0, "gtol": 0.0}
    pairs = bounds and [bounds] * len(start)
    result = scipy_minimize(chained, start, "scipy", "L-BFGS-B", jac=True, bounds=pairs, options=options)
    assert message == result.message
    np.testing.assert_array_equal(visited["ours"], visited["scipy"])
