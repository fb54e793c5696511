"""What the page asks of the library about pictures: in a process of its own, which holds what was decoded last.

A picture that is too much for the memory, or for a codec, ends this process and not the server.
"""

import json
import os
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np

from ..applications.registry import find_application
from ..errors import InputError, expect
from ..files import write_together
from ..images.arrays import bounded, check_same_size, scaled_shape, to_shares
from ..images.files import Picture, encode_image, mask_of, read_picture
from ..images.masks import bounding_box, feather, fill_holes, grow, shrink
from ..images.regions import order_corners, paste, straighten
from ..images.selection import (
    edge_path,
    select,
    select_in_box,
    select_polygon,
    select_stroke,
)

SHOWN = 1600  # pixels of the longer side of what the page shows to select and place on
SMALL = 320  # of a picture in the gallery
DIMMED = 0.6  # of what is not selected
OUTLINE = (1.0, 0.35, 0.1)
LARGEST_SPREAD = 100  # pixels that a selection may be grown or shrunk by at once: more takes seconds

CHANGES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "grow": lambda mask, pixels: shrink(mask, -round(pixels)) if pixels < 0 else grow(mask, round(pixels)),
    "feather": feather,
    "fill-holes": lambda mask, _: fill_holes(mask),
}

_masks: dict[Path, np.ndarray] = {}  # the last ones: reading them again would take longer than what is done with them


def end_with_the_server() -> None:
    """End this process when the server has ended, however it did."""

    def wait() -> None:
        server = parent_process()
        if server is not None:
            server.join()
            os._exit(0)

    Thread(target=wait, daemon=True).start()


