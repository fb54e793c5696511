"""Files are written whole or not at all, and named by what is in them."""

import errno
import hashlib
import os
import re
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from reproduce.files import WriteError, array_sha256, check_folder, same_file, sha256, write_atomically, write_together


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the process's umask for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


# Writing


def test_the_file_is_what_was_written(tmp_path):
    seen = []

    def write(temporary):
        seen.append(temporary)
        assert not (tmp_path / "out.png").exists()
        temporary.write_text("image")

    write_atomically(tmp_path / "out.png", write)
    assert (tmp_path / "out.png").read_text() == "image"
    assert list(tmp_path.iterdir()) == [tmp_path / "out.png"]
    # A rename is atomic within one file system, and what writes images goes by the suffix.
    assert seen[0].parent == tmp_path and seen[0].suffix == ".png" and seen[0].name != "out.png"


def test_a_file_that_is_there_is_replaced(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("the last one")
    write_atomically(path, lambda temporary: temporary.write_text("the next one"))
    assert path.read_text() == "the next one" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mask, expected", [(0o027, 0o640), (0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_the_users_umask_is_honoured(tmp_path, umask, mask, expected):
    umask(mask)
    write_atomically(tmp_path / "out.txt", lambda temporary: temporary.write_text("text"))
    assert permissions(tmp_path / "out.txt") == expected
    beside = tmp_path / "beside.txt"
    beside.write_text("text")
    assert permissions(beside) == expected  # as any other new file's


def test_the_processs_umask_is_never_changed(tmp_path, umask, monkeypatch):
    """It belongs to all threads: a file that another one makes meanwhile would have other permissions."""
    umask(0o027)

    def refuse(mask):
        raise AssertionError("the umask was changed")

    monkeypatch.setattr(os, "umask", refuse)
    write_atomically(tmp_path / "out.txt", lambda temporary: temporary.write_text("text"))
    assert permissions(tmp_path / "out.txt") == 0o640
    monkeypatch.undo()
    assert umask(0o027) == 0o027


def test_several_threads_write_at_once(tmp_path, umask):
    """Each its own file, and all of them one file: no temporary file is another's."""
    umask(0o027)
    threads, rounds = 8, 10
    together = Barrier(threads, timeout=30)

    def work(number):
        for turn in range(rounds):
            text = f"{number} {turn} " * 1000

            def write(temporary, text=text):
                together.wait()
                temporary.write_text(text)

            write_atomically(tmp_path / f"own {number}", write)
            write_atomically(tmp_path / "everyone's", write)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    assert len(list(tmp_path.iterdir())) == threads + 1
    last = {f"{number} {rounds - 1} " * 1000 for number in range(threads)}
    assert {(tmp_path / f"own {number}").read_text() for number in range(threads)} == last
    assert (tmp_path / "everyone's").read_text() in last
    assert {permissions(path) for path in tmp_path.iterdir()} == {0o640}
    assert umask(0o027) == 0o027


@pytest.mark.parametrize("error", [OSError, TypeError, KeyboardInterrupt])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_no_trace(tmp_path, error, started, there):
    path = tmp_path / "out.json"
    if there:
        path.write_text("the last one")
        path.chmod(0o600)

    def write(temporary):
        if started:
            temporary.write_text("ha")
        raise error("no more")

    with pytest.raises(error, match="no more"):
        write_atomically(path, write)
    assert list(tmp_path.iterdir()) == ([path] if there else [])
    if there:
        assert path.read_text() == "the last one" and permissions(path) == 0o600


@pytest.mark.parametrize("name", ["n" * 250 + ".json", "\N{CJK UNIFIED IDEOGRAPH-753B}" * 83 + ".png"], ids=len)
def test_a_long_name_is_written_too(tmp_path, name):
    """A file system takes names of up to 255 bytes: the temporary file's must not be longer than the file's."""
    path = tmp_path / name
    write_atomically(path, lambda temporary: temporary.write_text("text"))
    assert list(tmp_path.iterdir()) == [path]


# Several files together


def test_files_that_belong_together_are_all_written(tmp_path, umask):
    umask(0o027)
    (tmp_path / "a.png").write_text("the last one")
    write_together({tmp_path / "a.png": b"image", tmp_path / "a.json": b"report"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.png": b"image", "a.json": b"report"}
    assert {permissions(path) for path in tmp_path.iterdir()} == {0o640}
    write_together({})


def spoil_folder(folder):
    """A folder is in the place of the second file: it is written, but cannot be renamed."""
    (folder / "b").mkdir()
    return folder / "b"


def spoil_nowhere(folder):
    """There is no folder for the second file: it cannot be written."""
    return folder / "nowhere/b"


@pytest.mark.parametrize("spoil", [spoil_folder, spoil_nowhere])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_where_one_cannot_be_written_all_stay_as_they_were(tmp_path, spoil, there, order):
    first, second = tmp_path / "a.png", spoil(tmp_path)
    if there:
        first.write_text("the last one")
        first.chmod(0o600)
        before = first.stat()
    writes = {first: b"image", second: b"report"}
    with pytest.raises(WriteError, match=f"^.Errno [0-9]+. Could not write {re.escape(str(second))}: ") as caught:
        write_together(dict(list(writes.items())[::order]))
    assert isinstance(caught.value, OSError) and caught.value.errno
    assert set(tmp_path.iterdir()) == ({first} if there else set()) | ({second} if second.exists() else set())
    if there:
        assert first.read_text() == "the last one" and permissions(first) == 0o600
        assert first.stat().st_ino == before.st_ino and first.stat().st_nlink == 1


@pytest.mark.parametrize("failing", range(3))
def test_of_three_files_any_may_fail_to_be_renamed(tmp_path, monkeypatch, failing):
    """Also a name that points to another file stays what it was."""
    (tmp_path / "target").write_text("pointed at")
    (tmp_path / "a").symlink_to(tmp_path / "target")
    (tmp_path / "b").write_text("old b")
    replace, count = Path.replace, 0

    def refuse_one(self, target):
        nonlocal count
        count += 1
        if count == failing + 1:
            raise OSError(errno.EPERM, "Operation not permitted")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_one)
    with pytest.raises(WriteError, match=rf"Could not write .*/{'abc'[failing]}: Operation not permitted"):
        write_together({tmp_path / name: b"new" for name in "abc"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "target"]
    assert (tmp_path / "a").is_symlink() and (tmp_path / "a").read_text() == "pointed at"
    assert (tmp_path / "b").read_text() == "old b"


def test_without_second_names_files_are_written_all_the_same(tmp_path, monkeypatch):
    """Not every file system has hard links."""

    def refuse(*arguments, **keywords):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    for content in (b"first", b"second"):
        write_together({tmp_path / "a": content, tmp_path / "b": content})
        assert {path.read_bytes() for path in tmp_path.iterdir()} == {content} and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_disk_that_fills_or_a_signal_in_the_second_file_leaves_the_first(tmp_path, monkeypatch, error):
    (tmp_path / "a.png").write_text("the last one")
    write_bytes = Path.write_bytes

    def fill_up(self, content):
        write_bytes(self, content[:3])
        if content == b"report":
            raise error

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises((WriteError, KeyboardInterrupt)):
        write_together({tmp_path / "a.png": b"image", tmp_path / "a.json": b"report"})
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"] and (tmp_path / "a.png").read_text() == "the last one"


# The same file


def test_a_file_is_the_same_however_it_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "way").symlink_to("folder", target_is_directory=True)
    os.link(tmp_path / "a", tmp_path / "hard")
    monkeypatch.chdir(tmp_path)
    for spelled in ("a", "./a", "folder/../a", str(tmp_path / "a"), "link", "hard", "way/../a"):
        assert same_file(Path(spelled), tmp_path / "a") and same_file(tmp_path / "a", Path(spelled)), spelled
        assert not same_file(Path(spelled), tmp_path / "b")
    assert same_file(Path("way/new"), tmp_path / "folder/new")  # which are nowhere yet
    assert not same_file(Path("way/new"), Path("new")) and not same_file(Path("a"), Path("new"))


# Folders


def test_a_folder_is_checked_and_left_as_it_was(tmp_path):
    check_folder(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_folder(tmp_path / "file")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    """Whatever forbids it: root, who runs some tests, no permission stops."""

    def refuse(dir):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=r"cannot be written: .* \(Read-only file system\)"):
        check_folder(tmp_path)


# Names


def test_a_digest_is_that_of_the_bytes(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert array_sha256(array) == hashlib.sha256(array.tobytes()).hexdigest()
    assert array_sha256(array.T.copy().T) == array_sha256(array)  # the values, not their layout
    assert array_sha256(array + 1) != array_sha256(array)
    (tmp_path / "file").write_bytes(array.tobytes())
    assert sha256(tmp_path / "file") == sha256(str(tmp_path / "file")) == array_sha256(array)


def test_digests_of_nothing_and_of_abc_by_the_standard(tmp_path):
    """FIPS 180-4's own examples."""
    for content, digest in (
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ):
        (tmp_path / "file").write_bytes(content)
        assert sha256(tmp_path / "file") == digest
