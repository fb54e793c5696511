"""What the paintings show: smooth layouts of colour, each with the direction that a painter's strokes would follow.

Every motif returns ``layout``, float32 (H, W, 3), RGB in [0, 1], and ``direction``, float32 (H, W), in radians. All
positions are in pixels of a picture of ``SIZE``.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .painting import along_contours, fractal_noise
from .rendering import Camera, Solid, floats, photograph, plain, revolution, rounded_box, smooth_union, sphere, torus

SIZE = (480, 640)
Y, X = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
UPRIGHT = np.float32(np.pi / 2)
Motif = tuple[np.ndarray, np.ndarray]


def rgb(code: int) -> np.ndarray:
    """Colour from a hexadecimal code, float32 (3,)."""
    return floats([code >> 16 & 255, code >> 8 & 255, code & 255]) / 255


def ramp(value: np.ndarray, stops: Sequence[tuple[float, int]]) -> np.ndarray:
    """Colours (H, W, 3) at the values (H, W) of a gradient through (position, hexadecimal colour) stops."""
    positions = [position for position, _ in stops]
    colors = np.stack([rgb(code) for _, code in stops])
    return np.stack([np.interp(value, positions, channel) for channel in colors.T], axis=-1).astype(np.float32)


def blend(layout: np.ndarray, color: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Lay a colour or a picture over the layout, by an amount (H, W) in [0, 1]."""
    return layout + (color - layout) * np.clip(amount, 0, 1)[..., None].astype(np.float32)


def soft_step(value: np.ndarray, width: float = 2.0) -> np.ndarray:
    """0 below, 1 above zero, with a ramp as wide as ``width``."""
    return np.clip(value / width + 0.5, 0, 1)


def ridge_line(cell: float, rng: np.random.Generator, octaves: int = 4) -> np.ndarray:
    """Heights along a horizon, (W,), of mean about 0 and standard deviation about 1."""
    return fractal_noise((4, SIZE[1]), cell, rng, octaves)[0]


def river(rng: np.random.Generator) -> Motif:
    """A river at sunset between poplars and a meadow of poppies."""
    clouds, leaves = fractal_noise(SIZE, (200, 50), rng), fractal_noise(SIZE, 26, rng)
    sway = fractal_noise(SIZE, 110, rng)
    layout, direction = sunset_sky(clouds, sway), 0.35 * sway
    for height, color, cell in ((46, 0x8C8FBE, 160), (24, 0x5F7FA0, 90)):
        ridge = 246 - height * (1 + 0.35 * ridge_line(cell, rng))
        layout = blend(layout, rgb(color) + 0.04 * leaves[..., None], soft_step(Y - ridge))
    layout, direction = far_bank(layout, direction, leaves, rng)
    layout, direction = mirrored_in_water(layout, direction, clouds, sway)
    return meadow(layout, direction, leaves, sway, rng)


def sunset_sky(clouds: np.ndarray, sway: np.ndarray) -> np.ndarray:
    """Blue above, orange below, clouds and a low sun."""
    sky = [(0, 0x4F7CC2), (80, 0x86ABD9), (150, 0xEFD3A8), (205, 0xF9B463), (250, 0xEE8A58)]
    layout = ramp(Y + 12 * sway, sky)
    layout = blend(layout, rgb(0xFBF0DA), 0.7 * soft_step(clouds - 0.75, 0.8) * soft_step(150 - Y, 60))
    layout = blend(layout, rgb(0xC58BA6), 0.6 * soft_step(-clouds - 0.7, 0.8) * soft_step(215 - Y, 60))
    sun = np.hypot(X - 455, Y - 168)
    layout = blend(layout, rgb(0xFFDD8A), 0.85 * np.exp(-((sun / 70) ** 2)))
    return blend(layout, rgb(0xFFF6D5), soft_step(21 - sun, 3))


