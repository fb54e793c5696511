"""What each command does with its parsed options."""

import argparse
import hashlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..applications.common import numbered
from ..applications.registry import APPLICATIONS, Application, Input
from ..errors import InputError, expect
from ..files import WriteError, same_file, write_together
from ..images.arrays import check_same_size, size_text, to_bytes
from ..images.files import Picture, check_output, encode_image, mask_of, read_image, read_picture, write_image
from ..images.masks import feather, grow, shrink
from ..images.regions import paste
from ..images.selection import combine, highlight, select, select_along_edges, select_in_box, select_polygon
from ..network.backend import limit_gpu_memory, matrix_product_speed
from ..network.features import VGG19
from ..network.weights import find_weights
from ..options import FARTHEST, NOT_FAR
from ..settings import Settings
from ..solving.checkpoint import Checkpoint
from ..solving.memory import TooLarge, memory_limits
from ..solving.plan import Estimate, seconds_per_evaluation
from ..solving.report import check_report_path, write_result
from ..solving.run import Progress
from ..stopping import Stop, Stopped, stop_on_signals
from ..terminal import ProgressBar, ProgressLines

FAILED, USER_ERROR, INTERRUPTED = 1, 2, 130  # exit codes; the last is Ctrl-C's
FILES = ("image", "layer", "mask")  # kinds of inputs that are one file


def fail(message: str, code: int = USER_ERROR) -> int:
    """One line that says what went wrong; returns the exit code."""
    say("reproduce: error: " + " ".join(message.split()))
    return code


def stopped(code: int = INTERRUPTED) -> int:
    """One line that says that there is nothing; returns the exit code."""
    say("reproduce: stopped before there was a result: nothing was written")
    return code


def reason(error: OSError) -> str:
    """What went wrong, in words."""
    return error.strerror or str(error)


def say(line: str) -> None:
    """A line on standard error."""
    with suppress(OSError):  # a terminal that was closed, a full disk behind 2>FILE
        print(line, file=sys.stderr)


def guarded(work: Callable[[], int], name: str = "") -> int:
    """Do some work; a user's mistake becomes one line and exit code 2, what cannot be written exit code 1.

    Args:
        work: returns its exit code.
        name: of what it is done for, which the line begins with.
    """
    begin = f"{name}: " if name else ""
    try:
        return work()
    except MemoryError as error:
        return fail(f"{begin}out of memory ({error}): lower --scale, or for large images --matching-memory")
    except WriteError as error:
        return fail(begin + reason(error), FAILED)
    except (InputError, OSError) as error:
        return fail(begin + str(error))
    except Exception as error:
        # OpenCV's, and TensorFlow's without naming it here.
        if getattr(error, "code", None) == cv2.Error.StsNoMem or type(error).__name__ == "ResourceExhaustedError":
            return fail(f"{begin}out of memory: lower --scale, or use a smaller image or region")
        raise


