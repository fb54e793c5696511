"""The table of measures: every method on every case, as CSV, Markdown and a plot."""

import csv
import io

import matplotlib.pyplot as plt
import numpy as np

from reproduce.images import write_atomically

from .drawing import save
from .judging import Judgement
from .methods import METHODS
from .runs import Runs

DEFAULT_METHODS = ("naive", "gatys", "paper", "paper_full", "refined", "first_pass", "final")
COSTS = ("seconds", "evaluations", "peak_memory_bytes")
PLOTTED = ("style", "content", "grain", "color_grain", "seam")


def make(runs: Runs) -> None:
    measure(runs, runs.methods or DEFAULT_METHODS, "table")


def measure(runs: Runs, methods, name: str) -> list[dict]:
    """Run and judge the methods on all cases; write NAME.csv, NAME.md and NAME.png; return the rows."""
    rows = []
    for case in runs.cases():
        judgement = Judgement(case)
        for method in methods:
            if (made := METHODS[method](runs, case)) is not None:
                image, report = made
                costs = {cost: report[cost] for cost in COSTS} if report else {}
                rows.append({"case": case.name, "method": method, **judgement(image), **costs})
    write(runs, rows, name)
    return rows


def write(runs: Runs, rows: list[dict], name: str) -> None:
    """The rows as CSV, their medians over cases as Markdown, and a plot of the measures' spread."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns)
    table.writeheader()
    table.writerows(rows)
    runs.output.mkdir(parents=True, exist_ok=True)
    write_atomically(runs.output / f"{name}.csv", lambda temporary: temporary.write_text(text.getvalue()))
    markdown = medians(rows)
    write_atomically(runs.output / f"{name}.md", lambda temporary: temporary.write_text(markdown))
    record = {"materials": runs.materials.name, "licence": runs.materials.licence, "rows": rows}
    save(_plot(rows), runs.output / name, record)


def medians(rows: list[dict]) -> str:
    """A Markdown table: a line a method, the median over the cases of each measure and cost."""
    columns = [c for c in dict.fromkeys(column for row in rows for column in row) if c not in ("case", "method")]
    lines = ["| method | cases | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        cells = [_median([row[c] for row in own if c in row], c) for c in columns]
        lines.append(f"| {method} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _median(values: list[float], column: str) -> str:
    if not values:
        return ""
    value = np.median(values)
    return f"{value:.0f}" if column in COSTS else f"{value:.3f}"


def _plot(rows: list[dict]):
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, axes = plt.subplots(1, len(PLOTTED), figsize=(3 * len(PLOTTED), 3.4), layout="constrained")
    for axis, name in zip(axes, PLOTTED):
        for place, method in enumerate(methods):
            values = [row[name] for row in rows if row["method"] == method]
            axis.plot([place] * len(values), values, "o", alpha=0.4, markersize=4)
            axis.plot([place - 0.3, place + 0.3], [np.median(values)] * 2, color="black")
        axis.set_title(name, fontsize=9)
        axis.set_xticks(range(len(methods)), methods, rotation=60, fontsize=8)
        axis.set_ylim(bottom=0)
    return figure
