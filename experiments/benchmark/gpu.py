"""What a GPU does: time of every application, memory within the paper's 6 GB, and how far its results differ."""

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from reproduce.applications.registry import preset
from reproduce.images.arrays import resize
from reproduce.network.backend import device

from ..figures import figure_4, figure_7
from ..jobs import Job, Runs
from ..request import Request
from .measuring import Ran, Row, machine, markdown_table, pasted, run_command, seconds_between, square, write_sections

NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}
NO_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
SHAPE, PART = (768, 1024), 256  # (height, width) of the images that come in, and the side of the object
COMPARED_ITERATIONS = 20
RUNS = (
    ("stylize", "paper"),
    ("stylize", "gatys"),
    ("restyle-region", "paper"),
    ("harmonize", "paper"),
    ("harmonize", "refined"),
)
SCALES = (0.5, 1.0)


class Arithmetic(NamedTuple):
    """How convolutions are computed: what the table calls it, the options and the environment of a command."""

    name: str
    options: tuple[str, ...]
    environment: Mapping[str, str]


ARITHMETICS = (
    Arithmetic("CPU, float32", (), NO_GPU),
    Arithmetic("CPU, bfloat16", ("--precision", "bfloat16"), NO_GPU),
    Arithmetic("GPU, float32", (), NO_TF32),
    Arithmetic("GPU, TensorFloat-32", (), {}),
    Arithmetic("GPU, bfloat16", ("--precision", "bfloat16"), {}),
)


def jobs(request: Request) -> tuple[Job, ...]:
    """None: what is measured must run here and now."""
    return ()


def draw(request: Request, runs: Runs) -> None:
    """Measure; write gpu.md, a section more after each. Without a GPU there are the rows of the CPU alone."""
    found = device()
    painting = resize(request.first_case().background, SHAPE)
    sections = [f"# A GPU\n\n{machine()} Device: {found['name']}."]
    sections.append(arithmetic(painting, has_gpu="peak_memory_bytes" in found))
    write_sections(request.output / "gpu.md", sections)
    for measure in (partial(applications, painting), figures):
        runs.stop.check()
        sections.append(measure(request, runs))
        write_sections(request.output / "gpu.md", sections)


def arithmetic(painting: np.ndarray, has_gpu: bool) -> str:
    """The same problem in each arithmetic: time, memory, and how far losses and pictures differ from float32's."""
    rows: list[Row] = []
    for application, images in (("harmonize", pasted(painting, SHAPE, PART)),
                                ("stylize", {"image": painting[::-1], "style": painting})):  # fmt: skip
        first: Ran | None = None
        for name, options, environment in ARITHMETICS:
            if environment is not NO_GPU and not has_gpu:
                continue
            ran = run_command(application, images, "--iterations", str(COMPARED_ITERATIONS), *options,
                              environment=environment)  # fmt: skip
            first = first or ran
            losses = [ran.report["loss"][when]["total"] / first.report["loss"][when]["total"] - 1
                      for when in ("initial", "final")]  # fmt: skip
            apart = 255 * float(np.sqrt(np.mean((ran.image - first.image) ** 2)))
            seconds = seconds_between(ran.report["trace"])
            rows.append((application, name, f"{seconds_between(first.report['trace']) / seconds:.1f}", f"{seconds:.3f}",
                         *(f"{100 * loss:+.2f} %" for loss in losses), f"{apart:.2f}",
                         _gigabytes(ran.report["device"])))  # fmt: skip
    return markdown_table(
        "Arithmetic",
        f"Half of {SHAPE[1]} x {SHAPE[0]}, {COMPARED_ITERATIONS} iterations of the preset `paper`: speed, the first "
        "and the last loss, and how far the picture is (root mean square, of 255), all beside the CPU's float32. "
        "A painting's first iterations, from a blank image, magnify any rounding.",
        "application | arithmetic | speed | s an evaluation | first loss | last loss | picture | GPU memory, GB",
        rows,
    )


def applications(painting: np.ndarray, request: Request, runs: Runs) -> str:
    """Whole runs of the applications, at half and at full resolution."""
    pictures: dict[str, dict[str, Any]] = {
        "stylize": {"content": painting[::-1], "style": painting},
        "restyle-region": {"image": painting[::-1], "style": painting, "corners": square(PART)},
        "harmonize": pasted(painting, SHAPE, PART),
    }
    rows = []
    for scale, (application, preset_name) in product(SCALES, RUNS):
        settings = preset(preset_name, application, scale=scale)
        job = request.job(preset_name, application, settings, **pictures[application])
        rows.append((application, preset_name, f"{SHAPE[1]} x {SHAPE[0]}", f"{scale:g}", *_ran(job, runs)))
    return markdown_table(
        "Applications",
        f"Object and region are {PART} pixels wide." + _said(request),
        "application | preset | size | scale | s | of that before and after | evaluations | s an evaluation | "
        "GPU memory, GB",
        rows,
    )


def figures(request: Request, runs: Runs) -> str:
    """The runs of figures 4 and 7 within the memory that the experiments take of a GPU."""
    rows = [
        (number, job.name, *_ran(job, runs))
        for number, figure in (("4", figure_4), ("7", figure_7))
        for job in figure.jobs(request)
    ]
    return markdown_table(
        "Figures 4 and 7",
        "Within the 6 GB of the paper's GPU." + _said(request),
        "figure | run | s | of that before and after | evaluations | s an evaluation | GPU memory, GB",
        rows,
    )


def _ran(job: Job, runs: Runs) -> Row:
    """What a run took, here and now."""
    report = job.run(runs.network, stop=runs.stop).report
    solving = report.seconds_per_evaluation * report.evaluations
    return (f"{report.seconds:.0f}", f"{report.seconds - solving:.0f}", str(report.evaluations),
            f"{seconds_between(report.trace):.3f}", _gigabytes(report.device))  # fmt: skip


def _said(request: Request) -> str:
    return f" {request.iterations} iterations a scale." if request.iterations else ""


def _gigabytes(device: dict[str, Any]) -> str:
    """The peak of what was allocated of a GPU."""
    return f"{device['peak_memory_bytes'] / 1e9:.2f}" if "peak_memory_bytes" in device else ""