@dataclass(frozen=True)
class Request:
    """What is asked of an application, before any file is read.

    Attributes:
        application: which.
        preset: the name of the settings that were changed.
        settings: of its functions: `settings`, and `base` where there is one.
        values: input -> what was given, of those that are no files.
        files: input -> name in reports -> kind and path, of the others.
    """

    application: Application
    preset: str
    settings: dict[str, Settings]
    values: dict[str, Any]
    files: dict[str, dict[str, tuple[str, str]]]

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Request":
        """Raises InputError for settings that are none."""
        application: Application = options.application
        changes, values = _given(options, "setting_"), _given(options, "input_")
        settings = {"settings": application.preset(options.preset, **changes)}
        if base := application.base_preset(options.preset, **changes):
            settings["base"] = base
        files = {entry.name: _files(entry, values[entry.name]) for entry in application.inputs if entry.name in values}
        plain = {name: value for name, value in values.items() if not files[name]}
        return cls(application, options.preset, settings, plain, {name: of for name, of in files.items() if of})

    @property
    def paths(self) -> dict[str, tuple[str, str]]:
        """Name in reports -> kind and path, of all files."""
        return {name: file for several in self.files.values() for name, file in several.items()}

    def sha256(self, hashes: Mapping[str, str], network: VGG19) -> str:
        """Of all that the result depends on: requests that are equal need be answered once.

        Args:
            hashes: name in reports -> SHA-256 of the file.
        """
        settings = {name: group.as_dict() for name, group in self.settings.items()}
        asked = [self.application.name, self.values, settings, dict(hashes), network.origin["sha256"]]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def run_application(options: argparse.Namespace, stop: Stop | None = None, label: str = "") -> int:
    """Read, check what can be checked before the work, run, write image and report.

    Args:
        stop: ends the run; None: signals do.
        label: of the run among others, shown beside its progress.
    """
    output = check_output(options.output)
    check_report_path(output)
    expect(options.save_every >= 0, "--save-every of 0 or more", options.save_every)
    signals, stop = stop is None, Stop() if stop is None else stop
    request, show = Request.of(options), _Show(options, output, stop, label)
    beside = _beside(options, output)
    for _, path in request.paths.values():
        for written_to in filter(None, (output, *beside.values(), show.current)):
            _check_not_an_input(written_to, path)
        expect(not show.may_write(Path(path)), "an input that --save-every leaves", path)
    pictures = {name: read_picture(path) for name, (_, path) in request.paths.items()}
    hashes = {name: picture.sha256 for name, picture in pictures.items()}
    _check_can_hold(output, next(iter(pictures.values())).color.shape[:2])
    inputs, notices = _inputs(request, pictures)
    del pictures  # a mask's colours, which nobody needs any more
    checkpoint = _checkpoint(options, output, show)
    show.say(*notices)
    limit_gpu_memory(options.gpu_memory)
    network = options.network or found_network(options, show.say)
    with stop_on_signals(stop) if signals else nullcontext():
        how = {
            "network": network,
            "stop": stop,
            "on_progress": show,
            "checkpoint": checkpoint,
            "memory": options.memory,
        }
        try:
            result = request.application.run(**inputs, **request.settings, **how)
        except Stopped:
            return stopped(stop.exit_code)
        finally:
            show.close()
        report = {"preset": request.preset, "request": request.sha256(hashes, network)} | result.report.as_dict()
        report |= {"inputs": hashes, "notices": notices + report["notices"]}
        written = _write(output, result.image, report)
        for name, place in beside.items():
            written = (name not in result.steps or _write_beside(place, result.steps[name])) and written
        if written and not report["interrupted"]:
            checkpoint.remove()
    loss = report["loss"]
    show.say(f"{output}: {report['evaluations']} evaluations in {report['seconds']:.0f} s, loss "
             f"{loss['initial']['total']:.4g} -> {loss['final']['total']:.4g} ({report['stop_reason']})")  # fmt: skip
    if report["interrupted"] and checkpoint.path and checkpoint.path.exists():
        show.say(f"--resume goes on from {checkpoint.path}")
    if not written or show.failed:
        return FAILED
    return stop.exit_code if report["interrupted"] else 0


def _inputs(request: Request, pictures: Mapping[str, Picture]) -> tuple[dict[str, Any], list[str]]:
    """What the application is given, and what of the files was not taken as it stands."""
    inputs, notices = dict(request.values), []
    for entry in request.application.inputs:
        if several := request.files.get(entry.name):
            taken = [_value(pictures[name], kind, path) for name, (kind, path) in several.items()]
            inputs[entry.name] = _joined(entry.kind, [value for value, _ in taken])
            notices += [notice for _, said in taken for notice in said]
    return inputs, notices


def written_by(options: argparse.Namespace) -> list[Path]:
    """The images that a run ends with: the result, and those on the way to it."""
    output = Path(options.output)
    return [output, *_beside(options, output).values()]


