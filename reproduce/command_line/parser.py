"""What can be typed: the commands and their options, made from the registry and the settings' fields."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NoReturn, get_args

from ..applications.registry import APPLICATIONS, PRESETS, Application, Input
from ..images.arrays import MINIMUM_SIDE
from ..losses import STYLE_LOSSES
from ..settings import leaves
from ..solving.checkpoint import EVERY
from .commands import fail, run_page, run_paste, run_plan, run_select
from .folders import HELP, HELP_OF_ENDINGS, run_images


class _Parser(argparse.ArgumentParser):
    def __init__(self, **keywords: Any):
        super().__init__(**keywords)
        # So that -5,3 is taken for a point, not for an option.
        self._negative_number_matcher = re.compile(r"-[.\d]")

    def error(self, message: str) -> NoReturn:
        raise SystemExit(fail(f"{message} (see {self.prog} --help)"))


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="reproduce", description="Partial style transfer and painterly harmonisation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for application in APPLICATIONS.values():
        _add_application(commands, application)

    command = commands.add_parser(
        "select",
        help="make a mask: by a colour, by a box around an object, by a polygon, or along edges",
        description="Make a mask. First is the selection, with --fill-holes, then --invert; then come --add, "
                    "--subtract, --grow, and --feather, in this order. Points are x,y in pixels.",
    )  # fmt: skip
    command.set_defaults(run=run_select)
    command.add_argument("image", metavar="IMAGE")
    ways = command.add_mutually_exclusive_group(required=True)
    ways.add_argument("--seed", metavar="X,Y", type=_point, action="append",
                      help="all that is connected to a point and of its colour; give several to unite their "
                           "selections")  # fmt: skip
    ways.add_argument("--box", metavar="X,Y", type=_point, nargs=2,
                      help="the object in a loose box, of two opposite corners: GrabCut")  # fmt: skip
    ways.add_argument("--polygon", metavar="X,Y", type=_point, nargs="+",
                      help="what lies in a polygon of three or more points")  # fmt: skip
    ways.add_argument("--scissors", metavar="X,Y", type=_point, nargs="+",
                      help="what lies within lines along edges, from each of three or more points to the next "
                           "(intelligent scissors)")  # fmt: skip
    command.add_argument("--tolerance", metavar="T", type=float,
                         help="largest difference from the seed's colour per channel, 0 to 1 "
                              "(default: 0.05)")  # fmt: skip
    command.add_argument("--fill-holes", action="store_true",
                         help="also select what the selection encloses (of --seed and --box)")  # fmt: skip
    command.add_argument(
        "--invert", action="store_true", help="select everything else: seeds in the backdrop of an object"
    )
    command.add_argument("--add", metavar="MASK", action="append", default=[],
                         help="unite with a mask of IMAGE's size; --add and --subtract may be given several "
                              "times")  # fmt: skip
    command.add_argument("--subtract", metavar="MASK", action="append", default=[], help="take a mask away")
    command.add_argument(
        "--grow", metavar="PIXELS", type=int, default=0, help="widen the selection; below 0: narrow it"
    )
    command.add_argument("--feather", metavar="SIGMA", type=float, default=0.0, help="soften the edge, pixels")
    command.add_argument("--preview", metavar="PREVIEW.png",
                         help="also write what is selected, over a darkened IMAGE")  # fmt: skip
    command.add_argument("-o", "--output", metavar="MASK.png", required=True)

    command = commands.add_parser("paste", help="paste an object over a background, and make its mask")
    command.set_defaults(run=run_paste)
    command.add_argument("background", metavar="BACKGROUND")
    command.add_argument("object", metavar="OBJECT", help="an image of the object")
    command.add_argument("mask", metavar="MASK", help="white, or opaque, where OBJECT is the object; of OBJECT's size")
    command.add_argument("--at", metavar="X,Y", type=_point, required=True,
                         help="where in BACKGROUND the object's middle goes")  # fmt: skip
    command.add_argument("--scale", metavar="S", type=float, default=1.0, help="of the object (default: 1)")
    command.add_argument("--rotate", metavar="DEGREES", type=float, default=0.0,
                         help="turn the object clockwise about its middle")  # fmt: skip
    command.add_argument("--mirror", action="store_true", help="swap the object's left and right, before it is turned")
    command.add_argument("-o", "--output", metavar="COMPOSITE.png", required=True)
    command.add_argument("--mask-output", metavar="MASK2.png", required=True, help="the pasted object's mask")

    command = commands.add_parser("plan", help="say what runs would take, before anything is run")
    command.set_defaults(run=run_plan)
    command.add_argument("--size", metavar="WxH", type=_size, help="of the input, pixels (or of --mask FILE)")
    objects = command.add_mutually_exclusive_group()
    objects.add_argument("--object", metavar="WxH", type=_size, action="append",
                         help="of the object, or the region to restyle (default: 300x300); give several that lie "
                              "far apart")  # fmt: skip
    objects.add_argument("--mask", metavar="FILE", help="in place of that, the mask of the objects")
    command.add_argument("--preset", choices=PRESETS, default="paper", help="named settings (default: %(default)s)")
    command.add_argument("--scale", metavar="S", type=float, help="in place of the preset's")
    _add_memory(command)

    command = commands.add_parser("page", help="select, place and paint in a browser, on this machine alone")
    command.set_defaults(run=run_page)
    command.add_argument("--port", metavar="P", type=int, default=8760, help="of 127.0.0.1 (default: %(default)s)")
    command.add_argument("--no-browser", action="store_true", help="do not open the page")
    command.add_argument("--folder", metavar="RUNS", type=Path, default=Path("runs"),
                         help="where runs and their pictures are kept (default: %(default)s)")  # fmt: skip
    return parser


def _add_memory(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--memory",
        metavar="GB",
        type=float,
        help="hold no more, with large images in strips (default: what is free, less a tenth)",
    )
    command.add_argument(
        "--gpu-memory", metavar="GB", type=float, default=6.0, help="take no more of a GPU (default: 6)"
    )


def _add_application(commands: Any, application: Application) -> None:
    """A command: the application's inputs, what all share, and an option for each setting that has a meaning in it."""
    text, named = application.help, [f"NAME_{entry.ending}" for entry in application.inputs if entry.ending]
    description = [text[0].upper() + text[1:] + ".", HELP]
    if named:
        description.append(HELP_OF_ENDINGS.format(names=", ".join(named)))
    command = commands.add_parser(application.name, help=text, description=" ".join(description))
    command.set_defaults(run=run_images, application=application)
    alternatives: dict[str, Any] = {}
    standing_for_all: list[_OrFolder] = []
    for entry in application.inputs:
        if entry.group and entry.group not in alternatives:
            alternatives[entry.group] = command.add_mutually_exclusive_group(required=True)
        action = _add_input(alternatives.get(entry.group, command), entry)
        if isinstance(action, _OrFolder):
            standing_for_all.append(action)
    for action in standing_for_all:
        action.others = standing_for_all[1:]
    command.add_argument("-o", "--output", metavar="OUT.png", required=True,
                         help="the result; its report: OUT.json; of folders: a folder, which is made")  # fmt: skip
    command.add_argument("--workers", metavar="N", type=int, default=1,
                         help="of a folder: make N images at once, each in a process with its share of the cores, and "
                              "with --gpu-memory of its own (default: 1)")  # fmt: skip
    if application.base:
        command.add_argument(
            "--keep-intermediates", action="store_true", help="write OUT_pasted.png and OUT_mask.png too"
        )
    command.add_argument("--preset", choices=PRESETS, default="paper", help="named settings (default: %(default)s)")
    command.add_argument("--weights", metavar="FILE", help="VGG-19 weights, .h5 (default: found or fetched)")
    command.add_argument("--save-every", metavar="N", type=int, default=0, help="write OUT_000N.png every N iterations")
    command.add_argument(
        "--checkpoint-every", metavar="SECONDS", type=float, default=EVERY,
        help="keep what is reached in OUT.checkpoint.npz, until the result is written; 0: never (default: 60)",
    )  # fmt: skip
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on from OUT.checkpoint.npz, where there is one of the same inputs, settings and weights",
    )
    command.add_argument("--current", metavar="FILE.png", help="write the image so far there, every second at most")
    command.add_argument("--progress", choices=("bar", "json"), default="bar",
                         help="json: a line of JSON a step on standard output (default: bar)")  # fmt: skip
    _add_memory(command)
    command.add_argument("--quiet", action="store_true", help="no progress, no notices")
    _add_settings(command, application)


