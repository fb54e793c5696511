"""The applications, by name: what they take, what they do, what they cost. All that lists them is made from here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, expect
from ..presets import GATYS, PAPER, PAPER_BASE, REFINED, REFINED_BASE
from ..settings import Settings, change, leaves
from ..solving.plan import Estimate, Extent, estimate
from ..solving.run import Result
from .harmonize import harmonize
from .restyle_region import restyle_region
from .stylize import stylize

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Input:
    """Something that an application takes, in the order of its function's arguments.

    Attributes:
        name: the argument's name in Python; with dashes, the option's where it is one.
        kind: "image", "mask" or "corners".
        metavar: how the command line calls it.
        help: what it is.
        option: true if it is given as an option, --NAME, not by its place.
        required: false if it may be left out.
    """

    name: str
    kind: str
    metavar: str
    help: str
    option: bool = False
    required: bool = True


@dataclass(frozen=True)
class Application:
    """One of the applications.

    Attributes:
        name: its one name: of the command, in reports, presets and plans.
        help: what it does, in a few words.
        run: the function: inputs by name, `settings`, `network`, `stop`, `on_progress` -> Result.
        inputs: what it takes.
        presets: name -> settings.
        extent: (size of the input, size of the object or region, settings) -> what its cost goes by.
    """

    name: str
    help: str
    run: Callable[..., Result]
    inputs: tuple[Input, ...]
    presets: dict[str, Settings]
    extent: Callable[[Size, Size, Settings], Extent]

    def preset(self, name: str, **changes: Any) -> Settings:
        """The settings of a preset, with some leaves changed.

        Raises:
            InputError: no preset has that name, or a leaf has no meaning in this application, or see `change`.
        """
        expect(name in self.presets, f"a preset out of {', '.join(self.presets)}", name)
        for _, leaf, _ in leaves():
            only = leaf.metadata["only"]
            if leaf.name in changes and only and self.name not in only:
                owners = f"{' and '.join(only)} {'has' if len(only) == 1 else 'have'}"
                raise InputError(f"Expected a setting of {self.name}. Received: {leaf.name}, which {owners}")
        return change(self.presets[name], **changes)

    def estimate(self, size: Size, object_size: Size, settings: Settings) -> Estimate:
        """Expect the cost of a run.

        Args:
            size: (height, width) of the input in pixels.
            object_size: (height, width) of the object, or of the straightened region, in pixels.
            settings: of the run.
        """
        return estimate(self.extent(size, object_size, settings), settings)


def _grown(size: Size, settings: Settings) -> tuple[float, float]:
    """The object with what is optimised around it."""
    margin = settings.mask.grow + 3 * settings.mask.feather
    return size[0] + 2 * margin, size[1] + 2 * margin


_BASE_PRESETS = {"paper": PAPER_BASE, "refined": REFINED_BASE, "gatys": GATYS}

STYLIZE = Application(
    name="stylize",
    help="paint an image in the style of another",
    run=stylize,
    inputs=(
        Input("content", "image", "CONTENT", "the image to paint"),
        Input("style", "image", "STYLE", "the painting whose style it takes"),
    ),
    presets=_BASE_PRESETS,
    extent=lambda size, _, settings: Extent(size, size, size, bytes_per_pixel=100),
)
RESTYLE_REGION = Application(
    name="restyle-region",
    help="paint a quadrilateral, such as a screen",
    run=restyle_region,
    inputs=(
        Input("image", "image", "IMAGE", "the image that holds the quadrilateral"),
        Input("style", "image", "STYLE", "the painting whose style the quadrilateral takes"),
        Input("corners", "corners", "X,Y", "its four corners in pixels of IMAGE, in any order", option=True),
        Input("background_style", "image", "STYLE2", "a painting whose style the rest takes", True, required=False),
    ),
    presets=_BASE_PRESETS,
    extent=lambda size, region, settings: Extent(size, region, region, bytes_per_pixel=30),
)
HARMONIZE = Application(
    name="harmonize",
    help="make an object pasted into a painting look painted",
    run=harmonize,
    inputs=(
        Input("background", "image", "BACKGROUND", "the painting"),
        Input("composite", "image", "COMPOSITE", "the painting with the object pasted"),
        Input("mask", "mask", "MASK", "white, or opaque, on the object"),
    ),
    presets={"paper": PAPER, "refined": REFINED, "gatys": GATYS},
    extent=lambda size, pasted, settings: Extent(size, size, _grown(pasted, settings), bytes_per_pixel=160),
)

APPLICATIONS = {application.name: application for application in (STYLIZE, RESTYLE_REGION, HARMONIZE)}
PRESETS = tuple(STYLIZE.presets)


def find_application(name: str) -> Application:
    """The application of a name, in which "_" may stand for "-" as in its function's.

    Raises:
        InputError: no application has that name.
    """
    spelled = name.replace("_", "-")
    expect(spelled in APPLICATIONS, f"an application out of {', '.join(APPLICATIONS)}", name)
    return APPLICATIONS[spelled]


def preset(name: str, application: str, **changes: Any) -> Settings:
    """The settings of a preset for an application, with some leaves changed: preset("paper", "harmonize", scale=1.0).

    Raises:
        InputError: no preset, no application or no setting of it has that name, or a value is not allowed.
    """
    return find_application(application).preset(name, **changes)
