"""Every number of the method, in groups by who consumes them, with its source.

Sources: "paper" is Zhou, *Partial Style Transferring and Feature Optimization for Style Transfer Network*; "DPH" is
Luan et al. 2018, *Deep Painterly Harmonization*, and its published code, whose first pass the paper's method is;
"Gatys" is Gatys et al. 2016. The groups of the losses stand beside their equations, in `losses`.

A variant is `change(PAPER, iterations=50, patch_size=5)`: leaf names are unique, so nobody has to say the group.
"""

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from .errors import InputError, expect
from .losses import STYLE_LOSSES
from .losses.content import Content
from .losses.matched import Matched
from .losses.normalization import NORMALIZATIONS
from .losses.terms import StyleLoss
from .losses.variation import Variation
from .network.architecture import operations_until
from .network.features import PRECISIONS
from .network.mask_pyramid import MODES
from .options import NOT_FAR, NOT_NEGATIVE, POSITIVE, SHARE, Options, Rule, option

OF_OBJECTS = ("harmonize", "keep-details")  # applications
MOST_SCALES = 16
STARTS = ("content", "blank", "noise", "style")


@dataclass(frozen=True)
class Network(Options):
    """What is built of VGG-19 (paper 4.1)."""

    pooling: str = option("max", "pooling of the network; Gatys prefers average", choices=("max", "average"))
    precision: str = option(
        "float32",
        "of the convolutions; bfloat16 (8 bits for 24) is 1.5 to 3 times as fast on processors that have it",
        choices=PRECISIONS,
    )


@dataclass(frozen=True)
class Weighing(Options):
    """How the sums of all losses become numbers that weights can compare."""

    normalization: str = option(
        "mean",
        "means, as DPH (mean); sums, as equations 1 to 4 (sum); as Gatys et al. 2016 (gatys); "
        "as Keras's example (keras); shares of what targets give (relative)",
        choices=tuple(NORMALIZATIONS),
    )


@dataclass(frozen=True)
class Mask(Options):
    """What is free to change, and how it is blended in (paper 3.3). Lengths are pixels of the full-size input."""

    mask_mode: str = option(
        "convolve",
        "the mask down the network: 3 x 3 averages and halving (convolve), halving only (area), or maxima (max)",
        choices=MODES,
        only=OF_OBJECTS,
    )
    feather: float = option(
        2.0,
        "standard deviation of the Gaussian that softens the mask's edge, pixels",
        NOT_FAR,
        only=("restyle-region", *OF_OBJECTS),
    )
    grow: int = option(
        12,
        "how far around the mask pixels are optimised too, pixels (DPH's masks: 12)",
        NOT_FAR,
        only=OF_OBJECTS,
    )


@dataclass(frozen=True)
class Image(Options):
    """The images that are worked on."""

    scale: float = option(
        0.5,
        "working size as a share of the input's (paper: half); the result is enlarged",
        Rule("in (0, 1]", lambda value: 0 < value <= 1),
    )
    style_scale: float = option(
        1.0,
        "longer side of the style image as a share of the content's",
        POSITIVE,
        only=("stylize", "restyle-region"),
    )
    keep_colors: bool = option(False, "work on lightness alone; the result has the content's (object's) own colours")
    match_colors: bool = option(False, "bring the style image's colours to the content's (the object's) first")
    start: str = option("content", "first image: content (the composite), blank, noise, or style", choices=STARTS)


@dataclass(frozen=True)
class Polish(Options):
    """Against noise and blur (not in the paper; see images/polish.py)."""

    adapt_content: bool = option(False, "weigh content by how densely the painting is painted", only=OF_OBJECTS)
    recolor: bool = option(False, "finer stages take the content's lightness and the colours of the stage before")
    smooth_colors: int = option(0, "radius within which the result's colours are smoothed, pixels; 0: not", NOT_FAR)
    even_tones: float = option(
        0.0,
        "how much to tone and colour the object alike where it was alike, and near; 1: wholly",
        SHARE,
        only=OF_OBJECTS,
    )
    borrow_detail: bool = option(
        False, "put the object's finest lightness together from patches of the painting", only=OF_OBJECTS
    )
    match_grain: bool = option(False, "bring the object's fine lightness up to the painting's", only=OF_OBJECTS)
    strength: float = option(1.0, "how much of the result to show: 0 is the image that came in, 1 the result", SHARE)


