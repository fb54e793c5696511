"""Files over HTTP, each known by its SHA-256."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pooch
import requests

from reproduce.files import WriteError

TIMEOUT = 15.0  # seconds of silence after which a server counts as hanging
CHUNK = 1 << 16  # bytes between two calls of the progress callback

FetchProgress = Callable[[str, int, int], None]  # (file, bytes so far, bytes of the whole file)


class Pin(NamedTuple):
    """What a fetched file must be: its SHA-256 and its size in bytes."""

    sha256: str
    size: int


def fetch(pins: Mapping[str, Pin], url: str, folder: Path, progress: FetchProgress | None = None) -> None:
    """Bring files into a folder over HTTP, each checked by its SHA-256.

    A file that is already there and right is not fetched again, so an interrupted fetch goes on where it was; a file is
    put in place only when it is whole and right. Each file is tried twice.

    Args:
        pins: path below `url` and below `folder` -> what the file must be.
        url, folder: where the files come from, ending in a slash, and where they go, made where it does not exist.
        progress: called as `progress(path, bytes_so_far, bytes_in_all)`.

    Raises:
        OSError: no network, an HTTP error, a file cut short or changed, a server that hangs.
        WriteError: a folder or a disk that takes no more.
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
        except OSError as error:
            reason = error.strerror or str(error)
            raise WriteError(error.errno, f"Could not write {folder / path}: {reason}") from error


def _download(url: str, output: str, store: pooch.Pooch, *, size: int, report: Callable[[int, int], None]) -> None:
    """Write what is at `url` into the file `output`; pooch calls it with the first three arguments."""
    with requests.get(url, stream=True, timeout=TIMEOUT) as response, open(output, "wb") as file:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            report(file.tell(), size)


def _reason(error: Exception) -> str:
    """Why a fetch failed, in a few words; the messages of the HTTP library run over several nested exceptions."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if "timed out" in str(error):  # also raised as a plain ConnectionError, when it happens within the body
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection closed before the whole file had come"
    if isinstance(error, requests.RequestException):
        return f"no connection to the server ({type(error).__name__})"
    return "its SHA-256 is not the pinned one, so the file is damaged or has been changed"
