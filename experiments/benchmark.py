"""The benchmark: what an evaluation, the matching, a large canvas and a start cost; ratios first."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from reproduce.applications import harmonize
from reproduce.architecture import Rectangle
from reproduce.backend import compiled, ops, value_and_gradient
from reproduce.features import Extractor, features_within, to_network_input
from reproduce.images import resize, write_atomically, write_image
from reproduce.objective import Objective, Problem
from reproduce.optimize import minimize
from reproduce.patches import Matches
from reproduce.plan import work
from reproduce.settings import PAPER, PAPER_BASE

from .profiling import share_of_convolutions
from .runs import Runs, weights

REPEATS = 5
REPORT = Path(__file__).with_name("benchmark.md")


def make(runs: Runs) -> None:
    """Measure everything on the first case's painting; write the report beside this file."""
    case = runs.cases(1)[0]
    painting = resize(case.background, (525, 700))
    sections = [f"# Benchmark\n\n{_machine()} What is compared alternates in one run; medians of {REPEATS}."]
    for measure in (evaluation, matching, canvas, command, coarse_to_fine):
        sections.append(measure(painting))
        write_atomically(REPORT, lambda temporary: temporary.write_text("\n\n".join(sections) + "\n"))


def evaluation(painting: np.ndarray) -> str:
    """One evaluation of the whole program against the bare network, and against the machine's matrix product."""
    return _table(
        "One evaluation",
        "The whole program (SciPy, conversions and losses included) over the bare network's value and gradient of the "
        "same size; its arithmetic over that of a 2048 x 2048 matrix product; what share of it convolutions take.",
        "| size | program / bare | of the product's speed | convolutions | s | bare, s | product, GFLOP/s |",
        [_evaluation_row(resize(painting, shape), painting) for shape in ((300, 350), (512, 512))],
    )


