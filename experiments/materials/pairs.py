"""A folder of photographs and paintings of the user's own, by the endings of their names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from reproduce.errors import expect

SUFFIXES = ("jpg", "jpeg", "png")


def find_pairs(folder: Path | None, endings: Sequence[str]) -> Iterator[tuple[str, dict[str, Path]]]:
    """Each NAME of a folder that has NAME_ENDING for the last ending, and its files, ending -> path.

    Raises:
        InputError: no folder was given, it has none, or a name lacks one of the other endings.
    """
    images = f"{', '.join(f'NAME_{ending}' for ending in endings[:-1])} and NAME_{endings[-1]} images"
    wanted = f"a folder with {images} (--pairs)"
    expect(folder is not None, wanted, "none")
    assert folder is not None
    files = {path.stem: path for suffix in SUFFIXES for path in sorted(folder.glob(f"*.{suffix}"))}
    last = f"_{endings[-1]}"
    names = sorted({stem.removesuffix(last) for stem in files if stem.endswith(last)})
    expect(names, wanted, folder)
    for name in names:
        missing = [ending for ending in endings if f"{name}_{ending}" not in files]
        expect(not missing, f"{name}_{' and '.join(missing)} in {folder}", "no such file")
        yield name, {ending: files[f"{name}_{ending}"] for ending in endings}
