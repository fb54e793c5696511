"""The solver on functions whose minimum is known, and on functions that fail."""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize
from threadpoolctl import threadpool_info

from reproduce.errors import InputError
from reproduce.solving.lbfgs import lbfgsb
from reproduce.solving.optimize import minimize
from reproduce.solving.projected import projected_lbfgs, projected_lbfgs_bytes
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


def chain(x, steepness=100.0):
    """Rosenbrock's valley from each variable to the next."""
    bend, slope = x[1:] - x[:-1] ** 2, np.zeros_like(x)
    slope[:-1] = -4 * steepness * x[:-1] * bend - 2 * (1 - x[:-1])
    slope[1:] += 2 * steepness * bend
    return float((steepness * bend**2 + (1 - x[:-1]) ** 2).sum()), slope


def slow(x):
    """|x|^4: converges, but never within a few iterations, to the bit."""
    return float((x**4).sum()), 4 * x**3, {}


@pytest.fixture(params=["float64", "float32"], ids=["scipy's", "ours"])
def options(request):
    """Of both solvers; ours computes in the start's precision, which here is double, so that both come as close."""
    return OPTIONS | {"solver_precision": request.param}


class Failing:
    """A function that does something else from one evaluation on."""

    def __init__(self, at, fail, function=rosenbrock):
        self.at, self.fail, self.function, self.calls = at, fail, function, []

    def __call__(self, x):
        self.calls.append(x.copy())
        return self.fail(x) if len(self.calls) >= self.at else self.function(x)


def test_it_finds_the_minimum_of_a_quadratic(options):
    outcome = minimize(quadratic, np.zeros(3), **options)
    np.testing.assert_allclose(outcome.x, [0.2, 0.7, -1.5], atol=1e-6)


def test_it_finds_the_minimum_of_rosenbrock(options):
    outcome = minimize(rosenbrock, np.array([-1.2, 1.0]), **options)
    np.testing.assert_allclose(outcome.x, [1, 1], atol=1e-6)
    assert outcome.evaluations == len(outcome.trace) < 100
    assert not outcome.interrupted


def test_bounds_hold_at_every_evaluation(options):
    function = Failing(10**9, None, quadratic)
    outcome = minimize(function, np.full(3, 0.5), **options | {"bounds": (0.0, 0.6)})
    calls = np.array(function.calls)
    assert calls.min() >= 0 and calls.max() <= 0.6
    np.testing.assert_allclose(outcome.x, [0.2, 0.6, 0], atol=1e-6)


def test_iterations_are_limited_and_it_says_so(options):
    numbers = []
    outcome = minimize(
        rosenbrock, np.array([-1.2, 1.0]), **options | {"iterations": 5}, on_iteration=lambda n, *_: numbers.append(n)
    )
    assert outcome.iterations == 5 and numbers == [1, 2, 3, 4, 5]
    assert outcome.stop_reason == "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
    assert outcome.evaluations >= 6


def test_on_iteration_gets_the_value_in_the_functions_own_units(options):
    seen = []
    minimize(
        lambda x: rosenbrock(x, 1e6),
        np.array([-1.2, 1.0]),
        **options | {"iterations": 5},
        on_iteration=lambda number, loss, x: seen.append((loss, rosenbrock(x, 1e6)[0])),
    )
    for loss, expected in seen:
        assert loss == pytest.approx(expected, rel=1e-12)


def test_vector_products_take_one_thread(options):
    """As long as it runs: short vectors make threads wait for one another."""

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before, during = threads(), []

    def function(x):
        during.append(threads())
        return quadratic(x)

    minimize(function, np.zeros(3), **options)
    assert before and all(counts == [1] * len(before) for counts in during) and threads() == before


def test_tolerance_stops_it_and_it_says_so(options):
    loose = minimize(slow, np.ones(4), **options | {"tolerance": 1e-3})
    tight = minimize(slow, np.ones(4), **options | {"tolerance": 1e-9})
    assert loose.stop_reason == tight.stop_reason == "CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH"
    assert loose.iterations < tight.iterations < 200