def _evaluation_row(image: np.ndarray, style: np.ndarray) -> str:
    extractor, shape = Extractor(PAPER.layers, weights()), image.shape[:2]
    problem = Problem(image, style, image[::-1].copy(), np.ones(shape, np.float32))
    objective = Objective(problem, extractor, PAPER_BASE)

    def sums_of_features(x):
        return {layer: ops.sum(features) for layer, features in extractor.model(to_network_input(x)[None]).items()}

    bare = value_and_gradient(sums_of_features, image.shape)
    bare(image), objective(objective.start)  # compiled here, not in what is timed
    bare_seconds, seconds, product = _alternate(
        lambda: _seconds(lambda: bare(image)), lambda: _seconds_per_evaluation(objective), _matrix_product_speed
    )
    flops = work(shape, Rectangle(0, 0, *shape), PAPER.layers).flops
    convolutions = share_of_convolutions(lambda: objective(objective.start))
    cells = (f"{shape[1]} x {shape[0]}", f"{seconds / bare_seconds:.2f}", f"{flops / seconds / product:.0%}",
             f"{convolutions:.0%}", f"{seconds:.2f}", f"{bare_seconds:.2f}", f"{product / 1e9:.0f}")  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def matching(painting: np.ndarray) -> str:
    """The search against one matrix product over patches as long vectors (timed on 500 queries)."""
    extractor = Extractor(("block3_conv1",), weights())
    whole = Rectangle(0, 0, painting.shape[0] // 4, painting.shape[1] // 4)
    target = features_within(extractor, painting, {"block3_conv1": whole}, halo=1).features["block3_conv1"]
    query = features_within(extractor, painting[::-1].copy(), {"block3_conv1": whole}, halo=1).features["block3_conv1"]
    wanted = np.zeros(whole.shape, bool)
    wanted[30:105, 40:115] = True  # a 300 pixel object
    windows = np.lib.stride_tricks.sliding_window_view
    long_targets = windows(target, (3, 3), (0, 1)).reshape(whole.shape[0] * whole.shape[1], -1)
    long_queries = windows(query, (3, 3), (0, 1)).reshape(len(long_targets), -1)[:500]
    ours, long_vectors = _alternate(
        lambda: _seconds(lambda: Matches(query, wanted, 3).search(target)) / wanted.sum(),
        lambda: _seconds(lambda: (long_queries @ long_targets.T).argmax(axis=1)) / len(long_queries),
    )
    row = f"| {long_vectors / ours:.1f} | {ours * wanted.sum():.2f} | {long_vectors * wanted.sum():.2f} |"
    return _table(
        "Matching",
        f"3 x 3 patches at block3_conv1, {wanted.sum()} queries in a painting of 700 x 525.",
        "| long vectors / ours | s | long vectors, s |",
        [row],
    )


def canvas(painting: np.ndarray) -> str:
    """The same object on a small and on a large canvas, as commands of their own, at full resolution."""
    rows, seconds = [], []
    for shape in ((525, 700), (3072, 4096)):
        image, mask = resize(painting, shape), _square(shape, 300)
        composite = np.where(mask[..., None] > 0, resize(painting[::-1, ::-1].copy(), shape), image)
        wall, report = _run_command(image, composite, mask, ["--scale", "1", "--iterations", "10"])
        seconds.append(report["seconds_per_evaluation"])
        rows.append(f"| {shape[1]} x {shape[0]} | {seconds[-1] / seconds[0]:.2f} | {seconds[-1]:.2f} | "
                    f"{report['peak_memory_bytes'] / 1e9:.2f} | {wall:.0f} |")  # fmt: skip
    return _table(
        "An object of 300 x 300 on two canvases",
        "`harmonize --scale 1`, 10 iterations.",
        "| canvas | s per evaluation / small canvas | s per evaluation | peak memory, GB | whole command, s |",
        rows,
    )


def command(painting: np.ndarray) -> str:
    """From the command to the first evaluation, and a run of the paper's size."""
    mask = _square(painting.shape[:2], 250)
    composite = np.where(mask[..., None] > 0, painting[::-1, ::-1], painting)
    first, _ = _run_command(painting, composite, mask, ["--iterations", "0"])
    _, report = _run_command(painting, composite, mask, ["--iterations", "10"])
    row = f"| {first:.1f} | {report['peak_memory_bytes'] / 1e9:.2f} |"
    return _table(
        "`harmonize` at half resolution of 700 x 525",
        "The whole command with `--iterations 0` (start, weights, matching, one evaluation, writing); peak of a run.",
        "| command, s | peak memory, GB |",
        [row],
    )


def coarse_to_fine(painting: np.ndarray) -> str:
    """How long until the loss of plain L-BFGS after 300 iterations is reached when coarser scales come first."""
    mask = _square(painting.shape[:2], 250)
    composite = np.where(mask[..., None] > 0, painting[::-1, ::-1], painting)
    plain = harmonize(painting, composite, mask, replace(PAPER, iterations=300), weights=weights()).report
    settings = replace(PAPER, iterations=100, coarse_to_fine=2)
    staged = harmonize(painting, composite, mask, settings, weights=weights()).report
    target, finest = plain["loss"]["final"]["total"], max(entry["stage"] for entry in staged["trace"])
    rows, before = [], 0.0
    for stage in range(finest + 1):
        entries = [entry for entry in staged["trace"] if entry["stage"] == stage]
        reached = next((entry["seconds"] for entry in entries if stage == finest and entry["loss"] <= target), None)
        before += entries[-1]["seconds"] if reached is None else reached
    whole = plain["trace"][-1]["seconds"]
    rows.append(f"| {before / whole:.2f} | {'yes' if reached is not None else 'no'} | {before:.0f} | {whole:.0f} |")
    return _table(
        "Coarse to fine",
        f"Seconds of solving until `--coarse-to-fine 2` reaches the loss of 300 plain iterations ({target:.4g}).",
        "| coarse to fine / plain | reached | s | plain, s |",
        rows,
    )


def _square(shape: tuple[int, int], side: int) -> np.ndarray:
    """A mask: a square object in the middle."""
    mask = np.zeros(shape, np.float32)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    mask[top : top + side, left : left + side] = 1
    return mask


def _seconds_per_evaluation(objective: Objective, iterations: int = 3) -> float:
    outcome = minimize(objective, objective.start, bounds=(0, 1), iterations=iterations, history=10, tolerance=0)
    return outcome.seconds / outcome.evaluations


def _matrix_product_speed(size: int = 2048) -> float:
    """Floating-point operations a second of the backend's float32 matrix product."""
    product = compiled(lambda matrix: ops.matmul(matrix, matrix), (size, size))
    matrix = np.ones((size, size), np.float32)
    product(matrix)
    return 2 * size**3 / _seconds(lambda: product(matrix))


def _run_command(background, composite, mask, options: list[str]) -> tuple[float, dict]:
    """Wall seconds and report of `python -m reproduce harmonize`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.png" for name in ("background", "composite", "mask", "out")]
        for path, image in zip(paths, (background, composite, mask)):
            write_image(path, image)
        arguments = [
            sys.executable,
            "-m",
            "reproduce",
            "harmonize",
            *map(str, paths[:3]),
            "-o",
            str(paths[3]),
            *options,
        ]
        seconds = _seconds(lambda: subprocess.run([*arguments, "--quiet"], check=True))
        return seconds, json.loads(paths[3].with_suffix(".json").read_text())


def _alternate(*measures: Callable[[], float]) -> list[float]:
    """Each measure's median, all of them taken in turn, so that a busy machine is busy for all."""
    return [float(np.median(values)) for values in zip(*[[measure() for measure in measures] for _ in range(REPEATS)])]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _table(title: str, text: str, header: str, rows: list[str]) -> str:
    return "\n".join([f"## {title}\n\n{text}\n", header, "|---" * (header.count("|") - 1) + "|", *rows])


def _machine() -> str:
    name = platform.processor() or platform.machine()
    return f"On {os.cpu_count()} cores, {name}, {platform.system()}, Python {platform.python_version()}."
