"""The command line: reproduce stylize | restyle-region | harmonize | select | paste | plan, made from the registry."""

import argparse
import re
import sys
from dataclasses import Field
from pathlib import Path
from typing import Any, NoReturn

import cv2

from .applications.registry import APPLICATIONS, PRESETS, Application, Input
from .errors import InputError, expect
from .files import sha256
from .images.arrays import MINIMUM_SIDE, size_text
from .images.files import check_output, read_image, read_mask, write_image
from .images.masks import feather, select
from .images.regions import paste
from .losses import STYLE_LOSSES
from .network.backend import limit_gpu_memory, matrix_product_speed
from .network.features import VGG19
from .network.weights import find_weights
from .settings import leaves
from .solving.plan import seconds_per_evaluation
from .solving.report import write_report
from .solving.run import Progress
from .stopping import Stopped, stop_on_signals
from .terminal import ProgressBar

USER_ERROR, INTERRUPTED = 2, 130  # the latter for Ctrl-C
READERS = {"image": read_image, "mask": read_mask}


def main(arguments: list[str] | None = None, network: VGG19 | None = None) -> int:
    """Run one command; a user's mistake becomes one line and exit code 2.

    Args:
        arguments: as typed, without the program's name; None for those of the process.
        network: in place of VGG-19 with the weights that are found or fetched.
    """
    options = _parser().parse_args(arguments)
    options.network = network
    try:
        return options.run(options)
    except KeyboardInterrupt as stopped:
        return _stopped(*stopped.args)
    except MemoryError as error:
        return _fail(f"out of memory ({error}): lower --scale, or for large images --matching-memory")
    except (InputError, OSError) as error:
        return _fail(str(error))
    except Exception as error:
        # OpenCV's, and TensorFlow's without naming it here.
        if getattr(error, "code", None) == cv2.Error.StsNoMem or type(error).__name__ == "ResourceExhaustedError":
            return _fail("out of memory: lower --scale, or use a smaller image or region")
        raise


def _fail(message: str) -> int:
    print("reproduce: error: " + " ".join(message.split()), file=sys.stderr)
    return USER_ERROR


def _stopped(code: int = INTERRUPTED) -> int:
    print("reproduce: stopped before there was a result: nothing was written", file=sys.stderr)
    return code


def _run(options: argparse.Namespace) -> int:
    """Read, check what can be checked before the work, run, write image and report."""
    application: Application = options.application
    output = check_output(options.output)
    report_path = output.with_suffix(".json")
    expect(not report_path.is_dir(), "a place for the report", f"a folder: {report_path}")
    expect(options.save_every >= 0, "--save-every of 0 or more", options.save_every)
    settings = application.preset(options.preset, **_given(options, "setting_"))
    values = _given(options, "input_")
    files = [entry for entry in application.inputs if entry.kind in READERS and entry.name in values]
    paths = {entry.name: values[entry.name] for entry in files}
    values |= {entry.name: READERS[entry.kind](paths[entry.name]) for entry in files}
    show = _Show(options, output)
    limit_gpu_memory(options.gpu_memory)
    network = options.network or _found_network(options, show)
    hashes = {name: sha256(path) for name, path in paths.items()}
    with stop_on_signals() as stop:
        try:
            result = application.run(**values, settings=settings, network=network, stop=stop, on_progress=show)
        except Stopped:
            return _stopped(stop.exit_code)
        finally:
            show.close()
        report = {"preset": options.preset} | result.report.as_dict() | {"inputs": hashes}
        write_image(output, result.image)
        write_report(output, report)
    loss = report["loss"]
    show.say(f"{output}: {report['evaluations']} evaluations in {report['seconds']:.0f} s, loss "
             f"{loss['initial']['total']:.4g} -> {loss['final']['total']:.4g} ({report['stop_reason']})")  # fmt: skip
    return stop.exit_code if report["interrupted"] else 0


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


def _select(options: argparse.Namespace) -> int:
    output = check_output(options.output)
    mask = select(read_image(options.image), options.seed, options.tolerance, options.fill_holes)
    write_image(output, feather(1 - mask if options.invert else mask, options.feather))
    return 0


def _paste(options: argparse.Namespace) -> int:
    output, mask_output = check_output(options.output), check_output(options.mask_output)
    expect(output.resolve() != mask_output.resolve(), "two output files", f"twice: {output}")
    # An object that is its own mask is pasted in its own colours, without the white that shows through them elsewhere.
    picture = read_image(options.object, over_white=options.mask != options.object)
    composite, mask = paste(read_image(options.background), picture, read_mask(options.mask), options.at, options.scale)
    write_image(output, composite)
    write_image(mask_output, mask)
    return 0


