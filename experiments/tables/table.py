"""The table of measures: every method on every case, as CSV, Markdown and a plot."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reproduce.files import write_together

from ..drawing import save
from ..jobs import Job, Runs
from ..judging import judgement
from ..methods import METHODS, Method
from ..request import Request

DEFAULT_METHODS = tuple(name for name in METHODS if name != "base")
COSTS = ("seconds", "evaluations", "peak_memory_bytes")
PLOTTED = ("style", "one_sided", "content", "grain", "color_grain", "seam", "uneven")

TableRow = dict[str, Any]  # "case", "method", and a number for each measure and cost


def jobs(request: Request) -> Iterator[Job]:
    """A run a case and method, but those whose results are given."""
    for case in request.cases():
        for method in _methods(request):
            if (job := method.job(request, case)) is not None:
                yield job


def draw(request: Request, runs: Runs) -> None:
    """Judge every method's result on every case."""
    rows = []
    for case in request.cases():
        judge = judgement(case, request.network, request.alexnet)
        for method in _methods(request):
            if (result := method.result(request, runs, case)) is not None:
                costs = {cost: result.report[cost] for cost in COSTS if cost in result.report}
                rows.append({"case": case.name, "method": method.name, **judge(result.image), **costs})
    write(request, rows, "table")


def _methods(request: Request) -> list[Method]:
    return [METHODS[name] for name in request.methods or DEFAULT_METHODS]


def write(request: Request, rows: Sequence[TableRow], name: str) -> None:
    """The rows as NAME.csv and NAME.json, their medians over cases as NAME.md, and a plot of the measures' spread."""
    write_rows(request, rows, medians(rows), name)
    record = {"materials": request.materials.name, "licence": request.materials.licence, "rows": rows}
    save(_plot(rows), request.output / name, record)


def write_rows(request: Request, rows: Sequence[TableRow], markdown: str, name: str) -> None:
    """The rows as NAME.csv, and what was made of them as NAME.md."""
    text = io.StringIO()
    table = csv.DictWriter(text, _columns(rows))
    table.writeheader()
    table.writerows(rows)
    output = request.output
    output.mkdir(parents=True, exist_ok=True)
    write_together({output / f"{name}.csv": text.getvalue().encode(), output / f"{name}.md": markdown.encode()})


def medians(rows: Sequence[TableRow]) -> str:
    """A Markdown table: a line a method, the median over the cases of each measure and cost."""
    columns = [column for column in _columns(rows) if column not in ("kind", "case", "method")]
    lines = ["| method | cases | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for method in _method_names(rows):
        own = [row for row in rows if row["method"] == method]
        cells = [_median([row[column] for row in own if column in row], column) for column in columns]
        lines.append(f"| {method} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[TableRow]) -> list[str]:
    """All columns, in the order in which they first appear."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _method_names(rows: Sequence[TableRow]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))


def _median(values: Sequence[float], column: str) -> str:
    if not values:
        return ""
    value = np.median(values)
    return f"{value:.0f}" if column in COSTS else f"{value:.3f}"


def _plot(rows: Sequence[TableRow]) -> Figure:
    """A panel a measure: a dot a case, a line at the median, side by side for the methods."""
    methods = _method_names(rows)
    figure = Figure(figsize=(3 * len(PLOTTED), 3.4), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(PLOTTED)), PLOTTED):
        for place, method in enumerate(methods):
            values = [row[name] for row in rows if row["method"] == method]
            axis.plot([place] * len(values), values, "o", alpha=0.4, markersize=4)
            axis.plot([place - 0.3, place + 0.3], [np.median(values)] * 2, color="black")
        axis.set_title(name, fontsize=9)
        axis.set_xticks(range(len(methods)), methods, rotation=60, fontsize=8)
        axis.set_ylim(bottom=0)
    return figure
