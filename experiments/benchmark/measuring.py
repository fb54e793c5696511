"""How the benchmark measures: in turns, in processes of their own, and with the backend's profiler."""

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reproduce.files import write_together
from reproduce.images.arrays import resize
from reproduce.images.files import read_image, write_image
from reproduce.network.backend import seconds_in

from ..jobs import by_stage

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


def square(side: int) -> list[tuple[int, int]]:
    """The corners of a square region near the top left of an image, in pixels."""
    first, last = 8, 7 + side
    return [(first, first), (last, first), (last, last), (first, last)]


def seconds_between(trace: list[dict[str, float]]) -> float:
    """Seconds from evaluation to evaluation of the last stage: the first, which compiles, is left out; NaN of one."""
    seconds = [entry["seconds"] for entry in by_stage(trace)[-1]]
    return (seconds[-1] - seconds[0]) / (len(seconds) - 1) if len(seconds) > 1 else math.nan


class Ran(NamedTuple):
    """What a command took, wrote and reported."""

    seconds: float
    report: dict[str, Any]
    image: np.ndarray


def run_command(
    application: str, images: Mapping[str, np.ndarray], *options: str, environment: Mapping[str, str] | None = None
) -> Ran:
    """Run `python -m reproduce APPLICATION IMAGES...` in a process of its own.

    Args:
        environment: variables beside this process's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.png" for name in images]
        for path, image in zip(paths, images.values()):
            write_image(path, image)
        output = Path(folder) / "out.png"
        program = [sys.executable, "-m", "reproduce", application, *map(str, paths)]
        program += ["-o", str(output), "--quiet", *options]
        variables = os.environ | (environment or {})
        seconds = seconds_of(lambda: subprocess.run(program, check=True, env=variables))
        return Ran(seconds, json.loads(output.with_suffix(".json").read_text()), read_image(output))


def pasted(painting: np.ndarray, shape: tuple[int, int], side: int) -> dict[str, np.ndarray]:
    """Background, composite and mask: a square of the painting turned round, in the middle of it."""
    image, mask = resize(painting, shape), np.zeros(shape, np.float32)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    mask[top : top + side, left : left + side] = 1
    return {"background": image, "composite": np.where(mask[..., None] > 0, image[::-1, ::-1], image), "mask": mask}


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


def write_sections(path: Path, sections: Sequence[str]) -> None:
    """Write what has been measured so far."""
    write_together({path: ("\n\n".join(sections) + "\n").encode()})


def machine() -> str:
    """What is measured on, as a sentence."""
    name = platform.processor() or platform.machine()
    return f"On {os.cpu_count()} cores, {name}, {platform.system()}, Python {platform.python_version()}."
