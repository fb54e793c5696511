"""The command line: python -m reproduce stylize | restyle-region | select | paste | harmonize | plan."""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import cv2
from tqdm import tqdm

from .architecture import MINIMUM_SIDE
from .images import check_output, read_image, read_mask, sha256, size_text, write_image
from .masks import feather, select
from .regions import paste
from .settings import PRESETS, Settings, preset

USER_ERROR, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a user's mistake becomes one line and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("reproduce: stopped before there was a result: nothing was written", file=sys.stderr)
        return INTERRUPTED
    except MemoryError as error:
        return _fail(f"out of memory ({error}): lower --scale, or for large images --matching-memory")
    except (ValueError, OSError) as error:
        return _fail(str(error))
    except Exception as error:
        # OpenCV's, and TensorFlow's without importing it here.
        if getattr(error, "code", None) == cv2.Error.StsNoMem or type(error).__name__ == "ResourceExhaustedError":
            return _fail("out of memory: lower --scale, or use a smaller image or region")
        raise


def _fail(message: str) -> int:
    print("reproduce: error: " + " ".join(message.split()), file=sys.stderr)
    return USER_ERROR


def _stylize(options) -> int:
    return _run(options, "stylize", {"content": options.content, "style": options.style})


def _restyle_region(options) -> int:
    inputs = {"image": options.image, "style": options.style}
    if options.background_style:
        inputs["background_style"] = options.background_style
    return _run(options, "restyle_region", inputs, corners=options.corners)


def _harmonize(options) -> int:
    inputs = {"background": options.background, "composite": options.composite, "mask": options.mask}
    return _run(options, "harmonize", inputs)


def _run(options, application: str, inputs: dict[str, str], **others) -> int:
    """Read, check what can be checked before the work, run, write image and report."""
    output = check_output(options.output)
    if output.with_suffix(".json").is_dir():
        raise ValueError(f"Expected a place for the report. Received a folder: {output.with_suffix('.json')}")
    settings = _settings(options)
    images = {name: (read_mask if name == "mask" else read_image)(path) for name, path in inputs.items()}
    show = _Show(options, output)

    from . import applications  # TensorFlow takes seconds to load: only now that it is needed
    from .backend import limit_gpu_memory
    from .report import write_report
    from .weights import find_weights

    limit_gpu_memory(options.gpu_memory)
    weights = find_weights(options.weights, progress=show.say)
    show.say(weights.notice)
    hashes = {name: sha256(path) for name, path in inputs.items()}
    result = getattr(applications, application)(
        **images, **others, settings=settings, weights=weights, on_progress=show
    )
    show.close()
    report = {"preset": options.preset} | result.report | {"inputs": hashes}
    write_image(output, result.image)
    write_report(output, report)
    loss = report["loss"]
    show.say(f"{output}: {report['evaluations']} evaluations in {report['seconds']:.0f} s, loss "
             f"{loss['initial']['total']:.4g} -> {loss['final']['total']:.4g} ({report['stop_reason']})")  # fmt: skip
    return INTERRUPTED if report["interrupted"] else 0


def _select(options) -> int:
    output = check_output(options.output)
    mask = select(read_image(options.image), options.seed, options.tolerance, options.fill_holes)
    write_image(output, feather(1 - mask if options.invert else mask, options.feather))
    return 0


def _paste(options) -> int:
    output, mask_output = check_output(options.output), check_output(options.mask_output)
    if output.resolve() == mask_output.resolve():
        raise ValueError(f"Expected two output files. Received twice: {output}")
    # An object that is its own mask is pasted in its own colours, without the white that shows through them elsewhere.
    picture = read_image(options.object, over_white=options.mask != options.object)
    composite, mask = paste(read_image(options.background), picture, read_mask(options.mask), options.at, options.scale)
    write_image(output, composite)
    write_image(mask_output, mask)
    return 0


def _plan(options) -> int:
    from .backend import matrix_product_speed
    from .plan import estimate, seconds_per_evaluation

    speed = matrix_product_speed()
    print(f"{'':16}{'working size':>14}{'peak memory':>14}{'an evaluation':>15}{'all':>10}")
    for application, defaults in PRESETS[options.preset].items():
        settings = defaults if options.scale is None else replace(defaults, scale=options.scale)
        expected = estimate(application, options.size, options.object, settings)
        seconds = seconds_per_evaluation(expected.flops, speed)
        print(f"{application:16}{size_text(expected.working_shape):>14}{expected.memory_bytes / 1e9:>11.2f} GB"
              f"{seconds:>13.2f} s{expected.seconds(speed) / 60:>6.1f} min")  # fmt: skip
    return 0


