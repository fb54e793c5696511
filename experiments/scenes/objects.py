"""The photographed objects that the scenes paste into paintings, each a list of solids for the sphere tracer."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from .rendering import (
    Field,
    Solid,
    capsule,
    difference,
    floats,
    plain,
    revolution,
    rounded_box,
    smooth_union,
    torus,
    union,
)

GORES = 16  # strips of cloth of the balloon


def azimuth(p: np.ndarray) -> np.ndarray:
    """Angle of points about the y axis, (N,), in (-pi, pi]."""
    return np.arctan2(p[:, 0], p[:, 2])


def mirrored(field: Field) -> Field:
    """The solid and its mirror images at the planes x = 0 and z = 0."""
    return lambda p: field(np.stack([np.abs(p[:, 0]), p[:, 1], np.abs(p[:, 2])], axis=-1))


def repeated(field: Field, count: int) -> Field:
    """Copies of the solid at z > 0, evenly spaced around the y axis."""

    def distance(p: np.ndarray) -> np.ndarray:
        turn = np.float32(2 * np.pi / count)
        angle, radius = azimuth(p), np.hypot(p[:, 0], p[:, 2])
        angle -= turn * np.round(angle / turn)
        return field(np.stack([radius * np.sin(angle), p[:, 1], radius * np.cos(angle)], axis=-1))

    return distance


def stripes(coordinate: np.ndarray, colors: list[tuple[float, float, float]]) -> np.ndarray:
    """Colours (N, 3) that change with each whole number of the coordinate (N,), in turn."""
    return floats(colors)[np.floor(coordinate).astype(int) % len(colors)]


def balloon() -> list[Solid]:
    """A hot-air balloon, about 3 high, centred near the origin."""
    basket = rounded_box((0, -1.62, 0), (0.17, 0.13, 0.17), 0.03)
    ropes = mirrored(capsule((0.15, -1.5, 0.15), (0.17, -0.95, 0.12), 0.011))
    return [
        Solid(envelope(), gores, roughness=0.55),
        Solid(basket, wicker, roughness=0.9, specular=0.02),
        Solid(ropes, plain(0.1, 0.08, 0.06), roughness=0.9),
    ]


def envelope() -> Field:
    """The balloon's cloth, each of its gores swollen between the seams."""
    profile = ((-1.0, 0.16), (-0.8, 0.28), (-0.45, 0.62), (0, 0.94), (0.4, 1.03), (0.8, 0.9), (1.1, 0.55), (1.25, 0.0))
    smooth = revolution(profile)

    def distance(p: np.ndarray) -> np.ndarray:
        swell = 1 + 0.04 * np.abs(np.cos(azimuth(p) * GORES / 2))
        return smooth(np.stack([p[:, 0] / swell, p[:, 1], p[:, 2] / swell], axis=-1)) * np.float32(0.95)

    return distance


def gores(p: np.ndarray) -> np.ndarray:
    """Four colours in turn, each broken by a zigzag of its pale complement."""
    gore = azimuth(p) * GORES / (2 * np.pi) + 0.5
    colors = stripes(gore, [(0.85, 0.03, 0.03), (0.95, 0.75, 0.03), (0.02, 0.12, 0.62), (0.9, 0.9, 0.88)])
    zigzag = np.abs(p[:, 1] - 0.15 - 0.2 * np.abs(gore % 1 - 0.5)) < 0.13
    return np.where(zigzag[:, None], 0.95 - 0.8 * colors, colors)


def wicker(p: np.ndarray) -> np.ndarray:
    weave = np.sin(60 * p[:, 1]) * np.sign(np.sin(40 * (p[:, 0] + p[:, 2])))
    return floats([0.36, 0.2, 0.08]) * (1 + 0.4 * weave[:, None])


def lighthouse() -> list[Solid]:
    """A lighthouse with red bands, about 4 high."""
    tower = revolution([(-2.0, 0.62), (-1.0, 0.5), (0.2, 0.4), (1.0, 0.36)])
    gallery = smooth_union(revolution([(1.0, 0.5), (1.1, 0.52)]), revolution([(0.85, 0.36), (1.05, 0.48)]), 0.03)
    rail = union(torus((0, 1.3, 0), 0.49, 0.018), torus((0, 1.2, 0), 0.49, 0.012))
    posts = repeated(capsule((0, 1.1, 0.49), (0, 1.3, 0.49), 0.014), 10)
    roof = revolution([(1.55, 0.36), (1.62, 0.33), (1.78, 0.2), (1.92, 0.05), (2.1, 0.03), (2.2, 0.0)])
    return [
        Solid(tower, banded_wall, roughness=0.45),
        Solid(union(gallery, rail, posts), plain(0.09, 0.1, 0.12), roughness=0.4),
        Solid(revolution([(1.1, 0.27), (1.55, 0.27)]), lantern_panes, specular=0.1, roughness=0.05),
        Solid(roof, plain(0.6, 0.03, 0.03), roughness=0.25),
    ]


