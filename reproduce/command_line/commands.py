"""What each command does with its parsed options."""

import argparse
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..applications.common import numbered
from ..applications.registry import APPLICATIONS, Application, Input
from ..errors import InputError, expect
from ..files import WriteError, same_file, write_together
from ..images.arrays import check_same_size, size_text, to_bytes
from ..images.files import Picture, check_output, encode_image, mask_of, read_image, read_picture, write_image
from ..images.masks import feather
from ..images.regions import paste
from ..images.selection import combine, highlight, select, select_in_box, select_polygon
from ..network.backend import limit_gpu_memory, matrix_product_speed
from ..network.features import VGG19
from ..network.weights import find_weights
from ..solving.memory import TooLarge, memory_limit
from ..solving.plan import Estimate, seconds_per_evaluation
from ..solving.report import check_report_path, write_result
from ..solving.run import Progress
from ..stopping import Stopped, stop_on_signals
from ..terminal import ProgressBar

NOT_WRITTEN, USER_ERROR, INTERRUPTED = 1, 2, 130  # exit codes; the last is Ctrl-C's
FILES = ("image", "layer", "mask")  # kinds of inputs that are one file


def fail(message: str, code: int = USER_ERROR) -> int:
    """One line that says what went wrong; returns the exit code."""
    _say("reproduce: error: " + " ".join(message.split()))
    return code


def stopped(code: int = INTERRUPTED) -> int:
    """One line that says that there is nothing; returns the exit code."""
    _say("reproduce: stopped before there was a result: nothing was written")
    return code


def reason(error: OSError) -> str:
    """What went wrong, in words."""
    return error.strerror or str(error)


def _say(line: str) -> None:
    with suppress(OSError):  # a terminal that was closed, a full disk behind 2>FILE
        print(line, file=sys.stderr)


def run_application(options: argparse.Namespace) -> int:
    """Read, check what can be checked before the work, run, write image and report."""
    application: Application = options.application
    output = check_output(options.output)
    check_report_path(output)
    expect(options.save_every >= 0, "--save-every of 0 or more", options.save_every)
    changes = _given(options, "setting_")
    settings = application.preset(options.preset, **changes)
    values = _given(options, "input_")
    given = {entry.name: _files(entry, values[entry.name]) for entry in application.inputs if entry.name in values}
    files = {name: file for several in given.values() for name, file in several.items()}
    show = _Show(options, output)
    beside = _beside(application, options, output)
    for _, path in files.values():
        for written_to in (output, *beside.values()):
            _check_not_an_input(written_to, path)
        expect(not show.may_write(Path(path)), "an input that --save-every leaves", path)
    pictures = {name: read_picture(path) for name, (_, path) in files.items()}
    _check_can_hold(output, next(iter(pictures.values())).color.shape[:2])
    notices: list[str] = []
    taken: dict[str, Any] = {}
    for name, (kind, path) in files.items():
        taken[name], said = _value(pictures[name], kind, path)
        notices += said
    for entry in application.inputs:
        if several := given.get(entry.name):
            values[entry.name] = _joined(entry.kind, [taken[name] for name in several])
    if application.base:
        values["base"] = application.base_preset(options.preset, **changes)
    show.say(*notices)
    limit_gpu_memory(options.gpu_memory)
    network = options.network or _found_network(options, show)
    with stop_on_signals() as stop:
        try:
            result = application.run(
                **values, settings=settings, network=network, stop=stop, on_progress=show, memory=options.memory
            )
        except Stopped:
            return stopped(stop.exit_code)
        finally:
            show.close()
        report = {"preset": options.preset} | result.report.as_dict()
        report |= {"inputs": {name: picture.sha256 for name, picture in pictures.items()}}
        report |= {"notices": notices + report["notices"]}
        written = _write(output, result.image, report)
        for name, place in beside.items():
            written = (name not in result.steps or _write_beside(place, result.steps[name])) and written
    loss = report["loss"]
    show.say(f"{output}: {report['evaluations']} evaluations in {report['seconds']:.0f} s, loss "
             f"{loss['initial']['total']:.4g} -> {loss['final']['total']:.4g} ({report['stop_reason']})")  # fmt: skip
    if not written or show.failed:
        return NOT_WRITTEN
    return stop.exit_code if report["interrupted"] else 0


