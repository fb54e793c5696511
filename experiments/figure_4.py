"""Figure 4: partial style transferring. The screen of a phone takes a painting's style.

The paper's photograph is not published: this one is drawn (`experiments.scenes.screen_scene`).
"""

from reproduce.masks import feather
from reproduce.regions import quadrilateral_mask, straighten
from reproduce.settings import preset

from .drawing import panels, save, without_trace
from .runs import Runs


def make(runs: Runs) -> None:
    scene, settings = runs.screen(), preset("paper", "restyle-region")
    image, style, corners = scene.photograph, scene.style, scene.corners
    result = runs.restyle_region("screen", image, style, corners, settings)
    both = runs.restyle_region(
        "screen and the rest", image, style, corners, settings, background_style=scene.background_style
    )
    selected = feather(quadrilateral_mask(corners, image.shape[:2]), settings.feather)
    rows = [
        {"original": image, "selected region": image * (0.3 + 0.7 * selected[..., None]), "style": style},
        {"straightened": straighten(image, corners), "stylised": straighten(result.image, corners)},
        {"result": result.image, "result, the rest restyled too": both.image},
    ]
    record = {"scene": scene.name, "corners": corners.tolist()}
    save(panels(rows), runs.output / "figure_4", record | {"runs": [without_trace(r.report) for r in (result, both)]})
