"""Reading whatever people have, refusing what is no image, writing all or nothing."""

import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from files_by_hand import UPRIGHT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from reproduce.errors import InputError
from reproduce.files import sha256, write_atomically
from reproduce.images import arrays as image_arrays
from reproduce.images.arrays import (
    check_image,
    check_same_size,
    is_grey,
    over,
    resize,
    scaled_shape,
    split_alpha,
    to_bytes,
    to_grey,
)
from reproduce.images.files import check_output, encode_image, read_image, read_mask, read_picture, write_image

HEIGHT, WIDTH = 20, 30
BYTES = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)  # RGBA
COLOR, ALPHA = BYTES[..., :3] / 255, BYTES[..., 3] / 255
EPSILON = 1e-6


@pytest.fixture
def save(tmp_path):
    """Save an array in OpenCV's order of channels; return the path."""

    def write(array, name="image.png"):
        assert cv2.imwrite(str(tmp_path / name), array)
        return tmp_path / name

    return write


# Reading.


def test_color(save):
    image = read_image(save(BYTES[..., 2::-1]))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, COLOR, atol=EPSILON)


def test_grey(save):
    path = save(BYTES[..., 0])
    np.testing.assert_allclose(read_image(path), np.repeat(COLOR[..., :1], 3, axis=2), atol=EPSILON)
    np.testing.assert_allclose(read_mask(path), COLOR[..., 0], atol=EPSILON)


@pytest.mark.parametrize("name", ["sixteen.png", "sixteen.tiff"])
def test_sixteen_bits(save, name):
    deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)
    np.testing.assert_allclose(read_image(save(deep, name)), deep[..., ::-1] / 65535, atol=EPSILON)


def test_transparency_is_composited_over_white_and_is_the_mask(save):
    path = save(BYTES[..., [2, 1, 0, 3]])
    np.testing.assert_allclose(read_image(path), COLOR * ALPHA[..., None] + 1 - ALPHA[..., None], atol=EPSILON)
    np.testing.assert_allclose(read_mask(path), ALPHA, atol=EPSILON)


def test_sixteen_bit_transparency(save):
    deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 4), np.uint16)
    color, alpha = deep[..., 2::-1] / 65535, deep[..., 3:] / 65535
    path = save(deep)
    np.testing.assert_allclose(read_image(path), color * alpha + 1 - alpha, atol=EPSILON)
    np.testing.assert_allclose(read_mask(path), alpha[..., 0], atol=EPSILON)


def test_opaque_alpha_is_no_mask(save):
    """Many programs add a channel of full opacity: the mask is then what the picture shows."""
    white_left = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    white_left[:, :10] = 255
    white_left[..., 3] = 255
    mask = read_mask(save(white_left))
    assert mask[:, :10].min() == 1 and mask[:, 10:].max() == 0


def test_palette(tmp_path):
    indices = np.random.default_rng(2).integers(0, 3, (HEIGHT, WIDTH), np.uint8)
    palette = np.array([[255, 0, 0], [0, 128, 0], [10, 20, 30]], np.uint8)
    path = write_png(tmp_path / "palette.png", indices, color_type=3, PLTE=palette.tobytes())
    np.testing.assert_allclose(read_image(path), palette[indices] / 255, atol=EPSILON)


