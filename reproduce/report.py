"""The report beside each output: where it came from, what it took, and how it went."""

import contextlib
import hashlib
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from .images import write_atomically

PACKAGES = ("tensorflow", "keras", "scipy", "numpy")


def environment() -> dict:
    """Versions of Python and packages, and the commit of the project's checkout (None outside one)."""
    return {"versions": versions(), "git": _git()}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = {package: version(package) for package in PACKAGES}
    return {"python": sys.version.split()[0]} | packages | {"opencv": cv2.__version__}


def array_sha256(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes, hexadecimal: names an input that came as an array, not as a file."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


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


def write_report(output: Path, report: dict) -> None:
    """Write the report as JSON beside an output image: OUT.png -> OUT.json."""
    text = json.dumps(report, indent=1) + "\n"
    write_atomically(output.with_suffix(".json"), lambda temporary: temporary.write_text(text))


def _git() -> dict | None:
    """The commit, and whether the package's own code differs from it."""

    def run(*arguments):
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": run("rev-parse", "HEAD"), "dirty": bool(run("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        return None
