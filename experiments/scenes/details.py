"""Photographed objects whose details style transfer destroys: a sign, a clock, a painted mask, a house with windows.

Every function returns a `Shot`. Objects are traced alone, so that their share of each pixel is the mask; what lies
behind them is drawn flat, and the shadow that they cast on it is their mask, moved and softened.
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from .board import SANS, SERIF, Board, Corners, Glyph, paint_color
from .motifs import SIZE, X, Y, blend, ramp, rgb, soft_step
from .painting import fractal_noise
from .phone import mountain_photograph
from .rendering import (
    Camera,
    Field,
    Solid,
    bounded,
    capsule,
    floats,
    photograph,
    plain,
    revolution,
    rounded_box,
    sensor_grain,
    smooth_union,
    sphere,
    torus,
    union,
)


class Shot(NamedTuple):
    """A photograph of an object: float32 (H, W, 3), RGB in [0, 1]; its mask (H, W) in [0, 1]; what is written on it."""

    photograph: np.ndarray
    mask: np.ndarray
    glyphs: tuple[Glyph, ...] = ()


def shot(
    solids: list[Solid],
    camera: Camera,
    behind: np.ndarray,
    rng: np.random.Generator,
    shadow: tuple[float, float, float, float] = (0, 0, 1, 0),
    glyphs: Iterable[Glyph] = (),
    before: np.ndarray | None = None,
) -> Shot:
    """Photograph solids before a picture.

    Args:
        behind: float32 (H, W, 3), what is behind them.
        shadow: how far to the right and down it falls, in pixels; how soft it is, in pixels; how dark, in [0, 1].
        before: (H, W) in [0, 1], where what is `behind` stands before them.
    """
    picture, mask = photograph(solids, camera)
    if before is not None:
        share = (1 - before).astype(np.float32)
        picture, mask = picture * share[..., None], mask * share
    right, down, softness, depth = shadow
    moved = cv2.warpAffine(mask, floats([[1, 0, right], [0, 1, down]]), SIZE[::-1])
    behind = behind * (1 - depth * cv2.GaussianBlur(moved, (0, 0), softness))[..., None]
    image = sensor_grain(picture + behind * (1 - mask)[..., None], rng)
    return Shot(image, mask, tuple(glyphs))


def sign() -> Shot:
    """An enamel sign on two posts by a lake, with three lines of letters."""
    rng = np.random.default_rng(11)
    camera = Camera((0.75, 0.25, 8), (0.0, -0.1, 0), 1.98, SIZE)
    board = Board((-1.6, -0.62, 1.6, 1.12), paint_color(0x143A66))
    board.lay(0xEFE6CC, board.step(0.03 - np.abs(board.rectangle((-1.6, -0.62, 1.6, 1.12), 0.1) - 0.09)))
    board.write("BOATS", (0, 0.74), 0.36, SERIF, 0xF3EAD2, 0.2)
    board.write("FOR HIRE", (0, 0.22), 0.28, SERIF, 0xF3EAD2, 0.16)
    board.write("DAILY 9 TO 18", (0, -0.27), 0.2, SANS, 0xE9B94A, 0.2)
    weathered(board, rng)
    wood = post_wood(rng)
    screws = union(*(sphere((x, y, 0.055), 0.032) for x in (-1.42, 1.42) for y in (-0.44, 0.94)))
    solids = [
        Solid(rounded_box((0, 0.25, 0), (1.6, 0.87, 0.06), 0.05), board.albedo(0x143A66), 0.045, 0.35),
        Solid(union(*(rounded_box((x, -1.2, -0.14), (0.1, 2.62, 0.08), 0.02) for x in (-1.1, 1.1))), wood, 0.02, 0.9),
        Solid(screws, plain(0.35, 0.34, 0.32), 0.3, 0.3),
    ]
    behind = cv2.GaussianBlur(mountain_photograph(rng, SIZE), (0, 0), 2.2)
    return shot(solids, camera, behind, rng, glyphs=board.seen(camera, 0.06))


def weathered(board: Board, rng: np.random.Generator) -> None:
    """Dirt, and rust that has eaten in from the edge and runs down."""
    shape = board.x.shape
    board.color = board.color * (1 + 0.07 * fractal_noise(shape, (90, 240), rng))[..., None].clip(0.7, 1.2)
    inside = board.rectangle((board.left, board.y.min(), -board.left, board.top))
    rust = soft_step(fractal_noise(shape, 60, rng, 6) - 1.2 - 9 * inside, 0.5)
    runs = soft_step(fractal_noise(shape, (10, 260), rng) - 1.7, 1.2) * 0.35
    board.lay(0x7A3A1A, np.maximum(0.9 * rust, runs * soft_step(0.5 - inside, 0.5)))


def post_wood(rng: np.random.Generator) -> Field:
    """Grey weathered timber, the grain upright."""
    grain = fractal_noise((600, 200), (7, 220), rng, 5)

    def albedo(p: np.ndarray) -> np.ndarray:
        at = [(p[:, 1] + 5) * 80, (p[:, 0] + 1.3) * 70 + 30 * (p[:, 2] > -0.08)]
        tone = 1 + 0.22 * map_coordinates(grain, at, order=1, mode="reflect")
        return floats([0.27, 0.22, 0.17]) * np.clip(tone, 0.3, 1.7)[:, None]

    return albedo


def clock() -> Shot:
    """A station clock with twelve numerals on a brick wall."""
    rng = np.random.default_rng(12)
    camera = Camera((-0.7, -0.35, 8), (0.05, 0.0, 0), 2.2, SIZE)
    dial = Board((-1.05, -1.05, 1.05, 1.05), paint_color(0xF1EBDA))
    radius, angle = np.hypot(dial.x, dial.y), np.arctan2(dial.x, dial.y)
    minute = np.abs((angle / (2 * np.pi) * 60 + 0.5) % 1 - 0.5) * 2 * np.pi / 60 * radius
    hour = np.abs((angle / (2 * np.pi) * 12 + 0.5) % 1 - 0.5) * 2 * np.pi / 12 * radius
    rail = dial.step(0.035 - np.abs(radius - 0.965))
    dial.lay(0x1B1A1C, np.maximum(dial.step(0.007 - minute), dial.step(0.02 - hour)) * rail)
    dial.lay(0x8E1F1B, dial.step(0.008 - np.abs(radius - 0.52)))
    for number in range(1, 13):
        turn = number * np.pi / 6
        dial.write(str(number), (0.755 * np.sin(turn), 0.755 * np.cos(turn)), 0.2, SERIF, 0x1B1A1C, gap=0)
    dial.color *= (1 - 0.06 * np.clip(fractal_noise(radius.shape, 120, rng), -1, 2))[..., None]

    def on_end(field: Field) -> Field:  # from about the y axis to about the z axis
        return lambda p: field(p[:, [0, 2, 1]])

    def hand(turn: float, length: float, width: float, z: float) -> Field:
        tip = (length * float(np.sin(turn)), length * float(np.cos(turn)))
        return capsule((-0.25 * tip[0], -0.25 * tip[1], z), (*tip, z), width)

    hands = union(hand(np.deg2rad(304), 0.4, 0.034, 0.13), hand(np.deg2rad(48), 0.6, 0.022, 0.17))
    case = union(torus((0, 0, 0.08), 1.09, 0.1, axis=2), on_end(revolution([(-0.12, 1.1), (0.0, 1.12)])))
    solids = [
        Solid(on_end(revolution([(-0.1, 1.06), (0.05, 1.06)])), dial.albedo(0xF1EBDA), 0.02, 0.6),
        Solid(case, plain(0.035, 0.06, 0.05), 0.06, 0.12),
        Solid(hands, plain(0.02, 0.02, 0.022), 0.05, 0.3),
        Solid(sphere((0, 0, 0.17), 0.05), plain(0.55, 0.4, 0.12), 0.5, 0.2),
    ]
    wall = brick_wall(rng)
    return shot(solids, camera, wall, rng, (16, 20, 9, 0.62), dial.seen(camera, 0.05))


def brick_wall(rng: np.random.Generator, brick: tuple[int, int] = (34, 92)) -> np.ndarray:
    """A wall of old bricks, lit from the upper left, float32 (H, W, 3), RGB in [0, 1]."""
    height, width = brick
    wobble = 1.1 * fractal_noise(SIZE, 40, rng)
    row = np.floor((Y + wobble + 9) / height).astype(int)
    across = X + 0.7 * wobble + (row % 2) * width / 2 + 40
    column = np.floor(across / width).astype(int)
    edge = np.minimum.reduce(
        [(Y + wobble + 9) % height, height - (Y + wobble + 9) % height, across % width, width - across % width]
    )
    body = soft_step(edge - 3.2, 2.5)
    tones = rng.uniform(-1, 1, (32, 16)).astype(np.float32)[row % 32, column % 16]
    rough = fractal_noise(SIZE, 14, rng, 5)
    bricks = ramp(tones + 0.22 * rough, [(-1.1, 0x5E2F25), (-0.2, 0x8A4632), (0.5, 0xA65B3F), (1.2, 0xBC7F5C)])
    wall = blend(rgb(0xA59B8C) * (1 + 0.05 * rough[..., None]), bricks, body)
    relief = 2.2 * cv2.GaussianBlur(body, (0, 0), 0.8) + 0.22 * rough
    light = 1 - 0.2 * (np.gradient(relief, axis=0) + np.gradient(relief, axis=1)) * -1
    fall = 0.93 - 0.22 * (X / SIZE[1] - 0.5) - 0.16 * (Y / SIZE[0] - 0.5)
    return np.clip(wall * (light * fall)[..., None], 0, 1).astype(np.float32)


def mask() -> Shot:
    """A carved and painted face on a wall of boards."""
    rng = np.random.default_rng(13)
    camera = Camera((0.9, 0.35, 8), (0.05, 0.0, 0), 2.0, SIZE)
    grain = fractal_noise((500, 400), (9, 160), rng, 5)

    def carved(p: np.ndarray) -> np.ndarray:
        at = [(p[:, 1] + 1.7) * 140, (p[:, 0] + 1.4) * 140]
        worn = 1 + 0.13 * map_coordinates(grain, at, order=1, mode="reflect")
        return face_paint(p) * np.clip(worn, 0.6, 1.3)[:, None]

    def fanned(field: Field) -> Field:  # thirteen times around (0, 0.15, 0), from the left over the top to the right
        step = np.float32(np.deg2rad(16))

        def distance(p: np.ndarray) -> np.ndarray:
            radius, angle = np.hypot(p[:, 0], p[:, 1] - 0.15), np.arctan2(p[:, 0], p[:, 1] - 0.15)
            angle -= step * np.clip(np.rint(angle / step), -6, 6)
            return field(np.stack([radius * np.sin(angle), radius * np.cos(angle), p[:, 2]], -1))

        return distance

    solids = [
        Solid(bounded(face(), (0, 0, 0), 1.4), carved, 0.04, 0.35),
        Solid(fanned(capsule((0, 0.8, -0.12), (0, 1.42, -0.14), 0.085)), plain(0.55, 0.3, 0.04), 0.05, 0.4),
        Solid(fanned(sphere((0, 1.47, -0.12), 0.1)), plain(0.03, 0.28, 0.3), 0.05, 0.15),
    ]
    return shot(solids, camera, boards(rng), rng, (14, 18, 8, 0.7))


def ellipsoid(center: tuple[float, float, float], radii: tuple[float, float, float]) -> Field:
    ball, middle, scale = sphere((0, 0, 0), 1), floats(center), floats(radii)
    return lambda p: ball((p - middle) / scale) * scale.min()


def both(field: Field) -> Field:
    """The solid at x > 0 and its mirror image."""
    return lambda p: field(np.concatenate([np.abs(p[:, :1]), p[:, 1:]], axis=-1))


def face() -> Field:
    """A long face with hollow eyes and an open mouth, about 2.6 high."""

    head = ellipsoid((0, 0, 0), (0.98, 1.3, 0.5))
    nose = smooth_union(capsule((0, 0.38, 0.42), (0, -0.2, 0.68), 0.1), both(sphere((0.11, -0.22, 0.52), 0.1)), 0.08)
    brow = both(
        union(capsule((0.1, 0.4, 0.5), (0.4, 0.52, 0.42), 0.06), capsule((0.4, 0.52, 0.42), (0.7, 0.36, 0.28), 0.055))
    )
    lids = both(ellipsoid((0.38, 0.2, 0.34), (0.27, 0.16, 0.16)))
    cheeks = both(ellipsoid((0.48, -0.32, 0.22), (0.28, 0.26, 0.24)))
    lips = ellipsoid((0, -0.66, 0.34), (0.36, 0.19, 0.17))
    whole = head
    for part, crease in ((nose, 0.12), (brow, 0.06), (lids, 0.05), (cheeks, 0.12), (lips, 0.07)):
        whole = smooth_union(whole, part, crease)
    holes = union(
        both(ellipsoid((0.38, 0.2, 0.52), (0.17, 0.065, 0.2))), ellipsoid((0, -0.66, 0.55), (0.25, 0.065, 0.25))
    )
    return lambda p: (np.maximum(whole(p), -holes(p)) * np.float32(0.8)).astype(np.float32)


def face_paint(p: np.ndarray) -> np.ndarray:
    """Ochre with a white and black band on the forehead, striped cheeks, red lips and rings about the eyes."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    colors = np.broadcast_to(paint_color(0xB5662B), p.shape)

    def lay(code: int, where: np.ndarray) -> None:
        nonlocal colors
        colors = np.where(where[:, None], paint_color(code), colors)

    zigzag = 0.085 * np.abs(2 * ((x / 0.21) % 1) - 1)
    band = y - 0.8 - 0.1 * (1 - x * x)
    lay(0xE9DDC0, np.abs(band) < 0.14)
    lay(0x241A18, np.abs(band - 0.04 + zigzag) < 0.035)
    lay(0x7E1D17, np.abs(np.abs(band) - 0.14) < 0.02)
    lay(0xE9DDC0, np.hypot(x, (y - 1.08)) < 0.1)
    lay(0x1C5A66, np.hypot(x, (y - 1.08)) < 0.06)
    eye = np.hypot((x - 0.38) / 0.27, (y - 0.2) / 0.16)
    lay(0xE9DDC0, eye < 1.06)
    lay(0x241A18, np.abs(eye - 0.72) < 0.1)
    lay(
        0x241A18, (y > 0.33) & (y < 0.62) & (np.abs(y - 0.45 + 0.9 * (x - 0.38) ** 2) < 0.075) & (x > 0.06) & (x < 0.76)
    )
    cheek = (x > 0.3) & (x < 0.75) & (y < 0.0) & (y > -0.58)
    lay(0xE9DDC0, cheek & ((y + 0.35 * (x - 0.5)) % 0.145 < 0.06))
    lay(0x7E1D17, (np.hypot(x / 0.37, (y + 0.66) / 0.19) < 1.0))
    lay(0x1C5A66, (x < 0.045) & (y > -0.2) & (y < 0.62))
    dots = np.hypot((x * 8) % 1 - 0.5, (y + 1.02 + 0.12 * (1 - x * x)) * 8) < 0.27
    lay(0xE9DDC0, dots & (x < 0.5))
    hollow = (eye < 0.55) | (np.hypot(x / 0.25, (y + 0.66) / 0.066) < 0.97)
    lay(0x0A0807, hollow & (z < 0.62))
    return colors.astype(np.float32)


