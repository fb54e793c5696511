"""The embedded scenes: paintings, objects pasted into them, a photograph with a screen, objects rich in detail.

Everything is drawn by this package from fixed seeds, so no image is stored and every run has the same material.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from reproduce.errors import expect

from . import details, motifs, objects, phone
from .board import Glyph
from .painting import Brush, Technique, paint
from .rendering import Camera, Solid, photograph, sensor_grain


@dataclass(frozen=True)
class PastedScene:
    """A case for harmonisation.

    Attributes:
        background: the painting, float32 (H, W, 3), RGB in [0, 1].
        composite: the painting with the photographed object; the background's own values where the mask is 0.
        mask: the object's share of each pixel, float32 (H, W) in [0, 1].
    """

    name: str
    background: np.ndarray
    composite: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class ScreenScene:
    """A photograph-like scene with a screen to restyle.

    Attributes:
        photograph: float32 (H, W, 3), RGB in [0, 1].
        corners: of the screen, (4, 2), x first: top left, top right, bottom right, bottom left of what it shows.
        style: the painting to restyle the screen with.
        background_style: another, for what is around the screen.
    """

    name: str
    photograph: np.ndarray
    corners: np.ndarray
    style: np.ndarray
    background_style: np.ndarray


@dataclass(frozen=True)
class DetailScene:
    """A photograph of an object whose details are to stay while the whole is painted.

    Attributes:
        photograph: float32 (H, W, 3), RGB in [0, 1].
        mask: the object's share of each pixel, float32 (H, W) in [0, 1].
        style: the painting whose style it takes, float32 (h, w, 3).
        glyphs: the letters and numerals on the object.
    """

    name: str
    photograph: np.ndarray
    mask: np.ndarray
    style: np.ndarray
    glyphs: tuple[Glyph, ...] = ()


IMPRESSIONIST = Technique(
    (Brush(16, 50, 2, 0.04), Brush(9, 28, 2.2, 0.055), Brush(5, 15, 1.4, 0.06), Brush(3, 9, 1, 0.05, detail=0.2))
)
EXPRESSIVE = Technique(
    (Brush(14, 60, 2, 0.03), Brush(7, 44, 2.5, 0.055), Brush(4, 26, 1.3, 0.05), Brush(3, 10, 1.5, 0.04, detail=0.2)),
    relief=0.18,
)
OLD_MASTER = Technique(
    (
        Brush(12, 40, 2, 0.01, 0.02),
        Brush(6, 24, 2, 0.012, 0.03),
        Brush(3.5, 14, 2, 0.015, 0.03, detail=0.025),
        Brush(2.2, 8, 1.5, 0.015, 0.02, detail=0.06),
    ),
    relief=0.10,
    weave=0.035,
    cracks=0.3,
)
PAINTINGS = {
    "river": (motifs.river, IMPRESSIONIST),
    "starry_night": (motifs.starry_night, EXPRESSIVE),
    "still_life": (motifs.still_life, OLD_MASTER),
}


@cache
def painting(name: str) -> np.ndarray:
    """One of PAINTINGS, float32 (480, 640, 3), RGB in [0, 1]."""
    rng = np.random.default_rng(1)
    motif, technique = PAINTINGS[name]
    picture = paint(*motif(rng), technique, rng)
    picture.setflags(write=False)
    return picture


def paste(
    name: str, background: str, solids: Callable[[], list[Solid]], camera: Camera, corner: tuple[int, int]
) -> PastedScene:
    """Photograph the solids and lay them over the painting with the picture's upper left corner at (x, y)."""
    picture, alpha = photograph(solids(), camera)
    picture = alpha[..., None] * sensor_grain(picture / np.maximum(alpha, 1e-3)[..., None], np.random.default_rng(7))
    canvas = painting(background)
    mask, composite = np.zeros(canvas.shape[:2], np.float32), canvas.copy()
    x, y = corner
    place = np.s_[y : y + alpha.shape[0], x : x + alpha.shape[1]]
    mask[place] = alpha
    composite[place] += picture - alpha[..., None] * composite[place]
    return PastedScene(name, canvas, np.clip(composite, 0, 1), mask)


_CASES = {
    "balloon": ("river", objects.balloon, Camera((0, 0.6, 8), (0, -0.25, 0), 2.3, (300, 240)), (255, 8)),
    "lighthouse": ("starry_night", objects.lighthouse, Camera((0, 1.0, 9), (0, 0.1, 0), 2.0, (400, 180)), (300, 50)),
    "teapot": ("still_life", objects.teapot, Camera((0, 2.5, 8), (0.2, 0.1, 0), 2.9, (290, 340)), (290, 130)),
    "apple": ("still_life", objects.apple, Camera((0, 3.0, 8), (0, 0.15, 0), 2.8, (280, 280)), (340, 180)),
    "sailing_boat": ("river", objects.sailing_boat, Camera((0, 1.6, 9), (0, 1.3, 0), 2.1, (330, 330)), (275, 10)),
}
PASTED_SCENES = tuple(_CASES)


def pasted_scene(name: str) -> PastedScene:
    """Draw one of PASTED_SCENES.

    Raises:
        InputError: there is no scene of that name.
    """
    expect(name in _CASES, f"one of the scenes {', '.join(PASTED_SCENES)}", name)
    return paste(name, *_CASES[name])


def screen_scene() -> ScreenScene:
    """The telephone on the desk, with two paintings as styles."""
    picture, _ = phone.telephone(np.random.default_rng(3))
    return ScreenScene("telephone", picture, phone.screen_corners(), painting("starry_night"), painting("river"))


def stylize_pair() -> tuple[np.ndarray, np.ndarray]:
    """A photograph-like content image and a painting as its style, both float32 (H, W, 3), RGB in [0, 1]."""
    return phone.mountain_photograph(np.random.default_rng(5), (480, 640)), painting("starry_night")


_DETAILS = {
    "sign": (details.sign, "starry_night"),
    "clock": (details.clock, "river"),
    "mask": (details.mask, "still_life"),
    "house": (details.house, "starry_night"),
}
DETAIL_SCENES = tuple(_DETAILS)


def detail_scene(name: str) -> DetailScene:
    """Draw one of DETAIL_SCENES.

    Raises:
        InputError: there is no scene of that name.
    """
    expect(name in _DETAILS, f"one of the scenes {', '.join(DETAIL_SCENES)}", name)
    shoot, style = _DETAILS[name]
    shot = shoot()
    return DetailScene(name, shot.photograph, shot.mask, painting(style), shot.glyphs)
