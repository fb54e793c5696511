"""The preset `gatys` beside pictures that others published (--pairs): Gram matrices, contrast, structure kept."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from reproduce import metrics
from reproduce.applications.registry import preset
from reproduce.files import write_together
from reproduce.images.arrays import resize, scaled_shape, to_grey
from reproduce.images.files import read_image
from reproduce.losses.gram import gram_matrix
from reproduce.losses.normalization import NORMALIZATIONS
from reproduce.network.backend import as_tensor, ops
from reproduce.network.features import Extractor

from ..drawing import panels, save, without_trace
from ..jobs import Job, Runs
from ..materials.pairs import find_pairs
from ..request import Request

LAYERS = tuple(f"block{number}_conv1" for number in range(1, 6))
ENDINGS = ("content", "style", "published")


class Pair(NamedTuple):
    """A photograph, a painting, and what somebody made of the two; float32 (H, W, 3) each, of any sizes."""

    name: str
    content: np.ndarray
    style: np.ndarray
    published: np.ndarray

    @property
    def scale(self) -> float:
        """The published picture's size as a share of the content's."""
        return min(1.0, max(self.published.shape[:2]) / max(self.content.shape[:2]))


def pairs(request: Request) -> Iterator[Pair]:
    """The pairs in the folder that was asked for: NAME_content, NAME_style and NAME_published.

    Raises:
        InputError, OSError: no folder was, it has none, an image is missing, or a file is none.
    """
    for name, files in find_pairs(request.pairs, ENDINGS):
        yield Pair(name, *(request.shrink(read_image(files[ending])) for ending in ENDINGS))


def jobs(request: Request) -> Iterator[Job]:
    """A run a pair, at the published picture's size."""
    return (_job(request, pair) for pair in pairs(request))


def draw(request: Request, runs: Runs) -> None:
    """Content, style, the published picture and ours, and a line of measures for each pair."""
    grid, lines, reports = [], [_HEAD, "|---" * _HEAD.count(" |") + "|"], []
    extractor = request.network.extractor(LAYERS)
    for pair in pairs(request):
        result = runs.result(_job(request, pair))
        ours = resize(result.image, pair.published.shape[:2])
        lines.append(_line(pair, ours, result.report, extractor))
        reports.append(without_trace(result.report))
        grid.append({"content": pair.content, "style": pair.style, f"{pair.name}, published": pair.published,
                     "gatys": ours})  # fmt: skip
    request.output.mkdir(parents=True, exist_ok=True)
    write_together({request.output / "published.md": ("\n".join(lines) + "\n").encode()})
    save(panels(grid), request.output / "published", {"runs": reports})


def _job(request: Request, pair: Pair) -> Job:
    """At the published size, so that nothing is enlarged and shrunk again, which would cost fine detail."""
    content = resize(pair.content, scaled_shape(pair.content.shape, pair.scale))
    settings = preset("gatys", "stylize", scale=1.0)
    return request.job(f"{pair.name}, gatys", "stylize", settings, content=content, style=pair.style)


_HEAD = (
    "| pair | Gram distance at block1 | 2 | 3 | 4 | 5 | contrast (published, style) | content (published) "
    "| seconds | GB |"
)


def _line(pair: Pair, ours: np.ndarray, report: dict, extractor: Extractor) -> str:
    """Distances of Gram matrices to the style's with the published picture's as 1, and the rest beside its own."""
    shape = ours.shape[:2]
    style = resize(pair.style, scaled_shape(pair.style.shape, max(shape) / max(pair.style.shape[:2])))
    own, others = (gram_distances(image, style, extractor) for image in (ours, pair.published))
    content, whole = resize(pair.content, shape), np.ones(shape, np.float32)
    contrasts = [contrast(image) for image in (ours, pair.published, style)]
    kept = [metrics.content(image, content, whole) for image in (ours, pair.published)]
    cells = [
        pair.name,
        *(f"{own[layer] / others[layer]:.2f}" for layer in LAYERS),
        f"{contrasts[0]:.1f} ({contrasts[1]:.1f}, {contrasts[2]:.1f})",
        f"{kept[0]:.2f} ({kept[1]:.2f})",
        f"{report['seconds']:.0f}",
        f"{report['peak_memory_bytes'] / 1e9:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def gram_distances(image: np.ndarray, style: np.ndarray, extractor: Extractor) -> dict[str, float]:
    """Layer -> ||G - A|| / ||A||, of the Gram matrices (equation 2, over positions) of an image G and a style A."""
    grams = [{layer: _gram(features) for layer, features in extractor(of).items()} for of in (image, style)]
    return {
        layer: float(np.linalg.norm(gram - grams[1][layer]) / np.linalg.norm(grams[1][layer]))
        for layer, gram in grams[0].items()
    }


def _gram(features: np.ndarray) -> np.ndarray:
    ones = as_tensor(np.ones(features.shape[:2], np.float32))
    return ops.convert_to_numpy(gram_matrix(as_tensor(features), ones, NORMALIZATIONS["gatys"]))


def contrast(image: np.ndarray) -> float:
    """Standard deviation of grey (Rec. 601), of 0 to 255."""
    return 255 * float(to_grey(image.astype(np.float32))[..., 0].std())