def boards(rng: np.random.Generator, width: int = 107) -> np.ndarray:
    """A wall of upright boards of old paint, lit from the upper left, float32 (H, W, 3), RGB in [0, 1]."""
    board = np.floor((X + 20) / width).astype(int)
    grain, fine = fractal_noise(SIZE, (10, 300), rng, 5), fractal_noise(SIZE, (3, 60), rng, 3)
    tone = rng.uniform(-0.5, 0.5, 16).astype(np.float32)[board % 16]
    paint = ramp(0.35 * grain + 0.2 * fine + tone, [(-1.2, 0x3E5558), (0, 0x5C7A7A), (1.2, 0x86A09A)])
    bare = ramp(grain + 0.4 * fine, [(-2, 0x54402E), (0, 0x7C6147), (2, 0xA88B6A)])
    wall = blend(paint, bare, soft_step(fractal_noise(SIZE, (22, 120), rng, 5) + 0.25 * fine - 1.1, 0.3))
    gap = np.abs((X + 20) % width - width / 2) - width / 2 + 3
    wall = blend(wall, rgb(0x15120F), soft_step(gap, 2))
    light = 1 - 0.1 * np.gradient(grain + fine, axis=1) + 0.1 * soft_step(np.abs(gap + 4) * -1 + 2, 2)
    fall = 0.95 - 0.25 * (X / SIZE[1] - 0.5) - 0.2 * (Y / SIZE[0] - 0.5)
    return np.clip(wall * (light * fall)[..., None], 0, 1).astype(np.float32)