def far_bank(layout: np.ndarray, direction: np.ndarray, leaves: np.ndarray, rng: np.random.Generator) -> Motif:
    """Poplars and bushes on the far bank, whose water line is at y = 246."""
    trees = np.zeros(SIZE, np.float32)
    poplars = (
        (52, 96, 17),
        (92, 128, 15),
        (128, 84, 19),
        (168, 140, 14),
        (205, 160, 13),
        (596, 150, 20),
        (560, 178, 14),
    )
    for center, top, width in poplars:
        crown = 1 - ((X - center + 3 * leaves) / width) ** 2 - ((2 * Y - top - 246) / (258 - top)) ** 4
        trees = np.maximum(trees, soft_step(crown, 0.3) * soft_step(252 - Y, 4))
    layout = blend(layout, ramp(leaves * 14 + (X % 37), [(0, 0x6F8F3A), (18, 0x3E6B3A), (40, 0x234B45)]), trees)
    bushes = soft_step(Y - 236 + 8 * ridge_line(60, rng)) * soft_step(250 - Y)
    layout = blend(layout, ramp(leaves, [(-2, 0x2F5A3A), (0, 0x5E8A3C), (2, 0xA9B04A)]), bushes)
    return layout, np.where(trees > 0.5, UPRIGHT + 0.35 * leaves, direction)


def mirrored_in_water(layout: np.ndarray, direction: np.ndarray, clouds: np.ndarray, sway: np.ndarray) -> Motif:
    """The river below y = 246: what is above it, mirrored and rippled, with the sun's glitter."""
    rows = np.clip(2 * 246 - Y, 0, SIZE[0] - 1).astype(int)
    columns = np.clip(X + 7 * clouds * np.clip((Y - 246) / 40, 0, 1.5), 0, SIZE[1] - 1).astype(int)
    layout = blend(layout, 0.82 * layout[rows, columns] + 0.18 * rgb(0x3F6E9E), soft_step(Y - 250))
    below_sun = np.exp(-(((X - 455) / (30 + 0.25 * np.abs(Y - 246))) ** 2))
    layout = blend(layout, rgb(0xFFE7A3), soft_step(clouds - 0.5, 0.5) * below_sun * soft_step(Y - 254))
    return layout, np.where(Y > 248, 0.12 * sway, direction)


def meadow(
    layout: np.ndarray, direction: np.ndarray, leaves: np.ndarray, sway: np.ndarray, rng: np.random.Generator
) -> Motif:
    """The near bank, with poppies and daisies."""
    shore = 372 + 0.10 * (X - 320) + 9 * ridge_line(60, rng) - 70 * np.exp(-(((X - 20) / 150) ** 2))
    grass = ramp(leaves + (Y - shore) / 60, [(-1.5, 0x4F7A3A), (0, 0x86A044), (1.2, 0x5D8B45), (3, 0x2E5B3C)])
    poppies = soft_step(fractal_noise(SIZE, (16, 9), rng, 2) - 1.0, 0.3)
    grass = blend(grass, rgb(0xD8321F), poppies * soft_step(Y - shore - 12, 8))
    grass = blend(grass, rgb(0xF4E9C8), soft_step(fractal_noise(SIZE, 12, rng, 1) - 1.6, 0.3))
    layout = blend(layout, grass, soft_step(Y - shore))
    return np.clip(layout, 0, 1), np.where(shore < Y, UPRIGHT + 0.5 * sway, direction).astype(np.float32)


def starry_night(rng: np.random.Generator) -> Motif:
    """A night sky in swirls over hills, a village and a cypress."""
    fine = fractal_noise(SIZE, 26, rng)
    layout, direction = stars(*swirling_sky(rng))
    layout, direction = hills(layout, direction, fine, rng)
    layout, direction = village(layout, direction, rng)
    layout, direction = cypress(layout, direction, fine)
    return np.clip(layout, 0, 1), direction.astype(np.float32)


def swirling_sky(rng: np.random.Generator) -> Motif:
    """Bands of blue along the level lines of a stream function, which the strokes follow."""
    stream = 0.9 * Y + 14 * fractal_noise(SIZE, 150, rng) + 10 * np.sin(X / 80)
    for x, y, radius, turn in ((300, 150, 75, 150), (425, 205, 42, -80), (120, 60, 50, 60), (560, 240, 60, 40)):
        stream += turn * np.exp(-(((X - x) / radius) ** 2 + ((Y - y) / (0.8 * radius)) ** 2))
    along_y, along_x = np.gradient(stream)
    blues = [(-1.6, 0x0F1F55), (-0.6, 0x1E3F8F), (0.3, 0x3F6FB5), (1.0, 0x86AECF), (1.7, 0xD5DFC4)]
    bands = np.sin(stream / 11) + 0.5 * fractal_noise(SIZE, (120, 40), rng) + Y / 300 - 0.6
    return ramp(bands, blues), np.arctan2(-along_x, along_y)