def test_palette_with_a_transparent_color(tmp_path):
    indices = np.tile(np.arange(2, dtype=np.uint8), (HEIGHT, WIDTH // 2))
    chunks = {"PLTE": bytes([200, 100, 50, 0, 0, 0]), "tRNS": bytes([255, 0])}
    path = write_png(tmp_path / "palette.png", indices, color_type=3, **chunks)
    assert np.unique(read_image(path).reshape(-1, 3), axis=0) == pytest.approx(
        np.array([[200 / 255, 100 / 255, 50 / 255], [1, 1, 1]])
    )
    np.testing.assert_array_equal(read_mask(path), 1 - indices)


def test_grey_with_transparency(tmp_path):
    path = write_png(tmp_path / "grey.png", BYTES[..., 2:], color_type=4)
    expected = COLOR[..., 2] * ALPHA + 1 - ALPHA
    np.testing.assert_allclose(read_image(path), np.repeat(expected[..., None], 3, axis=2), atol=EPSILON)
    np.testing.assert_allclose(read_mask(path), ALPHA, atol=EPSILON)


def test_one_bit(tmp_path):
    packed = np.random.default_rng(3).integers(0, 256, (HEIGHT, 4), np.uint8)
    path = write_png(tmp_path / "bits.png", packed, color_type=0, depth=1, width=32)
    np.testing.assert_array_equal(read_mask(path), np.unpackbits(packed, axis=1))


def test_cmyk_jpeg(tmp_path):
    ink = np.zeros((32, 32, 4), np.uint8)
    ink[:, :16, 0] = 255  # cyan beside white
    Image.frombytes("CMYK", (32, 32), ink.tobytes()).save(tmp_path / "cmyk.jpg", quality=95)
    image = read_image(tmp_path / "cmyk.jpg")
    np.testing.assert_allclose(image[:, :12], np.broadcast_to([0.0, 1.0, 1.0], (32, 12, 3)), atol=0.05)
    np.testing.assert_allclose(image[:, 20:], 1, atol=0.05)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path, orientation):
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32] = 200  # the corners, on JPEG's grid of blocks, mark which way is up
    stored[16:, 32:] = 90
    path = write_with_exif(tmp_path / "photo.jpg", stored, orientation)
    upright = UPRIGHT[orientation](stored) / 255
    image = read_image(path)
    assert image.shape == upright.shape
    np.testing.assert_allclose(image, upright, atol=0.02)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_turns_the_transparency_too(tmp_path, orientation):
    path = write_with_exif(tmp_path / "cutout.png", BYTES, orientation)
    upright = UPRIGHT[orientation](BYTES) / 255
    color, alpha = upright[..., :3], upright[..., 3:]
    np.testing.assert_allclose(read_mask(path), alpha[..., 0], atol=EPSILON)
    np.testing.assert_allclose(read_image(path), color * alpha + 1 - alpha, atol=EPSILON)