def house() -> Shot:
    """A farmhouse with windows, shutters and a door on a meadow before mountains."""
    rng = np.random.default_rng(14)
    camera = Camera((4.2, -0.15, 8), (0.0, 0.3, 0), 1.72, SIZE)
    foot = camera.project(np.array([(-1.5, -1, 1), (1.5, -1, 1), (1.5, -1, -1)]))
    line = np.interp(X, foot[:, 0], foot[:, 1])
    blades = 7 + 4 * fractal_noise(SIZE, (5, 300), rng, 3)
    grass = soft_step(Y - line + blades, 2.5)
    return shot(farmhouse(rng), camera, meadow(foot, rng), rng, before=grass)


ROOF_SLOPE, RIDGE = 0.88, 1.72


def farmhouse(rng: np.random.Generator) -> list[Solid]:
    """A house 3 wide, its ridge along x, with a chimney."""
    length = np.float32(np.hypot(1, ROOF_SLOPE))

    def under_roof(p: np.ndarray) -> np.ndarray:
        return (p[:, 1] + ROOF_SLOPE * np.abs(p[:, 2]) - RIDGE) / length

    def body(p: np.ndarray) -> np.ndarray:
        x, y, z = np.abs(p[:, 0]) - 1.5, p[:, 1], np.abs(p[:, 2]) - 1
        return np.maximum.reduce([x, z, -1.2 - y, under_roof(p)]).astype(np.float32)

    def roof(p: np.ndarray) -> np.ndarray:
        across = np.maximum(np.abs(p[:, 0]) - 1.72, np.abs(p[:, 2]) - 1.3)
        return np.maximum(across, np.abs(under_roof(p) - 0.05) - 0.05).astype(np.float32)

    front, side = front_wall(rng), gable_wall(rng)
    of_front, of_side = front.albedo(0xE8DCC0), side.albedo(0xE8DCC0)

    def walls(p: np.ndarray) -> np.ndarray:
        return np.where((p[:, :1] > 1.495), of_side(p[:, [2, 1, 0]] * floats([-1, 1, 1])), of_front(p))

    sills = [rounded_box((x, -0.42, 1.04), (0.27, 0.03, 0.07), 0.01) for x in (-1.0, 1.0)]
    step = rounded_box((0.0, -1.0, 1.15), (0.36, 0.06, 0.2), 0.02)
    chimney = union(
        rounded_box((-0.7, 1.75, -0.2), (0.17, 0.45, 0.17), 0.01),
        rounded_box((-0.7, 2.2, -0.2), (0.21, 0.04, 0.21), 0.01),
    )
    return [
        Solid(body, walls, 0.03, 0.8),
        Solid(roof, roof_tiles(rng), 0.03, 0.8),
        Solid(chimney, plain(0.3, 0.12, 0.08), 0.02, 0.9),
        Solid(union(*sills, step), plain(0.42, 0.4, 0.37), 0.03, 0.8),
    ]


