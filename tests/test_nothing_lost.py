"""Disks that fill up and folders that go away while a command writes: what was made, and what was there, is kept."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from test_command_line import HARMONIZE, HEIGHT, PASTE, SELECT, WIDTH, pressing, run, typed, with_images

from reproduce import read_image, write_image
from reproduce.files import WriteError, write_together

PROGRAM = [sys.executable, str(Path(__file__).with_name("program.py"))]
SHORT = ["--scale", "1", "--iterations", "3"]
OLD = {"out.png": b"an older image", "out.json": b'{"application": "harmonize", "settings": {}, "trace": []}'}
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")


@pytest.fixture
def folder(tmp_path):
    return with_images(tmp_path)


@pytest.fixture(autouse=True)
def rescued(tmp_path_factory, monkeypatch):
    """The folder in which this system makes its temporary ones."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Place:
    """A folder for results that can be filled up, or closed for writing."""

    def __init__(self, path, is_disk):
        self.path, self.is_disk = path, is_disk

    def fill(self, leave):
        """Leave so many bytes, a multiple of a page, on the disk."""
        filler = self.path / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, filler.stat().st_size - leave)

    def close(self):
        """Nothing can be written any more."""
        if self.is_disk:
            subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)
        else:
            self.path.chmod(0o555)

    def names(self):
        return {path.name for path in self.path.iterdir()} - {"filler"}


@contextlib.contextmanager
def disk(path, kilobytes=256):
    """A small disk of its own at `path`, if this system lets us mount one."""
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)]
    mounted = shutil.which("mount") and subprocess.run(["mount", *options], capture_output=True).returncode == 0
    try:
        yield bool(mounted)
    finally:
        if mounted:
            subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def small_disk(folder):
    (folder / "disk").mkdir()
    with disk(folder / "disk") as mounted:
        if not mounted:
            pytest.skip("no file system can be mounted here")
        yield Place(folder / "disk", True)


@pytest.fixture
def closing(folder):
    """A place that can be closed for writing, also for root, whom no permission stops."""
    (folder / "disk").mkdir()
    if os.name != "nt" and os.geteuid() != 0:
        yield Place(folder / "disk", False)
        (folder / "disk").chmod(0o755)
        return
    with disk(folder / "disk") as mounted:
        if not mounted:
            pytest.skip("no file system can be mounted here, and permissions do not stop this user")
        yield Place(folder / "disk", True)


def put_old_files(folder):
    for name, content in OLD.items():
        (folder / name).write_bytes(content)


def assert_old_files(folder, *others):
    """They are as they were, and there is nothing beside but what is named."""
    for name, content in OLD.items():
        assert (folder / name).read_bytes() == content
    assert {path.name for path in folder.iterdir()} == {*OLD, *others}


def the_line(capfd):
    """The only line that was printed, without its prefix."""
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("reproduce: error: "), err
    return err.removeprefix("reproduce: error: ").strip()


def rescued_result(line, rescued):
    """What the line says where the result is; there is nothing else."""
    (where,) = re.findall(r"; the result is in (.*)$", line)
    (folder,) = rescued.iterdir()
    where = Path(where)
    assert where.parent == folder and {path.name for path in folder.iterdir()} == {where.name, f"{where.stem}.json"}
    assert folder.stat().st_mode & 0o077 == 0  # nobody else's business
    report = json.loads(where.with_suffix(".json").read_text())
    assert report["iterations"] > 0 and report["loss"]["final"]["total"] < report["loss"]["initial"]["total"]
    image = read_image(where)
    assert image.shape == (HEIGHT, WIDTH, 3)
    return image


def arguments_for(path):
    return [*HARMONIZE, "-o", str(path / "out.png"), *SHORT, "--quiet"]


# A disk that fills up


