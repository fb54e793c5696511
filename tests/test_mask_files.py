"""Masks as people have them: 0 and 1, labels, one colour on black, dim ones, soft ones, JPEGs with noise.

The files are made by Pillow and tifffile, and what is expected comes from the arrays that were written.
"""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from reproduce.errors import InputError
from reproduce.images.files import mask_of, read_mask, read_picture
from reproduce.images.masks import check_mask, read_levels

SHAPE = (120, 160)
EPSILON = 1e-6
REACH = 16  # pixels around an object in which a codec's noise may pass for its edge


@pytest.fixture
def read(tmp_path):
    """Save an array in a format, with options of Pillow's; return what is read, and the notices."""

    def save_and_read(array, suffix=".png", **options):
        path = tmp_path / f"mask{suffix}"
        if suffix == ".tiff":
            tifffile.imwrite(path, array, **options)
        else:
            Image.fromarray(array).save(path, **options)
        mask, notices = mask_of(read_picture(path), str(path))
        np.testing.assert_array_equal(read_mask(path), mask)
        assert mask.dtype == np.float32 and mask.shape == array.shape[:2]
        assert all(str(path) in notice for notice in notices)
        return mask, notices

    return save_and_read


def disc(shape=SHAPE, center=(60, 70), radius=30.0):
    """How much of each pixel a disc covers, nearly: 1 inside, 0 outside, a ramp of a pixel at its edge."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.clip(radius - np.hypot(rows - center[0], columns - center[1]) + 0.5, 0, 1)


HARD = disc() >= 0.5


def levels_of(outside, inside, kind=np.uint8):
    return np.where(HARD, inside, outside).astype(kind)


# Two levels.


@pytest.mark.parametrize("suffix, options", [
    (".png", {}), (".tif", {}), (".tif", {"compression": "tiff_lzw"}), (".bmp", {}), (".gif", {}),
    (".webp", {"lossless": True}), (".pgm", {}), (".tga", {}), (".jp2", {}),
])  # fmt: skip
@pytest.mark.parametrize("outside, inside", [(0, 255), (0, 1), (0, 2), (0, 100), (3, 9), (10, 240), (100, 101)])
def test_a_mask_of_two_levels_is_0_and_1(read, suffix, options, outside, inside):
    mask, notices = read(levels_of(outside, inside), suffix, **options)
    np.testing.assert_array_equal(mask, HARD)
    said = f"its levels {outside} and {inside} (of 255) are taken for outside and inside"
    assert len(notices) == ((outside, inside) != (0, 255)) and all(said in notice for notice in notices)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("outside, inside", [(0, 65535), (0, 1), (0, 255), (1, 2), (7, 40000)])
def test_a_mask_of_two_levels_in_16_bits(read, suffix, outside, inside):
    mask, notices = read(levels_of(outside, inside, np.uint16), suffix)
    np.testing.assert_array_equal(mask, HARD)
    assert len(notices) == ((outside, inside) != (0, 65535))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pbm"])
def test_a_mask_of_one_bit(read, suffix):
    mask, notices = read(HARD, suffix)
    np.testing.assert_array_equal(mask, HARD)
    assert not notices


@pytest.mark.parametrize("outside, inside", [(0, 1), (0, 0.004), (0.25, 0.75)])
def test_a_mask_of_two_levels_in_floats(read, outside, inside):
    mask, _ = read(levels_of(outside, inside, np.float32), ".tiff")
    np.testing.assert_array_equal(mask, HARD)


@pytest.mark.parametrize("inside", [40, 100, 128, 200])
@pytest.mark.parametrize("suffix, options, tolerance", [(".png", {}, 0.5), (".jpg", {"quality": 95}, 8)])
def test_a_dim_mask_keeps_the_ramp_of_its_soft_edge(read, inside, suffix, options, tolerance):
    mask, notices = read(np.round(disc() * inside).astype(np.uint8), suffix, **options)
    np.testing.assert_allclose(mask, disc(), atol=(tolerance + 0.01) / inside)
    assert ((mask > 0) & (mask < 1)).any()
    assert len(notices) == 1 and f" and {inside} (of 255) are taken for outside and inside" in notices[0]


@given(outside=st.integers(0, 253), height=st.integers(2, 255), data=st.data())
def test_any_two_levels(outside, height, data):
    inside = min(outside + height, 255)
    pixels = np.array(data.draw(st.lists(st.booleans(), min_size=16 * 17, max_size=16 * 17))).reshape(16, 17)
    pixels[0, 0], pixels[-1, -1] = False, True
    mask, _ = read_levels(np.where(pixels, inside, outside).astype(np.float32) / 255, "the mask")
    np.testing.assert_array_equal(mask, pixels)


@pytest.mark.parametrize("value", [0, 255])
def test_empty_and_full_masks_are_for_others_to_judge(read, value):
    mask, notices = read(np.full(SHAPE, value, np.uint8))
    assert (mask == value / 255).all() and not notices


@pytest.mark.parametrize("value", [1, 128, 254])
def test_one_level_says_nothing(read, value):
    with pytest.raises(InputError, match=rf"Expected a mask of two levels.*Received: levels {value} \(of 255\)"):
        read(np.full(SHAPE, value, np.uint8))


# Labels.


@pytest.mark.parametrize("labels", [
    (0, 1, 2), (0, 1, 2, 3, 4, 5), (0, 1, 255), (0, 128, 255), (0, 85, 170, 255), (0, 50, 100), (10, 20, 30, 40),
    (0, 255, 254, 1), (0, 7, 11, 26),
])  # fmt: skip
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_label_maps_are_refused_with_their_levels(read, labels, kind):
    stripes = np.array(labels)[np.arange(SHAPE[1]) * len(labels) // SHAPE[1]]
    scale = 257 if kind == np.uint16 else 1
    found = ", ".join(map(str, sorted(labels)))
    with pytest.raises(InputError, match=rf"Expected a mask of two levels.*Received: levels {found} \(of 255\): .*png"):
        read(np.broadcast_to(stripes * scale, SHAPE).astype(kind))


def test_a_small_third_label_is_refused_too(read):
    labels = levels_of(0, 1)
    labels[5:12, 5:12] = 2
    with pytest.raises(InputError, match="levels 0, 1, 2 "):
        read(labels)


@pytest.mark.parametrize("labels", [[*range(19), 255], list(range(0, 256, 15)), list(range(0, 256, 51))])
def test_labels_that_end_at_255_are_refused_too(read, labels):
    """Where 255 stands for no label; or all were spread over the range to be seen."""
    stripes = np.array(labels)[np.arange(SHAPE[0]) * len(labels) // SHAPE[0]]
    stripes = np.broadcast_to(stripes[:, None], SHAPE).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    with pytest.raises(InputError, match=r"Expected a mask of two levels.*Received: levels (\d+, )+\d+ \(of 255\)"):
        read(stripes)


def test_many_labels_are_refused_with_eight_of_them(read):
    with pytest.raises(InputError, match=r"Received: levels (\d+, ){7}\d+ \(of 255\)"):
        read(np.broadcast_to(np.arange(SHAPE[1]) // 8, SHAPE).astype(np.uint8))


# Colours.


COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (200, 120, 40), (255, 220, 190)]


def colored(inside, outside=(0, 0, 0), pixels=HARD):
    return np.where(pixels[..., None], np.uint8(inside), np.uint8(outside))


@pytest.mark.parametrize("color", COLORS)
def test_one_color_on_black(read, color):
    mask, notices = read(colored(color))
    np.testing.assert_array_equal(mask, HARD)
    assert "what is not black is taken for inside" in notices[0]


@pytest.mark.parametrize("color", [(128, 0, 0), (0, 128, 0), (40, 0, 70)])
def test_one_dark_color_on_black(read, color):
    """A first object's in the palette of VOC and DAVIS, and others."""
    mask, notices = read(colored(color))
    np.testing.assert_array_equal(mask, HARD)
    assert len(notices) == 2 and f"its levels 0 and {max(color)} (of 255)" in notices[1]


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (255, 255, 0), (200, 120, 40)])
@pytest.mark.parametrize("quality", [95, 75, 50])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_one_color_on_black_in_a_jpeg(read, color, quality, subsampling):
    mask, notices = read(colored(color), ".jpg", quality=quality, subsampling=subsampling)
    near = np.abs(signed_distance(HARD)) < 3
    np.testing.assert_array_equal(mask[~near] >= 0.5, HARD[~near])
    assert "what is not black is taken for inside" in notices[0]
    assert not far_from_object(mask, edge=3).any()