def test_float_image_is_clipped(save):
    values = np.linspace(-1, 2, HEIGHT * WIDTH * 3, dtype=np.float32).reshape(HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(read_image(save(values, "float.tiff")), np.clip(values, 0, 1)[..., ::-1])


# Refusing.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_image_that_is_not_finite(save, value):
    values = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    values[3, 4, 1] = value
    with pytest.raises(InputError, match="not finite"):
        read_image(save(values, "float.tiff"))


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_missing_file(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match=r"No such file: .*nowhere\.png"):
        reader(tmp_path / "nowhere.png")


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_folder(tmp_path, reader):
    with pytest.raises(InputError, match="Received a folder"):
        reader(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a text, no image", b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_not_an_image(tmp_path, content):
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(InputError, match=r"Not an image, or a damaged one: .*image.png"):
        read_image(tmp_path / "image.png")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_truncated_file(save, capfd, suffix, share):
    path = save(np.random.default_rng(4).integers(0, 256, (60, 80, 3), np.uint8), f"image{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="Not an image, or a damaged one"):
        read_image(path)
    assert capfd.readouterr() == ("", "")  # the codecs, written in C, would have something to say


def test_corrupt_file(save, capfd):
    path = save(np.random.default_rng(4).integers(0, 256, (60, 80, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="Not an image, or a damaged one"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_standard_error_comes_back_after_reading(save, capfd):
    read_image(save(BYTES[..., :3]))
    os.write(2, b"audible")
    assert capfd.readouterr().err == "audible"


def test_standard_error_comes_back_after_several_threads_have_read(save, capfd):
    """The descriptor is the whole process's: the last that wants silence gives it back."""
    path = save(np.random.default_rng(4).integers(0, 256, (60, 80, 3), np.uint8))
    damaged = path.with_name("damaged.png")
    damaged.write_bytes(path.read_bytes()[:-100])

    def read(number):
        if number % 2:
            return read_image(path)
        with pytest.raises(InputError, match="Not an image, or a damaged one"):
            read_image(damaged)
        return None

    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(read, range(64)))
    assert all(np.array_equal(image, images[1]) for image in images[1::2])
    assert capfd.readouterr() == ("", "")
    os.write(2, b"audible")
    assert capfd.readouterr().err == "audible"


@pytest.mark.parametrize("shape", [(1, 1), (15, 40), (40, 15)])
def test_too_small(save, shape):
    with pytest.raises(InputError, match=f"at least 16 pixels on each side. Received: {shape[1]} x {shape[0]}"):
        read_image(save(np.zeros(shape, np.uint8)))


def test_smallest(save):
    assert read_image(save(np.zeros((16, 16), np.uint8))).shape == (16, 16, 3)


@pytest.fixture
def huge(tmp_path):
    """12000 x 9000 pixels of one bit, zeros all: 15 kB of file."""
    packed = np.zeros((9000, 1500), np.uint8)
    return write_png(tmp_path / "huge.png", packed, color_type=0, depth=1, width=12000)


LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"


def execute(*arguments, **environment):
    """Python in a process of its own, with the environment of the tests but for OpenCV's limit."""
    inherited = {name: value for name, value in os.environ.items() if name != LIMIT}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env=inherited | environment,
    )


def test_over_a_hundred_megapixels_are_refused_by_program_and_library(huge, tmp_path):
    """OpenCV has a limit of its own, from the environment, which is the user's: ours does not depend on it."""
    code = "import sys; from reproduce import read_mask; read_mask(sys.argv[1])"
    program = ["-m", "reproduce", "select", huge, "--seed", "3,4", "-o", tmp_path / "out.png"]
    message = f"Expected {huge} of at most 100 megapixels. Received: 12000 x 9000"
    for environment in ({}, {LIMIT: "200000000"}):
        process = execute(*program, **environment)
        assert (process.returncode, process.stdout) == (2, "")
        assert process.stderr == f"reproduce: error: {message}\n"
    process = execute("-c", code, huge)
    assert process.returncode == 1 and process.stderr.splitlines()[-1].endswith(message)


def test_the_limit_is_a_number_of_pixels(save, monkeypatch):
    path = save(BYTES[..., :3])
    monkeypatch.setattr(image_arrays, "MAXIMUM_PIXELS", 30 * 20)
    assert read_image(path).shape == (20, 30, 3)
    monkeypatch.setattr(image_arrays, "MAXIMUM_PIXELS", 30 * 20 - 1)
    with pytest.raises(InputError, match="Received: 30 x 20"):
        read_image(path)


def test_only_the_program_changes_the_environment():
    """Whoever imports the library keeps the variables of the process; what it needs, it is told."""
    code = """
import os, pkgutil, importlib
import cv2, h5py, scipy.optimize, tqdm  # what they set is their own business
before = dict(os.environ)
import reproduce
names = [module.name for module in pkgutil.walk_packages(reproduce.__path__, "reproduce.")]
for name in names:
    if name != "reproduce.__main__":
        importlib.import_module(name)
for name in reproduce.__all__:
    getattr(reproduce, name)
assert len(names) > 30, names
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
import reproduce.__main__
changed = {name for name, value in os.environ.items() if before.get(name) != value}
assert "OPENCV_IO_MAX_IMAGE_PIXELS" in changed and os.environ.items() >= before.items(), changed
"""
    process = execute("-c", code)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


# Writing.


@given(arrays.arrays(np.uint8, st.tuples(st.integers(16, 24), st.integers(16, 24), st.sampled_from([1, 3]))))
def test_eight_bits_survive_a_round_trip(tmp_path_factory, pixels):
    path = tmp_path_factory.getbasetemp() / "round_trip.png"
    image = (pixels if pixels.shape[2] == 3 else pixels[..., 0]).astype(np.float32) / 255
    write_image(path, image)
    again = read_image(path)
    np.testing.assert_array_equal(to_bytes(again), np.broadcast_to(pixels, again.shape))
    np.testing.assert_array_equal(to_bytes(image), pixels.squeeze(2) if image.ndim == 2 else pixels)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif", ".tiff"])
@pytest.mark.parametrize("image", [COLOR, ALPHA], ids=["image", "mask"])
def test_lossless_formats(tmp_path, suffix, image):
    write_image(tmp_path / f"out{suffix}", image)
    read = read_image if image.ndim == 3 else read_mask
    np.testing.assert_allclose(read(tmp_path / f"out{suffix}"), image, atol=EPSILON)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg(tmp_path, suffix):
    smooth = np.linspace(0, 1, 32 * 32 * 3).reshape(32, 32, 3)
    write_image(tmp_path / f"out{suffix}", smooth)
    np.testing.assert_allclose(read_image(tmp_path / f"out{suffix}"), smooth, atol=0.05)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".TIF"])
def test_transparency_is_kept_where_the_format_knows_it(tmp_path, suffix):
    """Colours under what is transparent too."""
    write_image(tmp_path / f"out{suffix}", BYTES / 255)
    with Image.open(tmp_path / f"out{suffix}") as file:
        assert file.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(file), BYTES)
    picture = read_picture(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(to_bytes(picture.layer), BYTES)


def test_a_tiff_says_what_its_fourth_channel_is(tmp_path):
    write_image(tmp_path / "out.tiff", BYTES / 255)
    with tifffile.TiffFile(tmp_path / "out.tiff") as file:
        assert [extra.name for extra in file.pages[0].extrasamples] == ["UNASSALPHA"]


@pytest.mark.parametrize("suffix, tolerance", [(".bmp", 0.51 / 255), (".jpg", 0.05), (".jpeg", 0.05)])
def test_transparency_is_composited_over_white_where_the_format_does_not_know_it(tmp_path, suffix, tolerance):
    rows, columns = np.mgrid[:32, :32] / 31
    image = np.dstack([rows, columns, rows * columns, (rows + columns) / 2])
    write_image(tmp_path / f"out{suffix}", image)
    with Image.open(tmp_path / f"out{suffix}") as file:
        assert file.mode == "RGB"
        alpha = image[..., 3:]
        np.testing.assert_allclose(np.asarray(file) / 255, image[..., :3] * alpha + 1 - alpha, atol=tolerance)


@pytest.mark.parametrize("image", [
    BYTES[..., :3], BYTES[..., 0], BYTES[..., :1], BYTES, BYTES[..., :3].astype(np.uint16) * 257, BYTES[..., 0] > 99,
], ids=["bytes", "grey", "one channel", "RGBA", "16 bits", "bool"])  # fmt: skip
def test_unsigned_integers_are_written_as_what_they_are(tmp_path, image):
    before = image.copy()
    write_image(tmp_path / "out.png", image)
    with Image.open(tmp_path / "out.png") as file:
        written = np.asarray(file)
    scale = {np.dtype(bool): 255, np.dtype(np.uint8): 1, np.dtype(np.uint16): 1 / 257}[image.dtype]
    np.testing.assert_array_equal(written, (image.squeeze() if image.shape[-1] == 1 else image) * scale)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("image, received", [
    (np.zeros((20, 30, 2)), r"\(20, 30, 2\)"),
    (np.zeros((20, 30, 5)), r"\(20, 30, 5\)"),
    (np.zeros((1, 20, 30, 3)), r"\(1, 20, 30, 3\)"),
    (np.zeros(20), r"\(20,\)"),
    (np.zeros((0, 30, 3)), r"\(0, 30, 3\)"),
    (np.zeros((20, 30), int), "int64"),
    (np.full((20, 30, 3), 255.0), "255.0"),
    (np.full((20, 30, 3), -0.5), "-0.5"),
    (np.full((20, 30, 3), np.nan), "nan"),
    (np.full((20, 30, 3), np.inf), "inf"),
])  # fmt: skip
def test_what_is_no_image_is_not_written(tmp_path, image, received):
    with pytest.raises(InputError, match=f"Expected an image .*Received: .*{received}"):
        write_image(tmp_path / "out.png", image)
    assert not list(tmp_path.iterdir())


def test_an_image_too_large_for_its_format(tmp_path, capfd):
    with pytest.raises(InputError, match=r"An image of 70000 x 16 cannot be written as \.jpg: .*out\.jpg"):
        write_image(tmp_path / "out.jpg", np.zeros((16, 70000), np.float32))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")  # OpenCV would have something to say


def test_encoding_is_what_writing_writes(tmp_path):
    for name in ("out.png", "out.tif", "out.jpg"):
        write_image(tmp_path / name, COLOR)
        assert (tmp_path / name).read_bytes() == encode_image(Path(name), COLOR)


def test_to_bytes_rounds_and_clips():
    values = np.array([-1, 0, 0.49 / 255, 0.51 / 255, 0.5, 254.6 / 255, 1, 1.1, 300])
    np.testing.assert_array_equal(to_bytes(values), [0, 0, 0, 1, 128, 255, 255, 255, 255])


@pytest.mark.parametrize("name", ["out", "out.txt", "out.h5", ".png", "out.exr", "out.pgm", "out.png.bak"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(InputError, match=r"Expected an output file that ends in \.png"):
        write_image(tmp_path / name, COLOR)
    assert not list(tmp_path.iterdir())


def test_output_folder_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"output folder does not exist: .*nowhere"):
        check_output(tmp_path / "nowhere" / "out.png")


def test_output_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="output folder does not exist"):
        check_output(tmp_path / "file" / "out.png")


def test_output_is_a_folder(tmp_path):
    (tmp_path / "out.png").mkdir()
    with pytest.raises(InputError, match="Received a folder"):
        check_output(tmp_path / "out.png")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that even root cannot write to")
def test_output_folder_cannot_be_written():
    with pytest.raises(PermissionError, match="output folder cannot be written: /proc"):
        check_output("/proc/out.png")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError, match="output folder cannot be written"):
        check_output(tmp_path / "out.png")


def test_checking_an_output_leaves_no_trace(tmp_path):
    path = tmp_path / "out.png"
    path.write_text("an earlier result")
    assert check_output(str(path)) == path
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]
    assert path.read_text() == "an earlier result"


