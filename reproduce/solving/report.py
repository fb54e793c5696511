"""The report beside each output: where it came from, what it took, and how it went."""

import contextlib
import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import expect
from ..files import write_together
from ..images.files import encode_image
from ..network import backend


@dataclass(frozen=True)
class Report:
    """What is written beside each output.

    Attributes:
        application: its name.
        settings: setting -> value, resolved: run again with them, the run does the same.
        inputs: name -> SHA-256.
        weights: "source" and "sha256" of the network's weights.
        size: "input" and "working" [width, height]; of a region also "region".
        iterations, evaluations: of all stages.
        seconds: of the whole run.
        seconds_per_evaluation: without what comes before and after.
        peak_memory_bytes: of the process during the run.
        loss: "initial" and "final" of the last stage, each a "total" and its "terms".
        stop_reason: SciPy's message, or what stopped it from outside.
        interrupted: true if it was stopped.
        notices: what the user was told before the work.
        versions: of Python and packages.
        device: what computed, as `network.backend.device`.
        git: the commit of the project's checkout, and whether the package's code differs from it; None outside one.
        trace: of each evaluation its stage, loss, seconds since the stage began, and terms.
        corners: of a restyled region.
        background: the report of the rest's own run, where the rest took a style too.
        base: the report of the painted image's run, in which an object was kept.
    """

    application: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    weights: dict[str, str | None]
    size: dict[str, list[int]]
    iterations: int
    evaluations: int
    seconds: float
    seconds_per_evaluation: float
    peak_memory_bytes: int
    loss: dict[str, dict[str, Any]]
    stop_reason: str
    interrupted: bool
    notices: list[str]
    versions: dict[str, str]
    device: dict[str, Any]
    git: dict[str, Any] | None
    trace: list[dict[str, float]]
    corners: list[list[float]] | None = None
    background: "Report | None" = None
    base: "Report | None" = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; what a run has no use for is left out."""
        optional = [entry.name for entry in fields(self) if entry.default is not dataclasses.MISSING]
        entries = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name in ("background", "base"):
            if isinstance(part := entries[name], Report):
                entries[name] = part.as_dict()
        return {name: value for name, value in entries.items() if value is not None or name not in optional}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = backend.versions() | {package: version(package) for package in ("scipy", "numpy")}
    return {"python": sys.version.split()[0]} | packages | {"opencv": cv2.__version__}


def reset_peak_memory() -> None:
    """Start a new peak, where the system can (Linux); elsewhere the peak is that of the process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Bytes of memory that the process held at most since `reset_peak_memory`."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        import resource  # not on Windows, which has no /proc either

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check_report_path(output: Path) -> Path:
    """Where the report of an output image goes, OUT.png -> OUT.json, if nothing else is there.

    Raises:
        InputError: there is a folder, or a file that is no report.
    """
    path = output.with_suffix(".json")
    expect(not path.is_dir(), "a place for the report", f"a folder: {path}")
    is_report = not path.exists() or (path.is_file() and _is_report(path.read_bytes()))
    expect(is_report, "a place for the report", f"a file that is no report, and is not replaced: {path}")
    return path


def _is_report(content: bytes) -> bool:
    try:
        there = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(there, dict) and {"application", "settings", "trace"} <= there.keys()


def write_result(output: Path, image: np.ndarray, report: dict[str, Any]) -> None:
    """Write an image and, as JSON beside it, its report: both or none.

    Raises:
        WriteError: they could not be written; what was there before still is.
    """
    text = json.dumps(report, indent=1) + "\n"
    write_together({output: encode_image(output, image), output.with_suffix(".json"): text.encode()})


def commit() -> dict[str, Any] | None:
    """The commit of the project's checkout, and whether the package's own code differs from it; None outside one."""

    def run(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parents[1]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        run("ls-files", "--error-unmatch", ".")  # else this is an installed copy inside another project's checkout
        return {"commit": run("rev-parse", "HEAD"), "dirty": bool(run("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        return None
