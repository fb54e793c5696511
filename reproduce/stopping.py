"""Stopping a run from outside: a token that whoever works asks now and then, and that anybody may set."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Stopped(Exception):
    """A run was stopped before there was anything to keep."""


class Stop:
    """Asked by a run before each piece of work; set by Ctrl-C, by a scheduler's signal, or by a button.

    Attributes:
        signal: the number of the signal that set it; None if something else did.
    """

    def __init__(self) -> None:
        self._is_set = False  # no lock: a signal's handler may interrupt another's
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self._is_set

    def set(self, number: int | None = None) -> None:
        """Ask the run to end with what it has."""
        if not self._is_set:
            self.signal, self._is_set = number, True

    @property
    def exit_code(self) -> int:
        """What a program ends with that was stopped: 128 and the signal's number, as shells have it."""
        return 128 + (self.signal or signal.SIGINT)

    def check(self) -> None:
        """Raises Stopped if the run is to end: for work that leaves nothing to keep."""
        if self:
            raise Stopped


@contextmanager
def stop_on_signals(stop: Stop | None = None) -> Iterator[Stop]:
    """A token that Ctrl-C, SIGTERM and SIGHUP set while the block runs; a second signal ends the block at once.

    Outside the main thread, where Python lets nobody handle signals, it is a token like any other.
    """
    stop = Stop() if stop is None else stop
    if current_thread() is not main_thread():
        yield stop
        return

    def on_signal(number: int, frame: object) -> None:
        if stop:
            raise KeyboardInterrupt(128 + number)  # what the program ends with
        stop.set(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    # What is ignored stays so, such as SIGHUP under nohup, and what is not Python's (None) could not be put back.
    handled = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in handled:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number in handled:
            signal.signal(number, before[number])
