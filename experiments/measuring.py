"""How the benchmark measures: in turns, in processes of their own, and with the backend's profiler."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from reproduce.images import write_image

REPEATS = 5


def alternate(*measures: Callable[[], float], repeats: int = REPEATS) -> list[float]:
    """Each measure's median, all of them taken in turn, so that a busy machine is busy for all."""
    rounds = [[measure() for measure in measures] for _ in range(repeats)]
    return [float(np.median(values)) for values in zip(*rounds)]


def seconds_of(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def run_command(application: str, images: Mapping[str, np.ndarray], *options: str) -> tuple[float, dict]:
    """Wall seconds and report of `python -m reproduce APPLICATION IMAGES...` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.png" for name in images]
        for path, image in zip(paths, images.values()):
            write_image(path, image)
        output = Path(folder) / "out.png"
        program = [
            sys.executable,
            "-m",
            "reproduce",
            application,
            *map(str, paths),
            "-o",
            str(output),
            "--quiet",
            *options,
        ]
        seconds = seconds_of(lambda: subprocess.run(program, check=True))
        return seconds, json.loads(output.with_suffix(".json").read_text())


def share_of_convolutions(evaluate: Callable[[], object], repeats: int = 3) -> float:
    """The share of an evaluation's time that convolutions, forwards and backwards, take: 0 to 1."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            seconds = seconds_of(lambda: [evaluate() for _ in range(repeats)])
        trace = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    picoseconds = 0
    for plane in trace.planes:
        names = {number: metadata.name.rpartition(":")[2] for number, metadata in plane.event_metadata.items()}
        events = (event for line in plane.lines for event in line.events)
        picoseconds += sum(event.duration_ps for event in events if "Conv2D" in names[event.metadata_id])
    return picoseconds / 1e12 / seconds


def markdown_table(title: str, text: str, header: str, rows: list[tuple]) -> str:
    """A section with a table; header cells are separated by |."""
    cells = [header.split("|"), ["---"] * (header.count("|") + 1), *rows]
    return "\n".join([f"## {title}\n\n{text}\n", *("| " + " | ".join(map(str.strip, row)) + " |" for row in cells)])