def _plan(options: argparse.Namespace) -> int:
    speed = matrix_product_speed()
    print(f"{'':16}{'working size':>14}{'peak memory':>14}{'an evaluation':>15}{'all':>10}")
    for name, application in APPLICATIONS.items():
        settings = application.preset(options.preset, **({} if options.scale is None else {"scale": options.scale}))
        expected = application.estimate(options.size, options.object, settings)
        seconds = seconds_per_evaluation(expected.flops, speed)
        print(f"{name:16}{size_text(expected.working_shape):>14}{expected.memory_bytes / 1e9:>11.2f} GB"
              f"{seconds:>13.2f} s{expected.seconds(speed) / 60:>6.1f} min")  # fmt: skip
    return 0


class _Show:
    """Progress on the terminal, notices, and the intermediate images of --save-every."""

    def __init__(self, options: argparse.Namespace, output: Path):
        self.save_every, self.output = options.save_every, output
        self.bar, self.iterations = ProgressBar(options.quiet), 0
        self.say, self.close = self.bar.say, self.bar.close

    def __call__(self, progress: Progress) -> None:
        self.bar.show(progress.stage, progress.done, progress.total, progress.loss)
        if progress.image is None:
            return
        self.iterations += 1  # of all stages; progress.done counts those of one
        if self.save_every and self.iterations % self.save_every == 0:
            path = self.output.with_name(f"{self.output.stem}_{self.iterations:04d}{self.output.suffix}")
            write_image(path, progress.image())


class _Parser(argparse.ArgumentParser):
    def __init__(self, **keywords: Any):
        super().__init__(**keywords)
        # So that -5,3 is taken for a point, not for an option.
        self._negative_number_matcher = re.compile(r"-[.\d]")

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{message} (see {self.prog} --help)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="reproduce", description="Partial style transfer and painterly harmonisation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for application in APPLICATIONS.values():
        _add_application(commands, application)

    command = commands.add_parser("select", help="make a mask: all that is connected to a point and of its colour")
    command.set_defaults(run=_select)
    command.add_argument("image", metavar="IMAGE")
    command.add_argument("--seed", metavar="X,Y", type=_point, action="append", required=True,
                         help="a point in pixels; give several to unite their selections")  # fmt: skip
    command.add_argument("--tolerance", metavar="T", type=float, default=0.05,
                         help="largest difference from the seed's colour per channel, 0 to 1")  # fmt: skip
    command.add_argument("--fill-holes", action="store_true", help="also select what the selection encloses")
    command.add_argument(
        "--invert", action="store_true", help="select everything else: seeds in the backdrop of an object"
    )
    command.add_argument("--feather", metavar="SIGMA", type=float, default=0.0, help="soften the edge, pixels")
    command.add_argument("-o", "--output", metavar="MASK.png", required=True)

    command = commands.add_parser("paste", help="paste an object over a background, and make its mask")
    command.set_defaults(run=_paste)
    command.add_argument("background", metavar="BACKGROUND")
    command.add_argument("object", metavar="OBJECT", help="an image of the object")
    command.add_argument("mask", metavar="MASK", help="white, or opaque, where OBJECT is the object; of OBJECT's size")
    command.add_argument("--at", metavar="X,Y", type=_point, required=True,
                         help="where in BACKGROUND the object's middle goes")  # fmt: skip
    command.add_argument("--scale", metavar="S", type=float, default=1.0, help="of the object (default: 1)")
    command.add_argument("-o", "--output", metavar="COMPOSITE.png", required=True)
    command.add_argument("--mask-output", metavar="MASK2.png", required=True, help="the pasted object's mask")

    command = commands.add_parser("plan", help="say what runs would take, before anything is run")
    command.set_defaults(run=_plan)
    command.add_argument("--size", metavar="WxH", type=_size, required=True, help="of the input, pixels")
    command.add_argument("--object", metavar="WxH", type=_size, default=(300, 300),
                         help="of the object, or the region to restyle (default: 300x300)")  # fmt: skip
    command.add_argument("--preset", choices=PRESETS, default="paper", help="named settings (default: %(default)s)")
    command.add_argument("--scale", metavar="S", type=float, help="in place of the preset's")
    return parser