def test_writing_replaces_the_file_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "out.png"
    path.write_text("an earlier result")
    write_image(path, COLOR)
    np.testing.assert_allclose(read_image(path), COLOR, atol=EPSILON)
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_failed_writing_leaves_what_was_there(tmp_path, failure):
    path = tmp_path / "out.png"
    path.write_text("an earlier result")

    def half(temporary):
        temporary.write_bytes(b"half an im")
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(path, half)
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]
    assert path.read_text() == "an earlier result"


def test_file_is_never_seen_half_written(tmp_path):
    path = tmp_path / "out.png"

    def write(temporary):
        temporary.write_bytes(b"whole")
        assert temporary != path and temporary.parent == path.parent and not path.exists()

    write_atomically(path, write)
    assert path.read_bytes() == b"whole"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_written_file_has_the_usual_permissions(tmp_path):
    usual, ours = tmp_path / "usual", tmp_path / "ours.png"
    usual.write_text("")
    write_image(ours, COLOR)
    assert ours.stat().st_mode == usual.stat().st_mode


# Resizing and checking.


def test_shrinking_averages_areas():
    image = np.random.default_rng(5).random((12, 18, 3), np.float32)
    expected = image.reshape(4, 3, 6, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, (4, 6)), expected, atol=EPSILON)


