"""Report: one page, report.html, of all figures, tables and ablations that the output folder has, with their records.

The page is one file: images are in it, small enough that all of it can be sent by mail. A click shows an image whole.
"""

import base64
import math
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from string import Template

from reproduce.files import write_together
from reproduce.images.arrays import resize, scaled_shape
from reproduce.images.files import encode_image, read_image

from .jobs import Job, Runs
from .request import Request

TEMPLATE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
SUFFIXES = (".png", ".md", ".json")  # of what is shown, in this order
MOST_BYTES = 14_000_000
MOST_PIXELS = 3_000_000  # of an image, at first: fewer where the page would be too long
FIRST = ("demo", "figure", "table")  # what the page begins with; all else follows by its name


def jobs(request: Request) -> tuple[Job, ...]:
    """None: it shows what there is."""
    return ()


def draw(request: Request, runs: Runs) -> None:
    """Write report.html into the output folder."""
    from .command_line import EXPERIMENTS  # this one is among them

    captions = {name: (each.__doc__ or "").strip().splitlines()[0] for name, each in EXPERIMENTS.items()}
    write_together({request.output / "report.html": page(request.output, captions)})


def page(folder: Path, captions: Mapping[str, str]) -> bytes:
    """The page of all that a folder has, under the captions of those whose names begin so."""
    found = _found(folder)
    contents = "\n".join(f'<a href="#{escape(name)}">{escape(_title(name))}</a>' for name in found)
    pixels = MOST_PIXELS
    while True:
        sections = "\n".join(_section(name, paths, _caption(name, captions), pixels) for name, paths in found.items())
        text = TEMPLATE.substitute(contents=contents, sections=sections)
        if len(content := text.encode()) <= MOST_BYTES or pixels < 1000:
            return content
        pixels //= 2


def _found(folder: Path) -> dict[str, list[Path]]:
    """The files of each figure (an image with its record) or table, by its name."""
    names = {path.stem for path in folder.glob("*.md")}
    names |= {path.stem for path in folder.glob("*.png") if path.with_suffix(".json").is_file()}

    def order(name: str) -> tuple[int, str]:
        return next((place for place, first in enumerate(FIRST) if name.startswith(first)), len(FIRST)), name

    paths = {name: [folder / f"{name}{suffix}" for suffix in SUFFIXES] for name in sorted(names, key=order)}
    return {name: [path for path in several if path.is_file()] for name, several in paths.items()}


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _caption(name: str, captions: Mapping[str, str]) -> str:
    return next((caption for experiment, caption in captions.items() if name.startswith(experiment)), "")


def _section(name: str, paths: Iterable[Path], caption: str, pixels: int) -> str:
    shown = {".png": lambda path: _image(path, pixels), ".md": _markdown, ".json": _record}
    heading = f"<h2>{escape(_title(name))}</h2>\n<p>{escape(caption)}</p>"
    parts = "\n".join(shown[path.suffix](path) for path in paths)
    return f'<section id="{escape(name)}">\n{heading}\n{parts}\n</section>'


def _image(path: Path, pixels: int) -> str:
    """The image in so many pixels at most, as JPEG."""
    image = read_image(path)
    share = math.sqrt(pixels / (image.shape[0] * image.shape[1]))
    small = resize(image, scaled_shape(image.shape[:2], share)) if share < 1 else image
    data = base64.b64encode(encode_image(path.with_suffix(".jpg"), small)).decode()
    name = escape(_title(path.stem))
    return (
        f'<div class="wide"><label><input type="checkbox" aria-label="{name}, whole">'
        f'<img alt="{name}" src="data:image/jpeg;base64,{data}"></label></div>'
    )


def _record(path: Path) -> str:
    return f"<details><summary>{escape(path.name)}</summary><pre>{escape(path.read_text('utf-8'))}</pre></details>"


def _markdown(path: Path) -> str:
    return "\n".join(_blocks(path.read_text("utf-8")))


def _blocks(text: str) -> Iterator[str]:
    """What the experiments write of Markdown, as HTML: headings, paragraphs and tables."""
    for block in text.strip().split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("|"):
            yield _table([[cell.strip() for cell in line.strip("| ").split("|")] for line in lines])
        elif block.startswith("#"):
            yield f"<h3>{escape(block.lstrip('# '))}</h3>"
        else:
            yield f"<p>{escape(block)}</p>"


def _table(rows: list[list[str]]) -> str:
    """A table whose second row is the line under its heads."""
    heads, lines = rows[0], rows[2:]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
