"""python -m experiments.page_demo: draw the pictures that the page offers to try it with, from the scenes."""

from pathlib import Path

import numpy as np
from PIL import Image

import reproduce
from reproduce.images.arrays import to_bytes

from . import scenes
from .scenes import objects
from .scenes.rendering import Camera, photograph, sensor_grain

FOLDER = Path(reproduce.__file__).parent / "page" / "static" / "demo"
QUALITY = 80  # of JPEG: all of them together stay below 400 kB
BACKDROP = np.array([0.60, 0.76, 0.58], np.float32)  # of no colour that is on the balloon


def balloon() -> np.ndarray:
    """The balloon of the demonstration, photographed before a plain backdrop that grows darker downwards."""
    picture, alpha = photograph(objects.balloon(), Camera((0, 0.6, 8), (0, -0.25, 0), 2.3, (300, 240)))
    picture, alpha = (np.pad(array, [(24, 24), (40, 40)] + [(0, 0)] * (array.ndim - 2)) for array in (picture, alpha))
    light = np.linspace(1.0, 0.94, len(picture), dtype=np.float32)[:, None, None]
    shot = picture + (1 - alpha[..., None]) * BACKDROP * light
    return np.clip(sensor_grain(shot, np.random.default_rng(7)), 0, 1)


def main() -> None:
    """Write all."""
    screen = scenes.screen_scene()
    pictures = {
        "river": scenes.painting("river"),
        "balloon": balloon(),
        "telephone": screen.photograph,
        "night": scenes.painting("starry_night"),
    }
    for name, picture in pictures.items():
        Image.fromarray(to_bytes(picture)).save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)
    print("corners of the telephone's screen:", screen.corners.round().tolist())


if __name__ == "__main__":
    main()
