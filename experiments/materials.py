"""The images that the experiments work on: a painting, a naive composite and the mask of what was pasted.

`demo` is drawn by this project's own code. `dph` is the material of Deep Painterly Harmonization (Luan, Paris,
Shechtman, Bala 2018), which the paper's figures 5 to 7 use (its shield is case 4), fetched from its public repository
case by case. A folder is a local copy of the same, or the user's own images named alike.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

import numpy as np
import pooch
import requests

from reproduce.images import check_same_size, read_image, read_mask, sha256, size_text

INPUTS = ("background", "composite", "mask")
# How a file's name ends, before its suffix -> the image's role. inter_res and final_res2 are the source's own names.
ENDINGS = {
    "target": "background",
    "naive": "composite",
    "c_mask": "mask",
    "first_pass": "first_pass",
    "inter_res": "first_pass",
    "final": "final",
    "final_res2": "final",
}
ROLES = tuple(dict.fromkeys(ENDINGS.values()))
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}

DPH_COMMIT = "a33a9a70366b6baff1cc0291f857b5895b271fc1"
DPH_SOURCE = f"https://github.com/luanfujun/deep-painterly-harmonization/tree/{DPH_COMMIT}"
DPH_URL = f"https://raw.githubusercontent.com/luanfujun/deep-painterly-harmonization/{DPH_COMMIT}/"
DPH_LICENCE = "published by its authors for academic, non-commercial use; not to be redistributed"

TIMEOUT = 15.0  # seconds of silence after which a server counts as hanging
CHUNK = 1 << 16  # bytes between two calls of the progress callback

FetchProgress = Callable[[str, int, int], None]  # (file, bytes so far, bytes of the whole file)


class Pin(NamedTuple):
    """What a fetched file must be: its SHA-256 and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Case:
    """One harmonisation case; a ValueError says if two of its images differ in size.

    Attributes:
        name: the case's name in its collection.
        background: the painting, float32 (H, W, 3), RGB in [0, 1].
        composite: the painting with the object pasted, float32 (H, W, 3), RGB in [0, 1].
        mask: where the object is, float32 (H, W) in [0, 1].
        published: results of other work at hand, among "first_pass" and "final", each float32 (H, W, 3).
        hashes: SHA-256 of each input and published result: of its file, or of the array's bytes where it was drawn.
    """

    name: str
    background: np.ndarray
    composite: np.ndarray
    mask: np.ndarray
    published: dict[str, np.ndarray] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for role, image in {"composite": self.composite, "mask": self.mask, **self.published}.items():
            check_same_size(self.background, image, (f"the background of case {self.name}", f"its {role}"))


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
            ValueError, OSError: there is no such case, or as `read_case` and `fetch`.
        """
        if name not in self.loaders:
            raise ValueError(f"Expected a case of {self.name}, one of {', '.join(self.loaders)}. Received: {name!r}.")
        return self.loaders[name]()


def open_materials(spec: str | os.PathLike, progress: FetchProgress | None = None) -> Materials:
    """Open a collection of cases; nothing of `dph` is fetched before a case is asked for.

    Args:
        spec: "demo", "dph", or a folder (a folder that is itself called demo or dph is written ./demo or ./dph).
        progress: called as `progress(file, bytes_so_far, bytes_in_all)` while a file of `dph` is fetched.

    Raises:
        FileNotFoundError: there is no such folder, no case in it, or a case lacks an image.
        ValueError: two files of the folder claim to be the same image.
    """
    if spec == "demo":
        return _open_demo()
    if spec == "dph":
        return _open_dph(progress)
    return _open_folder(spec)


def _open_demo() -> Materials:
    from experiments.scenes import PASTED_SCENES, pasted_scene  # drawing code: loaded only where it is used

    def draw(name: str) -> Case:
        scene = pasted_scene(name)
        images = {role: getattr(scene, role) for role in INPUTS}
        hashes = {role: hashlib.sha256(image.tobytes()).hexdigest() for role, image in images.items()}
        return Case(name, **images, hashes=hashes)

    loaders = {name: partial(draw, name) for name in PASTED_SCENES}
    return Materials("demo", "drawn by experiments/scenes.py", "that of this project", loaders)


def group_by_case(files: Iterable[PurePath]) -> dict[str, dict[str, PurePath]]:
    """Sort files into cases by their names, <case>_<ending>.<suffix>.

    Returns:
        Case name -> role -> path, cases in natural order (3, 4, 11). Other files are passed over, and so is what has no
        composite: the source repository holds a painting on its own.

    Raises:
        ValueError: two files are the same image of the same case, such as 4_naive.jpg and 4_naive.png.
    """
    pattern = re.compile(rf"(?P<case>[^.].*)_(?P<ending>{'|'.join(ENDINGS)})")  # a leading dot hides a file
    cases: dict[str, dict[str, PurePath]] = {}
    for file in sorted(files):
        match = pattern.fullmatch(file.stem)
        if not match or file.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        role = ENDINGS[match["ending"]]
        first = cases.setdefault(match["case"], {}).setdefault(role, file)
        if first != file:
            raise ValueError(f"Expected one {role} for case {match['case']}. Received: {first} and {file}.")
    return {name: cases[name] for name in sorted(cases, key=natural_order) if "composite" in cases[name]}


def natural_order(name: str) -> list[str | int]:
    """Sort key that compares the numbers in names as numbers, so that 11 comes after 4."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def read_case(name: str, files: Mapping[str, Path]) -> Case:
    """Read one case from its files (role -> path).

    A published result of another size than the painting is left out with a warning: it cannot be compared pixel by
    pixel, and resampling it would change the very texture that is measured.

    Raises:
        ValueError, FileNotFoundError: a file is no image or missing, or the inputs differ in size.
    """
    images = {role: (read_mask if role == "mask" else read_image)(files[role]) for role in ROLES if role in files}
    painting = images["background"].shape
    for role in ROLES[len(INPUTS) :]:
        if role in images and images[role].shape != painting:
            sizes = f"{size_text(images.pop(role).shape)}, the painting {size_text(painting)}"
            warnings.warn(f"Case {name}: {files[role]} is {sizes}; it is left out.", stacklevel=2)
    hashes = {role: sha256(files[role]) for role in images}
    inputs = [images.pop(role) for role in INPUTS]
    return Case(name, *inputs, published=images, hashes=hashes)