def test_tolerance_is_a_share_of_the_first_value(options):
    """All but the last iteration lowered the loss by more than that share."""
    losses = []
    minimize(
        lambda x: (1e-7 * slow(x)[0], 1e-7 * slow(x)[1], {}),
        np.ones(4),
        **options | {"tolerance": 1e-3},
        on_iteration=lambda number, loss, x: losses.append(loss),
    )
    decreases = -np.diff([4e-7, *losses])
    assert (decreases[:-1] > 1e-3 * 4e-7).all() and decreases[-1] <= 1e-3 * 4e-7


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40, 1e-12, 1e12])
def test_the_scale_of_the_loss_changes_nothing(options, scale):
    """SciPy stops when values, not shares, get small: a loss of 1e-12 must not look converged."""
    start = np.array([-1.2, 1.0])
    plain = minimize(rosenbrock, start, **options)
    scaled = minimize(lambda x: rosenbrock(x, scale), start, **options)
    np.testing.assert_allclose(scaled.x, [1, 1], atol=1e-6)
    if np.log2(scale).is_integer():  # no rounding: the very same path
        np.testing.assert_array_equal(scaled.x, plain.x)
        assert [entry["loss"] / scale for entry in scaled.trace] == [entry["loss"] for entry in plain.trace]
    else:
        several = slice(0, 20)
        found = [entry["loss"] / scale for entry in scaled.trace[several]]
        assert found == pytest.approx([entry["loss"] for entry in plain.trace[several]], rel=1e-6)


def test_no_iterations_give_the_start(options):
    start = np.array([-1.2, 1.0])
    outcome = minimize(rosenbrock, start, **options | {"iterations": 0})
    np.testing.assert_array_equal(outcome.x, start)
    assert (outcome.iterations, outcome.evaluations, len(outcome.trace)) == (0, 1, 1)
    assert outcome.trace[0]["loss"] == rosenbrock(start)[0]
    assert outcome.stop_reason == "NO ITERATIONS WERE ASKED FOR"


def test_a_start_at_the_minimum_stays_there(options):
    outcome = minimize(quadratic, np.array([0.2, 0.7, -1.5]), **options)
    np.testing.assert_array_equal(outcome.x, [0.2, 0.7, -1.5])
    assert outcome.trace[0]["loss"] == 0 and outcome.stop_reason.startswith("CONVERGENCE")


def test_the_start_is_not_written_to_and_not_evaluated_twice(options):
    start = np.array([-1.2, 1.0])
    function = Failing(10**9, None)
    minimize(function, start, **options | {"iterations": 3})
    assert start.tolist() == [-1.2, 1.0]
    assert sum(np.array_equal(call, start) for call in function.calls) == 1


def test_a_start_outside_the_bounds_is_moved_inside(options):
    """The answer at the start is not taken for the one at the point inside."""
    function = Failing(10**9, None, quadratic)
    outcome = minimize(function, np.full(3, 2.0), **options | {"bounds": (0.0, 0.6)})
    assert [call.tolist() for call in function.calls[:2]] == [[2.0] * 3, [0.6] * 3]
    np.testing.assert_allclose(outcome.x, [0.2, 0.6, 0], atol=1e-6)