@pytest.mark.parametrize("leave", [0, 4096, 3 * 4096], ids=["nothing", "less than the image", "only the image"])
def test_a_disk_that_is_full_at_the_end(folder, small_disk, rescued, capfd, monkeypatch, leave):
    put_old_files(small_disk.path)
    with monkeypatch.context() as patch:
        pressing(patch, 2, lambda: small_disk.fill(leave))
        assert run(folder, *arguments_for(small_disk.path), "--iterations", "12") == 1
    line = the_line(capfd)
    assert re.match(r"Could not write \S+/disk/out\.(png|json): No space left on device; the result is in /\S+$", line)
    assert ("out.json:" in line) == (leave == 3 * 4096)
    rescued_result(line, rescued)
    assert_old_files(small_disk.path, "filler")
    os.unlink(small_disk.path / "filler")
    assert run(folder, *arguments_for(small_disk.path)) == 0
    assert small_disk.names() == {"out.png", "out.json"} and len(list(rescued.iterdir())) == 1


def test_a_disk_that_is_full_for_an_intermediate_image(folder, small_disk, rescued, capfd, monkeypatch):
    """The run goes on; the end finds room again."""
    put_old_files(small_disk.path)
    pressing(monkeypatch, 1, lambda: small_disk.fill(4096))
    pressing(monkeypatch, 3, lambda: os.unlink(small_disk.path / "filler"))
    options = ["--iterations", "5", "--save-every", "2"]
    assert run(folder, *arguments_for(small_disk.path), *options) == 1
    line = the_line(capfd)
    assert re.fullmatch(r"Could not write \S+/out_0002\.png: No space left on device; no more intermediate .*", line)
    assert small_disk.names() == {"out.png", "out.json"} and not list(rescued.iterdir())
    assert json.loads((small_disk.path / "out.json").read_text())["iterations"] == 5
    assert read_image(small_disk.path / "out.png").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("command", [SELECT, PASTE], ids=["select", "paste"])
def test_a_disk_that_is_full_for_a_selection_or_a_paste(folder, small_disk, capfd, command):
    names = [word for word in command if word.startswith("OUT")]
    for name in names:
        (small_disk.path / f"{name.lower()}.png").write_bytes(b"older")
    small_disk.fill(0)
    words = [str(small_disk.path / f"{word.lower()}.png") if word in names else word for word in command]
    assert run(folder, *words) == 1
    assert re.fullmatch(r"Could not write \S+/disk/out\S*\.png: No space left on device", the_line(capfd))
    assert small_disk.names() == {f"{name.lower()}.png" for name in names}
    assert all((small_disk.path / name).read_bytes() == b"older" for name in small_disk.names())


def test_the_second_of_two_files_that_does_not_fit_leaves_the_first(small_disk):
    (small_disk.path / "a").write_bytes(b"older")
    small_disk.fill(2 * 4096)
    with pytest.raises(WriteError, match=r"Could not write .*/b: No space left on device"):
        write_together({small_disk.path / "a": bytes(4096), small_disk.path / "b": bytes(8192)})
    assert small_disk.names() == {"a"} and (small_disk.path / "a").read_bytes() == b"older"


# A limit to the size of files, which holds for temporary folders too


