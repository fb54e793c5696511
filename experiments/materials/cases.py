"""Cases: a painting, a naive composite and the mask of what was pasted; how the files of a case are named."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reproduce.applications.registry import HARMONIZE
from reproduce.errors import expect
from reproduce.files import sha256
from reproduce.images.arrays import check_same_size, size_text
from reproduce.images.files import read_image, read_mask
from reproduce.images.listing import AnyPath, by_ending

INPUTS = tuple(entry.name for entry in HARMONIZE.inputs)
# How a file's name ends, before its suffix -> the image's role. inter_res and final_res2 are the source's own names.
ENDINGS = {entry.ending: entry.name for entry in HARMONIZE.inputs} | {
    "first_pass": "first_pass",
    "inter_res": "first_pass",
    "final": "final",
    "final_res2": "final",
}
ROLES = tuple(dict.fromkeys(ENDINGS.values()))
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True)
class Case:
    """One harmonisation case.

    Attributes:
        name: the case's name in its collection.
        background: the painting, float32 (H, W, 3), RGB in [0, 1].
        composite: the painting with the object pasted, float32 (H, W, 3), RGB in [0, 1].
        mask: where the object is, float32 (H, W) in [0, 1].
        published: results of other work at hand, among "first_pass" and "final", each float32 (H, W, 3).
        hashes: SHA-256 of each input and published result: of its file, or of the array's bytes where it was drawn.

    Raises:
        InputError: two of its images differ in size.
    """

    name: str
    background: np.ndarray
    composite: np.ndarray
    mask: np.ndarray
    published: dict[str, np.ndarray] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role, image in {"composite": self.composite, "mask": self.mask, **self.published}.items():
            check_same_size(self.background, image, (f"the background of case {self.name}", f"its {role}"))

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What is harmonised, by the names of the application's arguments."""
        return {"background": self.background, "composite": self.composite, "mask": self.mask}


@dataclass(frozen=True)
class Materials:
    """A collection of cases; a case is drawn, read or fetched when it is asked for, and not before.

    Attributes:
        name: "demo", "dph", or the folder.
        source, licence: where the images come from, and under what terms they may be used.
        loaders: case name -> function that returns the case, in the order in which cases are listed.
    """

    name: str
    source: str
    licence: str
    loaders: Mapping[str, Callable[[], Case]]

    def names(self) -> list[str]:
        """The names of the cases, in order."""
        return list(self.loaders)

    def case(self, name: str) -> Case:
        """The case called `name`.

        Raises:
            InputError, OSError: there is no such case, or as `read_case` and `fetch`.
        """
        expect(name in self.loaders, f"a case of {self.name}, one of {', '.join(self.loaders)}", repr(name))
        return self.loaders[name]()


def group_by_case(files: Iterable[AnyPath]) -> dict[str, dict[str, AnyPath]]:
    """Sort files into cases by their names, <case>_<ending>.<suffix>.

    Returns:
        Case name -> role -> path, cases in natural order (3, 4, 11). Other files are passed over, and so is what has no
        composite: the source repository holds a painting on its own.

    Raises:
        InputError: two files are the same image of the same case, such as 4_naive.jpg and 4_naive.png.
    """
    images = (file for file in files if file.suffix.lower() in IMAGE_SUFFIXES)
    return {name: found for name, found in by_ending(images, ENDINGS).items() if "composite" in found}


def read_case(name: str, files: Mapping[str, Path]) -> Case:
    """Read one case from its files (role -> path).

    A published result of another size than the painting is left out with a warning: it cannot be compared pixel by
    pixel, and resampling it would change the very texture that is measured.

    Raises:
        InputError, FileNotFoundError: a file is no image or missing, or the inputs differ in size.
    """
    images = {role: (read_mask if role == "mask" else read_image)(files[role]) for role in ROLES if role in files}
    painting = images["background"].shape
    for role in ROLES[len(INPUTS) :]:
        if role in images and images[role].shape != painting:
            sizes = f"{size_text(images.pop(role).shape)}, the painting {size_text(painting)}"
            warnings.warn(f"Case {name}: {files[role]} is {sizes}; it is left out.", stacklevel=2)
    hashes = {role: sha256(files[role]) for role in images}
    background, composite, mask = (images.pop(role) for role in INPUTS)
    return Case(name, background, composite, mask, published=images, hashes=hashes)
