"""What stands in a report, and how it is written."""

import hashlib
import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import scipy
import tensorflow

from reproduce import report
from reproduce.report import array_sha256, environment, peak_memory, reset_peak_memory, write_report


def test_versions_are_those_that_run():
    versions = environment()["versions"]
    assert versions["numpy"] == np.__version__ and versions["scipy"] == scipy.__version__
    assert versions["keras"] == keras.__version__ and versions["opencv"] == cv2.__version__
    assert versions["tensorflow"] == tensorflow.__version__ == version("tensorflow")
    assert versions["python"].startswith("3.")


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own whose `reproduce/report.py` is asked."""
    package = tmp_path / "checkout/reproduce"
    package.mkdir(parents=True)
    (package / "report.py").write_text("")
    git(tmp_path / "checkout", "init", "-q")
    monkeypatch.setattr(report, "__file__", str(package / "report.py"))
    return tmp_path / "checkout"


def test_commit_and_whether_there_are_changes(checkout):
    assert environment()["git"] is None  # nothing committed yet
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    commit = git(checkout, "rev-parse", "HEAD")
    assert environment()["git"] == {"commit": commit, "dirty": False}
    (checkout / "reproduce/report.py").write_text("changed")
    assert environment()["git"] == {"commit": commit, "dirty": True}


def test_no_checkout_no_git(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "__file__", str(tmp_path / "report.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git"] is None
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert environment()["git"] is None


def test_a_digest_is_that_of_the_bytes():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert array_sha256(array) == hashlib.sha256(array.tobytes()).hexdigest()
    assert array_sha256(array.T.copy().T) == array_sha256(array)  # the values, not their layout
    assert array_sha256(array + 1) != array_sha256(array)


def test_peak_memory_is_of_this_run_only():
    size = 200_000_000
    reset_peak_memory()
    before = peak_memory()
    array = np.ones(size, np.uint8)
    during = peak_memory()
    del array
    assert during - before > 0.9 * size
    assert peak_memory() > during - size // 10  # a peak stays one (Linux counts it to a few pages per thread)
    reset_peak_memory()
    if Path("/proc/self/clear_refs").exists():
        assert peak_memory() < during - size // 2


def test_the_report_lies_beside_the_image(tmp_path):
    written = {"loss": {"final": 0.1 + 0.2}, "size": [3, 4], "git": None}
    write_report(tmp_path / "a.b.png", written)
    assert [path.name for path in tmp_path.iterdir()] == ["a.b.json"]
    assert json.loads((tmp_path / "a.b.json").read_text()) == written


def test_half_a_report_is_never_left(tmp_path):
    (tmp_path / "out.json").write_text("the last one")
    with pytest.raises(TypeError):
        write_report(tmp_path / "out.png", {"not": {"json"}})
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert (tmp_path / "out.json").read_text() == "the last one"