def test_a_small_colored_object(read):
    pixels = disc(radius=3) >= 0.5
    for color in COLORS:
        mask, _ = read(colored(color, pixels=pixels))
        np.testing.assert_array_equal(mask, pixels)


@pytest.mark.parametrize("inside, outside", [
    ((255, 0, 0), (255, 255, 255)), ((255, 255, 255), (255, 0, 0)), ((0, 0, 255), (255, 255, 0)),
    ((255, 0, 0), (90, 90, 90)), ((255, 0, 0), (0, 0, 255)),
])  # fmt: skip
@pytest.mark.parametrize("radius", [2, 30])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_colors_that_leave_a_doubt_are_refused(read, inside, outside, radius, suffix):
    pixels = disc(radius=radius) >= 0.5
    with pytest.raises(InputError, match=r"in grey, or in one colour on black\. Received: other colours: .*mask"):
        read(colored(inside, outside, pixels), suffix)


@pytest.mark.parametrize("second", [(0, 255, 0), (255, 255, 255), (0, 0, 255), (255, 255, 0), (128, 128, 128)])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_several_colors_on_black_are_labels(read, second, suffix):
    pixels = colored((255, 0, 0))
    pixels[5:20, 120:150] = second
    with pytest.raises(InputError, match="Received: other colours"):
        read(pixels, suffix)