def _beside(options: argparse.Namespace, output: Path) -> dict[str, Path]:
    """What is written of the images on the way to the result: name -> path."""
    if options.application.base is None:
        return {}
    names = [] if options.input_stylized else ["stylized"]
    names += ["pasted", "mask"] if options.keep_intermediates else []
    return {name: output.with_name(f"{output.stem}_{name}{output.suffix}") for name in names}


def _checkpoint(options: argparse.Namespace, output: Path, show: "_Show") -> Checkpoint:
    """The file beside the output that keeps what a run reaches; says what becomes of one that is there."""
    path = output.with_name(f"{output.stem}.checkpoint.npz")
    if options.resume and not path.exists():
        show.say(f"there is no {path} to go on from: the run begins anew")
    if path.exists() and not options.resume:
        show.say(f"{path} is replaced: --resume would go on from it")

    def on_failure(error: OSError) -> None:
        fail(f"{reason(error)}; --resume will lack what was reached since")

    checkpoint = Checkpoint(path, options.checkpoint_every, resume=options.resume, on_failure=on_failure)
    show.iterations = checkpoint.iterations
    return checkpoint


def _write_beside(path: Path, image: np.ndarray) -> bool:
    """Write an image on the way to the result; says why if it cannot be."""
    try:
        write_image(path, image)
        return True
    except OSError as error:
        fail(reason(error))
        return False


def _files(entry: Input, value: Any) -> dict[str, tuple[str, str]]:
    """The files of an input: the name that reports call each -> its kind, and its path."""
    if entry.kind == "images":
        return {numbered(entry.name, number): ("image", path) for number, path in enumerate(value, start=1)}
    if entry.kind == "pairs":
        return {
            numbered(f"{entry.name} {what}", number): (kind, path)
            for number, pair in enumerate(value, start=1)
            for what, kind, path in zip(("style", "mask"), ("image", "mask"), pair)
        }
    return {entry.name: (entry.kind, value)} if entry.kind in FILES else {}


def _joined(kind: str, values: list[Any]) -> Any:
    """What an application is given of an input's files."""
    if kind == "pairs":
        return list(zip(values[::2], values[1::2]))
    return values if kind == "images" else values[0]


def _value(picture: Picture, kind: str, name: str) -> tuple[Any, tuple[str, ...]]:
    """What an application is given of a picture, and what was not taken as it stands."""
    if kind == "mask":
        return mask_of(picture, name)
    return picture.layer if kind == "layer" else picture.over_white, picture.notices


def _check_not_an_input(output: Path, *inputs: str) -> None:
    for path in inputs:
        expect(not same_file(output, Path(path)), "an output that is not an input", path)


def _check_can_hold(output: Path, shape: tuple[int, int]) -> None:
    """Raises InputError if the output's format has no images of (height, width) `shape`: before the work, not after."""
    try:
        for side in ((shape[0], 1), (1, shape[1])):  # it is a side that may be too long
            encode_image(output, np.zeros(side, np.float32))
    except InputError:
        raise InputError(f"An image of {size_text(shape)} cannot be written as {output.suffix}: {output}") from None


def _write(output: Path, image: Any, report: dict[str, Any]) -> bool:
    """Write image and report; if the folder no longer takes them, into a temporary one, which is named."""
    try:
        write_result(output, image, report)
        return True
    except WriteError as error:
        fail(f"{reason(error)}; {_rescue(output.name, image, report)}")
        return False


