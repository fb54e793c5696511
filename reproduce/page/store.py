"""The folder that the page keeps everything in: runs, and what was uploaded and selected for them.

    RUNS/<run>/                      one run: copies of its inputs, `run.json`, its results
    RUNS/.page/pictures/<id>/        an uploaded file, byte for byte, and a reduced picture of it
    RUNS/.page/selections/<id>/      the steps of a selection, a mask each

Names are made here, at random; what a browser calls a file is kept as a text, and is never a path.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError
from ..files import write_together

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

NAME = re.compile(r"[0-9a-f-]{8,40}")
KINDS = {"run": "", "picture": ".page/pictures", "selection": ".page/selections"}
KEPT_SECONDS = 7 * 24 * 3600  # of uploads and selections: runs have copies of their own


class NotThere(InputError):
    """No run, picture or selection has that name."""


class Store:
    """Folders by kind ("run", "picture", "selection") and name."""

    def __init__(self, root: Path):
        self.root = root
        for place in KINDS.values():
            (root / place).mkdir(parents=True, exist_ok=True)

    def new(self, kind: str) -> Path:
        """A new folder; those of later runs have later names."""
        name = secrets.token_hex(8)
        if kind == "run":
            seconds, rest = divmod(time.time_ns(), 10**9)
            name = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(seconds))}-{rest:09d}-{name[:4]}"
        folder = self.root / KINDS[kind] / name
        folder.mkdir()
        return folder

    def folder(self, kind: str, name: object) -> Path:
        """Raises NotThere unless that was given by `new`, and is still there."""
        folder = self.root / KINDS[kind] / str(name)
        if not NAME.fullmatch(str(name)) or not folder.is_dir():
            raise NotThere(f"There is no such {kind} (any more): {str(name)[:40]}")
        return folder

    def runs(self) -> list[Path]:
        """The folders of all runs, the newest first."""
        return sorted((path.parent for path in self.root.glob("*/run.json")), reverse=True)

    def picture(self, name: object) -> Path:
        """The uploaded file of a picture."""
        folder = self.folder("picture", name)
        return folder / read_json(folder / "picture.json")["file"]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the block runs, no other server has the folder: it would take what computes here for interrupted.

        Raises:
            InputError: another one has it.
        """
        if fcntl is None:  # Windows: the port that is taken has to do
            yield
            return
        with (self.root / ".page/lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"Expected a folder that no other page serves. Received: {self.root}") from None
            yield

    def forget_old(self) -> None:
        """Remove what was uploaded and selected long ago."""
        for kind in ("picture", "selection"):
            for folder in (self.root / KINDS[kind]).iterdir():
                if folder.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all."""
    write_together({path: (json.dumps(value, indent=1) + "\n").encode()})
