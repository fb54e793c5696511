"""Where a report goes and what it never replaces; that it and its image are written both or not at all."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reproduce import InputError, read_image
from reproduce.files import WriteError
from reproduce.solving import report
from reproduce.solving.report import Report, check_report_path, commit, peak_memory, reset_peak_memory, write_result

IMAGE = np.random.default_rng(0).random((20, 24, 3), np.float32)
CAFE = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
OURS = {"application": "stylize", "settings": {"scale": 0.5}, "trace": [], "inputs": {CAFE: "0"}}


# Its place


def test_the_place_is_beside_the_image_by_its_name(tmp_path):
    assert check_report_path(tmp_path / "a.b.png") == tmp_path / "a.b.json"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("written", [OURS, {"application": "stylize", "settings": {}, "trace": []}], ids=len)
def test_a_report_may_be_replaced(tmp_path, written):
    write_result(tmp_path / "out.png", IMAGE, written)
    assert check_report_path(tmp_path / "out.png") == tmp_path / "out.json"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[1, 2]",
        b'["application", "settings", "trace"]',
        b'"application settings trace"',
        b"{}",
        b'{"application": 1, "settings": 2}',
        b'{"settings": 1, "trace": 2, "name": "my-project"}',
        b"not JSON",
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=lambda content: content[:40].decode("latin-1"),
)
def test_another_file_is_never_replaced(tmp_path, content):
    (tmp_path / "out.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a place for the report\. Received: a file that is no report.*out\.json"):
        check_report_path(tmp_path / "out.png")
    assert (tmp_path / "out.json").read_bytes() == content


def test_nor_is_a_folder(tmp_path):
    (tmp_path / "out.json").mkdir()
    with pytest.raises(InputError, match=r"a place for the report\. Received: a folder: .*out\.json"):
        check_report_path(tmp_path / "out.png")


# Writing


def test_image_and_report_are_what_was_given(tmp_path):
    write_result(tmp_path / "a.b.png", IMAGE, OURS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.json", "a.b.png"]
    np.testing.assert_allclose(read_image(tmp_path / "a.b.png"), IMAGE, atol=0.5 / 255 + 1e-6)
    text = (tmp_path / "a.b.json").read_text(encoding="utf-8")
    assert json.loads(text) == OURS
    assert text.endswith("}\n") and '\n "settings": {\n  "scale": 0.5\n },' in text  # for people, too


def test_what_is_no_json_leaves_both_as_they_were(tmp_path):
    write_result(tmp_path / "out.png", IMAGE, OURS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TypeError):
        write_result(tmp_path / "out.png", 1 - IMAGE, {"not": {"json"}})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("which", ["image", "report"])
def test_a_full_disk_leaves_both_as_they_were(tmp_path, which, there):
    """A limit on the length of files does what a full disk does; it lets the shorter of the two pass."""
    resource = pytest.importorskip("resource")
    if there:
        write_result(tmp_path / "out.png", IMAGE, OURS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    longer = OURS | {"trace": [0.5] * (10_000 if which == "report" else 0)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000 if which == "report" else 500, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"Could not write .*out\.(png|json): File too large"):
            write_result(tmp_path / "out.png", 1 - IMAGE, longer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# Its values


@pytest.mark.parametrize("status", ["VmPeak:\t  999 kB\nVmHWM:\t  1234 kB\nVmRSS:\t  77 kB\n"])
def test_the_peak_is_the_one_that_the_system_keeps(status, monkeypatch):
    read = []

    def read_text(path):
        read.append(path)
        return status

    monkeypatch.setattr(Path, "read_text", read_text)
    assert peak_memory() == 1234 * 1024 and read == [Path("/proc/self/status")]


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
@pytest.mark.parametrize("status", [None, "VmPeak:\t  999 kB\n"], ids=["no /proc", "another kind of it"])
def test_where_the_system_keeps_none_it_is_the_process_s(platform, unit, status, monkeypatch):
    """Which macOS counts in bytes."""
    resource = pytest.importorskip("resource")

    def read_text(path):
        if status is None:
            raise FileNotFoundError(path)
        return status

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: {resource.RUSAGE_SELF: SimpleNamespace(ru_maxrss=7)}[who])
    assert peak_memory() == 7 * unit
    reset_peak_memory()  # where that cannot be, nothing happens


def test_a_report_cannot_be_changed():
    known = dict.fromkeys(Report.__dataclass_fields__)
    with pytest.raises(FrozenInstanceError):
        Report(**known).loss = {}


def test_an_installed_copy_in_another_project_s_checkout_has_no_commit(tmp_path, monkeypatch):
    """Its package is not among the files that this checkout tracks."""

    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    package = tmp_path / "venv" / "reproduce"
    (package / "solving").mkdir(parents=True)
    (package / "solving" / "report.py").write_text("")
    (tmp_path / "theirs.py").write_text("")
    monkeypatch.setattr(report, "__file__", str(package / "solving" / "report.py"))
    git("init", "-q")
    git("add", "theirs.py")
    git("commit", "-q", "-m", "theirs")
    assert commit() is None
    git("add", ".")
    git("commit", "-q", "-m", "ours")
    assert commit()["dirty"] is False