def take(path: Path, name: str) -> dict[str, Any]:
    """Look at an uploaded file: its size, what is not taken of it as it stands; a reduced picture is written.

    Raises:
        InputError: it is no image, or none that the library takes; it is called by `name`.
    """
    try:
        picture = _picture(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from None
    shown = path.with_name("shown.jpg")
    write_together({shown: encode_image(shown, bounded(picture.over_white, SHOWN))})
    height, width = picture.color.shape[:2]
    notices = [notice.replace(str(path), name) for notice in picture.notices]
    return {"width": width, "height": height, "notices": notices, "parts": _parts(picture)}


def show_whole(path: Path, shown: Path) -> None:
    """Write a file that no browser may know as a PNG of its size."""
    write_together({shown: encode_image(shown, read_picture(path).layer)})


def show_small(path: Path, shown: Path) -> None:
    """Write a small JPEG of a file."""
    write_together({shown: encode_image(shown, bounded(read_picture(path).over_white, SMALL))})


def begin_selection(picture: Path, step: Path) -> dict[str, Any]:
    """Write the first step of a selection: what is opaque, if that parts an object from the rest, else nothing."""
    found = _picture(picture)
    empty = np.zeros(found.color.shape[:2], np.uint8)
    return _write_step(step, _bytes(mask_of(found, "the picture")[0]) if _parts(found) else empty)


def select_step(picture: Path, before: Path, step: Path, operation: dict[str, Any]) -> dict[str, Any]:
    """Write the next step of a selection.

    Args:
        picture: file of the picture.
        before: file of the mask so far.
        step: file of the mask to be written.
        operation: its "kind", with what that needs, and "mode", "add", "subtract" or "replace", where it selects.

    Raises:
        InputError: the operation is none, or selects nothing (see the functions of the library).
    """
    kind, mask = str(operation.get("kind")), _mask(before)
    if kind == "invert":
        return _write_step(step, 255 - mask)
    if kind == "clear":
        return _write_step(step, np.zeros_like(mask))
    if kind in CHANGES:
        amount = float(operation.get("pixels", 0))
        expect(abs(amount) <= LARGEST_SPREAD, f"at most {LARGEST_SPREAD} pixels", f"{amount:g}")
        return _write_step(step, _bytes(CHANGES[kind](to_shares(mask), amount)))
    found, mode = _bytes(_selected(picture, operation, mask.shape)), operation.get("mode")
    expect(mode in ("add", "subtract", "replace"), "a mode", mode)
    # As the library's `combine`, in the bytes that are written.
    made = {"replace": found, "add": cv2.max(mask, found), "subtract": cv2.min(mask, 255 - found)}[str(mode)]
    return _write_step(step, made)


def _selected(picture: Path, operation: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """What an operation selects by itself."""
    kind = operation.get("kind")
    if kind == "mask":
        path, name = Path(operation["file"]), operation["name"]
        mask, _ = mask_of(read_picture(path), name)
        check_same_size(np.empty(shape), mask, ("the picture", name))
        return mask
    points = [(float(x), float(y)) for x, y in operation["points"]]
    if kind == "stroke":
        return select_stroke(points, float(operation["radius"]), shape)
    points = [(min(max(x, 0.0), shape[1] - 1.0), min(max(y, 0.0), shape[0] - 1.0)) for x, y in points]
    if kind == "polygon":
        return select_polygon(points, shape)
    if kind == "scissors":  # as the library's `select_along_edges`, of lines that are known already
        return select_polygon(edges_between(picture, [*points, *points[:1]]), shape)
    image = _picture(picture).over_white
    if kind == "click":
        return select(image, points, float(operation["tolerance"]), bool(operation.get("fill_holes")))
    if kind == "box":
        return select_in_box(image, points, bool(operation.get("fill_holes")))
    raise InputError(f"Expected a way to select. Received: {kind}")


def edges_between(picture: Path, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The line along edges from point to point; what has been shown of it is not looked for again."""
    line = points[:1]
    for start, end in pairwise(points):
        line += _edge(picture, tuple(start), tuple(end))[1:]
    return line


def cut_out(picture: Path, mask: Path, cut: Path) -> dict[str, Any]:
    """Write what is selected, reduced, with transparency around: to be dragged before it is pasted."""
    alpha, color = to_shares(_mask(mask)), _picture(picture).color
    box = bounding_box(alpha)
    pixels = bounded(np.dstack([color[box.slices], alpha[box.slices]]), SHOWN)
    write_together({cut: encode_image(cut, pixels)})
    return {"left": box.left, "top": box.top, "width": box.shape[1], "height": box.shape[0]}


def compose(background: Path, picture: Path, mask: Path, place: tuple, shown: Path) -> dict[str, Any]:
    """Write the composite, reduced, as `paste` makes it."""
    composite, placed = _pasted(background, picture, mask, place)
    write_together({shown: encode_image(shown, bounded(composite, SHOWN))})
    return {"share": float(placed.mean())}


def cost(application: str, preset: str, settings: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    """What a run is expected to take, as `reproduce plan` says it.

    Args:
        of: the "image", the file that is worked on; and one of the "mask", the "corners", or what is to be "pasted":
            the arguments of `compose`.

    Returns:
        The "memory" in bytes, and the "stages": (iterations, operations of an evaluation) of each.
    """
    found = find_application(application)
    size, objects, mask = _size(of["image"]), [_size(of["image"])], None
    if "pasted" in of:
        mask = _pasted(*of["pasted"])[1]
    elif "mask" in of:
        mask = _as_read(of["mask"])
    elif "corners" in of:
        corners = order_corners(of["corners"], size)
        objects = [straighten(np.zeros((*size, 1), np.float32), corners).shape[:2]]
    chosen = found.preset(preset, **settings)
    expected = found.estimate(size, objects, chosen, mask, found.base_preset(preset, **settings))
    return {"memory": expected.memory_bytes, "stages": expected.stages, "working": expected.working_shape[::-1]}


def forget() -> None:
    """Hold nothing any more: the memory is needed for a run."""
    for cached in (_picture, _edge, _pasted, _as_read):
        cached.cache_clear()
    _masks.clear()


@lru_cache(maxsize=2)
def _picture(path: Path) -> Picture:
    return read_picture(path)


@lru_cache(maxsize=256)
def _edge(picture: Path, start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    return edge_path(_picture(picture).over_white, [start, end])


@lru_cache(maxsize=1)
def _pasted(background: Path, picture: Path, mask: Path, place: tuple) -> tuple[np.ndarray, np.ndarray]:
    return paste(_picture(background).over_white, _picture(picture).color, _as_read(mask), *place)


@lru_cache(maxsize=1)
def _as_read(mask: Path) -> np.ndarray:
    """A mask that was written here as a command reads it."""
    return mask_of(read_picture(mask), str(mask))[0]


def _size(path: Path) -> tuple[int, int]:
    """(height, width) of an uploaded file."""
    entry = json.loads(path.with_name("picture.json").read_text(encoding="utf-8"))
    return entry["height"], entry["width"]


def _parts(picture: Picture) -> bool:
    """Whether transparency says what the object is."""
    return picture.alpha is not None and bool(picture.alpha.min() < 0.5 <= picture.alpha.max())


def _mask(path: Path) -> np.ndarray:
    """A mask that was written here, uint8 (H, W)."""
    kept = _masks.pop(path, None)
    _keep(path, _bytes(np.ascontiguousarray(read_picture(path).color[..., 0])) if kept is None else kept)
    return _masks[path]


def _keep(path: Path, mask: np.ndarray) -> None:
    while len(_masks) > 2:
        del _masks[next(iter(_masks))]
    _masks[path] = mask


def _bytes(mask: np.ndarray) -> np.ndarray:
    """As `to_bytes`, in a fraction of the time: a click on a large photograph is to be answered at once."""
    return cv2.convertScaleAbs(mask, alpha=255)


def _write_step(path: Path, mask: np.ndarray) -> dict[str, Any]:
    """Write a mask, uint8 (H, W), and how it is shown over the picture; say what is selected."""
    shown = path.with_name(f"{path.stem}_shown.png")
    write_together({path: encode_image(path, mask), shown: encode_image(shown, _overlay(mask))})
    _keep(path, mask)
    return {"share": round(cv2.mean(mask)[0] / 255, 6), "largest": int(mask.max()) / 255}


def _overlay(mask: np.ndarray) -> np.ndarray:
    """Dark where nothing is selected, with an outline in between; nothing at all where nothing is selected."""
    scale = SHOWN / max(mask.shape)
    small = cv2.resize(mask, scaled_shape(mask.shape, scale)[::-1], interpolation=cv2.INTER_AREA)
    inside = cv2.threshold(small, 127, 255, cv2.THRESH_BINARY)[1]
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    alpha = cv2.convertScaleAbs(255 - small, alpha=DIMMED if inside.any() else 0)
    return cv2.merge([*(cv2.convertScaleAbs(edge, alpha=channel) for channel in OUTLINE), cv2.max(alpha, edge)])