@dataclass(frozen=True)
class Solver(Options):
    """L-BFGS (paper 4.1, which does not say how many iterations; Keras's own example evaluates 10 x 20 times)."""

    iterations: int = option(200, "iterations of L-BFGS", NOT_NEGATIVE)
    history: int = option(10, "gradients that L-BFGS remembers", Rule("of at least 1", lambda value: value >= 1))
    solver_precision: str = option(
        "float64",
        "float64: SciPy's L-BFGS-B; float32: our own, with 40 % of its memory; taken too where memory is short",
        choices=("float64", "float32"),
    )
    tolerance: float = option(
        0.0, "stop when an iteration lowers the loss by less than this share of the first loss", NOT_NEGATIVE
    )
    bounds: bool = option(True, "keep pixels within [0, 1] while optimising")
    coarse_to_fine: int = option(
        0,
        "solve first at 1/2^N, ..., 1/2 of the working size; where strokes grow with the image (stylize, "
        "restyle-region), at one more for each doubling beyond 1024 pixels; 0: only at the working size",
        Rule(f"of 0 to {MOST_SCALES}", lambda value: 0 <= value <= MOST_SCALES),
    )
    seed: int = option(0, "seed of the random numbers (a start from noise; directions and places)", NOT_NEGATIVE)


@dataclass(frozen=True)
class Settings:
    """What a run does. The defaults are the paper's harmonisation.

    Raises:
        InputError: there is nothing to optimise.
    """

    network: Network = Network()
    content: Content = field(default_factory=Content)
    style: StyleLoss = field(default_factory=Matched)
    variation: Variation = field(default_factory=Variation)
    weighing: Weighing = Weighing()
    mask: Mask = Mask()
    image: Image = Image()
    polish: Polish = Polish()
    solver: Solver = Solver()

    def __post_init__(self) -> None:
        style, content, variation = self.style, self.content, self.variation
        expect(style.style_layers or content.content_layers, "at least one style or content layer", "none")
        terms = (
            style.style_weight and style.style_layers,
            content.content_weight and content.content_layers,
            variation.tv_weight,
        )
        expect(any(terms), "a weight above 0 of a term with layers", "none: there is nothing to optimise")

    @property
    def style_loss(self) -> str:
        """The name of the style loss."""
        return next(name for name, kind in STYLE_LOSSES.items() if kind is type(self.style))

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers whose features are used, each once, shallow to deep."""
        used = self.style.style_layers + self.content.content_layers
        return tuple(operation.name for operation in operations_until(used) if operation.name in used)

    def as_dict(self) -> dict[str, Any]:
        """Setting -> value, of all groups; `style_loss` is the style loss's name."""
        groups = (getattr(self, group.name).as_dict() for group in fields(self))
        return {"style_loss": self.style_loss} | {name: value for group in groups for name, value in group.items()}


def change(settings: Settings, **changes: Any) -> Settings:
    """The settings with some leaves changed, of whichever group.

    Another `style_loss` takes over what it has in common with the one before.

    Raises:
        InputError: these settings have no such leaf (it may be another style loss's), or a value is not allowed.
    """
    kind = changes.pop("style_loss", settings.style_loss)
    expect(kind in STYLE_LOSSES, f"style_loss to be one of {', '.join(STYLE_LOSSES)}", kind)
    if kind != settings.style_loss:
        common = {leaf.name for leaf in fields(STYLE_LOSSES[kind])}
        own = {name: value for name, value in settings.style.as_dict().items() if name in common}
        settings = replace(settings, style=STYLE_LOSSES[kind](**own))
    groups: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        groups.setdefault(_group_of(name, settings), {})[name] = value
    return replace(settings, **{name: replace(getattr(settings, name), **values) for name, values in groups.items()})


def leaves() -> Iterator[tuple[str, Field, tuple[str, ...]]]:
    """(group, leaf, style losses that have it) of every setting there is; no losses where it is not one of theirs."""
    of_losses: dict[str, tuple[Field, list[str]]] = {}
    for loss, kind in STYLE_LOSSES.items():
        for leaf in fields(kind):
            of_losses.setdefault(leaf.name, (leaf, []))[1].append(loss)
    for group in fields(Settings):
        if group.name == "style":
            yield from (("style", leaf, tuple(losses)) for leaf, losses in of_losses.values())
        else:
            yield from ((group.name, leaf, ()) for leaf in fields(group.type))  # type: ignore[arg-type]


def _group_of(leaf: str, settings: Settings) -> str:
    for group in fields(settings):
        if any(leaf == own.name for own in fields(getattr(settings, group.name))):
            return group.name
    owners = next((losses for _, known, losses in leaves() if known.name == leaf), ())
    if owners:
        who = f"{', '.join(owners)} {'has' if len(owners) == 1 else 'have'}"
        raise InputError(f"Expected a setting of the style loss {settings.style_loss}. Received: {leaf}, which {who}")
    raise InputError(f"Expected a setting. Received: {leaf}, which no group of settings has")