def _open_folder(spec: str | os.PathLike) -> Materials:
    folder = Path(spec)
    if not os.fspath(spec) or not folder.is_dir():  # Path("") would be the current folder
        raise FileNotFoundError(f"Expected materials 'demo', 'dph' or a folder. Received: {str(spec)!r}, no folder.")
    cases = _find_cases(folder)
    pinned = {pin.sha256 for pin in dph_pins().values()}  # a copy of dph keeps its licence, whatever its folder
    is_dph = any(sha256(file) in pinned for files in cases.values() for file in files.values())
    return Materials(
        name=str(folder),
        source=f"{folder}, files of {DPH_SOURCE}" if is_dph else str(folder),
        licence=DPH_LICENCE if is_dph else "not recorded: that of the folder's images",
        loaders={name: partial(read_case, name, files) for name, files in cases.items()},
    )


def _find_cases(folder: Path) -> dict[str, dict[str, Path]]:
    """The complete cases of a folder, or else of its subfolder dph, each flat or split in data/ and results/."""
    for root in (folder, folder / "dph"):
        parts = [part for part in (root, root / "data", root / "results") if part.is_dir()]
        cases = group_by_case(file for part in parts for file in part.iterdir())
        for name, files in cases.items():
            for ending, role in ENDINGS.items():
                if role in INPUTS and role not in files:
                    raise FileNotFoundError(f"Expected an image {name}_{ending} beside {files['composite']}.")
        if cases:
            return cases
    raise FileNotFoundError(f"Expected images CASE_target, CASE_naive and CASE_c_mask in {folder}. Received: none.")


