"""What all figures share: labelled panels, insets, and saving a PNG with its JSON."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle as Outline

from reproduce.files import write_together
from reproduce.images.arrays import to_bytes
from reproduce.images.geometry import Rectangle

PANEL_INCHES, DOTS_PER_INCH = 3.2, 150

Row = Mapping[str, np.ndarray]  # label -> image


def panels(rows: Sequence[Row], boxes: Sequence[Rectangle | None] | None = None) -> Figure:
    """A grid of labelled images, one row a mapping label -> image; a box is outlined and zoomed in under its row."""
    boxes = boxes or [None] * len(rows)
    lines = [line for row, box in zip(rows, boxes) for line in _lines(row, box)]
    columns = max(len(row) for row in rows)
    heights = [max(image.shape[0] / image.shape[1] for image in line.values()) for line, _ in lines]
    size = (columns * PANEL_INCHES, sum(heights) * PANEL_INCHES + 0.3 * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
    for axis in axes.ravel():
        axis.axis("off")
    for (line, box), line_axes in zip(lines, axes):
        for (label, image), axis in zip(line.items(), line_axes):
            show(axis, image, label)
            if box is not None:
                axis.add_patch(_outline(box))
    return figure


def middle(box: Rectangle) -> Rectangle:
    """The middle of a box at half its width and height: large enough to see texture and noise."""
    height, width = (side // 4 for side in box.shape)
    return Rectangle(box.top + height, box.left + width, box.bottom - height, box.right - width)


def show(axis: Axes, image: np.ndarray, label: str = "") -> None:
    """An image or mask on an axis, pixel for pixel, under its label."""
    axis.imshow(to_bytes(image), cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    axis.set_title(label, fontsize=9)
    axis.axis("off")


def save(figure: Figure, path: Path, record: Mapping[str, Any]) -> None:
    """Write figure and record as PATH.png and PATH.json, both or none.

    Raises:
        WriteError: they cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    picture, text = io.BytesIO(), json.dumps(record, indent=1) + "\n"
    figure.savefig(picture, dpi=DOTS_PER_INCH, format="png")
    write_together({path.with_suffix(".png"): picture.getvalue(), path.with_suffix(".json"): text.encode()})


def without_trace(report: Mapping[str, Any]) -> dict[str, Any]:
    """A run's report as a figure's record keeps it: the loss of every evaluation stays in the cache."""
    return {
        key: without_trace(value) if isinstance(value, dict) else value
        for key, value in report.items()
        if key != "trace"
    }


def _lines(row: Row, box: Rectangle | None) -> Iterator[tuple[Row, Rectangle | None]]:
    yield row, box
    if box is not None:
        yield {f"{label} (detail)": image[box.slices] for label, image in row.items()}, None


def _outline(box: Rectangle) -> Outline:
    corner, (height, width) = (box.left - 0.5, box.top - 0.5), box.shape
    return Outline(corner, width, height, fill=False, edgecolor="red", linewidth=1)