class _Show:
    """Progress bars with the time left, notices, and the intermediate images of --save-every."""

    def __init__(self, options, output: Path):
        self.quiet, self.save_every, self.output = options.quiet, options.save_every, output
        self.stage, self.bar, self.iterations = None, None, 0

    def say(self, message: str) -> None:
        if message and not self.quiet:
            tqdm.write(message, file=sys.stderr)

    def __call__(self, progress) -> None:
        if self.bar is None or progress.stage != self.stage or progress.done < self.bar.n:
            self._open(progress)
        self.bar.update(progress.done - self.bar.n)
        if progress.loss is None:
            return
        self.bar.set_postfix_str(f"loss {progress.loss:.4g}", refresh=False)
        self.iterations += 1  # of all stages; progress.done counts those of one
        if self.save_every and self.iterations % self.save_every == 0:
            path = self.output.with_name(f"{self.output.stem}_{self.iterations:04d}{self.output.suffix}")
            write_image(path, progress.image())

    def _open(self, progress) -> None:
        self.close()
        self.stage = progress.stage
        counts = "{n:.0f}/{total:.0f} " if progress.loss is not None else ""
        layout = "{desc}: {percentage:3.0f}%|{bar:30}| " + counts + "[{elapsed}, {remaining} left{postfix}]"
        self.bar = tqdm(total=progress.total, desc=progress.stage, bar_format=layout, disable=self.quiet,
                        delay=0 if progress.loss is not None else 1)  # fmt: skip

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class _Parser(argparse.ArgumentParser):
    def __init__(self, **keywords):
        super().__init__(**keywords)
        self._negative_number_matcher = re.compile(r"-[.\d]")  # so that -5,3 is taken for a point, not for an option

    def error(self, message: str):
        raise SystemExit(_fail(f"{message} (see {self.prog} --help)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m reproduce", description="Partial style transfer and painterly harmonisation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    command = _application(commands, "stylize", _stylize, "paint an image in the style of another")
    command.add_argument("content", metavar="CONTENT", help="the image to paint")
    command.add_argument("style", metavar="STYLE", help="the painting whose style it takes")

    command = _application(commands, "restyle-region", _restyle_region, "paint a quadrilateral, such as a screen")
    command.add_argument("image", metavar="IMAGE", help="the image that holds the quadrilateral")
    command.add_argument("style", metavar="STYLE", help="the painting whose style the quadrilateral takes")
    command.add_argument("--corners", metavar="X,Y", nargs=4, type=_point, required=True,
                         help="its four corners in pixels of IMAGE, in any order")  # fmt: skip
    command.add_argument("--background-style", metavar="STYLE2", help="a painting whose style the rest takes")

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

    command = _application(commands, "harmonize", _harmonize, "make an object pasted into a painting look painted")
    command.add_argument("background", metavar="BACKGROUND", help="the painting")
    command.add_argument("composite", metavar="COMPOSITE", help="the painting with the object pasted")
    command.add_argument("mask", metavar="MASK", help="white, or opaque, on the object")
    return parser


def _application(commands, name: str, run: Callable, help: str) -> argparse.ArgumentParser:
    """A command with the options that all three applications share; the settings' come from `Settings`."""
    command = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    command.set_defaults(run=run, application=name)
    command.add_argument("-o", "--output", metavar="OUT.png", required=True, help="the result; its report: OUT.json")
    command.add_argument("--preset", choices=PRESETS, default="paper", help="named settings (default: %(default)s)")
    command.add_argument("--weights", metavar="FILE", help="VGG-19 weights, .h5 (default: found or fetched)")
    command.add_argument("--save-every", metavar="N", type=int, default=0, help="write OUT_000N.png every N iterations")
    command.add_argument(
        "--gpu-memory", metavar="GB", type=float, default=6.0, help="take no more of a GPU (default: 6)"
    )
    command.add_argument("--quiet", action="store_true", help="no progress, no notices")
    group = command.add_argument_group("settings (their defaults are the preset's; in brackets those of 'paper')")
    for setting in fields(Settings):
        default = getattr(preset("paper", name), setting.name)
        _add_setting(group, setting.name, default, setting.metadata)
    return command


def _add_setting(group, name: str, default, metadata) -> None:
    """The option of one settings field; left out, the preset's value stays."""
    kind = type(default)
    shown = ",".join(default) if kind is tuple else default
    keywords = {"default": None, "dest": f"setting_{name}", "help": f"{metadata['help']} [{shown}]".replace("%", "%%")}
    if kind is bool:
        keywords["action"] = argparse.BooleanOptionalAction
    elif kind is tuple:
        keywords |= {"type": listed, "metavar": "A,B,..."}
    elif metadata["choices"]:
        keywords["choices"] = metadata["choices"]
    else:
        keywords |= {"type": kind, "metavar": "N" if kind is int else "X"}
    group.add_argument("--" + name.replace("_", "-"), **keywords)


def _settings(options) -> Settings:
    """The preset's settings with the options that were given."""
    given = {name.removeprefix("setting_"): value for name, value in vars(options).items()
             if name.startswith("setting_") and value is not None}  # fmt: skip
    if options.save_every < 0:
        raise ValueError(f"Expected --save-every of 0 or more. Received: {options.save_every}")
    return replace(preset(options.preset, options.application), **given)


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


if __name__ == "__main__":
    sys.exit(main())
