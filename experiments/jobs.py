"""Jobs: runs of the applications as values, and a folder that keeps results under the hash of what made them."""

import ast
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import reproduce
from reproduce.applications.registry import find_application
from reproduce.files import array_sha256, write_together
from reproduce.images.files import encode_image, read_picture
from reproduce.images.regions import order_corners, straighten
from reproduce.network.features import VGG19
from reproduce.settings import Settings
from reproduce.solving.plan import Estimate
from reproduce.solving.report import versions
from reproduce.solving.run import OnProgress, Progress, Result, silent
from reproduce.stopping import Stop, Stopped

PACKAGE = Path(reproduce.__file__).parent
# Of the package, what a finished result cannot depend on. Every other file is hashed, a new one too.
NOT_METHOD = (
    "__init__.py",  # the version's number, and names for what is elsewhere
    "__main__.py",
    "command_line/__init__.py",  # another way in than a job's
    "command_line/commands.py",
    "command_line/folders.py",
    "command_line/parser.py",
    "images/listing.py",  # finds files
    "images/selection.py",  # makes masks, which a job is given
    "metrics.py",  # judges what is finished
    "page/__init__.py",  # runs commands
    "page/desk.py",
    "page/forms.py",
    "page/orders.py",
    "page/runs.py",
    "page/selections.py",
    "page/server.py",
    "page/store.py",
    "presets.py",  # a job has its settings, resolved
    "solving/plan.py",  # foretells
    "stopping.py",  # what was stopped is not kept
    "terminal.py",
)


@dataclass(frozen=True, eq=False)
class Job:
    """A run of an application, before it is made: it can be counted, sent elsewhere, and looked up by its key.

    Attributes:
        name: for people.
        application: its name in the registry.
        inputs: argument of the application -> image, mask, corners, or whatever plain value it takes.
        settings: of the method.
        weights: SHA-256 of the network's weights that it is to run with; None for random ones (in tests).
    """

    name: str
    application: str
    inputs: Mapping[str, Any]
    settings: Settings
    weights: str | None

    @cached_property
    def key(self) -> str:
        """The application's name and the hash of all that the result depends on; `name` is not part of that."""
        made_of = {
            "application": self.application,
            "inputs": {name: _described(value) for name, value in self.inputs.items()},
            "settings": self.settings.as_dict(),
            "weights": self.weights,
            **code(),
        }
        digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        return f"{self.application}-{digest[:16]}"

    def run(self, network: VGG19, on_progress: OnProgress = silent, stop: Stop | None = None) -> Result:
        """Run it.

        Raises:
            InputError: as the application.
            Stopped: it was stopped; half a run is not a result.
            ValueError: the network has other weights than the job.
        """
        if network.origin["sha256"] != self.weights:
            raise ValueError(f"Expected a network of weights {self.weights}. Received: {network.origin['sha256']}")
        application = find_application(self.application)
        result = application.run(
            **self.inputs, settings=self.settings, network=network, stop=stop, on_progress=on_progress
        )
        if result.report.interrupted:
            raise Stopped
        return result

    def expected(self) -> Estimate:
        """What it will take, as `reproduce plan` foretells it."""
        application = find_application(self.application)
        image, mask, corners = (self.inputs.get(name) for name in (application.inputs[0].name, "mask", "corners"))
        assert image is not None  # every application has one
        regions = () if corners is None else (straighten(image, order_corners(corners, image.shape[:2])).shape[:2],)
        return application.estimate(image.shape[:2], regions, self.settings, mask)


class Finished(NamedTuple):
    """What is kept of a job's result: the image (H, W, 3 or 4) of 8 bits a channel, and the report as JSON has it."""

    image: np.ndarray
    report: dict[str, Any]


Outcome = tuple[Job, Exception | None]  # a job that is finished, or why it failed
Packed = dict[str, bytes]  # suffix of a file -> what is in it


def pack(job: Job, result: Result) -> Packed:
    """A job's result as the files that are kept of it."""
    image = encode_image(Path("image.png"), result.image)
    report = {"run": job.name} | result.report.as_dict()
    entry = json.dumps({"sha256": _checksum(job.key, image, report), "report": report})
    return {".png": image, ".json": entry.encode()}


