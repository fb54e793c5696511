"""Images in a folder: which files are some, their order, and which of them belong together."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import TypeVar

from PIL import Image

from ..errors import expect
from .decoding import FORMATS

AnyPath = TypeVar("AnyPath", bound=PurePath)


def images_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder in natural order, and the names of what else is there: folders, and other files.

    What is an image is told by its name; names that begin with a dot are hidden.
    """
    Image.init()  # the plug-ins, HEIC's too where it is installed, tell their suffixes
    suffixes = {suffix for suffix, kind in Image.EXTENSION.items() if kind in FORMATS} | {".heic", ".heif"}
    entries = sorted((path for path in folder.iterdir() if path.name[0] != "."), key=lambda path: natural(path.name))
    images = [path for path in entries if path.suffix.lower() in suffixes and not path.is_dir()]
    return images, [path.name + "/" * path.is_dir() for path in entries if path not in images]


def natural(name: str) -> list[str | int]:
    """Sort key that compares the numbers in names as numbers, so that 11 comes after 4."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def by_stem(files: Iterable[AnyPath]) -> dict[str, AnyPath]:
    """Files by their names without suffix.

    Raises:
        InputError: two have the same.
    """
    found: dict[str, AnyPath] = {}
    for file in files:
        first = found.setdefault(file.stem, file)
        expect(first == file, f"one image called {file.stem}", f"{first} and {file}")
    return found


def by_ending(files: Iterable[AnyPath], endings: Mapping[str, str]) -> dict[str, dict[str, AnyPath]]:
    """Files that belong together by their names, NAME_ENDING.SUFFIX; others are passed over.

    Args:
        endings: ending -> what the image is.

    Returns:
        Name -> what the image is -> file, in natural order (3, 4, 11).

    Raises:
        InputError: two files are the same image of the same name, such as 4_naive.jpg and 4_naive.png.
    """
    pattern = re.compile(rf"(?P<name>[^.].*)_(?P<ending>{'|'.join(endings)})")  # a leading dot hides a file
    found: dict[str, dict[str, AnyPath]] = {}
    for file in sorted(files):
        if match := pattern.fullmatch(file.stem):
            what = endings[match["ending"]]
            first = found.setdefault(match["name"], {}).setdefault(what, file)
            expect(first == file, f"one {what} for case {match['name']}", f"{first} and {file}")
    return {name: found[name] for name in sorted(found, key=natural)}