def banded_wall(p: np.ndarray) -> np.ndarray:
    """White and red bands with small dark windows, one above the other."""
    colors = stripes((p[:, 1] + 2.0) / 0.6, [(0.82, 0.82, 0.8), (0.75, 0.03, 0.03)])
    window = (np.abs(p[:, 0]) < 0.075) & (np.abs((p[:, 1] + 1.75) % 0.9 - 0.45) < 0.12) & (p[:, 2] > 0)
    return np.where(window[:, None], floats([0.02, 0.03, 0.05]), colors)


def lantern_panes(p: np.ndarray) -> np.ndarray:
    """Panes that glow, between dark bars."""
    bar = np.abs((azimuth(p) * 12 / (2 * np.pi)) % 1 - 0.5) > 0.42
    return np.where(bar[:, None], floats([0.05, 0.05, 0.06]), floats([1.3, 1.0, 0.45]))


def teapot() -> list[Solid]:
    """A teapot of blue and white china, about 2.6 wide."""
    body = revolution([(-0.72, 0.42), (-0.66, 0.5), (-0.3, 0.82), (0.05, 0.88), (0.4, 0.7), (0.58, 0.42), (0.62, 0.36)])
    dome = ((0.55, 0.44), (0.62, 0.42), (0.72, 0.26), (0.78, 0.1))
    knob = ((0.82, 0.07), (0.86, 0.12), (0.93, 0.12), (0.98, 0.0))
    handle = torus((-0.95, 0.0, 0), 0.42, 0.075, axis=2)
    lower, upper = capsule((0.7, -0.15, 0), (1.08, 0.12, 0), 0.14), capsule((1.08, 0.12, 0), (1.32, 0.5, 0), 0.085)
    spout = difference(smooth_union(lower, upper, 0.18), capsule((1.29, 0.45, 0), (1.42, 0.75, 0), 0.055))
    pot = smooth_union(smooth_union(body, handle, 0.12), spout, 0.1)
    return [Solid(field, china, specular=0.06, roughness=0.04) for field in (pot, revolution(dome + knob))]


def china(p: np.ndarray) -> np.ndarray:
    """White glaze with rings and, around the belly, seven blue flowers and pairs of leaves."""
    height = p[:, 1]
    across, up = ((azimuth(p) * 7 / (2 * np.pi) + 0.5) % 1 - 0.5) * 0.78, height + 0.1
    flower = np.hypot(across, up)
    petals = (flower < 0.17 + 0.075 * np.cos(6 * np.arctan2(up, across))) & (flower > 0.06)
    leaves = (np.abs(np.abs(np.abs(across) - 0.39) - 0.09 * np.sin(7 * (up + 0.4))) < 0.028) & (np.abs(up) < 0.36)
    bands = ((0.4, 0.05), (0.32, 0.012), (-0.55, 0.03), (-0.48, 0.01), (0.66, 0.025))
    rings = np.min([np.abs(height - middle) / half for middle, half in bands], axis=0) < 1
    rings &= np.hypot(p[:, 0], p[:, 2]) < np.where(height > 0.2, 0.8, 0.9)
    lip = (p[:, 0] > 0) & (height > 0.52)
    handle_or_spout = np.abs(p[:, 0]) > 0.91
    blue = np.where(handle_or_spout, lip, petals | leaves | rings | (height > 0.83))
    return np.where(blue[:, None], floats([0.012, 0.045, 0.32]), floats([0.66, 0.67, 0.68]))


def apple() -> list[Solid]:
    """A shiny apple about 2 wide, with its stem."""
    below, above = (
        capsule((0, 0.35, 0), (0.05, 0.85, 0.02), 0.035),
        capsule((0.05, 0.85, 0.02), (0.17, 1.1, 0.04), 0.045),
    )
    return [
        Solid(apple_flesh, apple_skin, specular=0.05, roughness=0.08),
        Solid(union(below, above), plain(0.12, 0.06, 0.03), roughness=0.8),
    ]


def apple_flesh(p: np.ndarray) -> np.ndarray:
    """Distance to a spindle torus, narrower and five-lobed below."""
    lobes = 1 + 0.05 * np.cos(5 * azimuth(p)) * np.clip(-p[:, 1], 0, 1)
    across = np.hypot(p[:, 0], p[:, 2]) / ((1 + 0.17 * p[:, 1]) * lobes)
    return (np.hypot(across - 0.38, 0.82 * p[:, 1]) - 0.68).astype(np.float32) * np.float32(0.75)