class _OrFolder(argparse.Action):
    """An input; where it is a folder, the others may be left out."""

    others: "Sequence[_OrFolder]" = ()

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, values)
        for other in self.others if Path(values).is_dir() else ():
            other.required = False


def _add_input(command: Any, entry: Input) -> argparse.Action:
    keywords: dict[str, Any] = {"metavar": entry.metavar, "help": entry.help}
    if entry.kind == "corners":
        keywords |= {"nargs": 4, "type": _point}
    if entry.kind == "images":
        keywords |= {"nargs": "+"}
    if entry.kind == "pairs":
        keywords |= {"nargs": 2, "action": "append"}
    if entry.kind == "numbers":
        keywords |= {"type": _numbers}
    if entry.option:
        name = "--" + entry.name.replace("_", "-")
        return command.add_argument(name, dest=f"input_{entry.name}", required=entry.required, **keywords)
    if entry.ending:
        keywords["action"] = _OrFolder
    return command.add_argument(f"input_{entry.name}", **keywords)


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
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    whose = "" if len(losses) in (0, len(STYLE_LOSSES)) else f"{', '.join(losses)}: "
    return f"{whose}{leaf.metadata['help']} [{shown}]".replace("%", "%%")


def _add_setting(group: Any, leaf: Field, default: Any, help: str) -> None:
    kind = type(leaf.default)
    keywords: dict[str, Any] = {"default": None, "dest": f"setting_{leaf.name}", "help": help}
    if kind is bool:
        keywords["action"] = argparse.BooleanOptionalAction
    elif kind is tuple:
        of_numbers = get_args(leaf.type)[0] is float
        keywords |= {"type": _numbers, "metavar": "X,Y,..."} if of_numbers else {"type": listed, "metavar": "A,B,..."}
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


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers in a list X,Y,..."""
    try:
        return tuple(map(float, listed(text)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers X,Y,..., received {text!r}") from None


def _point(text: str) -> tuple[float, float]:
    """A point written x,y."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a point x,y in pixels, received {text!r}") from None
    return x, y