def test_nothing_is_warned_of(options):
    """By NumPy or SciPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minimize(rosenbrock, np.array([-1.2, 1.0]), **options | {"iterations": 3})


def test_the_history_is_what_the_solver_remembers(options):
    start = np.linspace(-1.2, 1.0, 12)

    short, long, same = (
        minimize(lambda x: (*chain(x), {}), start, **options | {"iterations": 30, "history": history})
        for history in (1, 10, 10)
    )
    np.testing.assert_array_equal(long.x, same.x)
    assert not np.array_equal(short.x, long.x)
    assert min(entry["loss"] for entry in long.trace) < min(entry["loss"] for entry in short.trace)


def test_a_line_search_gives_up_after_twenty_steps(options):
    """Along a slope that lies every step is too long."""
    outcome = minimize(lambda x: (float(np.abs(x).sum()) + 1, -np.ones(2), {}), np.zeros(2), **options)
    assert outcome.evaluations == 21 and outcome.iterations == 0
    np.testing.assert_array_equal(outcome.x, [0, 0])


def test_of_equal_points_the_first_is_the_best(options):
    outcome = minimize(lambda x: (1.0, np.ones(2), {}), np.array([0.5, 0.25]), **options | {"iterations": 3})
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


def test_the_best_point_is_the_lowest_of_the_trace(options):
    """Not the last one: here a step that went wrong, after which the user stops."""
    stop = Stop()

    def go_wrong(x):
        stop.set()
        return 1e9, np.ones(2), {}

    outcome = minimize(Failing(8, go_wrong), np.array([-1.2, 1.0]), **options, stop=stop)
    losses = [entry["loss"] for entry in outcome.trace]
    assert losses[-1] == 1e9
    assert rosenbrock(outcome.x)[0] == min(losses)


@pytest.mark.parametrize("value, slope", [(np.nan, [0.0, 0.0]), (np.inf, [0.0, 0.0]), (1.0, [0.0, np.nan])])
def test_a_start_that_is_not_finite_is_an_error(options, value, slope):
    with pytest.raises(InputError, match=r"^The loss is not finite at the start$"):
        minimize(lambda x: (value, np.array(slope), {}), np.zeros(2), **options)


@pytest.mark.parametrize("failure", [(np.nan, np.zeros(2)), (np.inf, np.zeros(2)), (1.0, np.array([np.nan, 0]))])
def test_a_later_evaluation_that_is_not_finite_keeps_the_best(options, failure):
    function = Failing(6, lambda x: (*failure, {}))
    outcome = minimize(function, np.array([-1.2, 1.0]), **options)
    assert outcome.evaluations == len(outcome.trace) == 5
    assert rosenbrock(outcome.x)[0] == min(entry["loss"] for entry in outcome.trace)
    assert "EVALUATION 6 WAS NOT FINITE" in outcome.stop_reason and not outcome.interrupted


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_errors_are_not_swallowed(options, error):
    """Nor is Ctrl-C, where nobody has made a stop of it."""

    def broken(x):
        raise error("out of memory")

    with pytest.raises(error, match="out of memory"):
        minimize(Failing(3, broken), np.array([-1.2, 1.0]), **options)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0), (-0.5, 0.7)])
def test_it_goes_where_scipys_own_goes(bounds):
    """To the bit, evaluation by evaluation, from a start that lies beyond the bounds; with SciPy's reason to end."""
    start, visited = np.linspace(-1.2, 1.4, 40), {"ours": [], "scipy": []}

    def chained(x, whose):
        visited[whose].append(x.copy())
        return chain(x)

    message = lbfgsb(
        lambda x: chained(x, "ours"), start, bounds=bounds, iterations=25, evaluations=500, line_search_steps=20,
        history=5, tolerance=0.0, after_iteration=lambda value, x: None,
    )  # fmt: skip
    options = {"maxiter": 25, "maxfun": 500, "maxls": 20, "maxcor": 5, "ftol": 0.0, "gtol": 0.0}
    pairs = bounds and [bounds] * len(start)
    result = scipy_minimize(chained, start, "scipy", "L-BFGS-B", jac=True, bounds=pairs, options=options)
    assert message == result.message
    np.testing.assert_array_equal(visited["ours"], visited["scipy"])


def run_ours(function, start, **changed):
    options = {"bounds": None, "iterations": 25, "evaluations": 500, "line_search_steps": 20, "history": 5,
               "tolerance": 0.0, "after_iteration": lambda value, x: None}  # fmt: skip
    return projected_lbfgs(function, start, **options | changed)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0), (-0.5, 0.7)])
def test_ours_comes_as_low_as_scipys_in_as_many_evaluations(bounds):
    lowest = {
        of: minimize(
            lambda x: (*chain(x), {}), np.linspace(-1.2, 1.4, 400),
            **OPTIONS | {"iterations": 100, "bounds": bounds, "solver_precision": of},
        ).trace
        for of in ("float64", "float32")
    }  # fmt: skip
    scipys, ours = (min(entry["loss"] for entry in lowest[of][:100]) for of in ("float64", "float32"))
    assert ours < 1.1 * scipys


def test_ours_goes_the_way_that_its_two_loops_mean():
    """Each direction is -H g, where H is put together from all pairs, matrix by matrix (Nocedal and Wright 7.16)."""
    tried, reached = [], []

    def function(x):
        tried.append(x.copy())
        return chain(x, 1.0)

    def after_iteration(value, x):
        reached.append((x.copy(), len(tried)))

    start = np.linspace(0.3, 0.9, 6)
    run_ours(function, start, iterations=7, history=3, after_iteration=after_iteration)
    points = [start, *(x for x, _ in reached)]
    slopes = [chain(x, 1.0)[1] for x in points]
    pairs = list(zip(np.diff(points, axis=0), np.diff(slopes, axis=0)))
    for number in range(1, 7):
        remembered = pairs[max(0, number - 3) : number]
        step, change = remembered[-1]
        inverse = np.eye(6) * (step @ change) / (change @ change)
        for step, change in remembered:
            without = np.eye(6) - np.outer(change, step) / (step @ change)
            inverse = without.T @ inverse @ without + np.outer(step, step) / (step @ change)
        first_tried = tried[reached[number - 1][1]]
        np.testing.assert_allclose(first_tried, points[number] - inverse @ slopes[number], rtol=1e-7)