def test_shrinking_keeps_the_mean():
    image = np.random.default_rng(5).random((37, 53, 3), np.float32)
    assert resize(image, (20, 25)).mean() == pytest.approx(image.mean(), abs=1e-3)


def test_enlarging_is_cubic():
    """Against Keys's cubic convolution of one row, with OpenCV's parameter -0.75, written out."""
    row = np.random.default_rng(5).uniform(0.3, 0.7, 16).astype(np.float32)  # no overshoot leaves [0, 1]
    places = (np.arange(40) + 0.5) * 16 / 40 - 0.5
    taps = np.floor(places).astype(int)[:, None] + np.arange(-1, 3)
    distance = np.abs(places[:, None] - taps)
    near = 1.25 * distance**3 - 2.25 * distance**2 + 1
    far = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    expected = (np.where(distance <= 1, near, far) * row[np.clip(taps, 0, 15)]).sum(axis=1)
    np.testing.assert_allclose(resize(np.tile(row, (16, 1)), (16, 40))[7], expected, atol=1e-5)


@given(
    arrays.arrays(np.float32, (16, 17), elements=st.floats(0, 1, width=32)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_resizing_stays_in_range(mask, shape):
    resized = resize(mask, shape)
    assert resized.shape == shape and resized.dtype == np.float32
    assert resized.min() >= 0 and resized.max() <= 1


def test_resizing_to_the_same_size_changes_nothing():
    image = np.random.default_rng(5).random((16, 16, 3), np.float32)
    np.testing.assert_array_equal(resize(image, (16, 16)), image)


@pytest.mark.parametrize("scale, expected", [(1, (33, 100)), (0.5, (16, 50)), (0.35, (12, 35)), (1e-6, (1, 1))])
def test_scaled_shape(scale, expected):
    assert scaled_shape((33, 100), scale) == expected


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, ">f4", bool])
def test_check_image_accepts_any_numbers_in_range(kind):
    values = np.random.default_rng(5).integers(0, 2, (16, 16, 3)).astype(kind)
    image = check_image(values, "the image")
    assert image.dtype == np.float32 and image.dtype.isnative and image.flags.c_contiguous
    np.testing.assert_array_equal(image, values)


