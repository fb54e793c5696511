"""The stop token: who sets it, and what a run that asks it does."""

import os
import signal
import time
from threading import Thread

import numpy as np
import pytest

from reproduce.solving.optimize import minimize
from reproduce.stopping import SIGNALS, Stop, Stopped, stop_on_signals

signals = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
START = np.array([-1.2, 1.0])
OPTIONS = {"bounds": None, "iterations": 200, "history": 10, "tolerance": 0.0}


def send(number):
    """Send this process a signal, and wait until Python has handled it."""
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # Python calls handlers between two of its own instructions


@pytest.fixture(autouse=True)
def handlers():
    """No test leaves another handler behind, even one that fails."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


# The token


def test_a_token_is_set_once_and_for_all():
    stop = Stop()
    assert not stop and stop.signal is None
    stop.check()
    stop.set()
    assert stop and stop.signal is None
    stop.set()
    assert stop
    with pytest.raises(Stopped):
        stop.check()


def test_a_token_remembers_the_signal_that_set_it():
    stop = Stop()
    stop.set(signal.SIGTERM)
    assert stop and stop.signal == signal.SIGTERM
    stop.set(signal.SIGINT)
    stop.set()
    assert stop.signal == signal.SIGTERM


def test_another_thread_may_set_it():
    stop = Stop()
    thread = Thread(target=stop.set)
    thread.start()
    thread.join()
    assert stop


# Signals


def test_ctrl_c_a_scheduler_and_a_closed_terminal_are_heard():
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} == set(SIGNALS)


@signals
def test_a_signal_sets_the_token(number):
    with stop_on_signals() as stop:
        assert not stop
        send(number)
        assert stop and stop.signal == number


@signals
def test_handlers_are_put_back(number, handlers):
    """After a block that ends, one that was stopped and one that fails."""

    def own(number, frame):
        raise AssertionError("not to be called")

    signal.signal(number, own)
    with stop_on_signals():
        assert signal.getsignal(number) is not own
    assert signal.getsignal(number) is own
    with stop_on_signals() as stop:
        send(number)
    assert stop and signal.getsignal(number) is own
    with pytest.raises(ZeroDivisionError), stop_on_signals():
        _ = 1 / 0
    assert signal.getsignal(number) is own
    others = {other: handler for other, handler in handlers.items() if other != number}
    assert {other: signal.getsignal(other) for other in others} == others


@signals
@pytest.mark.parametrize("second", SIGNALS, ids=lambda number: number.name)
def test_a_second_signal_ends_the_block_at_once(number, second, handlers):
    reached = []
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        send(number)
        reached.append("after the first")
        send(second)
        reached.append("after the second")
    assert reached == ["after the first"]
    assert stop and stop.signal == number
    assert {each: signal.getsignal(each) for each in SIGNALS} == handlers


def test_a_signal_after_a_button_ends_the_block_too():
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        stop.set()
        send(signal.SIGINT)


def test_what_is_ignored_stays_ignored():
    """As under nohup, which has SIGHUP ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_on_signals() as stop:
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        send(signal.SIGHUP)
        assert not stop
        send(signal.SIGTERM)
        assert stop and stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_in_another_thread_it_is_a_plain_token(handlers):
    seen = {}

    def work():
        with stop_on_signals() as stop:
            seen["handlers"] = {number: signal.getsignal(number) for number in SIGNALS}
            seen["before"] = bool(stop)
            stop.set()
            seen["after"] = bool(stop)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert seen == {"handlers": handlers, "before": False, "after": True}


# The solver


class Valley:
    """Rosenbrock's function, whose minimum at (1, 1) lies at the end of a bent valley; it sets a stop at a call."""

    def __init__(self, stop=None, at=None):
        self.stop, self.at, self.calls = stop, at, 0

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.at:
            self.stop.set()
        value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        slope = np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])
        return value, slope, {}


def assert_stopped_with_the_best(outcome):
    losses = [entry["loss"] for entry in outcome.trace]
    assert outcome.interrupted and outcome.stop_reason == "STOPPED BY THE USER"
    assert outcome.evaluations == len(losses)
    assert Valley()(outcome.x)[0] == min(losses)


def test_a_stop_between_iterations_keeps_the_best():
    stop = Stop()

    def stop_at_three(iteration, loss, x):
        if iteration == 3:
            stop.set()

    function = Valley()
    outcome = minimize(function, START, **OPTIONS, stop=stop, on_iteration=stop_at_three)
    assert outcome.iterations == 3 and outcome.evaluations == function.calls
    assert_stopped_with_the_best(outcome)
    assert Valley()(outcome.x)[0] < Valley()(START)[0]


@pytest.mark.parametrize("at", [1, 2, 6])
def test_a_stop_in_an_evaluation_lets_it_end_and_begins_no_other(at):
    stop = Stop()
    function = Valley(stop, at)
    outcome = minimize(function, START, **OPTIONS, stop=stop)
    assert outcome.evaluations == function.calls == at
    assert_stopped_with_the_best(outcome)


def test_a_stop_before_the_first_evaluation_leaves_nothing_to_keep():
    stop, function = Stop(), Valley()
    stop.set()
    with pytest.raises(Stopped):
        minimize(function, START, **OPTIONS, stop=stop)
    assert function.calls == 0


def test_a_stop_in_the_last_evaluation_of_all_stops_nothing():
    stop = Stop()
    outcome = minimize(Valley(stop, 1), START, **OPTIONS | {"iterations": 0}, stop=stop)
    assert not outcome.interrupted and outcome.evaluations == 1


@signals
def test_a_signal_stops_the_solver(number):
    with stop_on_signals() as stop:
        outcome = minimize(
            Valley(), START, **OPTIONS, stop=stop, on_iteration=lambda n, *_: send(number) if n == 2 else None
        )
    assert outcome.iterations == 2 and stop.signal == number
    assert_stopped_with_the_best(outcome)


def test_a_second_ctrl_c_stops_the_solver_at_once():
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        minimize(Valley(), START, **OPTIONS, stop=stop, on_iteration=lambda *_: [send(signal.SIGINT) for _ in range(2)])
