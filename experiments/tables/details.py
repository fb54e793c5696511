"""Details of an object in a painted image, and whether the paper's whole pipeline keeps them (section 3.3).

The drawn scenes, and with --pairs photographs of one's own, at most 640 pixels long. `jobs` names the runs that paint
the whole images; those that keep the object start from what these give, so `draw` makes them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from reproduce import metrics
from reproduce.applications.registry import preset
from reproduce.images.arrays import bounded, check_same_size
from reproduce.images.files import read_image, read_mask
from reproduce.images.geometry import Rectangle
from reproduce.images.masks import bounding_box, check_mask
from reproduce.images.regions import blend
from reproduce.images.selection import highlight
from reproduce.network.features import Extractor

from ..drawing import Row, middle, panels, save, without_trace
from ..jobs import Finished, Job, Runs
from ..legibility import legibility
from ..materials.pairs import find_pairs
from ..request import Request
from ..scenes import DetailScene
from .table import TableRow, medians, write_rows

PRESETS = ("paper", "refined")
ENDINGS = ("content", "style", "mask")
LONGEST = 640  # pixels of a photograph's longer side
DRAWN, GIVEN = "drawn scenes", "photographs"


def jobs(request: Request) -> Iterator[Job]:
    """A painted image a scene and preset."""
    for _, scene in _scenes(request):
        for name in PRESETS:
            yield _whole(request, scene, name)


def draw(request: Request, runs: Runs) -> None:
    """A row a scene with a part of the object below, and the measures of each column."""
    grid: list[Row] = []
    boxes, rows, reports = [], [], []
    extractor = request.network.extractor(metrics.LAYERS)
    for kind, scene in _scenes(request):
        results = [(name, *_results(request, runs, scene, name)) for name in PRESETS]
        bases = {name: whole.image for name, whole, _ in results}
        shown = _columns(scene, bases, {name: kept.image for name, _, kept in results})
        grid.append({"content": scene.photograph, "selection": highlight(scene.photograph, scene.mask), **shown})
        boxes.append(_detail(scene))
        rows += [{"kind": kind, "case": scene.name, **row} for row in _measured(scene, bases, shown, extractor)]
        reports += [without_trace(result.report) for _, *both in results for result in both]
    write_rows(request, rows, _markdown(rows), "details")
    save(panels(grid, boxes), request.output / "details", {"rows": rows, "runs": reports})


def _scenes(request: Request) -> Iterator[tuple[str, DetailScene]]:
    """The drawn scenes, then those of the folder that was asked for, if one was, each with what kind it is."""
    for scene in request.details():
        yield DRAWN, scene
    for name, files in find_pairs(request.pairs, ENDINGS) if request.pairs else ():
        content, style = (read_image(files[ending]) for ending in ("content", "style"))
        mask = check_mask(read_mask(files["mask"]), str(files["mask"]))
        check_same_size(content, mask, (str(files["content"]), str(files["mask"])))
        content, mask, style = (request.shrink(bounded(image, LONGEST)) for image in (content, mask, style))
        yield GIVEN, DetailScene(name, content, mask, style)


def _whole(request: Request, scene: DetailScene, name: str) -> Job:
    inputs = {"content": scene.photograph, "style": scene.style}
    return request.job(f"{scene.name}, stylised, {name}", "stylize", preset(name, "stylize"), **inputs)


def _results(request: Request, runs: Runs, scene: DetailScene, name: str) -> tuple[Finished, Finished]:
    """The painted image of a preset, and the one in which the object's details are kept."""
    whole = runs.result(_whole(request, scene, name))
    inputs = {"content": scene.photograph, "style": scene.style, "mask": scene.mask, "stylized": whole.image}
    kept = request.job(f"{scene.name}, kept, {name}", "keep-details", preset(name, "keep-details"), **inputs)
    return whole, runs.result(kept)


def _columns(scene: DetailScene, bases: Row, kept: Row) -> dict[str, np.ndarray]:
    """What is compared, label -> image: the steps of the paper's pipeline, then those of `refined`."""
    return {
        "stylised": bases["paper"],
        "pasted": blend(scene.photograph, bases["paper"], scene.mask),
        "paper pipeline": kept["paper"],
        "stylised (refined)": bases["refined"],
        "refined": kept["refined"],
    }


def _measured(scene: DetailScene, bases: Row, shown: Row, extractor: Extractor) -> Iterator[TableRow]:
    """A row of measures a column, those of structure and style also beside the painted image's that it starts from."""
    style_of = style_distance(scene, extractor)
    own = dict.fromkeys(shown, "stylised") | {
        "stylised (refined)": "stylised (refined)",
        "refined": "stylised (refined)",
    }
    content = {label: metrics.content(image, scene.photograph, scene.mask) for label, image in shown.items()}
    style = {label: style_of(image) for label, image in shown.items()}
    for label, image in shown.items():
        base = own[label]
        row: dict[str, Any] = {
            "method": label,
            "content": content[label],
            "content_gain": content[label] - content[base],
            "style": style[label],
            "style_ratio": style[label] / style[base],
            "seam": metrics.seam(image, shown[base], scene.mask),
        }
        yield row | ({"legibility": legibility(image, scene.photograph, scene.glyphs)} if scene.glyphs else {})


def style_distance(scene: DetailScene, extractor: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], float]:
    """A function image -> how far the selection is from the painting's style, as a share of the photograph's distance.

    At each layer the sliced Wasserstein distance of the features inside the mask to those of the whole style image;
    the mean over layers of its ratio to the photograph's. 0 is the painting's own style.
    """
    style = {layer: features.reshape(-1, features.shape[-1]) for layer, features in extractor(scene.style).items()}
    target = {layer: metrics.projected_quantiles(features) for layer, features in style.items()}

    def distances(image: np.ndarray) -> dict[str, float]:
        inside = {layer: metrics.features_inside(f, scene.mask) for layer, f in extractor(image).items()}
        return metrics.style_distances(inside, target)

    control = distances(scene.photograph)
    return lambda image: float(np.mean([value / control[layer] for layer, value in distances(image).items()]))


def _markdown(rows: Sequence[TableRow]) -> str:
    """The medians over each kind of scenes, then a table a scene."""
    parts = {f"Medians over the {kind}": [row for row in rows if row["kind"] == kind] for kind in (DRAWN, GIVEN)}
    parts |= {name: [row for row in rows if row["case"] == name] for name in dict.fromkeys(row["case"] for row in rows)}
    return "\n".join(f"{title}\n\n{medians(part)}" for title, part in parts.items() if part)


def _detail(scene: DetailScene) -> Rectangle:
    """The upper right quarter of what is written on the object; else the object's middle."""
    if not scene.glyphs:
        return middle(bounding_box(scene.mask > 0.5))
    box = reduce(Rectangle.around, (glyph.box for glyph in scene.glyphs))
    height, width = box.shape
    return Rectangle(box.top, box.left + width // 2, box.top + height // 2, box.right)