def test_a_palette_is_what_it_shows(tmp_path):
    """Indices 0 and 1, as label editors save them, in black and red; and in black and grey."""
    for color, notices in (((255, 0, 0), 1), ((255, 255, 255), 0), ((60, 60, 60), 1)):
        image = Image.fromarray(HARD.astype(np.uint8), "L")
        image.putpalette([0, 0, 0, *color])
        image.save(tmp_path / "mask.png")
        mask, said = mask_of(read_picture(tmp_path / "mask.png"), "mask.png")
        np.testing.assert_array_equal(mask, HARD)
        assert len(said) == notices


# Soft masks.


def soft(sigma, kind="discs", whole=255):
    ground = np.zeros(SHAPE)
    if kind == "line":
        ground[60, 20:140] = 1
    else:
        ground = np.maximum(disc(), disc(center=(30, 130), radius=12))
    blurred = gaussian_filter(ground, sigma, truncate=6)
    return np.round(np.interp(blurred, (blurred.min(), blurred.max()), (0, whole)))


@pytest.mark.parametrize("sigma", [0.5, 1, 3, 5, 8, 12, 16, 20, 30, 60])
@pytest.mark.parametrize("kind", ["discs", "line"])
@pytest.mark.parametrize("whole", [255, 65535])
def test_soft_masks_are_taken_bit_for_bit(read, sigma, kind, whole):
    """Their foot, too, however wide."""
    values = soft(sigma, kind, whole)
    mask, notices = read(values.astype(np.uint8 if whole == 255 else np.uint16))
    np.testing.assert_array_equal(mask, np.float32(values / whole))
    assert not notices


@settings(max_examples=60, deadline=None)
@given(
    sigma=st.floats(0.5, 40),
    center=st.tuples(st.integers(0, 119), st.integers(0, 159)),
    radius=st.floats(4, 60),
    stretch=st.floats(0.3, 3),
)
def test_feathered_objects_are_taken_bit_for_bit(sigma, center, radius, stretch):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    blurred = gaussian_filter(
        np.float64(np.hypot(rows - center[0], (columns - center[1]) * stretch) < radius), sigma, truncate=6
    )
    values = np.round(np.interp(blurred, (blurred.min(), blurred.max()), (0, 255))).astype(np.float32) / 255
    mask, notice = read_levels(values, "the mask")
    np.testing.assert_array_equal(mask, values)
    assert not notice


