"""The applications, by name: what they take, what they do, what they cost. All that lists them is made from here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, expect
from ..images.arrays import resize, scaled_shape
from ..images.geometry import Rectangle
from ..images.masks import bounding_box, loosen
from ..network.active import independent_parts
from ..presets import GATYS, PAPER, PAPER_BASE, REFINED, REFINED_BASE
from ..settings import Settings, change, leaves
from ..solving.memory import HARMONIZING_BYTES, PAINTING_BYTES, REGION_BYTES, UNLIMITED, Limits
from ..solving.plan import Estimate, Extent, estimate
from ..solving.run import Result
from .harmonize import harmonize
from .keep_details import keep_details
from .restyle_region import restyle_region
from .stylize import stylize

Size = tuple[int, int]  # (height, width)
SHARED = {"scale", "keep_colors", "match_colors"}  # with the network's and the solver's settings


@dataclass(frozen=True)
class Input:
    """Something that an application takes, in the order of its function's arguments.

    Attributes:
        name: the argument's name in Python; with dashes, the option's where it is one.
        kind: "image", "images" (one or more), "layer" (whose transparency is kept), "mask", "pairs" (of an image
            and a mask; any number), "corners" or "numbers".
        metavar: how the command line calls it.
        help: what it is.
        option: true if it is given as an option, --NAME, not by its place.
        required: false if it may be left out.
        group: of those in a group exactly one is required.
        ending: of a folder's file that is this, NAME_ENDING, where one folder may stand for all inputs.
    """

    name: str
    kind: str
    metavar: str | tuple[str, str]
    help: str
    option: bool = False
    required: bool = True
    group: str = ""
    ending: str = ""


@dataclass(frozen=True)
class Application:
    """One of the applications.

    Attributes:
        name: its one name: of the command, in reports, presets and plans.
        help: what it does, in a few words.
        run: the function: inputs by name, `settings`, `network`, `stop`, `on_progress`, `checkpoint`,
            `memory` -> Result.
        inputs: what it takes.
        presets: name -> settings.
        base: the application that comes first, with the preset of the same name, where one does.
        extent: (size of the input, sizes of objects, their mask or None, settings) -> what its cost goes by.
    """

    name: str
    help: str
    run: Callable[..., Result]
    inputs: tuple[Input, ...]
    presets: dict[str, Settings]
    extent: Callable[[Size, Sequence[Size], np.ndarray | None, Settings], Extent]
    base: "Application | None" = None

    def preset(self, name: str, **changes: Any) -> Settings:
        """The settings of a preset, with some leaves changed.

        Raises:
            InputError: no preset has that name, or a leaf has no meaning in this application, or see `change`.
        """
        expect(name in self.presets, f"a preset out of {', '.join(self.presets)}", name)
        for _, leaf, _ in leaves():
            only = leaf.metadata["only"]
            if leaf.name in changes and only and self.name not in only:
                owners = f"{', '.join(only[:-1])} and {only[-1]} have" if len(only) > 1 else f"{only[0]} has"
                raise InputError(f"Expected a setting of {self.name}. Received: {leaf.name}, which {owners}")
        return change(self.presets[name], **changes)

    def base_preset(self, name: str, **changes: Any) -> Settings | None:
        """The settings of what comes first: a preset with those of the changes that hold for both."""
        if self.base is None:
            return None
        shared = {leaf.name for group, leaf, _ in leaves() if group in ("network", "solver")} | SHARED
        return self.base.preset(name, **{leaf: value for leaf, value in changes.items() if leaf in shared})

    def estimate(
        self,
        size: Size,
        objects: Sequence[Size],
        settings: Settings,
        mask: np.ndarray | None = None,
        base: Settings | None = None,
        limits: Limits = UNLIMITED,
    ) -> Estimate:
        """Expect the cost of a run.

        Args:
            size: (height, width) of the input in pixels.
            objects: (height, width) of each object, taken to lie far from the others; of the straightened region.
            settings: of the run.
            mask: (H, W), where the objects are, in place of their sizes.
            base: of what comes first, where something does.
            limits: of memory.

        Raises:
            TooLarge: it cannot be done within them.
        """
        if mask is not None:
            objects = [bounding_box(mask).shape]
        own = estimate(self.extent(size, objects, mask, settings), settings, limits)
        if self.base is None or base is None:
            return own
        first = self.base.estimate(size, objects, base, limits=limits)
        return own._replace(memory_bytes=max(own.memory_bytes, first.memory_bytes), stages=first.stages + own.stages)


def _whole(shape: Size) -> list[Rectangle]:
    return [Rectangle(0, 0, *shape)]


def _extent_of_objects(size: Size, objects: Sequence[Size], mask: np.ndarray | None, settings: Settings) -> Extent:
    """Of objects with what is optimised around them."""
    margin = settings.mask.grow + 3 * settings.mask.feather
    loose = None if mask is None else loosen(mask, settings.mask.grow, settings.mask.feather)

    def parts(shape: Size) -> list[Rectangle]:
        if loose is not None:
            return independent_parts(resize(loose, shape) > 0, settings.layers, settings.style.halo)
        scale = shape[0] / size[0]
        grown = [scaled_shape([side + 2 * margin for side in sides], scale) for sides in objects]
        return [_in_the_middle(height, width, shape) for height, width in grown]

    return Extent(size, size, parts, HARMONIZING_BYTES)


def _in_the_middle(height: int, width: int, shape: Size) -> Rectangle:
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    return Rectangle(top, left, top + height, left + width).clip(shape)


_BASE_PRESETS = {"paper": PAPER_BASE, "refined": REFINED_BASE, "gatys": GATYS}

STYLIZE = Application(
    name="stylize",
    help="paint an image in the style of another",
    run=stylize,
    inputs=(
        Input("content", "layer", "CONTENT", "the image to paint; its transparency is kept"),
        Input("style", "images", "STYLE", "the painting whose style it takes, or several whose styles are blended"),
        Input("blend", "numbers", "X,Y,...", "how much each of several styles counts (default: equally)", True, False),
    ),
    presets=_BASE_PRESETS,
    extent=lambda size, objects, mask, settings: Extent(size, size, _whole, PAINTING_BYTES),
)
RESTYLE_REGION = Application(
    name="restyle-region",
    help="paint a part in another style: a quadrilateral, such as a screen, or any shape",
    run=restyle_region,
    inputs=(
        Input("image", "image", "IMAGE", "the image that holds the part"),
        Input("style", "image", "STYLE", "the painting whose style the part takes"),
        Input("corners", "corners", "X,Y", "four corners in pixels of IMAGE, in any order", True, False, "part"),
        Input("mask", "mask", "MASK", "or a mask, white on the part", True, False, "part"),
        Input("also", "pairs", ("STYLE", "MASK"), "another style for another part; as often as wanted", True, False),
        Input("background_style", "image", "STYLE2", "a painting whose style the rest takes", True, required=False),
    ),
    presets=_BASE_PRESETS,
    extent=lambda size, objects, mask, settings: Extent(size, objects[0], _whole, REGION_BYTES),
)
HARMONIZE = Application(
    name="harmonize",
    help="make an object pasted into a painting look painted",
    run=harmonize,
    inputs=(
        Input("background", "image", "BACKGROUND", "the painting", ending="target"),
        Input("composite", "image", "COMPOSITE", "the painting with the object pasted", ending="naive"),
        Input("mask", "mask", "MASK", "white, or opaque, on the object", ending="c_mask"),
    ),
    presets={"paper": PAPER, "refined": REFINED, "gatys": GATYS},
    extent=_extent_of_objects,
)
KEEP_DETAILS = Application(
    name="keep-details",
    help="paint an image in the style of another, but keep an object's details",
    run=keep_details,
    inputs=(
        Input("content", "image", "CONTENT", "the image to paint"),
        Input("style", "image", "STYLE", "the painting whose style it takes"),
        Input("mask", "mask", "MASK", "white, or opaque, on the object whose details are to stay"),
        Input("stylized", "image", "BASE", "the painted image, where there is one already", True, required=False),
    ),
    presets=HARMONIZE.presets,
    extent=_extent_of_objects,
    base=STYLIZE,
)

APPLICATIONS = {application.name: application for application in (STYLIZE, RESTYLE_REGION, HARMONIZE, KEEP_DETAILS)}
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