def roof_tiles(rng: np.random.Generator) -> Field:
    """Rows of red tiles, each of a tone of its own."""
    tones = rng.uniform(0.65, 1.25, (64, 64)).astype(np.float32)

    def albedo(p: np.ndarray) -> np.ndarray:
        down = np.abs(p[:, 2]) / 0.095
        row = np.floor(down).astype(int)
        across = p[:, 0] / 0.12 + 0.5 * (row % 2) + 30
        tone = tones[row % 64, np.floor(across).astype(int) % 64]
        edge = np.minimum(1, 0.45 + 3 * (1 - down % 1)) * np.where(np.abs(across % 1 - 0.5) > 0.44, 0.6, 1)
        return floats([0.36, 0.11, 0.06]) * (tone * edge).astype(np.float32)[:, None]

    return albedo


def plaster(corners: Corners, rng: np.random.Generator) -> Board:
    """A wall of light plaster on a foot of stone."""
    wall = Board(corners, paint_color(0xE6D9BC))
    wall.color *= (1 + 0.06 * fractal_noise(wall.x.shape, 110, rng))[..., None].clip(0.8, 1.1)
    stones = fractal_noise(wall.x.shape, (40, 22), rng, 3)
    wall.lay(ramp(stones, [(-2, 0x3A362F), (0, 0x6F685C), (2, 0x9A9080)]) ** 2.2, wall.step(-0.8 - wall.y))
    return wall


