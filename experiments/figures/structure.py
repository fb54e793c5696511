"""Draw the structure of a network (figures 1 to 3) from a run: its images, its layers, its features and its losses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure

from reproduce.images.arrays import resize
from reproduce.network.architecture import operations_until
from reproduce.network.features import Extractor
from reproduce.settings import Settings

from ..drawing import Row, show

Report = Mapping[str, Any]  # as JSON has it

COLORS = {"convolution": "#dce6f2", "pooling": "#f2e3c6", "style": "#c9e4c5", "content": "#f4c7c3", "both": "#e2cdea"}


def draw_structure(
    title: str,
    inputs: Row,
    extractor: Extractor,
    settings: Settings,
    rows: Mapping[str, Row],
    report: Report,
    outputs: Row,
) -> Figure:
    """From left to right images, network, what its layers put out with the losses on it, results; below, the way back.

    Args:
        inputs, outputs: label -> image.
        extractor: the network that ran.
        settings: which of its layers carry style and content.
        rows: layer -> label -> image, such as features and masks.
        report: of the run.
    """
    figure = Figure(figsize=(15, 7.6), layout="constrained")
    figure.suptitle(title)
    forth, back = figure.subfigures(2, 1, squeeze=False, height_ratios=(12, 1)).ravel()
    left, network, middle, right = forth.subfigures(1, 4, squeeze=False, width_ratios=(1, 1.05, 2.6, 1)).ravel()
    _stack(left, inputs)
    _network(network, extractor, working_shape(report), settings)
    _grid(middle, rows, report["loss"], settings)
    _stack(right, outputs)
    _way_back(back, report)
    return figure


def working_shape(report: Report) -> tuple[int, int]:
    """(height, width) of the image that a run's network saw."""
    width, height = report["size"]["working"]
    return height, width


def feature_map(features: np.ndarray) -> np.ndarray:
    """Features (h, w, C) as a picture (h, w): their mean over channels, from 0 to 1."""
    mean = features.mean(axis=-1)
    return (mean - mean.min()) / max(float(np.ptp(mean)), 1e-9)


def feature_maps(extractor: Extractor, images: Row, shape: tuple[int, int]) -> dict[str, dict[str, np.ndarray]]:
    """Layer -> label -> feature map, of images brought to the (height, width) that the network ran on."""
    features = {label: extractor(resize(image, shape)) for label, image in images.items()}
    return {layer: {label: feature_map(features[label][layer]) for label in features} for layer in extractor.layers}


def _stack(part: SubFigure, images: Row) -> None:
    axes = part.subplots(len(images), 1, squeeze=False)[:, 0]
    for axis, (label, image) in zip(axes, images.items()):
        show(axis, image, label)


def _grid(part: SubFigure, rows: Mapping[str, Row], loss: Report, settings: Settings) -> None:
    """A line a layer: its pictures, and the terms of the loss that are computed on it, at the start and at the end."""
    columns = max(len(row) for row in rows.values()) + 1
    axes = part.subplots(len(rows), columns, squeeze=False)
    first, last = loss["initial"]["terms"], loss["final"]["terms"]
    for line, (layer, row) in zip(axes, rows.items()):
        for axis, (label, image) in zip(line, row.items()):
            show(axis, image, f"{layer}\n{label} {image.shape[0]} x {image.shape[1]}")
        text = "\n".join(
            f"{name.removesuffix(layer)}loss\n{_change(first[name], last[name])}" for name in first if layer in name
        )
        box = {"boxstyle": "round,pad=0.6", "facecolor": COLORS[_role(layer, settings)], "edgecolor": "grey"}
        line[-1].axis("off")
        line[-1].text(0.5, 0.5, text, ha="center", va="center", fontsize=8, linespacing=1.5, bbox=box)


def _network(part: SubFigure, extractor: Extractor, shape: tuple[int, int], settings: Settings) -> None:
    """One box an operation, with the shape that the built model puts out for this image."""
    axis = part.subplots()
    operations = operations_until(extractor.layers)
    axis.set(xlim=(0, 1), ylim=(len(operations) - 0.5, -1))
    axis.axis("off")
    axis.set_title("VGG-19, ImageNet", fontsize=9)
    output = (1, *shape, 3)
    for place, operation in enumerate(operations):
        output = extractor.model.get_layer(operation.name).compute_output_shape(output)
        role = _role(operation.name, settings)
        text = f"{operation.name}  {output[1]} x {output[2]} x {output[3]}" + (f"   {role}" if role else "")
        box = {"boxstyle": "round,pad=0.35", "facecolor": COLORS[role or operation.kind], "edgecolor": "grey"}
        arrow = {"arrowstyle": "<-", "color": "grey", "shrinkB": 6 if place else 0}
        axis.annotate(
            text, (0.5, place - 1), (0.5, place), ha="center", va="center", fontsize=7, bbox=box, arrowprops=arrow
        )


def _role(layer: str, settings: Settings) -> str:
    style, content = layer in settings.style.style_layers, layer in settings.content.content_layers
    return {(1, 1): "both", (1, 0): "style", (0, 1): "content", (0, 0): ""}[style, content]


def _way_back(part: SubFigure, report: Report) -> None:
    axis = part.subplots()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")
    axis.annotate("", (0.07, 0.9), (0.75, 0.9), arrowprops={"arrowstyle": "->", "color": "grey"})
    change = _change(report["loss"]["initial"]["total"], report["loss"]["final"]["total"])
    text = f"L-BFGS changes the image along the gradient of the sum: {change} in {report['evaluations']} evaluations"
    axis.text(0.41, 0.45, text, ha="center", va="center", fontsize=9)


def _change(start: float, end: float) -> str:
    first, last = (f"{loss:,.0f}" if loss == 0 or loss >= 100 else f"{loss:.3g}" for loss in (start, end))
    return f"{first} \N{RIGHTWARDS ARROW} {last}"
