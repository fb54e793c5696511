"""Runs of the three applications, each kept in a cache under the hash of all that it was made from."""

import ast
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

import reproduce
from reproduce.applications import Progress, Result, harmonize, restyle_region, stylize
from reproduce.images import read_image, resize, scaled_shape, write_atomically, write_image
from reproduce.regions import order_corners
from reproduce.report import versions
from reproduce.settings import Settings
from reproduce.weights import Weights, find_weights

from .materials import Case, Materials
from .scenes import ScreenScene, screen_scene

SMOKE_SIDE, SMOKE_ITERATIONS, SMOKE_CASES = 224, 2, 2
PAPER_CASE = "4"
# What a result depends on; the rest of the package reads, shows and judges.
METHOD = ("applications", "architecture", "backend", "correspondence", "features", "images", "losses", "masks",
          "objective", "optimize", "patches", "refine", "regions", "weight_files", "weights")  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """Makes results, or takes them from the cache.

    Attributes:
        materials: the cases that experiments harmonise.
        output: the folder of figures and tables.
        cache: the folder of finished runs.
        iterations: in place of the settings' own, unless None.
        only: the names of the cases to take; empty for all.
        smoke: images of at most 224 pixels, two iterations and two cases, to see whether everything works.
        methods, ablations: which of them the table and the ablation make; empty for their own choice.
        on_progress: called with a run's name and its progress.
    """

    materials: Materials
    output: Path
    cache: Path
    iterations: int | None = None
    only: tuple[str, ...] = ()
    smoke: bool = False
    methods: tuple[str, ...] = ()
    ablations: tuple[str, ...] = ()
    on_progress: Callable[[str, Progress], None] = lambda name, progress: None

    def cases(self, count: int | None = None) -> list[Case]:
        """The cases asked for; if none were, the first `count` of the materials, or all."""
        names = self.only or self.materials.names()[: SMOKE_CASES if self.smoke else count]
        return [self.case(name) for name in names]

    def paper_case(self) -> Case:
        """The case that the paper's figures 6 and 7 show, DPH's shield, where the materials have it; else the first."""
        names = self.only or self.materials.names()
        return self.case(PAPER_CASE if PAPER_CASE in names else names[0])

    def case(self, name: str) -> Case:
        case = self.materials.case(name)
        if not self.smoke:
            return case
        images = {role: self.shrink(getattr(case, role)) for role in ("background", "composite", "mask")}
        return replace(case, **images, published={name: self.shrink(image) for name, image in case.published.items()})

    def screen(self) -> ScreenScene:
        """The photograph with a screen, its corners in the order of an upright rectangle's."""
        scene = screen_scene()
        images = {name: self.shrink(getattr(scene, name)) for name in ("photograph", "style", "background_style")}
        photograph = images["photograph"]
        corners = scene.corners * photograph.shape[1] / scene.photograph.shape[1]
        return replace(scene, **images, corners=order_corners(corners, photograph.shape[:2]))

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """The image as experiments use it: as it is, or small in a smoke test."""
        share = SMOKE_SIDE / max(image.shape[:2])
        return resize(image, scaled_shape(image.shape[:2], share)) if self.smoke and share < 1 else image

    def harmonize(self, case: Case, settings: Settings) -> Result:
        return self._run(f"{case.name}", harmonize, settings, case.background, case.composite, case.mask)

    def stylize(self, name: str, content: np.ndarray, style: np.ndarray, settings: Settings) -> Result:
        return self._run(name, stylize, settings, content, style)

    def restyle_region(self, name: str, image, style, corners, settings: Settings, background_style=None) -> Result:
        others = {} if background_style is None else {"background_style": background_style}
        return self._run(name, restyle_region, settings, image, style, corners, **others)

    def _run(self, name: str, application: Callable, settings: Settings, *inputs, **others) -> Result:
        iterations = SMOKE_ITERATIONS if self.smoke else self.iterations
        settings = settings if iterations is None else replace(settings, iterations=iterations)
        key = _key(application.__name__, settings, [*inputs, *others.values()])
        image_path, report_path = self.cache / f"{key}.png", self.cache / f"{key}.json"
        if not report_path.exists():  # written last: where it is, the image is
            result = application(*inputs, settings, **others, weights=weights(),
                                 on_progress=lambda progress: self.on_progress(name, progress))  # fmt: skip
            if result.report["interrupted"]:
                raise KeyboardInterrupt  # half a run is not a result
            self.cache.mkdir(parents=True, exist_ok=True)
            write_image(image_path, result.image)
            report = json.dumps({"run": name} | result.report)
            write_atomically(report_path, lambda temporary: temporary.write_text(report))
        return Result(read_image(image_path), json.loads(report_path.read_text()))


@cache
def weights() -> Weights:
    return find_weights()


def by_stage(trace: list[dict]) -> list[list[dict]]:
    """A report's trace, the evaluations of each stage apart."""
    return [[entry for entry in trace if entry["stage"] == stage] for stage in range(trace[-1]["stage"] + 1)]


def _key(application: str, settings: Settings, inputs: list) -> str:
    digest = hashlib.sha256()
    for part in (application, json.dumps(settings.as_dict()), weights().sha256, method_hash(), json.dumps(versions())):
        digest.update(part.encode())
    for array in inputs:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{application}-{digest.hexdigest()[:16]}"


@cache
def method_hash() -> str:
    """SHA-256 of the method's code as it runs: comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for module in METHOD:
        tree = ast.parse((Path(reproduce.__file__).parent / f"{module}.py").read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if (
                isinstance(body, list)
                and body
                and isinstance(body[0], ast.Expr)
                and isinstance(body[0].value, ast.Constant)
            ):
                body[0].value.value = ""
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()
