"""Ablations: what each reading of the paper changes, one setting at a time, as a grid of pictures and a table."""

from dataclasses import replace

from reproduce.architecture import Rectangle
from reproduce.masks import bounding_box
from reproduce.settings import Settings, preset

from .drawing import panels, save, without_trace
from .judging import Judgement
from .runs import Runs
from .table import write

PAPER, REFINED = preset("paper", "harmonize"), preset("refined", "harmonize")
CASES = 2


def _vary(name: str, values) -> dict[str, Settings]:
    return {f"{name} {value}": replace(PAPER, **{name: value}) for value in values}


ABLATIONS: dict[str, dict[str, Settings]] = {
    "resolution": _vary("scale", (0.5, 1.0)),
    "mask_mode": _vary("mask_mode", ("convolve", "area", "max")),
    "style_loss": _vary("style_loss", ("matched", "per_patch", "gram")),
    "patch_size": _vary("patch_size", (1, 3, 5)),
    "content_weight": _vary("content_weight", (0.0, 0.05, 0.5, 5.0)),
    "iterations": _vary("iterations", (50, 100, 200, 400)),
    "tv_weight": _vary("tv_weight", (0.0, 1e3, 1e4, 1e5)),
    "normalization": {
        "mean": PAPER,
        "sum": replace(PAPER, normalization="sum"),
    },
    "refined": {  # the preset, then without one of its ingredients each
        "refined": REFINED,
        "Gram of matches": replace(REFINED, style_loss="matched"),
        "matches as they come": replace(REFINED, match_once=False),
        "matches alone": replace(REFINED, beyond_matches=0.0),
        "same content weight": replace(REFINED, adapt_content=False),
        "one scale": replace(REFINED, coarse_to_fine=0),
        "own colors": replace(REFINED, recolor=False),
        "rough colors": replace(REFINED, smooth_colors=0),
        "own grain": replace(REFINED, match_grain=False),
        "no variation": replace(REFINED, tv_weight=0.0),
    },
}


def make(runs: Runs) -> None:
    for name in runs.ablations or ABLATIONS:
        if name not in ABLATIONS:
            raise ValueError(f"Expected ablations out of {', '.join(ABLATIONS)}. Received: {name}")
        _make_one(runs, name)


def _make_one(runs: Runs, name: str) -> None:
    grid, boxes, rows, reports = [], [], [], []
    for case in runs.cases(CASES):
        judgement, line = Judgement(case), {f"{case.name}: naive": case.composite}
        for label, settings in ABLATIONS[name].items():
            result = runs.harmonize(case, settings)
            line[label] = result.image
            costs = {cost: result.report[cost] for cost in ("seconds", "evaluations")}
            rows.append({"case": case.name, "method": label, **judgement(result.image), **costs})
            reports.append(without_trace(result.report))
        box = _around(case.mask)
        grid.append({label: image[box.slices] for label, image in line.items()})
        boxes.append(None)
    save(panels(grid, boxes), runs.output / f"ablation_{name}", {"runs": reports})
    write(runs, rows, f"ablation_{name}_table")


def _around(mask) -> Rectangle:
    return bounding_box(mask > 0.5).grow(12).clip(mask.shape)
