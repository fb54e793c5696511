"""TIFFs that hardly any program writes: floats beyond [0, 1] on one side, grey that was multiplied by its alpha."""

import cv2
import numpy as np
import pytest

from reproduce import InputError
from reproduce.images.files import read_picture

tifffile = pytest.importorskip("tifffile")

FLOATS = np.random.default_rng(0).random((20, 24, 3), np.float32)


@pytest.mark.parametrize(
    ("lowest", "highest", "said"),
    [
        (0.0, 1.0, None),
        (-0.0005, 1.0005, None),  # a resampling's
        (0.0, 2.5, "its values from 0 to 2.5 are cut to 0 to 1"),
        (-0.25, 1.0, "its values from -0.25 to 1 are cut to 0 to 1"),
        (-0.25, 2.5, "its values from -0.25 to 2.5 are cut to 0 to 1"),
    ],
)
def test_floats_are_cut_and_that_is_said(tmp_path, lowest, highest, said):
    path, values = tmp_path / "floats.tiff", FLOATS.copy()
    values[3, 4], values[5, 6] = lowest, highest
    assert cv2.imwrite(str(path), np.ascontiguousarray(values[..., ::-1]))
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.color, np.clip(values, 0, 1))
    assert picture.notices == (() if said is None else (f"{path}: {said}",))


def test_grey_that_was_multiplied_by_its_alpha(tmp_path, random):
    path = tmp_path / "grey.tiff"
    alpha = random.integers(120, 256, (20, 24)).astype(np.uint8)
    grey = random.integers(0, 256, (20, 24))
    multiplied = np.round(grey * (alpha / 255)).astype(np.uint8)
    both = np.stack([multiplied, alpha], axis=-1)
    tifffile.imwrite(path, both, photometric="minisblack", extrasamples=["assocalpha"], planarconfig="contig")
    picture = read_picture(path)
    np.testing.assert_allclose(picture.alpha, alpha / 255, atol=1e-6)
    for channel in range(3):
        np.testing.assert_allclose(picture.color[..., channel], grey / 255, atol=3 / 255)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_tiff_that_says_other_bits_than_it_has_is_refused(tmp_path, kind):
    """Two numbers of 16 bits are as long as one of 32."""
    path = tmp_path / "bits.tiff"
    tifffile.imwrite(path, (60_000 * FLOATS[..., 0]).astype(kind), photometric="minisblack")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["BitsPerSample"].valueoffset
    content[place : place + 2] = (64).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bits\.tiff"):
        read_picture(path)
