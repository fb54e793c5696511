"""A photograph-like scene: a telephone on a desk beside a cup, its screen bright with a picture of mountains."""

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from .motifs import blend, ramp, rgb, soft_step
from .painting import fractal_noise
from .rendering import (
    Camera,
    Field,
    Solid,
    bounded,
    difference,
    floats,
    photograph,
    plain,
    revolution,
    rounded_box,
    sensor_grain,
    smooth_union,
    torus,
)

SIZE = (480, 640)
TURN = np.deg2rad(14)  # of the telephone on the desk
SCREEN_HALF = (1.62, 0.81)
SCREEN_HEIGHT = 0.13
CAMERA = Camera((0.3, 4.9, 4.1), (0.2, 0, -0.38), 1.9, SIZE)


def mountain_photograph(rng: np.random.Generator, size: tuple[int, int] = (320, 640)) -> np.ndarray:
    """What the screen shows: mountains over a lake in the morning, float32 (H, W, 3), RGB in [0, 1]."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    shore = 0.66 * height
    clouds = fractal_noise(size, (160, 40), rng, 5)
    picture = ramp(y / shore, [(0, 0x2E6FC0), (0.6, 0x9CC7EA), (1, 0xFBE3C0)])
    picture = blend(picture, rgb(0xFFFFFF), 0.8 * soft_step(clouds - 0.9, 1.2) * soft_step(0.45 * height - y, 60))
    for foot, rise, haze in ((0.55, 0.26, 0.55), (0.62, 0.2, 0.25), (0.66, 0.09, 0.0)):
        ridge = foot - rise * (0.45 + 0.45 * fractal_noise((8, width), 0.35 * width, rng, 7)[0])
        rock = rock_face(y / height - (foot - 0.42 * rise if haze else 0), rng)
        picture = blend(picture, blend(rock, rgb(0xA9C4DE), np.full(size, haze)), soft_step(y - ridge * height, 1.5))
    wood_edge = shore - 0.03 * height * (1 + fractal_noise((8, width), 60, rng, 3)[0])
    tips = 0.05 * height * np.abs(2 * (x / 13 + 0.3 * np.sin(x / 17) % 1) % 2 - 1)
    picture = blend(picture, rgb(0x1D3A2C) * (1 + 0.2 * clouds[..., None]), soft_step(y - wood_edge + tips, 1.5))
    rows = np.clip(2 * shore - y, 0, height - 1).astype(int)
    columns = np.clip(x + 2.5 * fractal_noise(size, (30, 4), rng), 0, width - 1).astype(int)
    lake = 0.75 * picture[rows, columns] + 0.25 * rgb(0x1F5570)
    return np.clip(blend(picture, lake, soft_step(y - shore, 1.5)), 0, 1)


def rock_face(below_snow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rough rock lit from the left, (H, W, 3).

    Args:
        below_snow: (H, W), in heights of the picture; there is snow where it is negative.
    """
    size = below_snow.shape
    strata = np.sin(np.add.outer(*map(np.arange, size)) / 23)
    relief = fractal_noise(size, (26, 40), rng, 5) + 0.5 * strata
    rock = ramp(relief, [(-2, 0x2F3B36), (0, 0x59625A), (2, 0x8C8672)])
    rock = blend(rock, rgb(0xFAFBFF), soft_step(9 * relief - below_snow * size[0], 6))
    return rock * (0.8 + 0.3 * np.clip(-3 * np.gradient(relief, axis=1), -1, 1)[..., None]).astype(np.float32)