@pytest.mark.parametrize("kind, whole", [(np.uint8, 255), (np.uint16, 65535), (">u2", 65535)])
def test_check_image_takes_unsigned_integers_by_their_range(kind, whole):
    """Also where they are all 0 and 1: what is nearly black is nearly black."""
    values = np.random.default_rng(5).integers(0, whole + 1, (16, 16, 3)).astype(kind)
    np.testing.assert_allclose(check_image(values, "the image"), values / whole, atol=EPSILON)
    assert check_image(np.ones((16, 16, 3), kind), "the image").max() == np.float32(1 / whole)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("view", [lambda a: a[::-1], lambda a: a[..., ::-1], lambda a: a.swapaxes(0, 1), lambda a: a])
def test_checked_arrays_may_be_views_and_are_never_changed(kind, view):
    values = np.random.default_rng(5).random((16, 20, 3))
    values = view((values if np.issubdtype(kind, np.floating) else values * np.iinfo(kind).max).astype(kind))
    values.setflags(write=False)
    before = values.copy()
    image = check_image(values, "the image")
    assert image.flags.c_contiguous and image.shape == values.shape
    scale = 1 if np.issubdtype(kind, np.floating) else np.iinfo(kind).max
    np.testing.assert_allclose(image, values / scale, atol=EPSILON)
    np.testing.assert_array_equal(values, before)