@pytest.mark.parametrize("values", [
    np.broadcast_to(np.linspace(0, 255, SHAPE[1]), SHAPE),
    np.broadcast_to(np.linspace(255, 0, SHAPE[0])[:, None], SHAPE),
    255 * np.clip(1 - np.hypot(*np.mgrid[-60:60, -80:80]) / 78, 0, 1),
    255 * np.clip(1 - np.hypot(*np.mgrid[-60:60, -80:80]) / 78, 0, 1) ** 3,
], ids=["to the right", "upwards", "from the middle", "steeply from the middle"])  # fmt: skip
def test_gradients_are_taken_bit_for_bit(read, values):
    values = np.round(values).astype(np.uint8)
    values[values.argmax() // SHAPE[1], values.argmax() % SHAPE[1]] = 255
    mask, notices = read(values)
    np.testing.assert_array_equal(mask, np.float32(values / 255))
    assert not notices


def test_few_steps_at_an_edge_are_no_labels(read):
    """Four samples a pixel make five levels."""
    fine = disc((240, 320), (120, 140), 60) >= 0.5
    values = np.round(fine.reshape(120, 2, 160, 2).mean(axis=(1, 3)) * 255).astype(np.uint8)
    assert len(np.unique(values)) == 5
    mask, notices = read(values)
    np.testing.assert_array_equal(mask, np.float32(values / 255))
    assert not notices


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_thin_lines(read, width):
    pixels = np.zeros(SHAPE, bool)
    pixels[50 : 50 + width, 10:150] = True
    for start in range(width):  # and one that slants
        pixels |= np.eye(*SHAPE, k=20 + start, dtype=bool)
    np.testing.assert_array_equal(read(pixels.astype(np.uint8) * 255)[0], pixels)
    np.testing.assert_array_equal(read(pixels.astype(np.uint8))[0], pixels)
    np.testing.assert_array_equal(read(pixels.astype(np.uint8) * 255, ".jpg", quality=95)[0] >= 0.5, pixels)


def test_a_soft_mask_that_is_dim_leaves_a_doubt(read):
    with pytest.raises(InputError, match="Received: levels"):
        read(np.round(soft(12) * 0.6).astype(np.uint8))


# Noise.


def signed_distance(pixels):
    """From the edge, above 0 inside."""
    return distance_transform_edt(pixels) - distance_transform_edt(~pixels)


def far_from_object(mask, edge=0):
    """Which pixels that are not 0 lie far from those that are mostly inside, and from an edge of so many pixels."""
    return (mask > 0) & (distance_transform_edt(mask < 0.5) > REACH + edge)


def noises():
    rng = np.random.default_rng(0)
    for amplitude in (1, 3, 10, 17):
        yield f"white {amplitude}", rng.integers(-amplitude, amplitude + 1, SHAPE)
        waves = gaussian_filter(rng.normal(size=SHAPE), 5)
        yield f"smooth {amplitude}", amplitude * waves / np.abs(waves).max()
        yield f"even {amplitude}", np.where(HARD, -amplitude, amplitude)
        yield f"blocks {amplitude}", rng.integers(-amplitude, amplitude + 1, (15, 20)).repeat(8, 0).repeat(8, 1)
    yield "a single pixel", np.where(np.arange(19200).reshape(SHAPE) == 7, 9, 0)


@pytest.mark.parametrize("noise", [noise for _, noise in noises()], ids=[name for name, _ in noises()])
def test_noise_far_from_the_object_is_none_of_the_mask(read, noise):
    values = np.clip(np.round(disc() * 255 + noise), 0, 255).astype(np.uint8)
    assert far_from_object(values / 255).any()
    mask, notices = read(values)
    assert not far_from_object(mask).any()
    distance = signed_distance(HARD)
    assert (mask[distance > 2] == 1).all() and (mask[distance < -2] == 0).all()
    edge = np.abs(distance) <= 2
    np.testing.assert_allclose(mask[edge], disc()[edge], atol=(20 + np.abs(noise).max() + 1) / 255)
    assert len(notices) == 1 and ("its noise is taken for 0 and 1" in notices[0] or "its levels" in notices[0])


@pytest.mark.parametrize("quality", [95, 75, 50, 20, 5])
@pytest.mark.parametrize("times", [1, 3])
def test_jpegs(tmp_path, quality, times):
    """Saved again and again, moved by some pixels in between, as noise spreads."""
    values = np.round(disc() * 255).astype(np.uint8)
    for shift in range(times):
        Image.fromarray(np.roll(values, 3 * bool(shift), axis=1)).save(tmp_path / "mask.jpg", quality=quality)
        values = np.asarray(Image.open(tmp_path / "mask.jpg"))
    mask = read_mask(tmp_path / "mask.jpg")
    moved = np.roll(HARD, 3 * (times - 1), axis=1)
    near = np.abs(signed_distance(moved)) < 3
    np.testing.assert_array_equal(mask[~near] >= 0.5, moved[~near])
    assert not far_from_object(mask, edge=3).any()


def test_published_masks(materials):
    """Noise that lies up to 254 pixels from the object is gone, and nothing else has changed."""
    paths = sorted(materials.glob("dph/*_c_mask*.jpg"))
    assert len(paths) > 20
    noisy = 0
    for path in paths:
        mask, notices = mask_of(read_picture(path), path.name)
        raw = np.asarray(Image.open(path).convert("L")) / 255
        np.testing.assert_array_equal(mask >= 0.5, raw >= 0.5, err_msg=path.name)
        if notices:
            noisy += 1
            assert not far_from_object(mask).any(), path.name
            assert np.abs(mask - raw).max() <= 21 / 255, path.name
        else:
            np.testing.assert_allclose(mask, raw, atol=0.51 / 255, err_msg=path.name)
    assert noisy >= 5


# Transparency as a mask.


@pytest.mark.parametrize("suffix, options", [(".png", {}), (".webp", {"lossless": True, "exact": True}), (".tif", {})])
def test_a_cut_out_is_its_own_mask(read, random, suffix, options):
    alpha = np.round(disc() * 255).astype(np.uint8)
    mask, notices = read(np.dstack([random.integers(0, 256, (*SHAPE, 3), np.uint8), alpha]), suffix, **options)
    np.testing.assert_array_equal(mask, np.float32(alpha / 255))
    assert not notices


def test_noise_of_a_lossy_codec_in_the_transparency(read, random):
    alpha = np.round(disc() * 255).astype(np.uint8)
    pixels = np.dstack([random.integers(0, 256, (*SHAPE, 3), np.uint8), alpha])
    for quality in (90, 50, 10):
        mask, _ = read(pixels, ".avif", quality=quality)
        assert not far_from_object(mask).any()
        away = np.abs(signed_distance(HARD)) > 3
        np.testing.assert_allclose(mask[away], HARD[away], atol=0.1)


@pytest.mark.parametrize("alpha", [254, 128, 255])
def test_transparency_that_does_not_part_is_no_mask(read, alpha):
    """One pixel that is not quite opaque: the mask is what the picture shows."""
    pixels = np.dstack([np.repeat(levels_of(0, 255)[..., None], 3, axis=2), np.full(SHAPE, 255, np.uint8)])
    pixels[3, 4, 3] = alpha
    mask, notices = read(pixels)
    np.testing.assert_array_equal(mask, HARD)
    assert not notices


def test_levels_of_transparency_are_shares(read):
    """How opaque a pixel is needs no guess: an object that is half transparent is so."""
    alpha = np.where(HARD, 180, 0).astype(np.uint8)
    mask, notices = read(np.dstack([np.zeros((*SHAPE, 3), np.uint8), alpha]))
    np.testing.assert_array_equal(mask, np.float32(alpha / 255))
    assert not notices


# What is read can be worked under.


@pytest.mark.parametrize("values", [levels_of(0, 1), levels_of(0, 255), levels_of(10, 240), soft(8).astype(np.uint8)])
def test_masks_that_are_read_pass_the_check_as_they_are(read, values):
    mask, _ = read(values)
    before = mask.copy()
    np.testing.assert_array_equal(check_mask(mask), mask)
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("values", [levels_of(0, 255), levels_of(0, 1), levels_of(9, 250), soft(8).astype(np.uint8)])
def test_arrays_of_bytes_are_read_as_files_are(read, values):
    np.testing.assert_array_equal(check_mask(values), read(values)[0])
