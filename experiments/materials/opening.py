"""The materials by their name: drawn scenes, Deep Painterly Harmonization's, or a folder's."""

import os
from functools import cache, partial

from reproduce.files import array_sha256

from ..scenes import PASTED_SCENES, pasted_scene
from .cases import INPUTS, Case, Materials
from .dph import open_dph
from .fetching import FetchProgress
from .folder import open_folder


def open_materials(spec: str | os.PathLike, progress: FetchProgress | None = None) -> Materials:
    """Open a collection of cases; nothing of `dph` is fetched before a case is asked for.

    Args:
        spec: "demo", "dph", or a folder (a folder that is itself called demo or dph is written ./demo or ./dph).
        progress: called as `progress(file, bytes_so_far, bytes_in_all)` while a file of `dph` is fetched.

    Raises:
        FileNotFoundError: there is no such folder, no case in it, or a case lacks an image.
        InputError: two files of the folder claim to be the same image.
    """
    if spec == "demo":
        return _open_demo()
    if spec == "dph":
        return open_dph(progress)
    return open_folder(spec)


def _open_demo() -> Materials:
    loaders = {name: partial(_drawn, name) for name in PASTED_SCENES}
    return Materials("demo", "drawn by experiments/scenes", "that of this project", loaders)


@cache
def _drawn(name: str) -> Case:
    """A scene as a case. Drawing takes seconds, so each is drawn once; all of them are 40 MB."""
    scene = pasted_scene(name)
    images = {role: getattr(scene, role) for role in INPUTS}
    return Case(name, **images, hashes={role: array_sha256(image) for role, image in images.items()})
