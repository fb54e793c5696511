"""What stands in a report, and how it is written."""

import json
import os
import subprocess
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy

from reproduce.errors import InputError
from reproduce.files import WriteError
from reproduce.network import backend
from reproduce.network.backend import keras
from reproduce.solving import report
from reproduce.solving.report import (
    Report,
    check_report_path,
    commit,
    peak_memory,
    reset_peak_memory,
    versions,
    write_result,
)


def test_versions_are_those_that_run():
    found, below_keras = versions(), keras.backend.backend()
    assert found["numpy"] == np.__version__ and found["scipy"] == scipy.__version__
    assert found["keras"] == keras.__version__ and found["opencv"] == cv2.__version__
    assert found[below_keras] == import_module(below_keras).__version__ == version(below_keras)
    assert found["python"].startswith("3.")
    assert set(found) == {"python", "numpy", "scipy", "opencv", *backend.versions()}


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own whose `reproduce/solving/report.py` is asked."""
    solving = tmp_path / "checkout/reproduce/solving"
    solving.mkdir(parents=True)
    (solving / "report.py").write_text("")
    git(tmp_path / "checkout", "init", "-q")
    monkeypatch.setattr(report, "__file__", str(solving / "report.py"))
    return tmp_path / "checkout"


def test_commit_and_whether_there_are_changes(checkout):
    assert commit() is None  # nothing committed yet
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    head = git(checkout, "rev-parse", "HEAD")
    assert commit() == {"commit": head, "dirty": False}
    (checkout / "notes.txt").write_text("beside the package")
    assert commit() == {"commit": head, "dirty": False}
    (checkout / "reproduce/solving/report.py").write_text("changed")
    assert commit() == {"commit": head, "dirty": True}


@pytest.mark.parametrize("where", ["reproduce/a.py", "reproduce/images/a.py"])
def test_a_change_anywhere_in_the_package_counts(checkout, where):
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    (checkout / where).parent.mkdir(exist_ok=True)
    (checkout / where).write_text("new")
    assert commit()["dirty"]


def test_no_checkout_no_git(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "__file__", str(tmp_path / "reproduce/solving/report.py"))
    (tmp_path / "reproduce/solving").mkdir(parents=True)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert commit() is None


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


REPORT = Report(
    application="stylize", settings={"scale": 0.5}, inputs={"content": "aa"}, weights={"source": "random"},
    size={"input": [3, 4]}, iterations=2, evaluations=3, seconds=1.5, seconds_per_evaluation=0.5, peak_memory_bytes=9,
    loss={}, stop_reason="enough", interrupted=False, notices=[], versions={}, device={"name": "CPU"}, git=None,
    trace=[{"loss": 1.0}],
)  # fmt: skip


def test_a_report_leaves_out_only_what_its_run_had_no_use_for():
    as_dict = REPORT.as_dict()
    assert "corners" not in as_dict and "background" not in as_dict
    assert as_dict["git"] is None and as_dict["loss"] == {} and as_dict["iterations"] == 2
    assert as_dict["notices"] == []
    both = replace(REPORT, corners=[[0.0, 1.0]], background=replace(REPORT, iterations=7)).as_dict()
    assert both == as_dict | {"corners": [[0.0, 1.0]], "background": as_dict | {"iterations": 7}}
    assert json.loads(json.dumps(both)) == both


# Beside the image


IMAGE = np.zeros((4, 6, 3), np.float32)


def test_the_report_lies_beside_the_image(tmp_path):
    written = {"loss": {"final": 0.1 + 0.2}, "size": [3, 4], "git": None}
    write_result(tmp_path / "a.b.png", IMAGE, written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.json", "a.b.png"]
    assert json.loads((tmp_path / "a.b.json").read_text()) == written
    assert read_image_size(tmp_path / "a.b.png") == (4, 6)


def read_image_size(path):
    return cv2.imread(str(path)).shape[:2]


def test_a_report_that_is_no_json_leaves_the_image_and_the_report_that_were_there(tmp_path):
    for name in ("out.json", "out.png"):
        (tmp_path / name).write_text("the last one")
    with pytest.raises(TypeError):
        write_result(tmp_path / "out.png", IMAGE, {"not": {"json"}})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("out.json", "out.png"), "the last one"
    )


def test_a_report_that_cannot_be_written_leaves_the_image_that_was_there(tmp_path):
    (tmp_path / "out.png").write_text("the last one")
    (tmp_path / "out.json").mkdir()
    with pytest.raises(WriteError, match=r"Could not write .*out\.json: Is a directory"):
        write_result(tmp_path / "out.png", IMAGE, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.png"]
    assert (tmp_path / "out.png").read_text() == "the last one"


def test_a_report_of_ours_or_nothing_may_be_replaced(tmp_path):
    assert check_report_path(tmp_path / "out.png") == tmp_path / "out.json"
    write_result(tmp_path / "out.png", IMAGE, REPORT.as_dict())
    before = (tmp_path / "out.json").read_bytes()
    assert check_report_path(tmp_path / "out.jpg") == tmp_path / "out.json"
    assert (tmp_path / "out.json").read_bytes() == before
    write_result(tmp_path / "out.png", IMAGE, {"preset": "paper"} | replace(REPORT, background=REPORT).as_dict())
    check_report_path(tmp_path / "out.png")


OTHERS = {
    "settings of an editor": b'{"editor.tabSize": 4, "settings": {}}',
    "a list": b'[{"application": "stylize", "settings": {}, "trace": []}]',
    "a text": b'"application settings trace"',
    "half a report": json.dumps(REPORT.as_dict()).encode()[:-20],
    "nothing": b"",
    "an image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe",
    "brackets": b"[" * 200_000,
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_report_of_ours_is_not_replaced(tmp_path, name):
    (tmp_path / "out.json").write_bytes(OTHERS[name])
    with pytest.raises(InputError, match=r"a place for the report\. Received: a file that is no report.*out\.json"):
        check_report_path(tmp_path / "out.png")
    assert (tmp_path / "out.json").read_bytes() == OTHERS[name]


def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(InputError, match="a folder"):
        check_report_path(tmp_path / "a.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b.json")  # which nobody writes into: reading it would wait for ever
        with pytest.raises(InputError, match="no report"):
            check_report_path(tmp_path / "b.png")
