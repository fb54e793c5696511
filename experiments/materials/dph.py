"""The material of Deep Painterly Harmonization (Luan, Paris, Shechtman, Bala 2018).

The paper's figures 5 to 7 use it (its shield is case 4). It is fetched from its public repository, case by case.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath

import pooch

from .cases import Case, Materials, group_by_case, read_case
from .fetching import FetchProgress, Pin, fetch

COMMIT = "a33a9a70366b6baff1cc0291f857b5895b271fc1"
SOURCE = f"https://github.com/luanfujun/deep-painterly-harmonization/tree/{COMMIT}"
URL = f"https://raw.githubusercontent.com/luanfujun/deep-painterly-harmonization/{COMMIT}/"
LICENCE = "published by its authors for academic, non-commercial use; not to be redistributed"


def pins() -> dict[str, Pin]:
    """Path in the source repository -> pin, of the inputs and the published results of all 35 cases."""
    lines = Path(__file__).with_name("dph_sha256.txt").read_text(encoding="ascii").splitlines()
    return {path: Pin(digest, int(size)) for digest, size, path in map(str.split, lines)}


def cache_folder() -> Path:
    """Where fetched files are kept: $REPRODUCE_CACHE, or else the platform's cache folder for this project.

    A user without a home, as in some containers, has neither; then it is in the folder of temporary files.
    """
    with contextlib.suppress(RuntimeError):  # where platformdirs, which pooch asks, finds no home
        folder = os.path.expanduser(os.environ.get("REPRODUCE_CACHE") or pooch.os_cache("reproduce"))
        if not folder.startswith("~"):  # as it stays where there is no home
            return Path(folder)
    return Path(tempfile.gettempdir(), "reproduce")


def fetch_cases(
    names: Iterable[str] | None = None, progress: FetchProgress | None = None
) -> dict[str, dict[str, Path]]:
    """Fetch cases of Deep Painterly Harmonization, by default all 35 (45 MB), into the folder dph of `cache_folder()`.

    Returns:
        Case name -> role -> path.

    Raises:
        KeyError, OSError: there is no such case, or as `fetch`.
    """
    pinned, folder = pins(), cache_folder() / "dph"
    cases = group_by_case(map(PurePosixPath, pinned))
    wanted = {name: cases[name] for name in (cases if names is None else names)}
    paths = [str(path) for files in wanted.values() for path in files.values()]
    fetch({path: pinned[path] for path in paths}, URL, folder, progress)
    return {name: {role: folder / path for role, path in files.items()} for name, files in wanted.items()}


def open_dph(progress: FetchProgress | None = None) -> Materials:
    """All cases; nothing is fetched before a case is asked for."""

    def load(name: str) -> Case:
        return read_case(name, fetch_cases([name], progress)[name])

    loaders = {name: partial(load, name) for name in group_by_case(map(PurePosixPath, pins()))}
    return Materials("dph", SOURCE, LICENCE, loaders)
