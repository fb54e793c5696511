"""Ablations: what each reading of the paper changes, one setting at a time: pictures, a table, how the loss fell."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reproduce.applications.registry import preset
from reproduce.images.geometry import Rectangle
from reproduce.images.masks import bounding_box
from reproduce.settings import Settings, change

from ..drawing import panels, save, without_trace
from ..jobs import Job, Runs, by_stage
from ..judging import judgement
from ..materials.cases import Case
from ..methods import Made
from ..request import Request
from .table import write

PAPER, REFINED = preset("paper", "harmonize"), preset("refined", "harmonize")
PAPER_BASE = preset("paper", "stylize")
CASES = 2


def _vary(name: str, values: Iterable[Any], of: Settings = PAPER) -> dict[str, Settings]:
    return {f"{name} {value}": change(of, **{name: value}) for value in values}


ABLATIONS: dict[str, dict[str, Settings]] = {
    "resolution": _vary("scale", (0.5, 1.0)),
    "mask_mode": _vary("mask_mode", ("convolve", "area", "max")),
    "style_loss": _vary("style_loss", ("matched", "per_patch", "gram")),
    "patch_size": _vary("patch_size", (1, 3, 5)),
    "content_weight": _vary("content_weight", (0.0, 0.05, 0.5, 5.0)),
    "iterations": _vary("iterations", (50, 100, 200, 400))
    | {f"iterations {count}, scale 1": change(PAPER, iterations=count, scale=1.0) for count in (50, 100, 200)},
    "tv_weight": _vary("tv_weight", (0.0, 1e3, 1e4, 1e5)),
    "normalization": _vary("normalization", ("mean", "sum", "keras")),
    "base_normalization": _vary("normalization", ("mean", "sum", "keras"), PAPER_BASE),
    "refined": {  # the preset, then without one of its ingredients each
        "refined": REFINED,
        "Gram of matches": change(REFINED, style_loss="matched"),
        "matches as they come": change(REFINED, match_once=False),
        "no neighbors": change(REFINED, neighbor_weight=0.0),
        "matched once only": change(REFINED, rematch_every=0),
        "matches alone": change(REFINED, beyond_matches=0.0),
        "same content weight": change(REFINED, adapt_content=False),
        "one scale": change(REFINED, coarse_to_fine=0),
        "own colors": change(REFINED, recolor=False),
        "rough colors": change(REFINED, smooth_colors=0),
        "tones as they come": change(REFINED, even_tones=0.0),
        "own detail": change(REFINED, borrow_detail=False),
        "own grain": change(REFINED, match_grain=False),
        "no variation": change(REFINED, tv_weight=0.0),
    },
}

WHOLE_IMAGE = ("base_normalization",)  # they stylize the whole composite; the others harmonize


def jobs(request: Request) -> Iterator[Job]:
    """A run an ablation, case and variant."""
    for name in request.ablations or ABLATIONS:
        for case in request.cases(CASES):
            for label, settings in ABLATIONS[name].items():
                yield _job(request, case, name, label, settings)


def draw(request: Request, runs: Runs) -> None:
    """For each ablation its pictures, its losses and its table."""
    for name in request.ablations or ABLATIONS:
        _draw_one(request, runs, name)


def _job(request: Request, case: Case, name: str, label: str, settings: Settings) -> Job:
    return Made(label, "", "stylize" if name in WHOLE_IMAGE else "harmonize", settings).job(request, case)


def _draw_one(request: Request, runs: Runs, name: str) -> None:
    grid, rows, reports = [], [], []
    descents: dict[str, dict[str, list[float]]] = {}
    for case in request.cases(CASES):
        judge, line = judgement(case, request.network, request.alexnet), {f"{case.name}: naive": case.composite}
        descents[case.name] = {}
        for label, settings in ABLATIONS[name].items():
            result = runs.result(_job(request, case, name, label, settings))
            line[label] = result.image
            descents[case.name][label] = fall = descent(result.report["trace"])
            costs = {"loss": min(fall)} | {cost: result.report[cost] for cost in ("seconds", "evaluations")}
            rows.append({"case": case.name, "method": label, **judge(result.image), **costs})
            reports.append(without_trace(result.report))
        box = _around(case.mask)
        grid.append({label: image[box.slices] for label, image in line.items()})
    save(panels(grid), request.output / f"ablation_{name}", {"runs": reports})
    save(_plot(descents), request.output / f"ablation_{name}_loss", descents)
    write(request, rows, f"ablation_{name}_table")


def descent(trace: list[dict[str, float]]) -> list[float]:
    """The loss at each evaluation of a run's last stage, as a share of the first one there."""
    losses = [entry["loss"] for entry in by_stage(trace)[-1]]
    return [loss / losses[0] for loss in losses]


def _plot(descents: Mapping[str, Mapping[str, list[float]]]) -> Figure:
    """Loss against evaluations: a panel a case, a line a setting, a dot where it ended."""
    figure = Figure(figsize=(5 * len(descents), 4), layout="constrained")
    axes = figure.subplots(1, len(descents), squeeze=False)
    for axis, (case, lines) in zip(axes[0], descents.items()):
        for label, losses in lines.items():
            axis.semilogy(range(1, len(losses) + 1), losses, "-o", label=label, markevery=[-1])
        axis.set(title=case, xlabel="evaluations", ylabel="loss, as a share of the first")
        axis.legend(fontsize=8)
    return figure


def _around(mask: np.ndarray) -> Rectangle:
    height, width = mask.shape
    return bounding_box(mask > 0.5).grow(12).clip((height, width))