def limited(size):
    """For a child: no file may be larger."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@POSIX
def test_a_result_that_can_be_written_nowhere_is_one_line(folder, rescued):
    put_old_files(folder)
    before = {path.name for path in folder.iterdir()}
    process = subprocess.run(
        [*PROGRAM, *typed(folder, [*HARMONIZE, "-o", "OUT", *SHORT, "--quiet", "--save-every", "2"])],
        preexec_fn=limited(5000),  # the report would fit, the image does not
        env=os.environ | {"TMPDIR": str(rescued)},
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout) == (1, "")
    intermediate, result = process.stderr.splitlines()
    assert intermediate.endswith("out_0002.png: File too large; no more intermediate images are written")
    assert re.fullmatch(
        r"reproduce: error: Could not write \S+/out\.png: File too large; "
        r"nor could a temporary folder take the result: Could not write \S+/out\.png: File too large",
        result,
    )
    assert_old_files(folder, *before)
    assert not list(rescued.iterdir())


@POSIX
@pytest.mark.parametrize("command", [SELECT, PASTE], ids=["select", "paste"])
def test_selections_and_pastes_beyond_the_limit(folder, rescued, command):
    write_image(folder / "content.png", np.random.default_rng(0).random((HEIGHT, WIDTH, 3)))
    for name in ("out.png", "out_mask.png"):
        (folder / name).write_bytes(b"older")
    before = {path.name for path in folder.iterdir()}
    words = [*command, "--tolerance", "0.4"] if command is SELECT else command
    process = subprocess.run(
        [*PROGRAM, *typed(folder, words)], preexec_fn=limited(100), capture_output=True, text=True,
        env=os.environ | {"TMPDIR": str(rescued)},
    )  # fmt: skip
    assert (process.returncode, process.stdout) == (1, "")
    assert re.fullmatch(r"reproduce: error: Could not write \S+\.png: File too large\n", process.stderr)
    assert {path.name for path in folder.iterdir()} == before
    assert {(folder / name).read_bytes() for name in ("out.png", "out_mask.png")} == {b"older"}


def test_no_temporary_folder_at_all_is_one_line(folder, capfd, monkeypatch):
    """Neither the place of the result nor any other takes it."""

    def refuse(*arguments, **keywords):
        raise FileNotFoundError(2, "No usable temporary directory found")

    (folder / "away").mkdir()
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    pressing(monkeypatch, 2, lambda: (folder / "away").rmdir())
    assert run(folder, *arguments_for(folder / "away")) == 1
    assert re.fullmatch(
        r"Could not write \S+/out\.png: No such file or directory; nor could a temporary folder take the result: "
        r"No usable temporary directory found",
        the_line(capfd),
    )


# A folder that goes away, or turns read-only


@pytest.mark.parametrize("save_every", [[], ["--save-every", "1"]])
def test_a_folder_that_is_removed_meanwhile(folder, rescued, capfd, monkeypatch, save_every):
    (folder / "away").mkdir()
    pressing(monkeypatch, 1, lambda: shutil.rmtree(folder / "away"))
    assert run(folder, *arguments_for(folder / "away"), *save_every) == 1
    out, err = capfd.readouterr()
    *intermediate, line = err.splitlines()
    assert out == "" and len(intermediate) == bool(save_every) and not (folder / "away").exists()
    if save_every:
        assert re.search(r"error: .*/away.*no more intermediate images are written$", intermediate[0])
    rescued_result(line, rescued)


@pytest.mark.parametrize("save_every", [[], ["--save-every", "1"]])
def test_a_folder_that_turns_read_only_meanwhile(folder, closing, rescued, capfd, monkeypatch, save_every):
    put_old_files(closing.path)
    pressing(monkeypatch, 1, closing.close)
    assert run(folder, *arguments_for(closing.path), *save_every) == 1
    *intermediate, line = capfd.readouterr().err.splitlines()
    assert len(intermediate) == bool(save_every)
    assert re.search(r"Could not write \S+/out\.png: (Read-only file system|Permission denied); the result is", line)
    rescued_result(line, rescued)
    assert_old_files(closing.path, *(["out_0001.png"] if save_every else []))


def test_a_folder_that_takes_the_place_of_the_report_meanwhile(folder, rescued, capfd, monkeypatch):
    """The image is written before it is found out, and must not stay without its report."""
    (folder / "out.png").write_bytes(b"older")
    pressing(monkeypatch, 2, (folder / "out.json").mkdir)
    assert run(folder, *arguments_for(folder)) == 1
    line = the_line(capfd)
    assert "out.json: Is a directory" in line
    rescued_result(line, rescued)
    assert (folder / "out.png").read_bytes() == b"older" and not list(folder.glob(".*"))


def test_what_was_rescued_of_a_stopped_run_is_the_best_so_far(folder, rescued, capfd, monkeypatch):
    (folder / "away").mkdir()

    def press():
        (folder / "away").rmdir()
        signal.raise_signal(signal.SIGTERM)

    pressing(monkeypatch, 2, press)
    assert run(folder, *arguments_for(folder / "away"), "--iterations", "50") == 1
    of_checkpoint, line = capfd.readouterr().err.splitlines()
    assert "out.checkpoint.npz: No such file or directory; --resume will lack what was reached since" in of_checkpoint
    rescued_result(line, rescued)
    (report,) = (json.loads(path.read_text()) for path in rescued.glob("*/out.json"))
    assert report["interrupted"] and report["iterations"] == 2