@dataclass(frozen=True)
class Cache:
    """Finished jobs in a folder: KEY.png, and KEY.json with the report and the hash of key, image and report."""

    folder: Path

    def has(self, job: Job) -> bool:
        """Whether a job is kept as it was: what was cut off, altered or exchanged since does not count."""
        return self._entry(job) is not None

    def read(self, job: Job) -> Finished:
        """What was kept of a job.

        Raises:
            FileNotFoundError: nothing was, or it has been altered since.
        """
        report = self._entry(job)
        if report is None:
            raise FileNotFoundError(f"No whole result of {job.name}: {self._path(job, '.json')}")
        return Finished(read_picture(self._path(job, ".png")).layer, report)

    def keep(self, job: Job, result: Result) -> None:
        """Write image and report, both or none.

        Raises:
            WriteError: they cannot be written.
        """
        self.write(job, pack(job, result))

    def write(self, job: Job, files: Packed) -> None:
        """Write what `pack` made of a job's result, here or elsewhere, all of it or nothing.

        Raises:
            WriteError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_together({self._path(job, suffix): content for suffix, content in files.items()})

    def _entry(self, job: Job) -> dict[str, Any] | None:
        """The report of a job, if it and the image are what was kept of this very job."""
        try:
            entry = json.loads(self._path(job, ".json").read_bytes())
            image = self._path(job, ".png").read_bytes()
            return entry["report"] if entry["sha256"] == _checksum(job.key, image, entry["report"]) else None
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _path(self, job: Job, suffix: str) -> Path:
        return self.folder / f"{job.key}{suffix}"


def _checksum(key: str, image: bytes, report: dict[str, Any]) -> str:
    """Of the report's content: spaces between its values do not count."""
    return hashlib.sha256(key.encode() + image + json.dumps(report).encode()).hexdigest()


def _tell_nobody(job: Job, progress: Progress) -> None:
    """An `on_progress` for `Runs`."""


@dataclass(frozen=True)
class Runs:
    """Gives results of jobs: finished ones from the cache, the others by running them.

    Attributes:
        cache: what is finished.
        network: that jobs run with.
        stop: asked before each job, and by it.
        on_progress: told of each step of a job that runs.
    """

    cache: Cache
    network: VGG19
    stop: Stop
    on_progress: Callable[[Job, Progress], None] = _tell_nobody

    def result(self, job: Job) -> Finished:
        """The result of a job, kept from now on.

        Raises:
            InputError, OSError: as the application, or the cache cannot be written.
            Stopped: it was stopped; what was finished before is kept.
        """
        self.stop.check()
        if not self.cache.has(job):
            self.cache.keep(job, job.run(self.network, partial(self.on_progress, job), self.stop))
        return self.cache.read(job)


def by_stage(trace: list[dict[str, float]]) -> list[list[dict[str, float]]]:
    """A report's trace, the evaluations of each stage apart."""
    stages = range(int(trace[-1]["stage"]) + 1)
    return [[entry for entry in trace if entry["stage"] == stage] for stage in stages]


def code() -> dict[str, Any]:
    """What of a job's key is of the machine that runs it: the method's code, and the versions of packages."""
    return {"method": method_hash(PACKAGE), "versions": versions()}


@cache
def method_hash(package: Path) -> str:
    """SHA-256 of the method's code as it runs: comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for path in method_files(package):
        digest.update(f"{path.relative_to(package).as_posix()}\n{_code(path)}\n".encode())
    return digest.hexdigest()


def method_files(package: Path) -> list[Path]:
    """The modules that a result may depend on: all of the package but NOT_METHOD."""
    return sorted(path for path in package.rglob("*.py") if path.relative_to(package).as_posix() not in NOT_METHOD)


def _code(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
        ):
            node.body[0].value.value = ""
    return ast.dump(tree)


def _described(value: Any) -> Any:
    """An input by its type, its shape, and the hash of its bytes; of several each."""
    if isinstance(value, list | tuple) and any(isinstance(part, list | tuple | np.ndarray) for part in value):
        return [_described(part) for part in value]
    array = np.asarray(value)
    if array.dtype.hasobject:  # whose bytes are addresses
        raise TypeError(f"Expected an input of numbers or text. Received: {value!r}")
    return array.dtype.str, array.shape, array_sha256(array)