def front_wall(rng: np.random.Generator) -> Board:
    """Five windows with shutters, a door between those below, and timber."""
    wall = plaster((-1.5, -1.2, 1.5, 1.0), rng)
    for y in (0.08, 0.62):
        wall.lay(0x4A2D1B, wall.step(0.035 - np.abs(wall.y - y)))
    for x in (-1.46, 1.46):
        wall.lay(0x4A2D1B, wall.step(0.04 - np.abs(wall.x - x)) * wall.step(wall.y + 0.8))
    for x in (-1.0, 1.0):
        window(wall, (x, -0.15), (0.21, 0.24))
    for x in (-1.0, 0.0, 1.0):
        window(wall, (x, 0.36), (0.17, 0.19))
    door(wall)
    return wall


def gable_wall(rng: np.random.Generator) -> Board:
    """Four windows under the roof."""
    wall = plaster((-1.0, -1.2, 1.0, 1.8), rng)
    for y in (0.08, 0.62):
        wall.lay(0x4A2D1B, wall.step(0.035 - np.abs(wall.y - y)))
    for x, y, half in ((-0.5, -0.15, 0.19), (0.5, -0.15, 0.19), (0.0, 0.36, 0.17), (0.0, 1.0, 0.14)):
        window(wall, (x, y), (half, half + 0.03), shutters=half > 0.15)
    return wall


