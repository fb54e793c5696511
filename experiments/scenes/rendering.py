"""A small sphere tracer: signed distance functions become pictures that look photographed.

Smooth shading by a key light with soft shadows, a sky that fills them, ambient occlusion, mirror reflections of a room
with Fresnel's law, and the grain of a sensor. Sphere tracing is from Hart, "Sphere Tracing", The Visual Computer 1996;
soft shadows and ambient occlusion by distance fields from Quilez, iquilezles.org/articles/rmshadows, 2010.

Points and directions are float32 (N, 3): x to the right, y up, z towards the viewer. Colours are linear light until
``expose`` turns them into float32 (H, W, 3), RGB in [0, 1].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import maximum_filter1d, uniform_filter1d

Field = Callable[[np.ndarray], np.ndarray]  # points (N, 3) -> distances (N,), or colours (N, 3)

FAR = 16.0
KEY_LIGHT = np.array([-0.55, 0.7, 0.55], np.float32) / np.float32(np.linalg.norm([-0.55, 0.7, 0.55]))


@dataclass(frozen=True)
class Solid:
    """A shape and what it is made of.

    Attributes:
        distance: signed distance, or a lower bound of it, to the surface.
        albedo: colour of the diffusely reflected light at each point.
        specular: share of light mirrored when looking straight at the surface; 0.04 is glaze or paint.
        roughness: 0 is a mirror, 1 is matt.
    """

    distance: Field
    albedo: Field
    specular: float = 0.04
    roughness: float = 0.2


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; ``focal`` is the focal length as a multiple of the picture's height."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    focal: float
    size: tuple[int, int]  # (H, W)

    def axes(self) -> np.ndarray:
        """The camera's right, up and forward directions as the rows of a (3, 3) array."""
        forward = normalize(np.subtract(self.target, self.eye))
        right = normalize(np.cross(forward, (0.0, 1.0, 0.0)))
        return np.stack([right, np.cross(right, forward), forward])

    def rays(self, pixels: np.ndarray, offset: tuple[float, float] = (0, 0)) -> np.ndarray:
        """Unit directions (N, 3) through the centres of pixels, or off them by (x, y).

        Args:
            pixels: (N,), counted row by row.
        """
        height, width = self.size
        y, x = np.divmod(pixels, width)
        x, y = x + offset[0] - (width - 1) / 2, (height - 1) / 2 - y - offset[1]
        plane = np.stack([x, y, np.full(x.shape, self.focal * height)], axis=-1)
        return normalize(plane @ self.axes()).astype(np.float32)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixel coordinates (N, 2), x first, of points (N, 3); the inverse of ``rays``."""
        height, width = self.size
        right, up, depth = self.axes() @ (np.asarray(points, np.float64) - self.eye).T
        scale = self.focal * height / depth
        return np.stack([(width - 1) / 2 + scale * right, (height - 1) / 2 - scale * up], axis=-1)


def floats(values: ArrayLike) -> np.ndarray:
    """Numbers as a float32 array."""
    return np.array(values, np.float32)


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) scaled to length 1."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-12)


def sphere(center: tuple[float, float, float], radius: float) -> Field:
    return lambda p: np.linalg.norm(p - floats(center), axis=-1) - np.float32(radius)


def capsule(start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Field:
    """All points within ``radius`` of the segment from start to end."""
    base, axis = floats(start), np.subtract(end, start, dtype=np.float32)

    def distance(p: np.ndarray) -> np.ndarray:
        along = np.clip((p - base) @ axis / (axis @ axis), 0, 1)
        return np.linalg.norm(p - base - along[:, None] * axis, axis=-1) - np.float32(radius)

    return distance


def rounded_box(center: tuple[float, float, float], half: tuple[float, float, float], radius: float) -> Field:
    """A box of half sides ``half`` with its edges rounded by ``radius``."""
    middle, inner = floats(center), floats(half) - np.float32(radius)

    def distance(p: np.ndarray) -> np.ndarray:
        q = np.abs(p - middle) - inner
        return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0) - np.float32(radius)

    return distance


def torus(center: tuple[float, float, float], ring: float, tube: float, axis: int = 1) -> Field:
    """A ring of radius ``ring`` about the given axis; with a tube wider than the ring it is an apple."""
    middle, plane = floats(center), [i for i in range(3) if i != axis]

    def distance(p: np.ndarray) -> np.ndarray:
        q = p - middle
        return np.hypot(np.hypot(q[:, plane[0]], q[:, plane[1]]) - np.float32(ring), q[:, axis]) - np.float32(tube)

    return distance


def revolution(profile: Sequence[tuple[float, float]], center: tuple[float, float, float] = (0, 0, 0)) -> Field:
    """The solid under a smooth profile, pairs (y, radius) of increasing y, turned about the y axis."""
    axis = floats(center)
    knots = floats(profile)
    y = np.linspace(knots[0, 0], knots[-1, 0], 512, dtype=np.float32)
    radius = PchipInterpolator(knots[:, 0], knots[:, 1])(y).astype(np.float32)
    # Dividing by the steepest slope nearby keeps the value a lower bound of the distance.
    slope = np.hypot(1, np.clip(np.gradient(radius, y), -3, 3))
    bound = uniform_filter1d(1 / maximum_filter1d(slope, 128), 96).astype(np.float32)
    rise, per_unit = np.append(np.diff(radius), np.float32(0)), np.float32(511 / (y[-1] - y[0]))

    def distance(p: np.ndarray) -> np.ndarray:
        q = p - axis
        position = np.clip((q[:, 1] - y[0]) * per_unit, 0, 511)
        index = position.astype(np.intp)
        side = np.hypot(q[:, 0], q[:, 2]) - radius[index] - (position - index).astype(np.float32) * rise[index]
        return np.maximum(side * bound[index], np.abs(q[:, 1] - (y[0] + y[-1]) / 2) - (y[-1] - y[0]) / 2)

    return distance


def union(*fields: Field) -> Field:
    return lambda p: np.minimum.reduce([field(p) for field in fields])


def smooth_union(first: Field, second: Field, blend: float) -> Field:
    """Union with the crease filled over the length ``blend`` (Quilez, polynomial smooth minimum)."""

    def distance(p: np.ndarray) -> np.ndarray:
        a, b = first(p), second(p)
        h = np.maximum(blend - np.abs(a - b), 0) / blend
        return np.minimum(a, b) - h * h * np.float32(blend / 4)

    return distance


def difference(first: Field, second: Field) -> Field:
    return lambda p: np.maximum(first(p), -second(p))


def bounded(field: Field, center: tuple[float, float, float], radius: float, margin: float = 0.8) -> Field:
    """The same solid, known to lie within a sphere: cheap to ask about from farther off than the margin."""
    bound = sphere(center, radius)

    def distance(p: np.ndarray) -> np.ndarray:
        gap = bound(p)
        near = gap < margin
        gap[near] = field(p[near])
        return gap

    return distance


def plain(red: float, green: float, blue: float) -> Field:
    """One colour everywhere."""
    return lambda p: np.broadcast_to(floats((red, green, blue)), p.shape)


def march(field: Field, eye: np.ndarray, rays: np.ndarray, steps: int = 120, hit: float = 1.5e-3) -> np.ndarray:
    """Distance along each ray to the first surface, (N,), or FAR where there is none."""
    travelled = np.full(len(rays), FAR, np.float32)
    active, reached = np.arange(len(rays)), np.zeros(len(rays), np.float32)
    for _ in range(steps):
        gap = field(eye + reached[:, None] * rays[active])
        travelled[active[gap < hit]] = reached[gap < hit]
        onward = (gap >= hit) & (reached < FAR)
        active, reached = active[onward], (reached + gap)[onward]
        if not len(active):
            break
    return travelled


def normals(field: Field, points: np.ndarray, step: float = 2e-3) -> np.ndarray:
    """Unit normals (N, 3) by differences at the corners of a tetrahedron."""
    corners = floats([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    return normalize(sum(c * field(points + np.float32(step) * c)[:, None] for c in corners))


def soft_shadow(field: Field, points: np.ndarray, sharpness: float = 9.0, steps: int = 12) -> np.ndarray:
    """Share of the key light that reaches each point, (N,)."""
    light, travelled = np.ones(len(points), np.float32), np.full(len(points), 0.03, np.float32)
    for _ in range(steps):
        gap = field(points + travelled[:, None] * KEY_LIGHT)
        light = np.minimum(light, sharpness * gap / travelled)
        travelled += np.clip(gap, 0.04, 0.5)
    light = np.clip(light, 0, 1)
    return light * light * (3 - 2 * light)


def ambient_occlusion(field: Field, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Share of the sky that each point sees, (N,)."""
    heights = (0.03, 0.09, 0.2, 0.4)
    hidden = sum((h - field(points + np.float32(h) * normal)) * 0.55**i for i, h in enumerate(heights))
    return np.clip(1 - 0.9 * hidden, 0, 1)


