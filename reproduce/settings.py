"""Every number of the method, with its source. A preset is a named value; a variant is `dataclasses.replace`.

Sources: "paper" is Zhou, *Partial Style Transferring and Feature Optimization for Style Transfer Network*; "DPH" is
Luan et al. 2018, *Deep Painterly Harmonization*, and its published code, whose first pass the paper's method is;
"Gatys" is Gatys et al. 2016. The command line's options are made from these fields.
"""

import dataclasses
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real

from .architecture import operations_until

NUMBERS = {int: Integral, float: Real}  # NumPy's too
FARTHEST = 1000  # pixels: no soft edge or neighbourhood is wider


def option(default, help: str, choices: tuple = ()):
    """A settings field with the text, and where it has them the choices, that its command-line option shows."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """What a run does. The defaults are the paper's harmonisation (`PAPER`)."""

    # The network (paper 4.1).
    style_layers: tuple[str, ...] = option(
        ("block3_conv1", "block4_conv1", "block5_conv1"), "layers whose features carry the style"
    )
    content_layers: tuple[str, ...] = option(("block4_conv1",), "layers whose features carry the content")
    pooling: str = option("max", "pooling of the network; Gatys prefers average", ("max", "average"))

    # The loss: weights from paper 4.1; no total variation is named there (DPH has 1e-5 beside a style weight of 1).
    style_weight: float = option(1.0, "weight of the style loss")
    content_weight: float = option(0.05, "weight of the content loss")
    tv_weight: float = option(0.0, "weight of the total variation, against noise")
    style_loss: str = option(
        "matched",
        "Gram of matched patches (matched), a Gram per patch (per_patch), Gram of the whole style image (gram), or "
        "sliced Wasserstein distance to the features at one matching of all layers (sliced)",
        ("matched", "per_patch", "gram", "sliced"),
    )
    normalization: str = option(
        "mean",
        "means, as DPH (mean); sums, as equations 1 to 4 (sum); as Gatys; shares of what targets give (relative)",
        ("mean", "sum", "gatys", "relative"),
    )
    match_once: bool = option(False, "sliced: use each matched place once, however often it was matched")
    beyond_matches: float = option(0.0, "sliced: add places from all over the painting, as a share of the matched ones")
    patch_size: int = option(3, "side of the patches that are matched, in features; odd (DPH: 3)")
    rematch_every: int = option(0, "match again after so many iterations; 0: once, before the first (DPH)")

    # The mask (paper 3.3). Lengths are pixels of the full-size input.
    mask_mode: str = option(
        "convolve",
        "the mask down the network: 3 x 3 averages and halving (convolve), halving only (area), or maxima (max)",
        ("convolve", "area", "max"),
    )
    feather: float = option(2.0, "standard deviation of the Gaussian that softens the mask's edge, pixels")
    grow: int = option(12, "harmonize: how far around the mask pixels are optimised too, pixels (DPH's masks: 12)")

    # The image.
    scale: float = option(0.5, "working size as a share of the input's (paper: half); the result is enlarged")
    style_scale: float = option(1.0, "stylize: longer side of the style image as a share of the content's")
    start: str = option(
        "content",
        "first image: content (the composite), blank, noise, or style",
        ("content", "blank", "noise", "style"),
    )
    bounds: bool = option(True, "keep pixels within [0, 1] while optimising")

    # Against noise and blur (not in the paper; see refine.py).
    adapt_content: bool = option(False, "harmonize: weigh content by how densely the painting is painted")
    recolor: bool = option(False, "finer stages take the content's lightness and the colours of the stage before")
    smooth_colors: int = option(0, "radius within which the result's colours are smoothed, pixels; 0: not")
    match_grain: bool = option(False, "harmonize: bring the object's fine lightness up to the painting's")
    strength: float = option(1.0, "how much of the result to show: 0 is the image that came in, 1 the result")

    # The solver (paper: L-BFGS, and not how many iterations; Keras's own example evaluates 10 x 20 times).
    iterations: int = option(200, "iterations of L-BFGS")
    history: int = option(10, "gradients that L-BFGS remembers")
    tolerance: float = option(0.0, "stop when an iteration lowers the loss by less than this share of the first loss")
    coarse_to_fine: int = option(0, "solve first at 1/2^N, ..., 1/2 of the working size; 0: only at the working size")
    seed: int = option(0, "seed of the random numbers (a start from noise; sliced: directions and places)")
    matching_memory: int = option(512, "workspace of the patch matching, megabytes")

    def __post_init__(self):
        for setting in fields(self):
            value, choices = getattr(self, setting.name), setting.metadata["choices"]
            kind = type(setting.default)
            self._expect(isinstance(value, NUMBERS.get(kind, kind)), f"{setting.name} of type {kind.__name__}", value)
            object.__setattr__(self, setting.name, kind(value))  # the report is JSON, which knows no NumPy
            if choices and value not in choices:
                raise ValueError(f"Expected {setting.name} to be one of {', '.join(choices)}. Received: {value}")
        operations_until(self.style_layers + self.content_layers)
        self._expect(self.style_layers or self.content_layers, "at least one style or content layer", "none")
        terms = (self.style_weight and self.style_layers, self.content_weight and self.content_layers, self.tv_weight)
        self._expect(any(terms), "a weight above 0 of a term with layers", "none: there is nothing to optimise")
        for name in ("style_layers", "content_layers"):
            value = getattr(self, name)
            self._expect(len(set(value)) == len(value), f"each of {name} once", " ".join(value))
        self._expect(self.patch_size > 0 and self.patch_size % 2 == 1, "patch_size odd and positive", self.patch_size)
        self._expect(0 < self.scale <= 1, "scale in (0, 1]", self.scale)
        self._expect(0 <= self.strength <= 1, "strength in [0, 1]", self.strength)
        self._expect(0 < self.style_scale < float("inf"), "style_scale above 0", self.style_scale)
        self._expect(self.coarse_to_fine <= 16, "coarse_to_fine of at most 16", self.coarse_to_fine)
        self._expect(self.history >= 1, "history of at least 1", self.history)
        self._expect(self.matching_memory >= 16, "matching_memory of at least 16 megabytes", self.matching_memory)
        for name in ("style_weight", "content_weight", "tv_weight", "rematch_every", "feather", "grow", "iterations",
                     "tolerance", "coarse_to_fine", "seed", "smooth_colors", "beyond_matches"):  # fmt: skip
            value = getattr(self, name)
            self._expect(0 <= value < float("inf"), f"{name} of 0 or more", value)
        for name in ("feather", "grow", "smooth_colors"):
            value = getattr(self, name)
            self._expect(value <= FARTHEST, f"{name} of at most {FARTHEST} pixels", value)

    @staticmethod
    def _expect(condition, expected: str, received) -> None:
        if not condition:
            raise ValueError(f"Expected {expected}. Received: {received}")

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers whose features are used, each once, shallow to deep."""
        used = self.style_layers + self.content_layers
        return tuple(o.name for o in operations_until(used) if o.name in used)

    @property
    def stages(self) -> list[tuple[float, int]]:
        """(scale, iterations) of the optimisations that a run is made of, each starting where the last ended.

        Coarse-to-fine puts smaller scales first; matching again every k iterations cuts the last one into pieces of k.
        """
        coarse = [(self.scale / 2**level, self.iterations) for level in range(self.coarse_to_fine, 0, -1)]
        each, whole = self.rematch_every or self.iterations, self.iterations
        pieces = [min(each, whole - done) for done in range(0, whole, each)] if whole else [0]
        return coarse + [(self.scale, piece) for piece in pieces]

    def as_dict(self) -> dict:
        return dataclasses.asdict(self)


# Paper 3.3 and 4.1: harmonisation.
PAPER = Settings()
# Paper 3.2 and 4.1: the base network, "two images and one blank image", compared through Gram matrices.
PAPER_BASE = replace(PAPER, style_loss="gram", start="blank")
# Gatys et al. 2016: section 2 for the losses, section 3 for layers and average pooling. Its network had rescaled
# weights, so its ratio of weights means nothing here: this one was chosen by eye for the weights that Keras publishes.
GATYS = replace(
    PAPER_BASE,
    style_layers=("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1"),
    content_layers=("block4_conv2",),
    pooling="average",
    normalization="gatys",
    content_weight=1.0,
    style_weight=1000.0,
    start="content",
)

# Beyond the paper: at full resolution, without its noise. Sliced distances (Heitz et al. 2021) at shallow layers to the
# features of one correspondence (DPH's second pass), from half resolution up; refine.py for the rest. Chosen by eye and
# by the table's measures on DPH's cases 3, 4, 9, 16, 23 and 34.
REFINED = replace(
    PAPER,
    style_layers=("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1"),
    style_loss="sliced",
    normalization="relative",
    match_once=True,
    beyond_matches=0.3,
    content_weight=0.05,
    adapt_content=True,
    tv_weight=0.002,
    scale=1.0,
    coarse_to_fine=1,
    iterations=60,
    recolor=True,
    smooth_colors=4,
    match_grain=True,
)
# A whole image or region at its full resolution, from half resolution up.
REFINED_BASE = replace(PAPER_BASE, scale=1.0, coarse_to_fine=1, iterations=100)

PRESETS = {
    "paper": {"harmonize": PAPER, "stylize": PAPER_BASE, "restyle-region": PAPER_BASE},
    "refined": {"harmonize": REFINED, "stylize": REFINED_BASE, "restyle-region": REFINED_BASE},
    "gatys": {"harmonize": GATYS, "stylize": GATYS, "restyle-region": GATYS},
}


def preset(name: str, application: str) -> Settings:
    """The settings of a preset for "stylize", "restyle-region" or "harmonize".

    Raises:
        ValueError: no preset, or no application, has that name.
    """
    if name not in PRESETS:
        raise ValueError(f"Expected a preset out of {', '.join(PRESETS)}. Received: {name}")
    if application not in PRESETS[name]:
        raise ValueError(f"Expected an application out of {', '.join(PRESETS[name])}. Received: {application}")
    return PRESETS[name][application]
