"""Files of any kind: their hashes, and writing them whole or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path`."""
    # A name has 255 bytes at most, and a character of it up to four.
    temporary = path.with_name(f".{path.stem[:40]}.{uuid4().hex[:12]}{path.suffix}")
    # Opened so, and not with `tempfile`, the file has the permissions that the user's umask gives any new file.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Raises FileNotFoundError or PermissionError unless files can be written in a folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"The output folder does not exist: {folder}")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PermissionError(f"The output folder cannot be written: {folder} ({error.strerror})") from error


def sha256(path: str | Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_sha256(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes, hexadecimal: names an input that came as an array, not as a file."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