def apple_skin(p: np.ndarray) -> np.ndarray:
    """Red over yellow in streaks, yellow about the stem, with pale specks."""
    angle, height, around = azimuth(p), p[:, 1], np.hypot(p[:, 0], p[:, 2])
    streaks = np.sin(31 * angle + 2 * np.sin(9 * angle)) * np.sin(13 * angle + 2 * height)
    streaks += 0.6 * np.sin(83 * angle + 5 * height)
    hollow = np.exp(-((around / 0.3) ** 2)) * (height > 0)
    ripe = np.clip(0.95 + 0.4 * np.sin(angle + 0.5) + 0.05 * streaks - 1.2 * hollow, 0, 1)[:, None] ** 0.8
    specks = np.sin(47 * angle + 11 * height) * np.sin(41 * height + 3 * angle) > 0.985
    color = floats([0.62, 0.42, 0.04]) * (1 - ripe) + floats([0.42, 0.006, 0.012]) * ripe
    return (color + 0.18 * specks[:, None]).astype(np.float32)


def sailing_boat() -> list[Solid]:
    """A toy sailing boat with a varnished hull, about 3.4 high."""
    mast, boom = capsule((0.17, 0.0, 0), (0.17, 3.05, 0), 0.04), capsule((0.17, 0.38, 0), (-1.5, 0.34, 0), 0.032)
    forestay = capsule((1.64, 0.22, 0), (0.17, 2.75, 0), 0.014)
    main = sail([(0.12, 0.5), (0.12, 2.9), (-1.45, 0.42)], 0.22)
    jib = sail([(0.3, 0.45), (1.55, 0.4), (0.24, 2.55)], 0.16)
    return [
        Solid(hull(), planking, specular=0.05, roughness=0.1),
        Solid(main, striped_sailcloth, roughness=0.9, specular=0.01),
        Solid(jib, plain(0.72, 0.04, 0.03), roughness=0.9, specular=0.01),
        Solid(union(mast, boom, forestay), plain(0.35, 0.17, 0.06), roughness=0.3),
    ]


def hull() -> Field:
    """A boat's body along x, round below, with a sheer that rises to both ends."""
    beam = PchipInterpolator([-1.6, -1.45, -0.8, 0.2, 1.1, 1.7], [0.0, 0.26, 0.4, 0.44, 0.26, 0.0])

    def distance(p: np.ndarray) -> np.ndarray:
        half = beam(np.clip(p[:, 0], -1.6, 1.7)).astype(np.float32)
        side = 0.75 * (np.hypot(p[:, 2], 0.85 * np.minimum(p[:, 1], 0)) - half)
        deck = p[:, 1] - 0.12 - 0.05 * p[:, 0] ** 2
        return np.maximum.reduce([side, deck, np.abs(p[:, 0] - 0.05) - 1.65])

    return distance


def planking(p: np.ndarray) -> np.ndarray:
    """Varnished planks under a white strake."""
    level = p[:, 1] - 0.05 * p[:, 0] ** 2
    grain = 1 + 0.15 * np.sin(9 * p[:, 0] + 30 * p[:, 1]) - 0.5 * (np.abs(level / 0.11 % 1 - 0.5) > 0.44)
    varnished = floats([0.30, 0.09, 0.025]) * grain[:, None]
    return np.where((level > 0.02)[:, None], floats([0.75, 0.74, 0.7]), varnished)


def sail(corners: list[tuple[float, float]], belly: float) -> Field:
    """A thin triangle in the plane z = 0, its corners (x, y) anticlockwise, that the wind bulges by ``belly``."""
    points = floats(corners)
    edges = np.roll(points, -1, 0) - points
    outward = np.stack([edges[:, 1], -edges[:, 0]], -1) / np.linalg.norm(edges, axis=-1, keepdims=True)
    heights = np.einsum("ij,ij->i", points - np.roll(points, 1, 0), outward)[:, None]

    def distance(p: np.ndarray) -> np.ndarray:
        sides = np.stack([(p[:, :2] - point) @ normal for point, normal in zip(points, outward, strict=True)])
        # The product of the barycentric coordinates is 1/27 at the middle and 0 along the edges.
        bulge = np.float32(belly) * np.clip(-27 * np.prod(sides / heights, axis=0), 0, 1) ** np.float32(0.6)
        return np.maximum(np.abs(p[:, 2] - bulge) - np.float32(0.012), sides.max(axis=0)) * np.float32(0.8)

    return distance


def striped_sailcloth(p: np.ndarray) -> np.ndarray:
    """White with blue stripes, sewn of narrow strips."""
    white, blue = (0.8, 0.78, 0.72), (0.02, 0.16, 0.5)
    colors = stripes((p[:, 1] - 0.35) / 0.42 + 0.1 * p[:, 0], [white, white, blue])
    seam = np.abs(p[:, 1] / 0.21 % 1 - 0.5) > 0.47
    return colors * np.where(seam, np.float32(0.75), np.float32(1))[:, None]