def stars(layout: np.ndarray, direction: np.ndarray) -> Motif:
    """Stars in rings of light, and the moon."""
    places = ((556, 78, 46), (74, 62, 21), (176, 84, 15), (236, 40, 17), (392, 62, 19), (470, 128, 15), (330, 258, 13))
    for x, y, radius in (*places, (600, 190, 15), (130, 190, 18)):
        distance = np.hypot(X - x, Y - y)
        rings = 0.5 + 0.5 * np.cos(distance / radius * 7)
        halo = np.exp(-((distance / (1.7 * radius)) ** 2))
        layout = blend(layout, ramp(rings, [(0, 0x8FB39B), (1, 0xF0DE7A)]), halo * (0.55 + 0.35 * rings))
        layout = blend(layout, rgb(0xF9D649), soft_step(0.55 * radius - distance, 4))
        direction = np.where(distance < 1.9 * radius, np.arctan2(Y - y, X - x) + UPRIGHT, direction)
    disc = np.hypot(X - 556, Y - 78)
    crescent = soft_step(30 - disc) * soft_step(np.hypot(X - 566, Y - 72) - 24)
    return blend(blend(layout, rgb(0xEFC85A), soft_step(31 - disc, 4)), rgb(0xF28E1C), crescent), direction


def hills(layout: np.ndarray, direction: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> Motif:
    """Three ranges, one before the other, striped along their slopes."""
    ranges = (
        (330, 34, 220, (0x16295C, 0x2F5793, 0x7FA3BE)),
        (372, 22, 170, (0x12303F, 0x2B5F63, 0x7FA08A)),
        (420, 16, 120, (0x101F2B, 0x27473F, 0x5F7F4F)),
    )
    for base, height, cell, (dark, middle, light) in ranges:
        line = base - height * ridge_line(cell, rng, 2)
        stripes = ramp(np.sin((Y - line) / 6 + 1.2 * fine), [(-1, dark), (0.3, middle), (1.4, light)])
        layout = blend(layout, stripes, soft_step(Y - line))
        layout = blend(layout, rgb(0x0A1226), 0.8 * np.exp(-(((Y - line) / 2.5) ** 2)))
        direction = np.where(line < Y, np.arctan(np.gradient(line)) + 0.25 * fine, direction)
    return layout, direction


def village(layout: np.ndarray, direction: np.ndarray, rng: np.random.Generator) -> Motif:
    """A row of houses, most with a light in the window."""
    for place in range(16):
        x, y, s = 215 + 26 * place + rng.uniform(-6, 6), rng.uniform(405, 446), rng.uniform(13, 19)
        wall = soft_step(s - np.abs(X - x)) * soft_step(0.7 * s - np.abs(Y - y))
        roof = soft_step(s * 1.2 - np.abs(X - x) - 1.1 * (y - 0.7 * s - Y)) * soft_step(y - 0.6 * s - Y)
        window = soft_step(0.26 * s - np.abs(X - x)) * soft_step(0.3 * s - np.abs(Y - y))
        layout = blend(layout, rgb(int(rng.choice([0x5F86B0, 0x8FA9B8, 0x496FA0]))), wall)
        layout = blend(layout, rgb(int(rng.choice([0x8A3A2A, 0x1B2A4C, 0x9A6A32]))), roof)
        layout = blend(layout, rgb(0xFFD75E), window * (rng.uniform() < 0.7))
        direction = np.where(wall > 0.5, UPRIGHT, np.where(roof > 0.5, np.where(x < X, 0.75, -0.75), direction))
    return layout, direction


def cypress(layout: np.ndarray, direction: np.ndarray, fine: np.ndarray) -> Motif:
    """Dark flames of leaves at the left."""
    for x, top, width in ((84, 60, 46), (126, 190, 30), (46, 220, 34)):
        height = np.clip((Y - top) / (SIZE[0] - top), 0, 1)
        across = X - x - 9 * np.sin(Y / 38 + x) - 4 * fine
        inside = soft_step(width * height**0.8 - np.abs(across), 3) * (top < Y)
        streaks = np.sin(across / (2.5 + 4 * height) + 0.8 * fine)
        layout = blend(layout, ramp(streaks, [(-1, 0x0A120E), (0.2, 0x1B2E1F), (1, 0x4A5A2A)]), inside)
        direction = np.where(inside > 0.5, UPRIGHT + 0.35 * np.cos(Y / 38 + x) + 0.2 * fine, direction)
    return layout, direction


def still_life(rng: np.random.Generator) -> Motif:
    """A jug and fruit on a white cloth in a dark room, lit from a window at the left."""
    camera = Camera((0.2, 2.6, 9), (0.2, 0.55, 0), 1.45, (SIZE[0] // 2, SIZE[1] // 2))
    picture, covered = (cv2.resize(image, SIZE[::-1]) for image in photograph(laid_table(), camera, contrast=1))
    noise = fractal_noise(SIZE, 140, rng)
    browns = [(0, 0x7A6238), (0.35, 0x4A3922), (0.8, 0x1F1812), (1.1, 0x120E0B)]
    wall = ramp(np.hypot(X - 120, Y - 90) / 640 + 0.05 * noise, browns)
    lamp = np.clip(1.12 - 0.75 * (X / SIZE[1]) ** 1.5 - 0.25 * (Y / SIZE[0]) ** 2, 0.2, 1)[..., None]
    table = picture / np.maximum(covered, 0.01)[..., None] * floats([1.0, 0.9, 0.72]) * lamp
    layout = np.clip(blend(wall, table, covered), 0, 1)
    return layout, along_contours(layout, 0.5 * noise + 0.4)


def laid_table() -> list[Solid]:
    """The table of the still life."""
    profile = [(0.0, 0.5), (0.1, 0.55), (0.8, 0.85), (1.4, 0.72), (1.9, 0.36), (2.3, 0.32), (2.55, 0.42)]
    jug = smooth_union(revolution(profile, (-2.35, 0, -0.9)), torus((-1.65, 1.75, -0.9), 0.42, 0.08, axis=2), 0.1)
    oranges = ((-1.25, 0.42, 0.35), (-0.45, 0.42, 0.0), (-0.85, 1.02, 0.1))
    plums = ((-2.35, 0.29, 0.75), (-1.85, 0.29, 1.15), (-0.15, 0.29, 1.0))
    return [
        Solid(jug, plain(0.10, 0.12, 0.07), roughness=0.3),
        Solid(rounded_box((0, -0.45, -0.5), (7, 0.42, 2.0), 0.06), plain(0.16, 0.08, 0.04), roughness=0.6),
        Solid(draped_cloth, striped_linen, roughness=1.0, specular=0.0),
        *(Solid(sphere(center, 0.42), plain(0.62, 0.22, 0.02), roughness=0.5) for center in oranges),
        *(Solid(sphere(center, 0.29), plain(0.12, 0.02, 0.06), roughness=0.4) for center in plums),
    ]


def draped_cloth(p: np.ndarray) -> np.ndarray:
    """Distance to a cloth over the table's edge, in folds where it hangs."""
    x, y, z = p.T
    fold = 1 + np.sin(2.1 * x + 0.6 * np.sin(1.3 * y)) + 0.7 * np.abs(np.sin(2.6 * x + 1 + 0.5 * y))
    front = z - 1.6 - 0.25 * fold * np.clip(-1.2 * y, 0, 1)
    sides = np.abs(x + 0.3) - 3.1 - 0.2 * np.sin(2 * y)
    return (0.7 * np.maximum.reduce([front, y - 0.015 * fold, sides])).astype(np.float32)


def striped_linen(p: np.ndarray) -> np.ndarray:
    """White, with two red bands above the hem."""
    height = p[:, 1] + 0.12 * np.sin(2.1 * p[:, 0])
    band = (np.abs(height + 0.62) < 0.07) | (np.abs(height + 0.85) < 0.03)
    return np.where(band[:, None], floats([0.36, 0.07, 0.05]), floats([0.85, 0.80, 0.70]))