def dph_pins() -> dict[str, Pin]:
    """Path in the source repository -> pin, of the inputs and the published results of all 35 cases."""
    lines = Path(__file__).with_name("dph_sha256.txt").read_text(encoding="ascii").splitlines()
    return {path: Pin(digest, int(size)) for digest, size, path in map(str.split, lines)}


def cache_folder() -> Path:
    """Where fetched files are kept: $REPRODUCE_CACHE, or else the platform's cache folder for this project."""
    return Path(os.environ.get("REPRODUCE_CACHE") or pooch.os_cache("reproduce"))


def fetch_dph(names: Iterable[str] | None = None, progress: FetchProgress | None = None) -> dict[str, dict[str, Path]]:
    """Fetch cases of Deep Painterly Harmonization, by default all 35 (45 MB), into the folder dph of `cache_folder()`.

    Returns:
        Case name -> role -> path.

    Raises:
        KeyError, OSError: there is no such case, or as `fetch`.
    """
    pins, folder = dph_pins(), cache_folder() / "dph"
    cases = group_by_case(map(PurePosixPath, pins))
    wanted = {name: cases[name] for name in (cases if names is None else names)}
    paths = [str(path) for files in wanted.values() for path in files.values()]
    fetch({path: pins[path] for path in paths}, DPH_URL, folder, progress)
    return {name: {role: folder / path for role, path in files.items()} for name, files in wanted.items()}


def _open_dph(progress: FetchProgress | None) -> Materials:
    def load(name: str) -> Case:
        return read_case(name, fetch_dph([name], progress)[name])

    loaders = {name: partial(load, name) for name in group_by_case(map(PurePosixPath, dph_pins()))}
    return Materials("dph", DPH_SOURCE, DPH_LICENCE, loaders)


def fetch(pins: Mapping[str, Pin], url: str, folder: Path, progress: FetchProgress | None = None) -> None:
    """Bring files into a folder over HTTP, each checked by its SHA-256.

    A file that is already there and right is not fetched again, so an interrupted fetch goes on where it was; a file is
    put in place only when it is whole and right. Each file is tried twice.

    Args:
        pins: path below `url` and below `folder` -> what the file must be.
        url, folder: where the files come from, ending in a slash, and where they go, made where it does not exist.
        progress: called as `progress(path, bytes_so_far, bytes_in_all)`.

    Raises:
        OSError: no network, an HTTP error, a file cut short or changed, a server that hangs, an unwritable folder.
    """
    pooch.get_logger().setLevel("WARNING")  # progress goes through the callback
    registry = {path: pin.sha256 for path, pin in pins.items()}
    store = pooch.create(path=folder, base_url=url, registry=registry, retry_if_failed=1)
    for path, pin in pins.items():
        report = partial(progress, path) if progress else lambda received, size: None
        try:
            store.fetch(path, downloader=partial(_download, size=pin.size, report=report))
        except (requests.RequestException, ValueError) as error:
            raise OSError(f"Could not fetch {url}{path}: {_reason(error)}; {folder} keeps what it has.") from error


def _download(url: str, output: str, store: pooch.Pooch, *, size: int, report: Callable[[int, int], None]) -> None:
    """Write what is at `url` into the file `output`; pooch calls it with the first three arguments."""
    with requests.get(url, stream=True, timeout=TIMEOUT) as response, open(output, "wb") as file:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            report(file.tell(), size)


def _reason(error: Exception) -> str:
    """Why a fetch failed, in a few words; the messages of the HTTP library run over several nested exceptions."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if "timed out" in str(error):  # also raised as a plain ConnectionError, when it happens within the body
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection closed before the whole file had come"
    if isinstance(error, requests.RequestException):
        return f"no connection to the server ({type(error).__name__})"
    return "its SHA-256 is not the pinned one, so the file is damaged or has been changed"
