"""What a GPU does: time of every application, memory within the paper's 6 GB, and how far its results differ."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reproduce.images.arrays import resize
from reproduce.network.backend import device

from ..figures import figure_4, figure_7
from ..jobs import Job, Runs
from ..request import Request
from .measuring import Ran, Row, machine, markdown_table, pasted, run_command, write_sections

NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}
NO_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
SHAPE = (768, 1024)  # (height, width) of the images that come in
CPU_ITERATIONS, COMPARED_ITERATIONS = 4, 20
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
    for measure in (arithmetic, applications):
        sections.append(measure(painting, has_gpu="peak_memory_bytes" in found))
        runs.stop.check()
        write_sections(request.output / "gpu.md", sections)
    sections.append(figures(request, runs))
    write_sections(request.output / "gpu.md", sections)


def arithmetic(painting: np.ndarray, has_gpu: bool) -> str:
    """The same problem in each arithmetic: time, memory, and how far losses and pictures differ from float32's."""
    rows: list[Row] = []
    for application in ("stylize", "harmonize"):
        first: Ran | None = None
        for name, options, environment in ARITHMETICS:
            if environment is not NO_GPU and not has_gpu:
                continue
            ran = _run(application, painting, "--scale", "0.5", "--iterations", str(COMPARED_ITERATIONS), *options,
                       environment=environment)  # fmt: skip
            first = first or ran
            losses = [ran.report["loss"][when]["total"] / first.report["loss"][when]["total"] - 1
                      for when in ("initial", "final")]  # fmt: skip
            apart = 255 * float(np.sqrt(np.mean((ran.image - first.image) ** 2)))
            rows.append((application, name, f"{_seconds(first) / _seconds(ran):.1f}", f"{_seconds(ran):.4f}",
                         *(f"{100 * loss:+.3f} %" for loss in losses), f"{apart:.2f}", _gpu_peak(ran)))  # fmt: skip
    return markdown_table(
        "Arithmetic",
        f"`--scale 0.5` of {SHAPE[1]} x {SHAPE[0]}, {COMPARED_ITERATIONS} iterations of the preset `paper`: speed, the "
        "first and the last loss, and how far the picture is (root mean square, of 255), all beside the CPU's float32.",
        "application | arithmetic | speed | s an evaluation | first loss | last loss | picture | GPU memory, GB",
        rows,
    )


def applications(painting: np.ndarray, has_gpu: bool) -> str:
    """Each application's whole run on the GPU, and its evaluation there and on the CPU."""
    rows: list[Row] = []
    for application, preset in RUNS:
        for scale in SCALES:
            options = ("--preset", preset, "--scale", f"{scale:g}")
            cpu = _run(application, painting, *options, "--iterations", str(CPU_ITERATIONS), environment=NO_GPU)
            row: Row = (application, preset, f"{scale:g}", f"{_seconds(cpu):.2f}")
            if has_gpu:
                gpu = _run(application, painting, *options)
                row += (f"{_seconds(gpu):.4f}", f"{_seconds(cpu) / _seconds(gpu):.0f}", str(gpu.report["evaluations"]),
                        f"{gpu.seconds:.0f}", _gpu_peak(gpu))  # fmt: skip
            rows.append(row + ("",) * (9 - len(row)))
    return markdown_table(
        "Applications",
        f"Images of {SHAPE[1]} x {SHAPE[0]}; object and region are a quarter as wide. An evaluation on the CPU "
        f"({CPU_ITERATIONS} iterations a scale) and on the GPU, whose whole command, start and set-up included, is the "
        "preset's own length.",
        "application | preset | scale | CPU, s an evaluation | GPU, s | speed | evaluations | GPU, whole command, s | "
        "GPU memory, GB",
        rows,
    )


def figures(request: Request, runs: Runs) -> str:
    """The runs of figures 4 and 7 within the memory that the experiments take of a GPU."""
    rows = []
    for number, figure in ((4, figure_4), (7, figure_7)):
        for job in figure.jobs(request):
            report = job.run(runs.network, stop=runs.stop).report
            peak = report.device.get("peak_memory_bytes")
            rows.append((str(number), job.name, f"{report.seconds:.0f}", "" if peak is None else f"{peak / 1e9:.2f}"))
    return markdown_table(
        "Figures 4 and 7", "Within the 6 GB of the paper's GPU.", "figure | run | s | GPU memory, GB", rows
    )


def _run(application: str, painting: np.ndarray, *options: str, environment: Mapping[str, str] | None = None) -> Ran:
    """A command on the painting and, as content, on it upside down; object and region are a quarter as wide."""
    height, width = painting.shape[:2]
    part = width // 4
    images = {"image": painting[::-1], "style": painting}
    if application == "harmonize":
        images = pasted(painting, (height, width), part)
    if application == "restyle-region":
        options = (*options, "--corners", "8,8", f"{7 + part},8", f"{7 + part},{7 + part}", f"8,{7 + part}")
    return run_command(application, images, *options, environment=environment)


def _seconds(ran: Ran) -> float:
    """Seconds from evaluation to evaluation in the last stage, without the first, which compiles."""
    trace = [entry for entry in ran.report["trace"] if entry["stage"] == ran.report["trace"][-1]["stage"]]
    return (trace[-1]["seconds"] - trace[1]["seconds"]) / (len(trace) - 2)


def _gpu_peak(ran: Ran) -> str:
    peak = ran.report["device"].get("peak_memory_bytes")
    return "" if peak is None else f"{peak / 1e9:.2f}"