def _beside(application: Application, options: argparse.Namespace, output: Path) -> dict[str, Path]:
    """What is written of the images on the way to the result: name -> path."""
    if application.base is None:
        return {}
    names = [] if options.input_stylized else ["stylized"]
    names += ["pasted", "mask"] if options.keep_intermediates else []
    return {name: output.with_name(f"{output.stem}_{name}{output.suffix}") for name in names}


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


def _found_network(options: argparse.Namespace, show: "_Show") -> VGG19:
    weights = find_weights(options.weights, progress=show.say)
    show.say(weights.notice)
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
    mask = feather(chosen, options.feather)
    # Of two soft edges that are subtracted from each other a faint line is left.
    expect(chosen.max() >= 0.5 and to_bytes(mask).any(), "a selection of something", "an empty mask")
    written = {output: encode_image(output, mask)}
    if preview:
        written[preview] = encode_image(preview, highlight(image, mask))
    for notice in dict.fromkeys(notices):
        _say(notice)
    write_together(written)
    return 0


def _check_select(options: argparse.Namespace) -> None:
    """Raises InputError if an option was given that has no meaning in this way of selecting."""
    way = "--seed" if options.seed else "--box" if options.box else "--polygon"
    expect(options.tolerance is None or options.seed, "--tolerance with --seed", f"with {way}")
    expect(not options.fill_holes or not options.polygon, "--fill-holes with --seed or --box", f"with {way}")


def _selected(image: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    if options.box:
        return select_in_box(image, options.box, options.fill_holes)
    if options.polygon:
        return select_polygon(options.polygon, image.shape[:2])
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
    composite, placed = paste(read_image(options.background), picture.color, mask, options.at, options.scale)
    for notice in dict.fromkeys((*picture.notices, *notices)):
        _say(notice)
    write_together({path: encode_image(path, image) for path, image in ((output, composite), (mask_output, placed))})
    return 0


def run_plan(options: argparse.Namespace) -> int:
    """Print what runs would take."""
    objects, size, mask = options.object or [(300, 300)], options.size, None
    if options.mask:
        mask, notices = mask_of(read_picture(options.mask), options.mask)
        for notice in notices:
            _say(notice)
        size = size or mask.shape
        expect(size == mask.shape, f"a mask of {size_text(size)}", f"one of {size_text(mask.shape)}")
    expect(size is not None, "--size WxH, or --mask FILE", "neither")
    changes = {} if options.scale is None else {"scale": options.scale}
    limit = memory_limit(options.memory)
    estimates: dict[str, Estimate | TooLarge] = {}
    for name, application in APPLICATIONS.items():
        settings = application.preset(options.preset, **changes)
        base = application.base_preset(options.preset, **changes)
        try:
            estimates[name] = application.estimate(size, objects, settings, mask, base, limit)
        except TooLarge as error:
            estimates[name] = error
    speed = matrix_product_speed()
    print(f"{'':16}{'working size':>14}{'peak memory':>14}{'an evaluation':>15}{'all':>10}{'tiles':>7}")
    for name, expected in estimates.items():
        if isinstance(expected, TooLarge):
            print(f"{name:16}{expected}")
            continue
        seconds = seconds_per_evaluation(expected.flops, speed)
        print(f"{name:16}{size_text(expected.working_shape):>14}{expected.memory_bytes / 1e9:>11.2f} GB"
              f"{seconds:>13.2f} s{expected.seconds(speed) / 60:>6.1f} min{expected.tiles:>7}")  # fmt: skip
    return 0


class _Show:
    """Progress on the terminal, notices, and the intermediate images of --save-every."""

    def __init__(self, options: argparse.Namespace, output: Path):
        self.save_every, self.output = options.save_every, output
        self.bar, self.iterations, self.failed = ProgressBar(options.quiet), 0, False

    def say(self, *messages: str) -> None:
        with suppress(OSError):  # as `_say`
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
            self.bar.show(progress.stage, progress.done, progress.total, progress.loss)
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