def _rescue(name: str, image: Any, report: dict[str, Any]) -> str:
    """Write image and report into a new temporary folder; returns where they are, or why they are not."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="reproduce-"))
        write_result(folder / name, image, report)
        return f"the result is in {folder / name}"
    except OSError as error:
        if folder:
            with suppress(OSError):
                folder.rmdir()
        return f"nor could a temporary folder take the result: {reason(error)}"


def found_network(options: argparse.Namespace, say: Callable[[str], None]) -> VGG19:
    """VGG-19 with the weights that are found or fetched; what there is to say of them is said."""
    weights = find_weights(options.weights, progress=say)
    say(weights.notice)
    return VGG19(weights)


def _given(options: argparse.Namespace, prefix: str) -> dict[str, Any]:
    """What was given of the options whose names begin so."""
    return {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix) and value is not None
    }


def run_select(options: argparse.Namespace) -> int:
    """Write the mask of what is selected, and a picture that shows it."""
    _check_select(options)
    output, preview = check_output(options.output), options.preview and check_output(options.preview)
    for path in filter(None, (output, preview)):
        _check_not_an_input(path, options.image, *options.add, *options.subtract)
    expect(not (preview and same_file(output, preview)), "two output files", f"twice: {output}")
    picture = read_picture(options.image)
    image, notices = picture.over_white, list(picture.notices)
    others: dict[str, np.ndarray] = {}
    for path in (*options.add, *options.subtract):
        others[path], said = mask_of(read_picture(path), path)
        check_same_size(image, others[path], ("image", path))
        notices += said
    selected = _selected(image, options)
    chosen = combine(
        1 - selected if options.invert else selected,
        [others[path] for path in options.add],
        [others[path] for path in options.subtract],
    )
    chosen = shrink(chosen, -options.grow) if options.grow < 0 else grow(chosen, options.grow)
    mask = feather(chosen, options.feather)
    # Of two soft edges that are subtracted from each other a faint line is left.
    expect(chosen.max() >= 0.5 and to_bytes(mask).any(), "a selection of something", "an empty mask")
    written = {output: encode_image(output, mask)}
    if preview:
        written[preview] = encode_image(preview, highlight(image, mask))
    for notice in dict.fromkeys(notices):
        say(notice)
    write_together(written)
    return 0


def _check_select(options: argparse.Namespace) -> None:
    """Raises InputError if an option was given that has no meaning in this way of selecting."""
    way = next(f"--{name}" for name in ("seed", "box", "polygon", "scissors") if getattr(options, name))
    expect(options.tolerance is None or options.seed, "--tolerance with --seed", f"with {way}")
    expect(not options.fill_holes or options.seed or options.box, "--fill-holes with --seed or --box", f"with {way}")
    expect(NOT_FAR.holds(abs(options.grow)), f"--grow of {-FARTHEST} to {FARTHEST} pixels", options.grow)


def _selected(image: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    if options.box:
        return select_in_box(image, options.box, options.fill_holes)
    if options.polygon:
        return select_polygon(options.polygon, image.shape[:2])
    if options.scissors:
        return select_along_edges(image, options.scissors)
    return select(image, options.seed, 0.05 if options.tolerance is None else options.tolerance, options.fill_holes)


def run_paste(options: argparse.Namespace) -> int:
    """Write the composite and its mask."""
    output, mask_output = check_output(options.output), check_output(options.mask_output)
    for path in (output, mask_output):
        _check_not_an_input(path, options.background, options.object, options.mask)
    expect(not same_file(output, mask_output), "two output files", f"twice: {output}")
    # In its own colours, without the white that shows through them where it is transparent: no fringe can come.
    picture = read_picture(options.object)
    is_its_own = same_file(Path(options.object), Path(options.mask))
    mask, notices = mask_of(picture if is_its_own else read_picture(options.mask), options.mask)
    background, place = read_image(options.background), (options.at, options.scale, options.rotate, options.mirror)
    composite, placed = paste(background, picture.color, mask, *place)
    for notice in dict.fromkeys((*picture.notices, *notices)):
        say(notice)
    write_together({path: encode_image(path, image) for path, image in ((output, composite), (mask_output, placed))})
    return 0


def run_plan(options: argparse.Namespace) -> int:
    """Print what runs would take."""
    objects, size, mask = options.object or [(300, 300)], options.size, None
    if options.mask:
        mask, notices = mask_of(read_picture(options.mask), options.mask)
        for notice in notices:
            say(notice)
        size = size or mask.shape
        expect(size == mask.shape, f"a mask of {size_text(size)}", f"one of {size_text(mask.shape)}")
    expect(size is not None, "--size WxH, or --mask FILE", "neither")
    changes = {} if options.scale is None else {"scale": options.scale}
    limit_gpu_memory(options.gpu_memory)
    limits = memory_limits(options.memory)
    estimates: dict[str, Estimate | TooLarge] = {}
    for name, application in APPLICATIONS.items():
        settings = application.preset(options.preset, **changes)
        base = application.base_preset(options.preset, **changes)
        try:
            estimates[name] = application.estimate(size, objects, settings, mask, base, limits)
        except TooLarge as error:
            estimates[name] = error
    speed = matrix_product_speed()
    print(f"{'':16}{'working size':>14}{'peak memory':>14}{'an evaluation':>15}{'all':>10}{'strips':>8}")
    for name, expected in estimates.items():
        if isinstance(expected, TooLarge):
            print(f"{name:16}{expected}")
            continue
        seconds = seconds_per_evaluation(expected.flops, speed)
        print(f"{name:16}{size_text(expected.working_shape):>14}{expected.memory_bytes / 1e9:>11.2f} GB"
              f"{seconds:>13.2f} s{expected.seconds(speed) / 60:>6.1f} min{expected.strips:>8}")  # fmt: skip
    return 0


def run_page(options: argparse.Namespace) -> int:
    """Serve the page until it is stopped."""
    try:
        from ..page.server import serve  # the extra packages, which only this command needs
    except ModuleNotFoundError as error:
        advice = "pip install 'reproduce[page]', or make page in a checkout"
        raise InputError(f"Expected the packages of the page ({advice}). Received: {error}") from None
    return serve(options.folder, options.port, browser=not options.no_browser)


class _Show:
    """Progress on the terminal or in lines, notices, and the images so far of --save-every and --current."""

    def __init__(self, options: argparse.Namespace, output: Path, stop: Stop, label: str):
        self.save_every, self.output, self.label = options.save_every, output, label
        self.current = None if options.current is None else check_output(options.current)
        self.iterations, self.failed, self.next_current = 0, False, 0.0
        # A program that reads the lines and has gone will not come back: what the run has is kept.
        self.bar = ProgressLines(stop.set) if options.progress == "json" else ProgressBar(options.quiet)

    def say(self, *messages: str) -> None:
        with suppress(OSError):  # as `say`
            for message in messages:
                self.bar.say(message)

    def close(self) -> None:
        with suppress(OSError):
            self.bar.close()

    def may_write(self, path: Path) -> bool:
        """Whether a file may be in the place of an intermediate image."""
        path, name = path.resolve(), rf"{re.escape(self.output.stem)}_\d{{4,}}{re.escape(self.output.suffix)}"
        return bool(self.save_every and path.parent == self.output.parent.resolve() and re.fullmatch(name, path.name))

    def __call__(self, progress: Progress) -> None:
        if progress.notice:
            self.say(progress.notice)
            return
        with suppress(OSError):
            self.bar.show(self.label + progress.stage, progress.done, progress.total, progress.loss, progress.share)
        if progress.image is None:
            return
        self.iterations += 1  # of all stages; progress.done counts those of one
        if self.save_every and self.iterations % self.save_every == 0:
            path = self.output.with_name(f"{self.output.stem}_{self.iterations:04d}{self.output.suffix}")
            try:
                write_image(path, progress.image())
            except OSError as error:  # the run goes on: its result is worth more
                self.save_every, self.failed = 0, True
                fail(f"{reason(error)}; no more intermediate images are written")
        if self.current and time.monotonic() >= self.next_current:
            self._write_current(self.current, progress.image)

    def _write_current(self, path: Path, image: Callable[[], np.ndarray]) -> None:
        """Write the image so far, so seldom that it takes a tenth of the time at most."""
        began = time.monotonic()
        with suppress(OSError):  # it is there to be looked at: the next one may be written again
            write_image(path, image())
        seconds = time.monotonic() - began
        self.next_current = began + max(1.0, 10 * seconds)
