"""The terminal: a progress bar with the time left, the same as lines for programs, and native code kept off it."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any

from tqdm import tqdm

tqdm.set_lock(RLock())  # its own is one between processes, a semaphore that a killed one leaves behind
_lock, _silent, _kept = Lock(), 0, -1  # how many want silence now, and the descriptor that is put back after the last


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere: libraries in C and C++ write past Python.

    The descriptor is the whole process's: while several threads are in here, the first turns it away and the last back.
    """
    global _silent, _kept
    with _lock:
        if not _silent:
            _kept = _turn_away()
        _silent += 1
    try:
        yield
    finally:
        with _lock:
            _silent -= 1
            if not _silent and _kept >= 0:
                os.dup2(_kept, 2)
                os.close(_kept)


def _turn_away() -> int:
    """Point descriptor 2 nowhere; return a copy of what it was, or -1 if it was closed."""
    try:
        kept = os.dup(2)
    except OSError:
        return -1
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    return kept


class ProgressBar:
    """One bar at a time, a new one for each stage of the work; it shows the time left."""

    def __init__(self, quiet: bool = False):
        self.quiet, self.stage = quiet, ""
        self.bar: tqdm | None = None

    def say(self, message: str) -> None:
        """A line above the bar."""
        if message and not self.quiet:
            tqdm.write(message, file=sys.stderr)

    def show(
        self, stage: str, done: float, total: float, loss: float | None = None, share: float | None = None
    ) -> None:
        """Args: the stage's name; how much of it is done; with a `loss`, steps are iterations, and are counted."""
        counts = "{n:.0f}/{total:.0f} " if loss is not None else ""
        bar = self.bar
        if bar is None or stage != self.stage or done < bar.n:
            self.close()
            layout = "{desc}: {percentage:3.0f}%|{bar:30}| " + counts + "[{elapsed}, {remaining} left{postfix}]"
            bar = tqdm(total=total, desc=stage, bar_format=layout, disable=self.quiet, delay=0 if counts else 1)
            self.bar, self.stage = bar, stage
        if loss is not None:
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        bar.update(done - bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class ProgressLines:
    """What a `ProgressBar` shows, for a program: a line of JSON a step on standard output.

    A line has a "notice"; or the "stage", how much of it is "done" of the "total" and, while optimising, the "loss",
    the "share" of the run's work that is done, the "seconds" since it began, and those "left".
    """

    def __init__(self, on_closed: Callable[[], object]):
        """Args: on_closed: called when nobody reads the lines any more."""
        self.on_closed = on_closed
        self.began: float | None = None
        self.first = 0.0

    def say(self, message: str) -> None:
        if message:
            self._print({"notice": message})

    def show(
        self, stage: str, done: float, total: float, loss: float | None = None, share: float | None = None
    ) -> None:
        entry: dict[str, Any] = {"stage": stage, "done": done, "total": total}
        if loss is not None and share is not None:
            now = time.monotonic()
            if self.began is None:  # the first iteration waits for what is compiled: no measure of the others
                self.began, self.first = now, share
            seconds = now - self.began
            left = seconds * (1 - share) / (share - self.first) if share > self.first else None
            entry |= {"loss": loss, "share": share, "seconds": seconds, "left": left}
        self._print(entry)

    def close(self) -> None:
        pass

    def _print(self, entry: dict[str, Any]) -> None:
        try:
            print(json.dumps(entry), flush=True)
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (or Python would complain once more when it ends)
            self.on_closed()