def studio(rays: np.ndarray, roughness: float) -> np.ndarray:
    """Light that comes from each direction, (N, 3): a room with a large window by the key light and a smaller one."""
    up = rays[:, 1:2]
    room = floats([0.34, 0.38, 0.45]) * (0.5 + 0.5 * up) + floats([0.16, 0.12, 0.09]) * (0.5 - 0.5 * up)
    soft = 0.03 + 0.35 * roughness
    for light, size, power in ((KEY_LIGHT, 0.33, 5.0), (floats([0.8, 0.25, 0.54]), 0.2, 1.2)):
        right = normalize(np.cross(light, floats([0, 1, 0])))
        u, v, w = rays @ right, rays @ np.cross(right, light), rays @ light
        edge = np.clip((size - np.maximum(np.abs(u), np.abs(v))) / soft + 0.5, 0, 1) * (w > 0)
        room = room + (power * (size / (size + soft)) ** 2 * edge * edge * (3 - 2 * edge))[:, None]
    return room


def shade(solid: Solid, field: Field, points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Light sent from the points of one solid back along the rays, (N, 3)."""
    normal = normals(solid.distance, points)
    albedo = solid.albedo(points)
    facing = np.clip(-(rays * normal).sum(-1), 0, 1)[:, None]
    visible = ambient_occlusion(field, points, normal)[:, None]
    key = np.clip(normal @ KEY_LIGHT, 0, 1)[:, None]
    turned_to_light = np.flatnonzero(key)
    key[turned_to_light, 0] *= soft_shadow(field, (points + np.float32(0.01) * normal)[turned_to_light])
    sky = floats([0.30, 0.35, 0.44]) * (0.6 + 0.4 * normal[:, 1:2]) + floats([0.10, 0.07, 0.05])
    diffuse = albedo * (floats([1.0, 0.93, 0.82]) * 1.1 * key + sky * visible)
    mirrored = studio(rays + 2 * facing * normal, solid.roughness) * (0.3 + 0.7 * visible)
    # Schlick's approximation; rough surfaces shine less at grazing angles.
    fresnel = solid.specular + (1 - solid.specular) * (1 - facing) ** 5 * (1 - 0.6 * solid.roughness)
    return diffuse * (1 - fresnel) + mirrored * fresnel


def trace(solids: list[Solid], eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow rays from the eye.

    Returns:
        light: float32 (N, 3), linear, 0 where the ray hits nothing.
        hit: float32 (N,), 1 where the ray hits a solid.
    """
    field = union(*(solid.distance for solid in solids))
    distance = march(field, eye, rays)
    seen = np.flatnonzero(distance < FAR)
    points = eye + distance[seen, None] * rays[seen]
    owner = np.argmin([solid.distance(points) for solid in solids], axis=0)
    light = np.zeros_like(rays)
    for index, solid in enumerate(solids):
        own = owner == index
        light[seen[own]] = shade(solid, field, points[own], rays[seen[own]])
    return light, (distance < FAR).astype(np.float32)


def photograph(solids: list[Solid], camera: Camera, contrast: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Photograph solids before nothing, with more rays in the pixels that contrast with a neighbour.

    Returns:
        picture: float32 (H, W, 3), RGB in [0, 1], multiplied by alpha.
        alpha: float32 (H, W) in [0, 1], the share of each pixel that the solids cover.
    """
    eye = floats(camera.eye)

    def layers(pixels: np.ndarray, offset: tuple[float, float] = (0, 0)) -> np.ndarray:
        light, hit = trace(solids, eye, camera.rays(pixels, offset))
        return np.concatenate([expose(light), hit[:, None]], axis=-1)

    image = layers(np.arange(math.prod(camera.size))).reshape(*camera.size, 4)
    kernel = np.ones((3, 3), np.uint8)
    rough = np.flatnonzero((cv2.dilate(image, kernel) - cv2.erode(image, kernel)).max(axis=-1) > contrast)
    rotated_grid = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
    image.reshape(-1, 4)[rough] = np.mean([layers(rough, offset) for offset in rotated_grid], axis=0)
    return image[..., :3], image[..., 3]


def expose(light: np.ndarray, exposure: float = 1.0) -> np.ndarray:
    """Linear light to display RGB in [0, 1]: a camera's curve with a soft shoulder (Narkowicz, ACES fit, 2015)."""
    x = 0.8 * exposure * np.maximum(light, 0)
    curve = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    return curve ** (1 / 2.2)


def sensor_grain(photograph: np.ndarray, rng: np.random.Generator, sigma: float = 0.006) -> np.ndarray:
    """The fine noise of a camera's sensor added."""
    noise = rng.standard_normal(photograph.shape).astype(np.float32)
    return np.clip(photograph + sigma * noise, 0, 1).astype(np.float32)