def window(wall: Board, middle: tuple[float, float], half: tuple[float, float], shutters: bool = True) -> None:
    """Six panes that mirror the sky, in a white frame, curtains behind, green shutters beside."""
    x, y = middle
    across, up = half

    def box(grow: float) -> np.ndarray:
        return wall.step(wall.rectangle((x - across - grow, y - up - grow, x + across + grow, y + up + grow)))

    wall.lay(0x9C8E74, box(0.05))
    wall.lay(0xF4F0E6, box(0.03))
    height = (wall.y - y) / up
    glass = ramp(
        height + 0.35 * (wall.x - x) / across, [(-1.2, 0x1A2430), (0.1, 0x2C3E50), (0.7, 0x6E8CA6), (1.3, 0xA8C0D2)]
    )
    wall.lay(glass**2.2, box(-0.01))
    curtain = np.abs(wall.x - x) / across - 0.62 - 0.18 * height
    wall.lay(0xC9C2B4, 0.75 * box(-0.01) * wall.step(curtain * across))
    bars = np.maximum(wall.step(0.016 - np.abs(wall.x - x)), wall.step(0.012 - np.abs(np.abs(wall.y - y) - up / 3)))
    wall.lay(0xF4F0E6, box(0) * bars)
    for side in (-1, 1) if shutters else ():
        middle_x, wide = x + side * (across + 0.14), 0.1
        leaf = wall.step(wall.rectangle((middle_x - wide, y - up - 0.02, middle_x + wide, y + up + 0.02)))
        wall.lay(0x27533F, leaf)
        slats = wall.step(
            wall.rectangle((middle_x - wide + 0.025, y - up + 0.02, middle_x + wide - 0.025, y + up - 0.02))
        )
        wall.lay(0x173326, leaf * slats * (np.sin(wall.y * 130) > 0.2))