def test_ours_holds_what_would_leave_the_bounds_and_lets_it_go_again():
    """A variable at a bound that its slope pushes against does not move, nor does it bend the way of the others."""
    visited = []

    def function(x):
        visited.append(x.copy())
        return float((x[0] + 1) ** 2 + 50 * (x[1] - 0.5) ** 2), np.array([2 * (x[0] + 1), 100 * (x[1] - 0.5)])

    run_ours(function, np.array([0.0, 0.9]), bounds=(0.0, 1.0))
    assert all(x[0] == 0 for x in visited) and visited[-1][1] == pytest.approx(0.5, abs=1e-8)
    outcome = minimize(
        lambda x: (*chain(x), {}), np.zeros(5), **OPTIONS | {"bounds": (0.0, 1.0), "solver_precision": "float32"}
    )
    np.testing.assert_allclose(outcome.x, 1, atol=1e-5)


def test_ours_keeps_the_points_precision_and_takes_no_more_memory_than_it_says():
    """Beside what the function takes."""
    size, history, held = 1 << 20, 3, []
    centre = np.random.default_rng(0).random(size, np.float32)
    steepness = np.linspace(1, 30, size, dtype=np.float32)

    def function(x):
        assert x.dtype == np.float32
        held.append(tracemalloc.get_traced_memory()[0])
        difference = x - centre
        return float(steepness @ difference**2) / size, 2 * steepness * difference / size

    start = np.full(size, 0.5, np.float32)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run_ours(function, start, bounds=(0.0, 1.0), history=history, iterations=8)
    tracemalloc.stop()
    assert len(held) >= 9
    expected = projected_lbfgs_bytes(size, history)
    assert 0.6 * expected < max(held) - before < 1.01 * expected


def test_ours_is_not_led_astray_by_a_slope_that_single_precision_cannot_square():
    outcome = minimize(slow, np.ones(4, np.float32), **OPTIONS | {"solver_precision": "float32"})
    assert outcome.x.dtype == np.float32 and np.isfinite(outcome.x).all() and outcome.trace[-1]["loss"] < 1e-25


def test_ours_shortens_a_step_that_goes_too_far():
    """Towards where a parabola through both values is lowest, but never to less than a tenth."""
    visited = []

    def steep(x):
        visited.append(float(x[0]))
        return float(1e4 * x[0] ** 2), 2e4 * x

    run_ours(steep, np.array([0.25]), iterations=1)
    assert visited[1:3] == pytest.approx([0.25 - 1, 0.25 - 0.25], abs=1e-9)


def test_ours_tries_no_step_that_leads_uphill_where_bounds_cut_it_off():
    """Of bowls so bent that what the bounds leave of a direction often does; and finds the same minimum as SciPy's."""
    for seed in range(60):
        random, size = np.random.default_rng(seed), 2 + seed % 3
        bent, center = random.normal(size=(size, size)), random.normal(0.5, 0.5, size)
        bent, tried, reached = bent @ bent.T + 1e-3 * np.eye(size), [], []

        def bowl(x, bent=bent, center=center, tried=tried):
            tried.append(x.copy())
            return float((x - center) @ bent @ (x - center)), 2 * bent @ (x - center)

        def after_iteration(value, x, tried=tried, reached=reached):
            reached.append((value, x.copy(), len(tried)))

        start = np.full(size, 0.5)
        run_ours(bowl, start, bounds=(0.0, 1.0), iterations=200, after_iteration=after_iteration)
        before, first = start, 1
        for _, x, last in reached:
            assert all(2 * (bent @ (before - center)) @ (point - before) < 0 for point in tried[first:last])
            before, first = x, last
        expected = scipy_minimize(bowl, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * size).fun
        assert reached[-1][0] <= expected * (1 + 1e-4) + 1e-9
