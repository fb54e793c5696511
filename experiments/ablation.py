"""Ablations: what each reading of the paper changes, one setting at a time: pictures, a table, how the loss fell."""

from collections.abc import Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from reproduce.architecture import Rectangle
from reproduce.masks import bounding_box
from reproduce.settings import Settings, preset

from .drawing import panels, save, without_trace
from .judging import Judgement
from .runs import Runs, by_stage
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
    "iterations": _vary("iterations", (50, 100, 200, 400))
    | {f"iterations {count}, scale 1": replace(PAPER, iterations=count, scale=1.0) for count in (50, 100, 200)},
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
        _make_one(runs, name)


def _make_one(runs: Runs, name: str) -> None:
    grid, rows, reports, descents = [], [], [], {}
    for case in runs.cases(CASES):
        judgement, line = Judgement(case), {f"{case.name}: naive": case.composite}
        descents[case.name] = {}
        for label, settings in ABLATIONS[name].items():
            result = runs.harmonize(case, settings)
            line[label] = result.image
            descents[case.name][label] = fall = descent(result.report["trace"])
            costs = {"loss": min(fall)} | {cost: result.report[cost] for cost in ("seconds", "evaluations")}
            rows.append({"case": case.name, "method": label, **judgement(result.image), **costs})
            reports.append(without_trace(result.report))
        box = _around(case.mask)
        grid.append({label: image[box.slices] for label, image in line.items()})
    save(panels(grid), runs.output / f"ablation_{name}", {"runs": reports})
    save(_plot(descents), runs.output / f"ablation_{name}_loss", descents)
    write(runs, rows, f"ablation_{name}_table")


def descent(trace: list[dict]) -> list[float]:
    """The loss at each evaluation of a run's last scale, as a share of the first one there."""
    losses = [entry["loss"] for entry in by_stage(trace)[-1]]
    return [loss / losses[0] for loss in losses]


def _plot(descents: Mapping[str, Mapping[str, list[float]]]) -> Figure:
    """Loss against evaluations: a panel a case, a line a setting, a dot where it ended."""
    figure, axes = plt.subplots(1, len(descents), figsize=(5 * len(descents), 4), squeeze=False, layout="constrained")
    for axis, (case, lines) in zip(axes[0], descents.items()):
        for label, losses in lines.items():
            axis.semilogy(range(1, len(losses) + 1), losses, "-o", label=label, markevery=[-1])
        axis.set(title=case, xlabel="evaluations", ylabel="loss, as a share of the first")
        axis.legend(fontsize=8)
    return figure


def _around(mask) -> Rectangle:
    return bounding_box(mask > 0.5).grow(12).clip(mask.shape)