def turned(field: Field) -> Field:
    """The field with its solid turned as the telephone lies."""
    cos, sin = np.cos(TURN), np.sin(TURN)
    rotation = floats([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return lambda p: field(p @ rotation)


def screen_corners() -> np.ndarray:
    """The corners of the screen in the photograph, (4, 2), x first: top left, top right, bottom right, bottom left."""
    half_x, half_z = SCREEN_HALF
    x, z = np.array([(-half_x, -half_z), (half_x, -half_z), (half_x, half_z), (-half_x, half_z)]).T
    cos, sin = np.cos(TURN), np.sin(TURN)
    world = np.stack([cos * x + sin * z, np.full(4, SCREEN_HEIGHT), -sin * x + cos * z], axis=-1)
    return CAMERA.project(world)


def wood(rng: np.random.Generator) -> Field:
    """A table of oak planks, the grain along x."""
    grain = fractal_noise((512, 512), (300, 9), rng, 5) + 0.5 * fractal_noise((512, 512), (90, 2.5), rng, 2)
    planks = rng.normal(0, 0.12, 16).astype(np.float32)

    def albedo(p: np.ndarray) -> np.ndarray:
        plank = np.floor(p[:, 2] / 1.7 + 0.35).astype(int)
        tone = map_coordinates(grain, [(p[:, 2] + 7) * 36, (p[:, 0] + 7 + 1.3 * plank) * 28], order=1, mode="reflect")
        seam = np.clip(1 - np.abs((p[:, 2] / 1.7 + 0.35) % 1 - 0.5 - 0.488) / 0.008, 0, 1)
        tone = np.clip(1 + 0.17 * tone + planks[plank % 16], 0.4, 1.7) * (1 - 0.7 * seam)
        return floats([0.30, 0.155, 0.07]) * tone[:, None]

    return albedo


def desk(rng: np.random.Generator) -> list[Solid]:
    """The desk, the telephone with its dark glass, and a cup of coffee."""
    half_x, half_z = SCREEN_HALF
    body = turned(rounded_box((0, 0.065, 0), (half_x + 0.14, 0.06, half_z + 0.09), 0.055))
    cup_at = (1.75, 0, -1.85)
    outside = revolution([(0, 0.4), (0.05, 0.42), (0.4, 0.6), (0.9, 0.66)], cup_at)
    inside = revolution([(0.08, 0.36), (0.4, 0.55), (1.0, 0.63)], cup_at)
    handle = torus((cup_at[0] + 0.72, 0.5, cup_at[2]), 0.24, 0.06, axis=2)
    cup = difference(smooth_union(outside, handle, 0.06), inside)
    coffee = revolution([(0.3, 0.5), (0.68, 0.58)], cup_at)
    return [
        Solid(lambda p: p[:, 1], wood(rng), specular=0.03, roughness=0.7),
        Solid(body, plain(0.015, 0.016, 0.018), specular=0.05, roughness=0.15),
        Solid(bounded(cup, (1.9, 0.45, -1.85), 1.1), plain(0.85, 0.84, 0.8), roughness=0.1),
        Solid(bounded(coffee, cup_at, 1.0), plain(0.05, 0.02, 0.01), roughness=0.1),
    ]


def defocus(scene: np.ndarray, sharp_from: int = 150) -> np.ndarray:
    """Blur what lies behind the telephone, the more the higher up in the photograph."""
    amount = np.clip(1 - np.arange(len(scene), dtype=np.float32) / sharp_from, 0, 1)[:, None]
    return blend(scene, cv2.GaussianBlur(scene, (0, 0), 2.5), np.broadcast_to(amount, scene.shape[:2]))


def telephone(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Photograph the desk with the lit screen.

    Returns:
        photograph: float32 (H, W, 3), RGB in [0, 1].
        picture: what the screen shows, float32 (h, w, 3).
    """
    scene, _ = photograph(desk(rng), CAMERA, contrast=0.15)
    picture = mountain_photograph(rng)
    h, w = picture.shape[:2]
    source = floats([(-0.5, -0.5), (w - 0.5, -0.5), (w - 0.5, h - 0.5), (-0.5, h - 0.5)])
    homography = cv2.getPerspectiveTransform(source, screen_corners().astype(np.float32))
    shown = cv2.warpPerspective(
        picture, homography, SIZE[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    lit = np.zeros(SIZE, np.uint8)
    cv2.fillConvexPoly(lit, np.rint(screen_corners() * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    return sensor_grain(blend(defocus(scene), shown, lit / 255), rng), picture