def test_check_image_cuts_what_rounding_has_left_over():
    values = np.full((16, 16, 3), 1 + 5e-7)
    values[0] = -5e-7
    before = values.copy()
    image = check_image(values, "the image")
    assert image.min() == 0 and image.max() == 1
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("image, received", [
    (np.zeros((16, 16)), r"\(16, 16\)"),
    (np.zeros((16, 16, 4)), r"\(16, 16, 4\)"),
    (np.zeros((1, 16, 16, 3)), r"\(1, 16, 16, 3\)"),
    (np.zeros((16, 16, 1)), r"\(16, 16, 1\)"),
    (np.zeros((16, 16, 2)), r"\(16, 16, 2\)"),
    (np.zeros((3, 16, 16)), r"\(3, 16, 16\)"),
    (np.full((16, 16, 3), 255), "int64"),
    (np.ones((16, 16, 3), np.int8), "int8"),
    (np.zeros((16, 16, 3), complex), "complex128"),
    (np.full((16, 16, 3), "a"), "<U1"),
    (np.full((16, 16, 3), None), "object"),
    (np.full((16, 16, 3), 255.0), "255.0"),
    (np.full((16, 16, 3), 1.00001), "1.00001"),
    (np.full((16, 16, 3), -0.1), "-0.1"),
    (np.full((16, 16, 3), np.nan), "nan"),
    (np.where(np.arange(3) == 1, np.nan, np.full((16, 16, 3), 0.5)), "nan"),
    (np.where(np.arange(3) == 1, np.inf, np.full((16, 16, 3), 0.5)), "0.5 to inf"),
    (np.where(np.arange(3) == 1, -np.inf, np.full((16, 16, 3), 0.5)), "-inf to 0.5"),
    (np.zeros((15, 16, 3)), "16 x 15"),
    (np.zeros((0, 16, 3)), "16 x 0"),
])  # fmt: skip
def test_check_image_refuses(image, received):
    with pytest.raises(InputError, match=f"Expected the picture .*Received: {received}"):
        check_image(image, "the picture")


@pytest.mark.parametrize("kind, whole", [(np.uint8, 255), (np.float64, 1)])
def test_split_alpha(kind, whole):
    values = np.random.default_rng(5).integers(0, 256, (16, 20, 4)) / (1 if whole == 255 else 255)
    values = values.astype(kind)[:, ::-1]
    values.setflags(write=False)
    color, alpha = split_alpha(values, "the picture")
    assert color.dtype == alpha.dtype == np.float32 and color.flags.c_contiguous and alpha.flags.c_contiguous
    np.testing.assert_allclose(color, values[..., :3] / whole, atol=EPSILON)
    np.testing.assert_allclose(alpha, values[..., 3] / whole, atol=EPSILON)
    color, alpha = split_alpha(values[..., :3], "the picture")
    assert alpha is None
    np.testing.assert_allclose(color, values[..., :3] / whole, atol=EPSILON)


@pytest.mark.parametrize("image, message", [
    (np.zeros((16, 16, 4)), "Expected the picture to be opaque somewhere. Received: one that is transparent"),
    (np.zeros((16, 16, 2)), r"Expected the picture of shape \(height, width, 3\). Received: \(16, 16, 2\)"),
    (np.zeros((16, 16, 5)), r"Expected the picture of shape \(height, width, 3\). Received: \(16, 16, 5\)"),
    (np.dstack([np.zeros((16, 16, 3)), np.full((16, 16), np.nan)]), "Expected the transparency of the picture .*nan"),
    (np.dstack([np.zeros((16, 16, 3)), np.full((16, 16), 2.0)]), "Expected the transparency of the picture .*2.0"),
    (np.dstack([np.full((16, 16, 3), 2.0), np.ones((16, 16))]), r"Expected the picture with .* in \[0, 1\].*2.0"),
])  # fmt: skip
def test_split_alpha_refuses(image, message):
    with pytest.raises(InputError, match=message):
        split_alpha(image, "the picture")


# Grey, and one image over another.


