"""How the benchmark measures: in turns, in processes of their own, and with the backend's profiler."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.images.files import write_image
from reproduce.network.backend import seconds_in

REPEATS = 5

Row = tuple[str, ...]  # the cells of a table's line


def alternate(*measures: Callable[[], float], repeats: int = REPEATS) -> list[float]:
    """Each measure's median, all of them taken in turn, so that a busy machine is busy for all."""
    rounds = [[measure() for measure in measures] for _ in range(repeats)]
    return [float(np.median(values)) for values in zip(*rounds)]


def seconds_of(run: Callable[[], object]) -> float:
    """Seconds on the clock that a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def run_command(application: str, images: Mapping[str, np.ndarray], *options: str) -> tuple[float, dict[str, Any]]:
    """Wall seconds and report of `python -m reproduce APPLICATION IMAGES...` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.png" for name in images]
        for path, image in zip(paths, images.values()):
            write_image(path, image)
        output = Path(folder) / "out.png"
        program = [sys.executable, "-m", "reproduce", application, *map(str, paths)]
        program += ["-o", str(output), "--quiet", *options]
        seconds = seconds_of(lambda: subprocess.run(program, check=True))
        return seconds, json.loads(output.with_suffix(".json").read_text())


def share_of(operation: str, evaluate: Callable[[], object], repeats: int = 3) -> float:
    """The share of an evaluation's time that the backend's operations of that name take: 0 to 1."""
    walls: list[float] = []

    def run() -> None:
        walls.append(seconds_of(lambda: [evaluate() for _ in range(repeats)]))

    return seconds_in(operation, run) / walls[0]


def markdown_table(title: str, text: str, header: str, rows: Sequence[Row]) -> str:
    """A section with a table; header cells are separated by |."""
    cells = [header.split("|"), ["---"] * (header.count("|") + 1), *rows]
    return "\n".join([f"## {title}\n\n{text}\n", *("| " + " | ".join(map(str.strip, row)) + " |" for row in cells)])
