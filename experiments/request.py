"""What the command line asks of all experiments, and how that turns cases and settings into jobs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.images.arrays import bounded
from reproduce.images.regions import order_corners
from reproduce.network.features import VGG19
from reproduce.settings import Settings, change

from .jobs import Job
from .materials.cases import Case, Materials
from .scenes import DETAIL_SCENES, DetailScene, ScreenScene, detail_scene, screen_scene, stylize_pair
from .second_judge import AlexNet

SMOKE_SIDE, SMOKE_ITERATIONS, SMOKE_CASES = 224, 2, 2
PAPER_CASE = "4"

# Tracing the telephone takes ten seconds.
_drawn_screen, _drawn_pair, _drawn_detail = cache(screen_scene), cache(stylize_pair), cache(detail_scene)


@dataclass(frozen=True)
class Request:
    """What is to be made of which images, how, and where it goes.

    Attributes:
        materials: the cases that experiments harmonise.
        output: the folder of figures and tables.
        network: VGG-19 with the weights that all runs have.
        iterations: in place of the settings' own, unless None.
        only: the names of the cases to take; empty for all.
        smoke: images of at most 224 pixels, two iterations and two cases, to see whether everything works.
        pairs: a folder of photographs, paintings, and what others made of them or masks of objects, or none.
        alexnet: a second judge for the tables, or none.
        methods, ablations: which of them the table and the ablation make; empty for their own choice.
    """

    materials: Materials
    output: Path
    network: VGG19
    iterations: int | None = None
    only: tuple[str, ...] = ()
    smoke: bool = False
    pairs: Path | None = None
    alexnet: AlexNet | None = None
    methods: tuple[str, ...] = ()
    ablations: tuple[str, ...] = ()

    def job(self, name: str, application: str, settings: Settings, **inputs: Any) -> Job:
        """A run with as many iterations as were asked for.

        Raises:
            InputError: fewer than 0 were.
        """
        iterations = SMOKE_ITERATIONS if self.smoke else self.iterations
        settings = settings if iterations is None else change(settings, iterations=iterations)
        return Job(name, application, inputs, settings, self.network.origin["sha256"])

    def cases(self, count: int | None = None) -> Iterator[Case]:
        """The cases asked for, one by one; if none were, the first `count` of the materials, or all."""
        names = self.only or self.materials.names()[: SMOKE_CASES if self.smoke else count]
        return map(self.case, names)

    def first_case(self) -> Case:
        """The first of the cases asked for; if none were, of the materials."""
        return next(self.cases())

    def paper_case(self) -> Case:
        """The case that the paper's figures 6 and 7 show, DPH's shield, where the materials have it; else the first."""
        names = self.only or self.materials.names()
        return self.case(PAPER_CASE if PAPER_CASE in names else names[0])

    def case(self, name: str) -> Case:
        """A case, small in a smoke test.

        Raises:
            InputError, OSError: see `Materials.case`.
        """
        case = self.materials.case(name)
        if not self.smoke:
            return case
        return replace(
            case,
            background=self.shrink(case.background),
            composite=self.shrink(case.composite),
            mask=self.shrink(case.mask),
            published={name: self.shrink(image) for name, image in case.published.items()},
        )

    def screen(self) -> ScreenScene:
        """The photograph with a screen, its corners in the order of an upright rectangle's."""
        scene = _drawn_screen()
        photograph = self.shrink(scene.photograph)
        corners = scene.corners * photograph.shape[1] / scene.photograph.shape[1]
        return ScreenScene(
            name=scene.name,
            photograph=photograph,
            corners=order_corners(corners, photograph.shape[:2]),
            style=self.shrink(scene.style),
            background_style=self.shrink(scene.background_style),
        )

    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """The photograph and the painting whose style it takes."""
        content, style = _drawn_pair()
        return self.shrink(content), self.shrink(style)

    def details(self) -> Iterator[DetailScene]:
        """The drawn photographs of objects rich in detail, one by one; in a smoke test the first two."""
        for name in DETAIL_SCENES[: SMOKE_CASES if self.smoke else None]:
            scene = _drawn_detail(name)
            photograph = self.shrink(scene.photograph)
            share = photograph.shape[1] / scene.photograph.shape[1]
            yield DetailScene(
                name=scene.name,
                photograph=photograph,
                mask=self.shrink(scene.mask),
                style=self.shrink(scene.style),
                glyphs=tuple(glyph.scaled(share) for glyph in scene.glyphs),
            )

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """The image as experiments use it: as it is, or small in a smoke test."""
        return bounded(image, SMOKE_SIDE) if self.smoke else image
