"""Files of any kind: their hashes, and writing them whole or not at all."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np


class WriteError(OSError):
    """A file could not be written: a full disk, a folder that takes no more files. What was there before still is."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path`.

    Raises:
        WriteError: it could not be written.
    """
    _write_together({path: write})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files, each whole or not at all: none is put in place before all are written.

    Raises:
        WriteError: one of them could not be written.
    """
    _write_together({path: partial(_write_bytes, content) for path, content in contents.items()})


def _write_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _write_together(writes: Mapping[Path, Callable[[Path], object]]) -> None:
    with contextlib.ExitStack() as leftovers, contextlib.ExitStack() as undo:
        temporaries = {path: leftovers.enter_context(_beside(path)) for path in writes}
        try:
            for path, write in writes.items():
                # Opened so, and not with `tempfile`, the file has the permissions that the umask gives any new file.
                os.close(os.open(temporaries[path], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                write(temporaries[path])
            for path, temporary in temporaries.items():
                back = _way_back(path, leftovers.enter_context(_beside(path)))
                temporary.replace(path)
                undo.callback(back)
        except OSError as error:
            raise WriteError(error.errno, f"Could not write {path}: {error.strerror or error}") from error
        undo.pop_all()  # all are in place


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A new name in the folder of `path`; what is called so is removed in the end."""
    # A name may have 255 bytes, and a character up to four of them.
    name = path.with_name(f".{path.stem[:40]}.{uuid4().hex[:12]}{path.suffix}")
    try:
        yield name
    finally:
        with contextlib.suppress(OSError):  # on a folder that has turned read-only
            name.unlink(missing_ok=True)


def _way_back(path: Path, kept: Path) -> Callable[[], object]:
    """What makes `path` what it is now, after it was replaced; `kept` becomes another name of it meanwhile."""
    if not os.path.lexists(path):
        return partial(path.unlink, missing_ok=True)
    try:
        os.link(path, kept, follow_symlinks=False)
    except (OSError, NotImplementedError):  # not every file system has such names
        return lambda: None
    return partial(kept.replace, path)


def check_folder(folder: Path) -> None:
    """Raises FileNotFoundError or PermissionError unless files can be written in a folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"The output folder does not exist: {folder}")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PermissionError(f"The output folder cannot be written: {folder} ({error.strerror})") from error


def same_file(first: Path, second: Path) -> bool:
    """Whether two paths are the same file, however they are spelled, or would be."""
    if first.exists() and second.exists():
        return first.samefile(second)
    return first.resolve() == second.resolve()


def sha256(path: str | Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_sha256(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes, hexadecimal: names an input that came as an array, not as a file."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