def _add_application(commands: Any, application: Application) -> None:
    """A command: the application's inputs, what all share, and an option for each setting that has a meaning in it."""
    text = application.help
    command = commands.add_parser(application.name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=_run, application=application)
    for entry in application.inputs:
        _add_input(command, entry)
    command.add_argument("-o", "--output", metavar="OUT.png", required=True, help="the result; its report: OUT.json")
    command.add_argument("--preset", choices=PRESETS, default="paper", help="named settings (default: %(default)s)")
    command.add_argument("--weights", metavar="FILE", help="VGG-19 weights, .h5 (default: found or fetched)")
    command.add_argument("--save-every", metavar="N", type=int, default=0, help="write OUT_000N.png every N iterations")
    command.add_argument(
        "--gpu-memory", metavar="GB", type=float, default=6.0, help="take no more of a GPU (default: 6)"
    )
    command.add_argument("--quiet", action="store_true", help="no progress, no notices")
    _add_settings(command, application)


def _add_input(command: argparse.ArgumentParser, entry: Input) -> None:
    keywords: dict[str, Any] = {"metavar": entry.metavar, "help": entry.help}
    if entry.kind == "corners":
        keywords |= {"nargs": 4, "type": _point}
    if entry.option:
        name = "--" + entry.name.replace("_", "-")
        command.add_argument(name, dest=f"input_{entry.name}", required=entry.required, **keywords)
    else:
        command.add_argument(f"input_{entry.name}", **keywords)


def _add_settings(command: argparse.ArgumentParser, application: Application) -> None:
    """An option for each setting, in groups; left out, the preset's value stays.

    What has no meaning here is understood all the same, so that the error can say where it has one.
    """
    defaults = application.preset("paper").as_dict()
    groups: dict[str, Any] = {}
    for group, leaf, losses in leaves():
        if group not in groups:
            groups[group] = command.add_argument_group(f"{group} (in brackets the value of 'paper')")
            if group == "style":
                keywords = {"choices": STYLE_LOSSES, "dest": "setting_style_loss"}
                help = f"how styles are compared: {_kinds()} [{defaults['style_loss']}]".replace("%", "%%")
                groups[group].add_argument("--style-loss", help=help, **keywords)
        hidden = leaf.metadata["only"] and application.name not in leaf.metadata["only"]
        default = defaults.get(leaf.name, leaf.default)
        _add_setting(groups[group], leaf, default, _help(leaf, default, losses, bool(hidden)))


def _kinds() -> str:
    """What each style loss is, in the words of its docstring's first line."""
    return "; ".join(f"{name}: {_first_line(kind)}" for name, kind in STYLE_LOSSES.items())


def _first_line(kind: type) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")


def _help(leaf: Field, default: Any, losses: tuple[str, ...], hidden: bool) -> str:
    if hidden:
        return argparse.SUPPRESS
    shown = ",".join(default) if isinstance(default, tuple) else default
    whose = "" if len(losses) in (0, len(STYLE_LOSSES)) else f"{', '.join(losses)}: "
    return f"{whose}{leaf.metadata['help']} [{shown}]".replace("%", "%%")


def _add_setting(group: Any, leaf: Field, default: Any, help: str) -> None:
    kind = type(leaf.default)
    keywords: dict[str, Any] = {"default": None, "dest": f"setting_{leaf.name}", "help": help}
    if kind is bool:
        keywords["action"] = argparse.BooleanOptionalAction
    elif kind is tuple:
        keywords |= {"type": listed, "metavar": "A,B,..."}
    elif leaf.metadata["choices"]:
        keywords["choices"] = leaf.metadata["choices"]
    else:
        keywords |= {"type": kind, "metavar": "N" if kind is int else "X"}
    group.add_argument("--" + leaf.name.replace("_", "-"), **keywords)


def _size(text: str) -> tuple[int, int]:
    """(height, width) of a size written WxH."""
    try:
        width, height = map(int, text.lower().split("x"))
        if min(width, height) < MINIMUM_SIDE:
            raise ValueError
    except ValueError:
        message = f"expected a size WxH of at least {MINIMUM_SIDE} pixels each, received {text!r}"
        raise argparse.ArgumentTypeError(message) from None
    return height, width


def listed(text: str) -> tuple[str, ...]:
    """The names in a list A,B,..."""
    return tuple(filter(None, text.split(",")))


def _point(text: str) -> tuple[float, float]:
    """A point written x,y."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a point x,y in pixels, received {text!r}") from None
    return x, y
