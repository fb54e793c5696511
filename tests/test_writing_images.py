"""Images are written beside their place, then renamed: at no time is there half a one, and who reads sees a whole."""

import contextlib

import numpy as np
import pytest
from full_disk import no_file_longer_than

from reproduce import read_image, write_image
from reproduce.files import WriteError
from reproduce.images.files import OUTPUT_SUFFIXES, encode_image
from reproduce.solving.report import write_result

BEFORE, AFTER = np.zeros((40, 48, 3), np.float32), np.random.default_rng(0).random((40, 48, 3), np.float32)


def save_image(path, image):
    write_image(path, image)


def save_with_report(path, image):
    write_result(path, image, {"loss": float(image.mean())})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


saves = pytest.mark.parametrize("save", [save_image, save_with_report], ids=lambda save: save.__name__)
suffixes = pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)


@saves
@suffixes
def test_who_has_the_old_image_open_reads_it_whole(tmp_path, save, suffix):
    path = tmp_path / f"out{suffix}"
    save(path, BEFORE)
    old = contents(tmp_path)
    with contextlib.ExitStack() as stack:
        opened = {name: stack.enter_context(open(tmp_path / name, "rb")) for name in old}
        save(path, AFTER)
        assert {name: file.read() for name, file in opened.items()} == old
    assert contents(tmp_path).keys() == old.keys()
    assert all(content != old[name] for name, content in contents(tmp_path).items())
    if suffix not in (".jpg", ".jpeg"):  # whose colours change
        np.testing.assert_allclose(read_image(path), AFTER, atol=0.5 / 255 + 1e-6)


@saves
@suffixes
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path, save, suffix, there):
    path = tmp_path / f"out{suffix}"
    if there:
        save(path, BEFORE)
    old = contents(tmp_path)
    with no_file_longer_than(len(encode_image(path, AFTER)) - 1), pytest.raises(WriteError, match=f"out{suffix}"):
        save(path, AFTER)
    assert contents(tmp_path) == old


@saves
def test_an_end_in_the_middle_leaves_what_was_there(tmp_path, save, monkeypatch):
    """Ctrl-C a second time, while the file is put in place."""
    path = tmp_path / "out.png"
    save(path, BEFORE)
    old = contents(tmp_path)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(path, AFTER)
    assert contents(tmp_path) == old


MAGIC = {
    ".png": b"\x89PNG\r\n\x1a\n",
    ".jpg": b"\xff\xd8\xff",
    ".jpeg": b"\xff\xd8\xff",
    ".tif": b"II*\0",
    ".tiff": b"II*\0",
    ".bmp": b"BM",
}


@suffixes
@pytest.mark.parametrize("capital", [False, True])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_the_format_is_that_of_the_suffix(tmp_path, suffix, channels, capital):
    image = np.full((200, 300, channels) if channels else (200, 300), 0.5, np.float32)
    path = tmp_path / f"out{suffix.upper() if capital else suffix}"
    write_image(path, image)
    content = path.read_bytes()
    assert content.startswith(MAGIC[suffix])
    assert suffix == ".bmp" or len(content) < 0.2 * image.size  # compressed


def test_every_format_that_is_written_is_known_by_its_first_bytes():
    assert set(MAGIC) == set(OUTPUT_SUFFIXES)
