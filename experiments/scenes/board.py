"""A flat surface to paint and to write on, and where its letters are in a photograph of it."""

from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from scipy.ndimage import map_coordinates

from reproduce.images.geometry import Rectangle

from .motifs import blend, rgb, soft_step
from .rendering import Camera, Field, floats

FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")  # DejaVu, which comes with it
SERIF, SANS = (FontProperties(fname=str(FONTS / f"DejaVu{name}-Bold.ttf")) for name in ("Serif", "Sans"))
TEXELS = 250  # of a painted surface, for each unit of length
SUBPIXEL_BITS = 6  # OpenCV's fixed-point coordinates
GLYPH_MARGIN = 2  # pixels of what a glyph stands on, around it

Corners = tuple[float, float, float, float]  # left, bottom, right, top


class Glyph(NamedTuple):
    """A letter or numeral, and where it is in the photograph."""

    text: str
    box: Rectangle

    def scaled(self, share: float) -> "Glyph":
        """The glyph in the photograph at a share of its size."""
        return Glyph(self.text, Rectangle(*(round(side * share) for side in self.box)))


class Board:
    """A plane z = const to paint on, from the corner (left, bottom) to (right, top), in the scene's units.

    Attributes:
        x, y: (h, w), the positions of its texels.
        color: float32 (h, w, 3), the share of light that it reflects.
        glyphs: what was written on it: (text, (left, bottom, right, top)).
    """

    def __init__(self, corners: Corners, color: tuple[float, float, float] | np.ndarray):
        self.left, bottom, right, self.top = corners
        shape = round((self.top - bottom) * TEXELS), round((right - self.left) * TEXELS)
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        self.x, self.y = self.left + (columns + 0.5) / TEXELS, self.top - (rows + 0.5) / TEXELS
        self.color = np.broadcast_to(floats(color), (*shape, 3)).copy()
        self.glyphs: list[tuple[str, Corners]] = []

    def lay(self, color: int | np.ndarray, amount: np.ndarray) -> None:
        """A colour, by its hexadecimal code or (h, w, 3), over the board by an amount (h, w) in [0, 1]."""
        self.color = blend(self.color, paint_color(color) if isinstance(color, int) else color, amount)

    def step(self, distance: np.ndarray) -> np.ndarray:
        """1 inside, 0 outside, by a distance in the scene's units that is positive inside."""
        return soft_step(distance * TEXELS, 1.5)

    def rectangle(self, corners: Corners, radius: float = 0.0) -> np.ndarray:
        """Distance to the edge of a rectangle (left, bottom, right, top) of rounded corners, positive inside."""
        left, bottom, right, top = corners
        across = np.abs(self.x - (left + right) / 2) - (right - left) / 2 + radius
        up = np.abs(self.y - (bottom + top) / 2) - (top - bottom) / 2 + radius
        return radius - np.hypot(np.maximum(across, 0), np.maximum(up, 0)) - np.minimum(np.maximum(across, up), 0)

    def write(
        self, text: str, middle: tuple[float, float], height: float, font: FontProperties, color: int, gap: float = 0.12
    ) -> None:
        """A line of text about its middle; capitals and numerals are as high as `height`, `gap` is between letters.

        Each letter is a glyph of its own; in what has no gap, the whole text is one.
        """
        size = height / np.ptp(np.concatenate(_polygons("H", 1.0, font))[:, 1])
        parts = list(text) if gap else [text]
        outlines = [_polygons(part, size, font) for part in parts]
        widths = [np.ptp(np.concatenate(lines)[:, 0]) if lines else 0.5 * height for lines in outlines]
        left, bottom = middle[0] - (sum(widths) + gap * height * (len(parts) - 1)) / 2, middle[1] - height / 2
        ink = np.zeros(self.x.shape, np.uint8)
        for part, lines, width in zip(parts, outlines, widths):
            if lines:
                corner = np.array([left - np.concatenate(lines)[:, 0].min(), bottom])
                moved = [line + corner for line in lines]
                cv2.fillPoly(ink, [self._texels(line) for line in moved], 255, cv2.LINE_AA, SUBPIXEL_BITS)
                low, high = np.concatenate(moved).min(axis=0), np.concatenate(moved).max(axis=0)
                self.glyphs.append((part, (*low.tolist(), *high.tolist())))
            left += width + gap * height
        self.lay(color, ink / 255)

    def albedo(self, elsewhere: int) -> Field:
        """The board's colours where it reaches, by x and y alone, and another colour elsewhere."""
        height, width = self.x.shape

        def color(p: np.ndarray) -> np.ndarray:
            at = [(self.top - p[:, 1]) * TEXELS - 0.5, (p[:, 0] - self.left) * TEXELS - 0.5]
            colors = np.stack(
                [map_coordinates(channel, at, order=1, mode="nearest") for channel in np.moveaxis(self.color, -1, 0)],
                -1,
            )
            inside = (np.abs(at[0] - height / 2) < height / 2) & (np.abs(at[1] - width / 2) < width / 2)
            return np.where(inside[:, None], colors, paint_color(elsewhere))

        return color

    def seen(self, camera: Camera, z: float) -> tuple[Glyph, ...]:
        """The glyphs in a camera's picture, of the board at this z."""
        return tuple(Glyph(text, _seen(corners, camera, z)) for text, corners in self.glyphs)

    def _texels(self, points: np.ndarray) -> np.ndarray:
        texels = np.stack([points[:, 0] - self.left, self.top - points[:, 1]], -1) * TEXELS - 0.5
        return np.rint(texels * 2**SUBPIXEL_BITS).astype(np.int32)


def _polygons(text: str, size: float, font: FontProperties) -> list[np.ndarray]:
    """The outlines of a text, each (N, 2)."""
    if text.isspace():
        return []
    # At 100 points, for outlines are made of whole numbers of steps; curves become lines that are that fine.
    return [
        np.asarray(line) * size / 100
        for line in TextPath((0, 0), text, size=100, prop=font).to_polygons(closed_only=True)
    ]


def _seen(corners: Corners, camera: Camera, z: float) -> Rectangle:
    left, bottom, right, top = corners
    points = camera.project(np.array([(x, y, z) for x in (left, right) for y in (bottom, top)]))
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int)
    return Rectangle(int(y0), int(x0), int(y1) + 1, int(x1) + 1).grow(GLYPH_MARGIN)


def paint_color(code: int) -> np.ndarray:
    """The share of light that a paint reflects, float32 (3,), of its colour on a screen."""
    return rgb(code) ** np.float32(2.2)