def door(wall: Board) -> None:
    """A door of red boards with a small window and a number plate."""
    wall.lay(0x6B6255, wall.step(wall.rectangle((-0.3, -1.2, 0.3, 0.0), 0.02)))
    leaf = wall.step(wall.rectangle((-0.24, -1.2, 0.24, -0.05), 0.02))
    wall.lay(0x7A2A1E, leaf)
    wall.lay(0x4E1710, leaf * wall.step(0.008 - np.abs((wall.x + 0.24) % 0.12 - 0.06)))
    wall.lay(0x20303C, wall.step(wall.rectangle((-0.14, -0.34, 0.14, -0.13), 0.02)))
    wall.lay(0x7A2A1E, wall.step(wall.rectangle((-0.14, -0.34, 0.14, -0.13))) * wall.step(0.012 - np.abs(wall.x)))
    wall.lay(0xD9B24A, wall.step(0.025 - np.hypot(wall.x - 0.17, wall.y + 0.58)))


def meadow(foot: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mountains out of focus behind a meadow with the shadow of a house, whose foot has its corners at (3, 2)."""
    far = cv2.GaussianBlur(mountain_photograph(rng, SIZE), (0, 0), 1.6)
    edge = 322 + 5 * fractal_noise((8, SIZE[1]), 150, rng)[0]
    near = np.clip((Y - edge) / (SIZE[0] - edge), 0, 1)
    fine, coarse = fractal_noise(SIZE, (4, 9), rng, 2), fractal_noise(SIZE, (120, 16), rng, 4)
    green = ramp(
        0.45 * fine * (0.3 + near) + 0.7 * coarse + near,
        [(-1.5, 0x5E7A34), (0, 0x7E9A42), (1, 0x5F8434), (2.4, 0x2E4F22)],
    )
    flowers = soft_step(fractal_noise(SIZE, (5, 4), rng, 1) - 2.3, 0.4) * near
    green = blend(green, rgb(0xF1E7C0), flowers)
    shade = np.zeros(SIZE, np.float32)
    corner = foot[1:].mean(axis=0)
    outline = np.array([foot[0], foot[1], foot[2], corner + (190, -18), corner + (205, 12), corner + (20, 34)])
    cv2.fillPoly(shade, [np.rint(outline).astype(np.int32)], 1.0)
    green = green * (1 - 0.5 * cv2.GaussianBlur(shade, (0, 0), 6))[..., None]
    return np.clip(blend(far, green, soft_step(Y - edge, 2)), 0, 1).astype(np.float32)
