"""Draw the structure of a network (figures 1 to 3) from a run: its images, its layers, its features and its losses."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from reproduce.architecture import operations_until
from reproduce.features import Extractor
from reproduce.images import resize
from reproduce.settings import Settings

from .drawing import show

COLORS = {"convolution": "#dce6f2", "pooling": "#f2e3c6", "style": "#c9e4c5", "content": "#f4c7c3", "both": "#e2cdea"}


def draw_structure(
    title: str,
    inputs: Mapping[str, np.ndarray],
    extractor: Extractor,
    shape: tuple[int, int],
    settings: Settings,
    rows: Mapping[str, Mapping[str, np.ndarray]],
    loss: Mapping[str, Mapping],
    outputs: Mapping[str, np.ndarray],
) -> Figure:
    """Four columns, read from left to right: images, network, what its layers put out, losses and result.

    Args:
        inputs, outputs: label -> image.
        extractor: the network that ran.
        shape: (height, width) of the image that it ran on.
        settings: which of its layers carry style and content.
        rows: layer -> label -> image, such as features and masks.
        loss: of the run's report.
    """
    figure = plt.figure(figsize=(15, 8), layout="constrained")
    figure.suptitle(title)
    left, network, middle, right = figure.subfigures(1, 4, width_ratios=(1, 1.1, 2.1, 1.2))
    _stack(left, inputs)
    _network(network, extractor, shape, settings)
    _grid(middle, rows)
    _results(right, loss, outputs)
    return figure


def feature_map(features: np.ndarray) -> np.ndarray:
    """Features (h, w, C) as a picture (h, w): their mean over channels, from 0 to 1."""
    mean = features.mean(axis=-1)
    return (mean - mean.min()) / max(float(np.ptp(mean)), 1e-9)


def feature_maps(
    extractor: Extractor, images: Mapping[str, np.ndarray], shape: tuple[int, int]
) -> dict[str, dict[str, np.ndarray]]:
    """Layer -> label -> feature map, of images brought to the (height, width) that the network ran on."""
    features = {label: extractor(resize(image, shape)) for label, image in images.items()}
    return {layer: {label: feature_map(features[label][layer]) for label in features} for layer in extractor.layers}


def _stack(part, images: Mapping[str, np.ndarray]) -> None:
    axes = part.subplots(len(images), 1, squeeze=False)[:, 0]
    for axis, (label, image) in zip(axes, images.items()):
        show(axis, image, label)


def _grid(part, rows: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    columns = max(len(row) for row in rows.values())
    axes = part.subplots(len(rows), columns, squeeze=False)
    for line, (layer, row) in zip(axes, rows.items()):
        for axis in line:
            axis.axis("off")
        for axis, (label, image) in zip(line, row.items()):
            show(axis, image, f"{layer}\n{label} {image.shape[0]} x {image.shape[1]}")


def _network(part, extractor: Extractor, shape: tuple[int, int], settings: Settings) -> None:
    """One box an operation, with the shape that the built model puts out for this image."""
    axis = part.subplots()
    operations = operations_until(extractor.layers)
    axis.set(xlim=(0, 1), ylim=(len(operations) + 0.5, -1))
    axis.axis("off")
    axis.set_title("VGG-19, ImageNet", fontsize=9)
    output = (1, *shape, 3)
    for place, operation in enumerate(operations):
        output = extractor.model.get_layer(operation.name).compute_output_shape(output)
        role = _role(operation.name, settings)
        text = f"{operation.name}  {output[1]} x {output[2]} x {output[3]}" + (f"   {role}" if role else "")
        box = {"boxstyle": "round,pad=0.35", "facecolor": COLORS[role or operation.kind], "edgecolor": "grey"}
        arrow = {"arrowstyle": "<-", "color": "grey"}
        axis.annotate(
            text, (0.5, place - 1), (0.5, place), ha="center", va="center", fontsize=7, bbox=box, arrowprops=arrow
        )


def _role(layer: str, settings: Settings) -> str:
    style, content = layer in settings.style_layers, layer in settings.content_layers
    return {(1, 1): "both", (1, 0): "style", (0, 1): "content", (0, 0): ""}[style, content]


def _results(part, loss: Mapping[str, Mapping], outputs: Mapping[str, np.ndarray]) -> None:
    text, *axes = part.subplots(1 + len(outputs), 1)
    text.axis("off")
    text.set_title("loss: start -> end", fontsize=9)
    final = loss["final"]["terms"]
    lines = [f"{name}: {value:.3g} -> {final[name]:.3g}" for name, value in loss["initial"]["terms"].items()]
    lines.append(f"sum: {loss['initial']['total']:.3g} -> {loss['final']['total']:.3g}")
    lines.append("its gradient goes back to L-BFGS,\nwhich changes the image")
    text.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", fontsize=8, family="monospace")
    for axis, (label, image) in zip(axes, outputs.items()):
        show(axis, image, label)