colors = arrays.arrays(np.float32, st.tuples(st.just(5), st.just(6), st.just(3)), elements=st.floats(0, 1, width=32))


@given(colors)
def test_grey_is_what_has_three_channels_alike_but_for_a_codecs_rounding(image):
    grey = np.repeat(image[..., :1], 3, axis=2)
    rounded = np.clip(grey + np.float32([0, 2, 1]) / 255, 0, 1)
    assert is_grey(grey) and is_grey(rounded)
    rounded[2, 3] = (0.2, 0.2 + 3 / 255, 0.2)
    assert not is_grey(rounded)
    assert is_grey(image) == (max(max(pixel) - min(pixel) for pixel in image.reshape(-1, 3)) <= 2 / 255 + EPSILON)


@given(colors)
def test_to_grey_weighs_the_channels_as_television_does(image):
    before = image.copy()
    grey = to_grey(image)
    assert grey.shape == image.shape and grey.dtype == np.float32 and is_grey(grey)
    np.testing.assert_allclose(grey[..., 0], image @ np.float32([0.299, 0.587, 0.114]), atol=EPSILON)  # ITU-R BT.601
    np.testing.assert_allclose(to_grey(grey), grey, atol=EPSILON)
    np.testing.assert_array_equal(image, before)


@given(color=st.floats(0, 1), under=st.floats(0, 1), alpha=st.floats(0, 1))
def test_over(color, under, alpha):
    image, ground = np.full((2, 3, 3), color, np.float32), np.full((2, 3, 3), under, np.float32)
    expected = color * alpha + under * (1 - alpha)
    shares = np.full((2, 3), alpha, np.float32)
    for below in (ground, under):
        result = over(image, below, shares)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, atol=EPSILON)


def test_over_is_pixel_by_pixel():
    image = over(np.ones((1, 3, 3), np.float32), 0.0, np.float32([[0, 0.25, 1]]))
    np.testing.assert_array_equal(image[0], [[0, 0, 0], [0.25, 0.25, 0.25], [1, 1, 1]])


def test_sizes_that_differ_are_both_named():
    check_same_size(np.zeros((5, 7, 3)), np.zeros((5, 7)), ("a", "b"))
    with pytest.raises(InputError, match="background 7 x 5 and mask 5 x 7"):
        check_same_size(np.zeros((5, 7, 3)), np.zeros((7, 5)), ("background", "mask"))


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


# Files made by hand, because OpenCV does not write their kinds.


def write_png(path: Path, rows, color_type, depth=8, width=None, **chunks):
    """A PNG of `rows`, uint8 (h, w) or (h, w, channels); color_type: 0 grey, 3 palette, 4 grey and alpha."""
    header = struct.pack(">IIBBBBB", width or rows.shape[1], len(rows), depth, color_type, 0, 0, 0)
    filtered = np.pad(rows.reshape(len(rows), -1), ((0, 0), (1, 0)))  # each row after its filter's number, 0: none
    content = {"IHDR": header, **chunks, "IDAT": zlib.compress(filtered.tobytes()), "IEND": b""}
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*item) for item in content.items()))
    return path


def png_chunk(kind, data):
    body = kind.encode() + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def write_with_exif(path: Path, pixels, orientation):
    """Encode RGB or RGBA and put an EXIF block with nothing but the orientation into the file."""
    # A TIFF header; a directory of one entry: tag 0x0112, type 3 (16 bits), one value; no further directory.
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    channels = [2, 1, 0, 3][: pixels.shape[2]]
    encoded = cv2.imencode(path.suffix, np.ascontiguousarray(pixels[..., channels]))[1].tobytes()
    if path.suffix == ".jpg":
        segment = b"Exif\0\0" + exif
        path.write_bytes(encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + encoded[2:])
    else:
        end_of_header = 8 + 12 + 13
        path.write_bytes(encoded[:end_of_header] + png_chunk("eXIf", exif) + encoded[end_of_header:])
    return path
