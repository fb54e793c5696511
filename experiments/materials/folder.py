"""A folder of cases: a local copy of DPH's, or the user's own images named alike."""

import os
from functools import partial
from pathlib import Path

from reproduce.files import sha256

from . import dph
from .cases import ENDINGS, INPUTS, Materials, group_by_case, read_case


def open_folder(spec: str | os.PathLike) -> Materials:
    """The cases of a folder, each read when it is asked for.

    Raises:
        FileNotFoundError: there is no such folder, no case in it, or a case lacks an image.
        InputError: two files claim to be the same image.
    """
    folder = Path(spec)
    if not os.fspath(spec) or not folder.is_dir():  # Path("") would be the current folder
        raise FileNotFoundError(f"Expected materials 'demo', 'dph' or a folder. Received: {str(spec)!r}, no folder.")
    cases = _find_cases(folder)
    pinned = {pin.sha256 for pin in dph.pins().values()}  # a copy of dph keeps its licence, whatever its folder
    is_dph = any(sha256(file) in pinned for files in cases.values() for file in files.values())
    return Materials(
        name=str(folder),
        source=f"{folder}, files of {dph.SOURCE}" if is_dph else str(folder),
        licence=dph.LICENCE if is_dph else "not recorded: that of the folder's images",
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
