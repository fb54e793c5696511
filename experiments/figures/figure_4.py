"""Figure 4: partial style transferring. The screen of a phone takes a painting's style.

The paper's photograph is not published: this one is drawn (`experiments.scenes.screen_scene`).
"""

from collections.abc import Iterator

from reproduce.applications.registry import preset
from reproduce.images.masks import feather
from reproduce.images.regions import quadrilateral_mask, straighten

from ..drawing import panels, save, without_trace
from ..jobs import Job, Runs
from ..request import Request

SETTINGS = preset("paper", "restyle-region")


def jobs(request: Request) -> Iterator[Job]:
    """The screen alone; the screen and the rest."""
    yield screen_job(request)
    yield screen_job(request, rest=True)


def draw(request: Request, runs: Runs) -> None:
    """The selected region, what becomes of it, and the whole."""
    scene = request.screen()
    image, style, corners = scene.photograph, scene.style, scene.corners
    result, both = runs.result(screen_job(request)), runs.result(screen_job(request, rest=True))
    selected = feather(quadrilateral_mask(corners, image.shape[:2]), SETTINGS.mask.feather)
    rows = [
        {"original": image, "selected region": image * (0.3 + 0.7 * selected[..., None]), "style": style},
        {"straightened": straighten(image, corners), "stylised": straighten(result.image, corners)},
        {"result": result.image, "result, the rest restyled too": both.image},
    ]
    record = {"scene": scene.name, "corners": corners.tolist()}
    reports = [without_trace(result.report), without_trace(both.report)]
    save(panels(rows), request.output / "figure_4", record | {"runs": reports})


def screen_job(request: Request, rest: bool = False) -> Job:
    """The screen takes a style; the rest stays, or takes another."""
    scene = request.screen()
    inputs = {"image": scene.photograph, "style": scene.style, "corners": scene.corners}
    others = {"background_style": scene.background_style} if rest else {}
    name = "screen and the rest" if rest else "screen"
    return request.job(name, "restyle-region", SETTINGS, **inputs, **others)
