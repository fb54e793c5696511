"""Pictures as other programs write them, against the arrays that were written: never by our reader, never by OpenCV.

What is read is what was written, exactly where the format is lossless and within a tolerance where it is not; or it is
refused in one line that says what to do.
"""

import os
import struct
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import tifffile
from files_by_hand import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    UPRIGHT,
    bmp,
    cmyk_profile,
    exif,
    exif_adobe_rgb,
    grey_profile,
    in_srgb,
    lab_in_srgb,
    png,
    png_chunk,
    png_profile,
    profile,
    rgb_profile,
    srgb_decode,
    srgb_encode,
    tiff,
    to_xyz,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms, ImageFile

from reproduce.errors import InputError
from reproduce.images.decoding import FORMATS
from reproduce.images.files import mask_of, read_image, read_picture

H, W = 40, 56
rows, columns = np.mgrid[:H, :W] / np.array([H - 1, W - 1]).reshape(2, 1, 1)
PHASES = (7 * columns + rows, 4 * rows - 2 * columns + 1.6, 5 * rows + 6 * columns + 1)
WAVES = np.sin(np.stack(PHASES, axis=2))
COLOR = (WAVES - WAVES.min()) / np.ptp(WAVES)  # smooth, so that lossy codecs come near; from 0 to 1
ALPHA = np.clip(1.6 * columns - 0.3, 0, 1)  # a soft edge between nothing and all
U8, U16 = np.round(COLOR * 255).astype(np.uint8), np.round(COLOR * 65535).astype(np.uint16)
A8, A16 = np.round(ALPHA * 255).astype(np.uint8), np.round(ALPHA * 65535).astype(np.uint16)
G8, G16 = U8[..., 0], U16[..., 0]
BITS = G8 > 127
RGBA8, RGBA16, LA8 = np.dstack([U8, A8]), np.dstack([U16, A16]), np.dstack([G8, A8])
F32 = COLOR.astype(np.float32)
EXACT = 1e-6
LEVEL = 1.01 / 255


class File(NamedTuple):
    """A file, and what it means.

    Attributes:
        write: makes the file at a path.
        color: (H, W, 3) or grey (H, W), in [0, 1].
        alpha: (H, W); None if all is opaque.
        tolerance: of colours, as they show over white.
        hidden: false if the format does not keep the colours of what is transparent.
        says: a part of each notice, in order.
    """

    write: Callable[[Path], object]
    color: np.ndarray
    alpha: np.ndarray | None = None
    tolerance: float = EXACT
    hidden: bool = True
    says: tuple[str, ...] = ()


def check(path, file):
    file.write(path)
    picture = read_picture(path)
    color = np.repeat(file.color[..., None], 3, axis=2) if file.color.ndim == 2 else file.color
    assert picture.color.dtype == np.float32 and picture.color.shape == color.shape
    assert picture.color.flags.c_contiguous and picture.layer.flags.c_contiguous
    assert picture.alpha is None or picture.alpha.flags.c_contiguous
    assert len(picture.notices) == len(file.says), picture.notices
    for notice, part in zip(picture.notices, file.says):
        assert notice.startswith(f"{path}: ") and part in notice
    if file.alpha is None:
        assert picture.alpha is None
        shown = color
    else:
        assert picture.alpha is not None and picture.alpha.dtype == np.float32
        np.testing.assert_allclose(picture.alpha, file.alpha, atol=min(file.tolerance, LEVEL))
        alpha = file.alpha[..., None]
        shown = color * alpha + 1 - alpha
    np.testing.assert_allclose(picture.over_white, shown, atol=file.tolerance)
    if file.tolerance > 4 * LEVEL:  # of a lossy codec, which errs so far in few places only
        assert np.abs(picture.over_white - shown).mean() < file.tolerance / 5
    if file.hidden:
        np.testing.assert_allclose(picture.color, color, atol=file.tolerance)
    return picture


# Files by Pillow.


def saved(image, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return lambda path: image.save(path, **options)


def written(content):
    return lambda path: path.write_bytes(content)


def merged(mode, channels):
    """An image of a mode that NumPy's arrays do not tell from others."""
    bands = [Image.fromarray(np.ascontiguousarray(channels[..., band])) for band in range(channels.shape[2])]
    return Image.merge(mode, bands)


PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
INDICES = np.random.default_rng(1).integers(0, 256, (H, W), np.uint8)


def with_palette(indices=INDICES):
    image = Image.fromarray(indices).convert("L")
    image.putpalette(PALETTE.tobytes())
    return image


INK = np.dstack([255 - U8, np.roll(G8, 9, axis=1) // 2])
FROM_INK = (1 - INK[..., :3] / 255) * (1 - INK[..., 3:] / 255)
LUMA = np.round(np.dstack([G8, 128 + (U8[..., 1:] - 127.5) / 4])).astype(np.uint8)  # Y, Cb, Cr


def from_luma(luma):
    """JFIF 1.02."""
    y, b, r = luma[..., 0] / 255, luma[..., 1] / 255 - 128 / 255, luma[..., 2] / 255 - 128 / 255
    return np.clip(np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], axis=2), 0, 1)


GENTLE_LAB = np.dstack([80 + 100 * COLOR[..., 0], 128 + 20 * (COLOR[..., 1] - 0.5), 128 + 20 * (COLOR[..., 2] - 0.5)])
LAB = np.round(GENTLE_LAB).astype(np.uint8)
FROM_LAB = lab_in_srgb(np.dstack([LAB[..., 0] / 2.55, LAB[..., 1] - 128.0, LAB[..., 2] - 128.0]))

LOSSLESS = {
    "1": (Image.fromarray(BITS), BITS.astype(float), None),
    "L": (G8, G8 / 255, None),
    "LA": (LA8, G8 / 255, A8 / 255),
    "P": (with_palette(), PALETTE[INDICES] / 255, None),
    "RGB": (U8, U8 / 255, None),
    "RGBA": (RGBA8, U8 / 255, A8 / 255),
    "I;16": (G16, G16 / 65535, None),
}
KNOWN = {  # suffix -> modes that Pillow writes there as they are
    ".png": "1 L LA P RGB RGBA I;16", ".tif": "1 L LA P RGB RGBA I;16", ".bmp": "1 L P RGB", ".webp": "L LA RGB RGBA",
    ".gif": "1 L P", ".tga": "1 L LA P RGB RGBA", ".jp2": "L LA RGB RGBA I;16", ".pcx": "1 L P RGB",
    ".dds": "L LA RGB RGBA", ".sgi": "L RGB RGBA", ".ico": "RGBA RGB", ".pgm": "L I;16", ".ppm": "RGB", ".pbm": "1",
    ".qoi": "RGB RGBA",
}  # fmt: skip
OPTIONS = {".webp": {"lossless": True, "exact": True}, ".ico": {"sizes": [(W, H)]}}
FILES: dict[str, File] = {}

for suffix, modes in KNOWN.items():
    for mode in modes.split():
        image, color, alpha = LOSSLESS[mode]
        FILES[f"{mode}{suffix}"] = File(saved(image, **OPTIONS.get(suffix, {})), color, alpha)

for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate", "zstd", "lzma"):
    for mode in KNOWN[".tif"].split():
        image, color, alpha = LOSSLESS[mode]
        FILES[f"{mode} {compression}.tif"] = File(saved(image, compression=compression), color, alpha)
for compression in ("group3", "group4"):
    FILES[f"1 {compression}.tif"] = File(saved(Image.fromarray(BITS), compression=compression), BITS.astype(float))
for mode in ("L", "RGB", "RGBA", "P"):
    FILES[f"{mode} rle.tga"] = File(saved(LOSSLESS[mode][0], compression="tga_rle"), *LOSSLESS[mode][1:])
FILES["RGB interlaced.gif"] = File(saved(with_palette(), interlace=1), PALETTE[INDICES] / 255)
FILES["RGBA.bmp"] = File(saved(RGBA8), U8 / 255)  # the fourth byte of a BMP of this kind is nothing
FILES["CMYK.tif"] = File(saved(merged("CMYK", INK)), FROM_INK, tolerance=LEVEL)
FILES["CMYK lzw.tif"] = File(saved(merged("CMYK", INK), compression="tiff_lzw"), FROM_INK, tolerance=LEVEL)
FILES["YCbCr.tif"] = File(saved(merged("YCbCr", LUMA)), from_luma(LUMA), tolerance=2 * LEVEL)
FILES["LAB.tif"] = File(saved(merged("LAB", LAB)), FROM_LAB, tolerance=2 * LEVEL)

# Lossy: within 16 levels everywhere for most of these smooth waves, within 4 for grey.
SUBSAMPLED = [{"subsampling": number} for number in (0, 1, 2)]
for options in ({}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}, *SUBSAMPLED):
    name = "_".join(f"{key}{value}" for key, value in options.items())
    FILES[f"RGB {name}.jpg"] = File(saved(U8, quality=95, **options), U8 / 255, tolerance=16 / 255)
    FILES[f"L {name}.jpg"] = File(saved(G8, quality=95, **options), G8 / 255, tolerance=4 / 255)
    FILES[f"CMYK {name}.jpg"] = File(saved(merged("CMYK", INK), quality=95, **options), FROM_INK, tolerance=24 / 255)
FILES["RGB keep_rgb.jpg"] = File(saved(U8, quality=95, keep_rgb=True), U8 / 255, tolerance=4 / 255)
FILES["RGB jpeg.tif"] = File(saved(U8, compression="jpeg", quality=95), U8 / 255, tolerance=16 / 255)
FILES["L jpeg.tif"] = File(saved(G8, compression="jpeg", quality=95), G8 / 255, tolerance=4 / 255)
for quality in (95, 80):
    FILES[f"RGB {quality}.webp"] = File(saved(U8, quality=quality), U8 / 255, tolerance=30 / 255)
    FILES[f"RGBA {quality}.webp"] = File(saved(RGBA8, quality=quality), U8 / 255, A8 / 255, 36 / 255, hidden=False)
for subsampling in ("4:4:4", "4:2:0"):
    options = {"quality": 95, "subsampling": subsampling}
    name = subsampling.replace(":", "")
    FILES[f"RGB {name}.avif"] = File(saved(U8, **options), U8 / 255, tolerance=16 / 255)
    FILES[f"L {name}.avif"] = File(saved(G8, **options), G8 / 255, tolerance=6 / 255)
    FILES[f"RGBA {name}.avif"] = File(saved(RGBA8, **options), U8 / 255, A8 / 255, 16 / 255)
FILES["RGB lossy.jp2"] = File(saved(U8, quality_mode="dB", quality_layers=[45], irreversible=True), U8 / 255,
                              tolerance=16 / 255)  # fmt: skip

# TIFFs by tifffile.


def tiffed(array, planar=False, **options):
    if planar:
        array, options = np.moveaxis(array, -1, 0), options | {"planarconfig": "separate"}
    return lambda path: tifffile.imwrite(path, array, **options)


def multiplied(color, alpha, whole):
    return np.round(color * alpha[..., None] * whole)


RGB_KIND, GREY_KIND = {"photometric": "rgb"}, {"photometric": "minisblack"}
LA_KIND = {"photometric": "minisblack", "planarconfig": "contig"}
UNASSOCIATED, ASSOCIATED, UNSPECIFIED = (
    {"extrasamples": [kind]} for kind in ("unassalpha", "assocalpha", "unspecified")
)
LAYOUTS = {
    "little": {"byteorder": "<"}, "big": {"byteorder": ">"}, "BigTIFF": {"bigtiff": True},
    "zlib": {"compression": "zlib"}, "predictor": {"compression": "zlib", "predictor": 2, "byteorder": ">"},
    "tiles": {"tile": (16, 32)}, "strips": {"rowsperstrip": 7}, "big zlib tiles": {
        "byteorder": ">", "compression": "zlib", "tile": (16, 16)},
}  # fmt: skip
for layout, how in LAYOUTS.items():
    FILES |= {
        f"{name} {layout}.tiff": file
        for name, file in {
            "grey8": File(tiffed(G8, **GREY_KIND, **how), G8 / 255),
            "grey16": File(tiffed(G16, **GREY_KIND, **how), G16 / 65535),
            "white is 0, 8": File(tiffed(255 - G8, photometric="miniswhite", **how), G8 / 255),
            "white is 0, 16": File(tiffed(65535 - G16, photometric="miniswhite", **how), G16 / 65535),
            "LA8": File(tiffed(LA8, **LA_KIND, **UNASSOCIATED, **how), G8 / 255, A8 / 255),
            "LX8": File(tiffed(LA8, **LA_KIND, **UNSPECIFIED, **how), G8 / 255),
            "RGB8": File(tiffed(U8, **RGB_KIND, **how), U8 / 255),
            "RGB16": File(tiffed(U16, **RGB_KIND, **how), U16 / 65535),
            "RGBA8": File(tiffed(RGBA8, **RGB_KIND, **UNASSOCIATED, **how), U8 / 255, A8 / 255),
            "RGBA16": File(tiffed(RGBA16, **RGB_KIND, **UNASSOCIATED, **how), U16 / 65535, A16 / 65535),
            "RGBX8": File(tiffed(RGBA8, **RGB_KIND, **UNSPECIFIED, **how), U8 / 255),
            "RGBX16": File(tiffed(RGBA16, **RGB_KIND, **UNSPECIFIED, **how), U16 / 65535),
            "CMYK8": File(tiffed(INK, photometric="separated", **how), FROM_INK, tolerance=LEVEL),
        }.items()
    }
    for whole, array, alpha in ((255, U8, A8), (65535, U16, A16)):
        color, share = array / whole, alpha / whole
        stored = np.dstack([multiplied(color, share, whole), alpha]).astype(array.dtype)
        FILES[f"multiplied {whole} {layout}.tiff"] = File(
            tiffed(stored, **RGB_KIND, **ASSOCIATED, **how), color, share, 1.5 / whole + EXACT, hidden=False
        )
    if "predictor" not in how:
        f64, grey = COLOR.astype(np.float64), F32[..., 1]
        with_alpha = np.dstack([F32, ALPHA]).astype(np.float32)
        premultiplied = np.dstack([F32 * ALPHA[..., None], ALPHA]).astype(np.float32)
        FILES |= {
            f"{name} {layout}.tiff": file
            for name, file in {
                "float grey": File(tiffed(grey, **GREY_KIND, **how), grey),
                "float white is 0": File(tiffed(1 - grey, photometric="miniswhite", **how), grey),
                "float RGB": File(tiffed(F32, **RGB_KIND, **how), COLOR),
                "double RGB": File(tiffed(f64, **RGB_KIND, **how), COLOR),
                "double grey": File(tiffed(f64[..., 1], **GREY_KIND, **how), grey),
                "float RGBA": File(tiffed(with_alpha, **RGB_KIND, **UNASSOCIATED, **how), COLOR, ALPHA),
                "float RGBX": File(tiffed(with_alpha, **RGB_KIND, **UNSPECIFIED, **how), COLOR),
                "float multiplied": File(
                    tiffed(premultiplied, **RGB_KIND, **ASSOCIATED, **how), COLOR, ALPHA, 1e-5, hidden=False
                ),
            }.items()
        }
for layout in ("little", "big", "zlib"):
    how = LAYOUTS[layout]
    FILES[f"RGB8 planes {layout}.tiff"] = File(tiffed(U8, True, **RGB_KIND, **how), U8 / 255)
    FILES[f"RGBA8 planes {layout}.tiff"] = File(
        tiffed(RGBA8, True, **RGB_KIND, **UNASSOCIATED, **how), U8 / 255, A8 / 255
    )
    FILES[f"CMYK8 planes {layout}.tiff"] = File(
        tiffed(INK, True, photometric="separated", **how), FROM_INK, tolerance=LEVEL
    )
INK16 = np.dstack([65535 - U16, np.roll(G16, 9, axis=1) // 2])
FILES["CMYK16.tiff"] = File(tiffed(INK16, photometric="separated"), FROM_INK, tolerance=3 / 255)
FILES["five channels.tiff"] = File(
    tiffed(np.dstack([RGBA8, A8]), **RGB_KIND, extrasamples=["unassalpha", "unspecified"]), U8 / 255, A8 / 255
)
FILES["palette.tiff"] = File(
    tiffed(INDICES, photometric="palette", colormap=PALETTE.T.astype(np.uint16) * 257), PALETTE[INDICES] / 255
)
FILES["1 bit.tiff"] = File(tiffed(BITS, **GREY_KIND), BITS.astype(float))
FILES["1 bit white is 0.tiff"] = File(tiffed(~BITS, photometric="miniswhite"), BITS.astype(float))
FILES["LAB8.tiff"] = File(tiffed(np.dstack([LAB[..., :1], LAB[..., 1:] ^ 128]), photometric="cielab"), FROM_LAB,
                          tolerance=2 * LEVEL)  # fmt: skip
FILES["beyond the range.tiff"] = File(
    tiffed(np.float32(3 * COLOR - 1), **RGB_KIND), np.clip(3 * COLOR - 1, 0, 1), says=("from -1 to 2 are cut",)
)
FILES["beyond by rounding.tiff"] = File(tiffed(F32 * np.float32(1 + 1e-6), **RGB_KIND), COLOR, tolerance=2 * EXACT)

# TIFFs by hand.

SIZE = {"t256": (W,), "t257": (H,)}
for bits in (2, 4):
    values = G8 >> (8 - bits)
    packed = np.packbits(((values[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(H, -1), axis=1).tobytes()
    content = tiff(packed, **SIZE, t258=(bits,), t259=(1,), t262=(1,), t277=(1,))
    FILES[f"{bits} bits.tif"] = File(written(content), values / (2**bits - 1))
content = tiff(RGBA8.tobytes(), **SIZE, t258=(8, 8, 8, 8), t259=(1,), t262=(2,), t277=(4,))
FILES["four channels without a word.tif"] = File(written(content), U8 / 255, A8 / 255)

# PNGs by hand: every type of colour and depth, with and without a colour or a palette that is transparent.


def packed_png(*arguments, **chunks):
    return written(png(*arguments, **chunks))


for depth in (1, 2, 4, 8, 16):
    top = 2**depth - 1
    values = np.random.default_rng(depth).integers(0, top + 1, (H, W))
    key = int(values[3, 4])
    transparent = {"tRNS": struct.pack(">H", key)}
    FILES[f"grey {depth}.png"] = File(packed_png(values, 0, depth), values / top)
    FILES[f"grey key {depth}.png"] = File(
        packed_png(values, 0, depth, **transparent), values / top, (values != key).astype(float)
    )
    if depth <= 8:
        palette, shares = PALETTE[: top + 1], PALETTE[::-1, 1][: top + 1]
        entries = {"PLTE": palette.tobytes()}
        FILES[f"palette {depth}.png"] = File(packed_png(values, 3, depth, **entries), palette[values] / 255)
        FILES[f"soft palette {depth}.png"] = File(
            packed_png(values, 3, depth, **entries, tRNS=shares.tobytes()), palette[values] / 255, shares[values] / 255
        )
        first = np.where(values == 0, 0, 1).astype(float)  # a table that ends early: the rest is opaque
        FILES[f"hard palette {depth}.png"] = File(
            packed_png(values, 3, depth, **entries, tRNS=b"\0"), palette[values] / 255, first
        )
for depth, whole, color, both in ((8, 255, U8, RGBA8), (16, 65535, U16, RGBA16)):
    key = color[3, 4]
    near = color.copy()
    near[10:20, 10:20] = key
    near[25:30, 10:20] = key ^ 1  # differs in the last bit
    shown = (near != key).any(axis=2).astype(float)
    transparent = {"tRNS": key.astype(">u2").tobytes()}
    FILES[f"RGB {depth}.png"] = File(packed_png(color, 2, depth), color / whole)
    FILES[f"RGB key {depth}.png"] = File(packed_png(near, 2, depth, **transparent), near / whole, shown)
    FILES[f"RGBA {depth}.png"] = File(packed_png(both, 6, depth), color / whole, both[..., 3] / whole)
    FILES[f"LA {depth}.png"] = File(packed_png(both[..., 2:], 4, depth), color[..., 2] / whole, both[..., 3] / whole)
for name, chunks in {
    "text": {"tEXt": b"Comment\0<svg> <html> %PDF- 8BPS"}, "background": {"bKGD": b"\0\1\0\2\0\3"},
    "resolution": {"pHYs": bytes(8) + b"\1"}, "gamma": {"gAMA": struct.pack(">I", 45455)}, "sRGB": {"sRGB": b"\0"},
}.items():  # fmt: skip
    FILES[f"RGB with {name}.png"] = File(packed_png(U8, 2, 8, **chunks), U8 / 255)
for depth, whole, color, both in ((8, 255, U8, RGBA8), (16, 65535, U16, RGBA16)):
    write = packed_png(both, 6, depth, interlaced=True)
    FILES[f"RGBA interlaced {depth}.png"] = File(write, color / whole, both[..., 3] / whole)
    FILES[f"grey interlaced {depth}.png"] = File(
        packed_png(both[..., 0], 0, depth, interlaced=True), color[..., 0] / whole
    )

# Bitmaps, icons and others, as some programs write them.

FILES["RGBA version 4.bmp"] = File(written(bmp(RGBA8)), U8 / 255, A8 / 255)
FILES["RGB from the top.bmp"] = File(written(bmp(U8, top_down=True)), U8 / 255)
FILES["RGB from the bottom.tga"] = File(saved(U8, orientation=-1), U8 / 255)
FILES["RGB from the top.tga"] = File(saved(U8, orientation=1), U8 / 255)
FILES["two sizes.ico"] = File(saved(RGBA8, sizes=[(16, 11), (W, H)]), U8 / 255, A8 / 255)
for mode in ("L", "RGB", "RGBA", "I;16"):
    image, color, alpha = LOSSLESS[mode]
    FILES[f"{mode} predictor.tif"] = File(saved(image, compression="tiff_lzw", tiffinfo={317: 2}), color, alpha)

# Portable maps by hand.


def plain(kind, *header, values):
    return f"{kind}\n# by hand\n{' '.join(map(str, header))}\n{' '.join(map(str, values.ravel()))}\n".encode()


for kind, array in (("2", G8), ("3", U8)):
    FILES[f"P{kind} plain.ppm"] = File(written(plain(f"P{kind}", W, H, 255, values=array)), array / 255)
FILES["P1 plain.pbm"] = File(written(plain("P1", W, H, values=1 - BITS.astype(int))), BITS.astype(float))
for whole in (100, 255, 1000, 65535):
    kind = ">u2" if whole > 255 else "u1"
    deep, shallow = np.round(COLOR * whole).astype(kind), whole in (100, 1000)
    FILES[f"P6 to {whole}.ppm"] = File(
        written(f"P6 {W} {H} {whole}\n".encode() + deep.tobytes()), deep / whole, tolerance=LEVEL if shallow else EXACT
    )
    FILES[f"P5 to {whole}.pgm"] = File(
        written(f"P5 {W} {H} {whole}\n".encode() + deep[..., 0].tobytes()), deep[..., 0] / whole,
        tolerance=LEVEL if shallow else EXACT,
    )  # fmt: skip
FILES["grey of 16 bits.jp2"] = File(saved(G16), G16 / 65535)


@pytest.mark.parametrize("name", FILES)
def test_what_is_read_is_what_was_written(tmp_path, name):
    check(tmp_path / f"picture{Path(name).suffix}", FILES[name])


def test_there_are_many_of_them():
    assert len(FILES) > 300


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    shape=st.tuples(st.integers(16, 20), st.integers(16, 20)),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA"]),
    suffix=st.sampled_from([".png", ".tif", ".webp", ".tga", ".jp2"]),
)
def test_any_pixels(tmp_path_factory, data, shape, mode, suffix):
    pixels = data.draw(arrays(np.uint8, (*shape, len(mode))))
    color, alpha = (pixels[..., :-1], pixels[..., -1]) if mode.endswith("A") else (pixels, None)
    color = np.broadcast_to(color, (*shape, 3)) / 255
    if alpha is not None and alpha.min() == 255:
        alpha = None
    write = saved(pixels.squeeze(), **OPTIONS.get(suffix, {}))
    file = File(write, color, None if alpha is None else alpha / 255)
    check(tmp_path_factory.getbasetemp() / f"any{suffix}", file)


@pytest.mark.parametrize("kind, text", [
    ("zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))), ("tEXt", b"Comment\0"),
    ("iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(3_000_000))),
], ids=["packed", "plain", "metadata"])  # fmt: skip
def test_very_long_texts_beside_the_pixels(tmp_path, kind, text):
    """Pillow refuses more than 1 MB in a packed one, and more than 64 MB in all."""
    chunk = {kind: text if len(text) > 100 else text + bytes(70_000_000)}
    check(tmp_path / "a.png", File(packed_png(U8, 2, 8, **chunk), U8 / 255))
    check(tmp_path / "b.png", File(packed_png(RGBA16, 6, 16, **chunk), U16 / 65535, A16 / 65535))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".txt", ""])
def test_the_name_does_not_matter(tmp_path, suffix):
    """The content says what a file is."""
    for kind in (".png", ".tif", ".bmp", ".gif"):
        content = BytesIO()
        Image.fromarray(G8).save(content, Image.registered_extensions()[kind])
        check(tmp_path / f"picture{suffix}", File(written(content.getvalue()), G8 / 255))


# Orientation.


def turned_by_pillow(pixels, orientation, **options):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return saved(pixels, exif=tags, **options)


def turned_by_hand(orientation, *arguments, **chunks):
    return packed_png(*arguments, **chunks, eXIf=exif(orientation))


def turned_after_the_pixels(orientation):
    """PNG allows the block after the pixels too."""
    whole, end = png(U8, 2), png_chunk(b"IEND", b"")
    return written(whole[: -len(end)] + png_chunk(b"eXIf", exif(orientation)) + end)


def turned_tiff(array, orientation, **options):
    return tiffed(array, extratags=[(274, 3, 1, orientation, True)], **options)


LOSSY = {"quality": 95}
ORIENTED = {
    "RGB.jpg": (lambda o: turned_by_pillow(U8, o, **LOSSY), U8 / 255, None, 16 / 255),
    "L.jpg": (lambda o: turned_by_pillow(G8, o, **LOSSY), G8 / 255, None, 4 / 255),
    "CMYK.jpg": (lambda o: turned_by_pillow(merged("CMYK", INK), o, **LOSSY), FROM_INK, None, 16 / 255),
    "RGB.webp": (lambda o: turned_by_pillow(U8, o, lossless=True), U8 / 255, None, EXACT),
    "RGBA.webp": (lambda o: turned_by_pillow(RGBA8, o, lossless=True, exact=True), U8 / 255, A8 / 255, EXACT),
    "RGB.avif": (lambda o: turned_by_pillow(U8, o, **LOSSY), U8 / 255, None, 16 / 255),
    "RGBA.avif": (lambda o: turned_by_pillow(RGBA8, o, **LOSSY), U8 / 255, A8 / 255, 16 / 255),
    "RGB.png": (lambda o: turned_by_pillow(U8, o), U8 / 255, None, EXACT),
    "RGB after.png": (turned_after_the_pixels, U8 / 255, None, EXACT),
    "P.png": (lambda o: turned_by_pillow(with_palette(), o), PALETTE[INDICES] / 255, None, EXACT),
    "RGBA.png": (lambda o: turned_by_pillow(RGBA8, o), U8 / 255, A8 / 255, EXACT),
    "RGB16.png": (lambda o: turned_by_hand(o, U16, 2, 16), U16 / 65535, None, EXACT),
    "RGBA16.png": (lambda o: turned_by_hand(o, RGBA16, 6, 16), U16 / 65535, A16 / 65535, EXACT),
    "grey16.png": (lambda o: turned_by_hand(o, G16, 0, 16), G16 / 65535, None, EXACT),
    "RGB.tif": (lambda o: turned_by_pillow(U8, o), U8 / 255, None, EXACT),
    "RGB lzw.tif": (lambda o: turned_by_pillow(U8, o, compression="tiff_lzw"), U8 / 255, None, EXACT),
    "RGBA.tiff": (lambda o: turned_tiff(RGBA8, o, **RGB_KIND, **UNASSOCIATED), U8 / 255, A8 / 255, EXACT),
    "RGB16.tiff": (lambda o: turned_tiff(U16, o, **RGB_KIND), U16 / 65535, None, EXACT),
    "RGBA16.tiff": (lambda o: turned_tiff(RGBA16, o, **RGB_KIND, **UNASSOCIATED), U16 / 65535, A16 / 65535, EXACT),
    "grey16.tiff": (lambda o: turned_tiff(G16, o, **GREY_KIND), G16 / 65535, None, EXACT),
    "white is 0.tiff": (lambda o: turned_tiff(65535 - G16, o, photometric="miniswhite"), G16 / 65535, None, EXACT),
    "float RGB.tiff": (lambda o: turned_tiff(F32, o, **RGB_KIND), COLOR, None, EXACT),
    "float grey.tiff": (lambda o: turned_tiff(F32[..., 0], o, byteorder=">", **GREY_KIND), F32[..., 0], None, EXACT),
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ORIENTED)
def test_orientation(tmp_path, name, orientation):
    write, color, alpha, tolerance = ORIENTED[name]
    turn = UPRIGHT[orientation]
    file = File(write(orientation), turn(color), None if alpha is None else turn(alpha), tolerance)
    check(tmp_path / f"picture{Path(name).suffix}", file)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not(tmp_path, orientation):
    check(tmp_path / "picture.jpg", File(turned_by_pillow(U8, orientation, **LOSSY), U8 / 255, tolerance=16 / 255))
    check(tmp_path / "picture.png", File(turned_by_hand(orientation, U16, 2, 16), U16 / 65535))


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0rubbish", b"Exif\0\0MM\0*\0\0\xff\xff" + bytes(9)]
)
def test_damaged_exif_data_are_no_reason_to_refuse_a_picture(tmp_path, block):
    path = tmp_path / "picture.jpg"
    Image.fromarray(U8).save(path, quality=95, exif=block)
    picture = read_picture(path)
    np.testing.assert_allclose(picture.color, U8 / 255, atol=16 / 255)
    assert all("its EXIF data are damaged, and are ignored" in notice for notice in picture.notices)


# Colour profiles.

P3 = rgb_profile(DISPLAY_P3, srgb_decode, "Display P3")
ADOBE = rgb_profile(ADOBE_RGB, ADOBE_GAMMA, "Adobe RGB (1998) alike")
PLAIN_SRGB = rgb_profile(SRGB, srgb_decode, "sRGB by hand")
LINEAR = rgb_profile(SRGB, 1.0, "Linear sRGB")
WIDE = {"Display P3": (P3, DISPLAY_P3, srgb_decode), "Adobe RGB (1998) alike": (ADOBE, ADOBE_RGB, ADOBE_GAMMA)}
GENTLE = np.round(255 * (0.5 + 0.3 * COLOR)).astype(np.uint8)  # stays within sRGB: at its border a codec's error grows
CARRIERS = {
    ".png": {}, ".tif": {}, ".webp": {"lossless": True}, ".jpg": {"quality": 95, "subsampling": 0},
    ".avif": {"quality": 95, "subsampling": "4:4:4"},
}  # fmt: skip
LOST = {".jpg": 12 / 255, ".avif": 14 / 255}


def converted(name):
    return (f"converted to sRGB from its colour profile ({name})",)


def meant(name, pixels):
    """What bytes mean by one of the profiles."""
    _, primaries, decode = WIDE[name]
    return in_srgb(pixels / 255, primaries, decode)


def test_the_profiles_by_hand_are_what_they_should_be():
    """Against numbers published: P3's green lies outside sRGB; Adobe RGB's matrix to XYZ at D50; the same white."""
    published = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
    np.testing.assert_allclose(to_xyz(ADOBE_RGB), published, atol=2e-4)  # Adobe RGB (1998), 4.3.5.2
    for _, primaries, decode in (("p3", DISPLAY_P3, srgb_decode), ("adobe", ADOBE_RGB, ADOBE_GAMMA)):
        np.testing.assert_allclose(in_srgb(np.ones(3), primaries, decode), 1, atol=1e-3)
    np.testing.assert_allclose(in_srgb(np.array([0.5, 0.5, 0.5]), DISPLAY_P3, srgb_decode), 0.5, atol=1e-3)
    for name, (icc, _, _) in WIDE.items():
        assert np.abs(meant(name, U8) - U8 / 255).max() > 40 / 255
        assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(icc))).strip() == name


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("suffix", CARRIERS)
def test_a_wide_color_space_becomes_srgb(tmp_path, name, suffix):
    pixels, tolerance = (GENTLE, LOST[suffix]) if suffix in LOST else (U8, 2 * LEVEL)
    write = saved(pixels, icc_profile=WIDE[name][0], **CARRIERS[suffix])
    check(tmp_path / f"picture{suffix}", File(write, meant(name, pixels), None, tolerance, says=converted(name)))


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_what_is_transparent_stays_so(tmp_path, name, suffix):
    options = CARRIERS[suffix] | ({"exact": True} if suffix == ".webp" else {})
    write = saved(RGBA8, icc_profile=WIDE[name][0], **options)
    file = File(write, meant(name, U8), A8 / 255, 2 * LEVEL, says=converted(name))
    check(tmp_path / f"picture{suffix}", file)


@pytest.mark.parametrize("name", WIDE)
def test_a_wide_color_space_in_16_bits_and_floats(tmp_path, name):
    """Converted with 8 bits."""
    icc, expected = WIDE[name][0], meant(name, np.round(U16 / 257))
    says, tags = converted(name), {"extratags": [(34675, 7, len(icc), icc, True)]}
    check(tmp_path / "a.png", File(packed_png(U16, 2, 16, iCCP=png_profile(icc)), expected, None, 4 * LEVEL, says=says))
    check(tmp_path / "a.tif", File(tiffed(U16, **RGB_KIND, **tags), expected, None, 4 * LEVEL, says=says))
    check(tmp_path / "b.tif", File(tiffed(F32, **RGB_KIND, **tags), expected, None, 4 * LEVEL, says=says))
    both = File(tiffed(RGBA16, **RGB_KIND, **UNASSOCIATED, **tags), expected, A16 / 65535, 4 * LEVEL, says=says)
    check(tmp_path / "c.tif", both)
    both = File(packed_png(RGBA16, 6, 16, iCCP=png_profile(icc)), expected, A16 / 65535, 4 * LEVEL, says=says)
    check(tmp_path / "d.png", both)


def test_a_palette_and_a_grey_picture_in_a_wide_color_space(tmp_path):
    expected = meant("Display P3", PALETTE[INDICES])
    says = converted("Display P3")
    check(tmp_path / "a.png", File(saved(with_palette(), icc_profile=P3), expected, None, 2 * LEVEL, says=says))
    grey = srgb_encode((G8 / 255) ** ADOBE_GAMMA)
    says = converted("Adobe RGB (1998) alike")
    check(tmp_path / "b.png", File(saved(G8, icc_profile=ADOBE), grey, None, 2 * LEVEL, says=says))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_wide_color_space_and_an_orientation(tmp_path, orientation):
    expected, says = UPRIGHT[orientation](meant("Display P3", GENTLE)), converted("Display P3")
    for suffix in (".png", ".tif", ".jpg"):
        write = turned_by_pillow(GENTLE, orientation, icc_profile=P3, **CARRIERS[suffix])
        check(tmp_path / f"picture{suffix}", File(write, expected, None, LOST.get(suffix, 2 * LEVEL), says=says))


SRGB_PROFILES = {
    "by hand": PLAIN_SRGB,
    "littleCMS's": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
}


@pytest.mark.parametrize("icc", SRGB_PROFILES.values(), ids=SRGB_PROFILES)
def test_an_srgb_profile_changes_no_bit(tmp_path, icc):
    tags = {"extratags": [(34675, 7, len(icc), icc, True)]}
    for suffix in (".png", ".tif", ".webp"):
        check(tmp_path / f"a{suffix}", File(saved(U8, icc_profile=icc, **CARRIERS[suffix]), U8 / 255))
    check(tmp_path / "b.png", File(saved(RGBA8, icc_profile=icc), U8 / 255, A8 / 255))
    check(tmp_path / "c.png", File(packed_png(U16, 2, 16, iCCP=png_profile(icc)), U16 / 65535))
    check(tmp_path / "d.png", File(packed_png(G16, 0, 16, iCCP=png_profile(icc)), G16 / 65535))
    check(tmp_path / "e.tif", File(tiffed(U16, **RGB_KIND, **tags), U16 / 65535))
    check(tmp_path / "f.tif", File(tiffed(F32, **RGB_KIND, **tags), COLOR))
    for suffix in (".jpg", ".avif"):
        Image.fromarray(U8).save(tmp_path / f"a{suffix}", icc_profile=icc, **CARRIERS[suffix])
        Image.fromarray(U8).save(tmp_path / f"b{suffix}", **CARRIERS[suffix])
        np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), read_image(tmp_path / f"b{suffix}"))


@pytest.mark.parametrize("gamma", [1.0, 1.75, 2.5])
def test_a_grey_profile(tmp_path, gamma):
    icc, says = grey_profile(gamma, f"Grey {gamma}"), converted(f"Grey {gamma}")
    expected = srgb_encode((G8 / 255) ** gamma)
    for suffix in (".png", ".tif", ".jpg"):
        # Near black a linear profile spreads one level over 12 of sRGB, and a codec's error with it.
        tolerance = (40 if gamma == 1 else 10) / 255 if suffix == ".jpg" else 2 * LEVEL
        file = File(saved(G8, icc_profile=icc, **CARRIERS[suffix]), expected, None, tolerance, says=says)
        check(tmp_path / f"picture{suffix}", file)
    check(tmp_path / "a.png", File(saved(LA8, icc_profile=icc), expected, A8 / 255, 2 * LEVEL, says=says))
    deep = srgb_encode((np.round(G16 / 257) / 255) ** gamma)
    check(tmp_path / "b.png", File(packed_png(G16, 0, 16, iCCP=png_profile(icc)), deep, None, 2 * LEVEL, says=says))
    tags = {"extratags": [(34675, 7, len(icc), icc, True)]}
    check(tmp_path / "c.tif", File(tiffed(G16, **GREY_KIND, **tags), deep, None, 2 * LEVEL, says=says))
    white = tiffed(65535 - G16, photometric="miniswhite", **tags)
    check(tmp_path / "d.tif", File(white, deep, None, 2 * LEVEL, says=says))


CORNERS = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(16, 4)  # cyan, magenta, yellow, black
PRINTED = np.array([
    [100, 0, 0], [25, 3, 3], [88, -6, 60], [22, 0, 12], [50, 45, 0], [18, 12, 2], [48, 42, 30], [16, 10, 6],
    [60, -30, -30], [20, -6, -8], [52, -40, 20], [17, -8, 4], [30, 12, -30], [12, 4, -8], [28, 0, 0], [0, 0, 0],
], float)  # fmt: skip
NEWSPAPER = cmyk_profile(PRINTED.reshape(2, 2, 2, 2, 3), "Newspaper by hand")


def test_cmyk_by_its_profile_and_without(tmp_path):
    """Patches of no or all ink, where the profile's table says the colour itself; and without one."""
    patches = np.repeat(np.repeat(CORNERS.reshape(4, 4, 4), 16, axis=0), 16, axis=1)
    ink = merged("CMYK", (255 * patches).astype(np.uint8))
    expected = lab_in_srgb(PRINTED).reshape(4, 4, 3).repeat(16, axis=0).repeat(16, axis=1)
    says = converted("Newspaper by hand")
    check(tmp_path / "a.tif", File(saved(ink, icc_profile=NEWSPAPER), expected, None, 4 * LEVEL, says=says))
    check(
        tmp_path / "a.jpg", File(saved(ink, icc_profile=NEWSPAPER, quality=100), expected, None, 6 * LEVEL, says=says)
    )
    naive = (1 - patches[..., :3]) * (1.0 - patches[..., 3:])
    assert np.abs(naive - expected).max() > 0.3
    check(tmp_path / "b.tif", File(saved(ink), naive))
    check(tmp_path / "b.jpg", File(saved(ink, quality=100), naive, None, 3 * LEVEL))


IGNORED = ("its colour profile is damaged or of another kind of colour, and is ignored",)
UNFIT = {
    "rubbish": b"rubbish",
    "a header": P3[:128],
    "cut off": P3[: len(P3) // 2],
    "zeros": bytes(500),
    "of ink": NEWSPAPER,
    "of grey": grey_profile(1.0, "grey"),
    "without colours": profile(b"mntr", b"RGB ", b"XYZ ", "nothing"),
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_a_profile_that_does_not_fit_is_ignored_and_that_is_said(tmp_path, name, suffix):
    file = File(saved(U8, icc_profile=UNFIT[name], **CARRIERS[suffix]), U8 / 255, None, LOST.get(suffix, EXACT),
                says=IGNORED)  # fmt: skip
    check(tmp_path / f"picture{suffix}", file)


@pytest.mark.parametrize("name", ["rubbish", "cut off", "of ink", "of grey"])
def test_a_profile_that_does_not_fit_costs_no_depth(tmp_path, name):
    icc = UNFIT[name]
    tags = {"extratags": [(34675, 7, len(icc), icc, True)]}
    check(tmp_path / "a.png", File(packed_png(U16, 2, 16, iCCP=png_profile(icc)), U16 / 65535, says=IGNORED))
    check(tmp_path / "b.tif", File(tiffed(U16, **RGB_KIND, **tags), U16 / 65535, says=IGNORED))
    check(tmp_path / "c.tif", File(saved(merged("CMYK", INK), icc_profile=UNFIT["of grey"]), FROM_INK, None, LEVEL,
                                   says=IGNORED))  # fmt: skip


def test_a_nameless_profile(tmp_path):
    icc = rgb_profile(DISPLAY_P3, srgb_decode, "")
    says = converted("unnamed")
    check(tmp_path / "a.png", File(saved(U8, icc_profile=icc), meant("Display P3", U8), None, 2 * LEVEL, says=says))


def test_adobe_rgb_without_a_profile(tmp_path):
    """Cameras may write no more than a flag; a profile counts more than the flag."""
    Image.fromarray(GENTLE).save(tmp_path / "a.jpg", exif=exif_adobe_rgb(), quality=95, subsampling=0)
    picture = read_picture(tmp_path / "a.jpg")
    np.testing.assert_allclose(picture.color, meant("Adobe RGB (1998) alike", GENTLE), atol=12 / 255)
    assert picture.notices == (f"{tmp_path / 'a.jpg'}: converted to sRGB from Adobe RGB, as its EXIF data say",)
    with Image.open(tmp_path / "a.jpg") as file:
        decoded = np.asarray(file) / 255
    np.testing.assert_allclose(picture.color, in_srgb(decoded, ADOBE_RGB, ADOBE_GAMMA), atol=1e-3)
    Image.fromarray(U8).save(tmp_path / "b.jpg", exif=exif_adobe_rgb(), icc_profile=PLAIN_SRGB, quality=95)
    assert not read_picture(tmp_path / "b.jpg").notices


# Transparency.


@pytest.mark.parametrize("suffix, options", [
    (".png", {}), (".tif", {}), (".webp", {"lossless": True, "exact": True}), (".tga", {}), (".jp2", {}), (".qoi", {}),
])  # fmt: skip
def test_a_channel_of_full_opacity_is_none(tmp_path, suffix, options):
    opaque = np.dstack([U8, np.full((H, W), 255, np.uint8)])
    check(tmp_path / f"picture{suffix}", File(saved(opaque, **options), U8 / 255))


@pytest.mark.parametrize("write", [
    saved(np.dstack([U8, np.where((rows == 0) & (columns == 0), 254, 255).astype(np.uint8)])),
    packed_png(np.dstack([U8, np.where((rows == 0) & (columns == 0), 254, 255)]), 6, 8),
], ids=["Pillow", "by hand"])  # fmt: skip
def test_one_pixel_that_is_not_quite_opaque(tmp_path, write):
    alpha = np.ones((H, W))
    alpha[0, 0] = 254 / 255
    check(tmp_path / "picture.png", File(write, U8 / 255, alpha))


def test_a_picture_that_is_transparent_everywhere(tmp_path):
    picture = check(tmp_path / "a.png", File(saved(np.dstack([U8, 0 * A8])), U8 / 255, np.zeros((H, W))))
    np.testing.assert_array_equal(picture.over_white, 1)
    np.testing.assert_allclose(picture.layer[..., :3], U8 / 255, atol=EXACT)
    assert not picture.layer[..., 3].any()


def test_layers_have_a_fourth_channel_only_where_something_is_transparent(tmp_path):
    assert check(tmp_path / "a.png", FILES["RGB.png"]).layer.shape == (H, W, 3)
    layer = check(tmp_path / "b.png", FILES["RGBA.png"]).layer
    assert layer.dtype == np.float32
    np.testing.assert_allclose(layer, RGBA8 / 255, atol=EXACT)
    np.testing.assert_allclose(read_image(tmp_path / "b.png", over_white=False), U8 / 255, atol=EXACT)


def test_transparent_colors_of_a_gif(tmp_path):
    hole = np.where((INDICES == 0) | (rows < 0.3), 7, INDICES).astype(np.uint8)
    file = File(saved(with_palette(hole), transparency=7), PALETTE[hole] / 255, (hole != 7).astype(float), hidden=False)
    check(tmp_path / "picture.gif", file)


# Several pictures in a file.

SECOND = Image.fromarray(U8[::-1].copy())
SEVERAL = {
    "gif": (saved(with_palette(), save_all=True, append_images=[with_palette(INDICES[::-1].copy())], duration=50),
            PALETTE[INDICES] / 255, 2),
    "webp": (saved(U8, save_all=True, append_images=[SECOND], lossless=True, duration=50), U8 / 255, 2),
    "png": (saved(U8, save_all=True, append_images=[SECOND, Image.fromarray(U8)], duration=50), U8 / 255, 3),
    "tif": (saved(U8, save_all=True, append_images=[SECOND]), U8 / 255, 2),
    "tiff": (tiffed(np.stack([U8, U8[::-1], U8]), **RGB_KIND), U8 / 255, 3),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SEVERAL)
def test_of_several_pictures_the_first_is_used_and_that_is_said(tmp_path, suffix):
    write, color, count = SEVERAL[suffix]
    check(tmp_path / f"picture.{suffix}", File(write, color, says=(f"the first of its {count} pictures is used",)))


def test_of_several_avif_pictures_the_first_is_used(tmp_path):
    write = saved(U8, save_all=True, append_images=[SECOND], quality=95)
    says = ("the first of its 2 pictures is used",)
    check(tmp_path / "picture.avif", File(write, U8 / 255, tolerance=16 / 255, says=says))


@pytest.mark.parametrize("array", [U16, F32], ids=["16 bits", "floats"])
def test_of_several_deep_pictures_the_first_is_used(tmp_path, array):
    whole = 65535 if array is U16 else 1
    pages = np.stack([array, array[::-1]])
    says = ("the first of its pictures is used",)
    check(tmp_path / "picture.tif", File(tiffed(pages, **RGB_KIND), array / whole, says=says))


def test_the_previews_behind_a_telephones_photograph_are_not_worth_a_word(tmp_path):
    Image.fromarray(U8).save(tmp_path / "a.mpo", save_all=True, append_images=[SECOND], quality=95)
    picture = read_picture(tmp_path / "a.mpo")
    np.testing.assert_allclose(picture.color, U8 / 255, atol=16 / 255)
    assert not picture.notices


# Refused.


def refusal(path):
    """The one line that says why a file is refused; its path stands in it."""
    with pytest.raises(InputError) as error:
        read_picture(path)
    line = str(error.value)
    assert str(path) in line and "\n" not in line
    return line


TIFF_REFUSED = {
    "planes of 16 bits": (tiffed(U16, True, **RGB_KIND), "3 channels of 16-bit unsigned integers in planes"),
    "planes of 16 bits and alpha": (tiffed(RGBA16, True, **RGB_KIND, **UNASSOCIATED), "4 channels of 16-bit"),
    "planes of floats": (tiffed(F32, True, **RGB_KIND), "3 channels of 32-bit floats in planes"),
    "half floats": (tiffed(F32.astype(np.float16), **RGB_KIND), "3 channels of 16-bit floats"),
    "half floats of grey": (tiffed(F32[..., 0].astype(np.float16)), "1 channel of 16-bit floats"),
    "32 bits": (tiffed((COLOR[..., 0] * 1e9).astype(np.uint32)), "1 channel of 32-bit unsigned integers"),
    "32 bits RGB": (tiffed((COLOR * 1e9).astype(np.uint32), **RGB_KIND), "3 channels of 32-bit unsigned integers"),
    "64 bits": (tiffed((COLOR[..., 0] * 1e9).astype(np.uint64)), "1 channel of 64-bit unsigned integers"),
    "signed bytes": (tiffed((COLOR[..., 0] * 100).astype(np.int8)), "1 channel of 8-bit signed integers"),
    "signed bytes RGB": (tiffed((COLOR * 100).astype(np.int8), **RGB_KIND), "3 channels of 8-bit signed integers"),
    "signed 16 bits": (tiffed((COLOR[..., 0] * 100).astype(np.int16)), "1 channel of 16-bit signed integers"),
    "signed 32 bits": (tiffed((COLOR[..., 0] * 100).astype(np.int32)), "1 channel of 32-bit signed integers"),
    "complex": (tiffed(COLOR[..., 0].astype(np.complex64)), "1 channel of 64-bit other numbers"),
    "grey and alpha": (tiffed(RGBA16[..., 2:], **LA_KIND, **UNASSOCIATED), "2 channels of 16-bit unsigned integers"),
    "five channels": (tiffed(np.dstack([RGBA16, A16]), **RGB_KIND, extrasamples=["unassalpha", "unspecified"]),
                      "5 channels of 16-bit unsigned integers"),
    "planes of ink": (tiffed(INK16, True, photometric="separated"), "4 channels of 16-bit unsigned integers"),
    "12 bits": (written(tiff(bytes(H * W * 3 // 2), **SIZE, t258=(12,), t259=(1,), t262=(1,), t277=(1,))),
                "1 channel of 12-bit unsigned integers"),
    "5, 6 and 5 bits": (written(tiff(bytes(H * W * 2), **SIZE, t258=(5, 6, 5), t259=(1,), t262=(2,), t277=(3,))),
                        "3 channels of 0-bit unsigned integers"),
    "Lab of 16 bits": (tiffed(U16, photometric="cielab"), "colours of kind 8"),
    "the order of BigTIFF that few write": (tiffed(U8, bigtiff=True, byteorder=">", **RGB_KIND), "rare order"),
}  # fmt: skip


@pytest.mark.parametrize("name", TIFF_REFUSED)
def test_rare_tiffs_are_refused_and_described(tmp_path, name):
    write, received = TIFF_REFUSED[name]
    write(tmp_path / "picture.tif")
    line = refusal(tmp_path / "picture.tif")
    assert line.startswith("Expected a") and f"Received: {received}"[10:] in line and "save it again as PNG" in line


UNKNOWN_TO_PILLOW = {
    "multiplied in planes": tiffed(RGBA8, True, **RGB_KIND, **ASSOCIATED),
    "white is 0 and alpha": tiffed(LA8, photometric="miniswhite", planarconfig="contig", **UNASSOCIATED),
    "subsampled colours": written(
        tiff(bytes(H * W * 3 // 2), **SIZE, t258=(8, 8, 8), t259=(1,), t262=(6,), t277=(3,), t530=(2, 2))
    ),
}


@pytest.mark.parametrize("name", UNKNOWN_TO_PILLOW)
def test_tiffs_of_8_bits_that_pillow_does_not_know_are_refused(tmp_path, name):
    UNKNOWN_TO_PILLOW[name](tmp_path / "picture.tif")
    assert "Not an image, or a damaged one" in refusal(tmp_path / "picture.tif")


BRAND = b"\0\0\0\x18ftyp"
NAMED = {
    "a Photoshop document": (b"8BPS\0\1" + bytes(200), "export it as PNG"),
    "a PDF": (b"%PDF-1.7\n" + bytes(200), "export its page as PNG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "export it as PNG"),
    "an SVG drawing": (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="x"></svg>', "export it as PNG"),
    "a web page": (b"\n<!DOCTYPE html>\n<HTML><body><svg></svg></body></HTML>", "save the image itself"),
    "a GIMP document": (b"gimp xcf v011\0" + bytes(99), "export it as PNG"),
    "a ZIP archive": (b"PK\3\4" + bytes(99), "export the picture as PNG"),
    "JPEG XL": (b"\xff\x0a" + bytes(99), "convert it to PNG or JPEG"),
    "JPEG XR": (b"II\xbc\1" + bytes(99), "convert it to PNG or JPEG"),
    "light without an upper limit": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 40 +X 56\n", "map its tones"),
    "a PAM picture": (b"P7\nWIDTH 40\nHEIGHT 40\n", "convert it to PNG"),
    "a camera's raw file": (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "develop it to JPEG or PNG"),
    "a video": (BRAND + b"isom" + bytes(99), "save one of its pictures as PNG"),
    "HEIC": (BRAND + b"heic\0\0\0\0mif1heic" + bytes(99), "pip install pillow-heif reads it, or convert it to JPEG"),
    "a pointer to a file in Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "an array of NumPy's": (b"\x93NUMPY\1\0" + bytes(99), "save it as PNG"),
}
ALSO = {
    "PDF in Illustrator's": ("a PDF", b"%PDF-1.5\n%\xe2\xe3 Adobe Illustrator"),
    "EPS with a preview": ("PostScript", b"\xc5\xd0\xd3\xc6" + bytes(99)),
    "SVG with a mark of its bytes": ("an SVG drawing", b"\xef\xbb\xbf <svg/>"),
    "SVG with a prefix": ("an SVG drawing", b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>'),
    "HTML without a type": ("a web page", b"<html><head></head></html>"),
    "JPEG XL in a container": ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99)),
    "OpenEXR": ("light without an upper limit", b"\x76\x2f\x31\x01\2\0\0\0" + bytes(99)),
    "PFM": ("light without an upper limit", b"PF\n40 40\n-1.0\n" + bytes(40 * 40 * 12)),
    "Canon's": ("a camera's raw file", b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(99)),
    "Fuji's": ("a camera's raw file", b"FUJIFILMCCD-RAW 0201" + bytes(99)),
    "Olympus's": ("a camera's raw file", b"IIRO\x08\0\0\0" + bytes(99)),
    "Panasonic's": ("a camera's raw file", b"IIU\0\x18\0\0\0" + bytes(99)),
    "QuickTime": ("a video", BRAND + b"qt  " + bytes(99)),
    "old QuickTime": ("a video", b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(99)),
    "AVI": ("a video", b"RIFF\0\0\0\0AVI LIST" + bytes(99)),
    "Matroska": ("a video", b"\x1a\x45\xdf\xa3" + bytes(99)),
    "HEIF by its other brand": ("HEIC", BRAND + b"mif1\0\0\0\0mif1heic" + bytes(99)),
}  # fmt: skip
EVERY_NAMED = {name: (name, content, advice) for name, (content, advice) in NAMED.items()} | {
    name: (kind, content, NAMED[kind][1]) for name, (kind, content) in ALSO.items()
}


@pytest.mark.parametrize("name", EVERY_NAMED)
def test_kinds_that_people_have_are_named_with_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    kind, content, advice = EVERY_NAMED[name]
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    line = refusal(path)
    assert line.startswith(f"Expected an image. Received {kind}") and advice in line


def test_a_raw_file_that_shows_its_preview_first(tmp_path):
    """Nikon's, Sony's, and Adobe's DNG are TIFFs; what Pillow would give of them is a thumbnail."""
    tifffile.imwrite(tmp_path / "photo.nef", U8, photometric="rgb", subfiletype=1)
    assert refusal(tmp_path / "photo.nef").startswith(
        "Expected a picture. Received: a camera's raw file, develop it to"
    )


@pytest.mark.parametrize("words", [b"<svg", b"<html>", b"%PDF-1.4", b"8BPS", b"PK\3\4"])
def test_words_within_a_picture_do_not_name_it(tmp_path, words):
    """An editor may keep a drawing's text beside the pixels."""
    Image.fromarray(U8).save(tmp_path / "a.jpg", quality=95, comment=words)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg"), U8 / 255, atol=16 / 255)
    check(tmp_path / "b.png", File(packed_png(U8, 2, 8, tEXt=b"Source\0" + words), U8 / 255))


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path, monkeypatch):
    """With a stand-in that knows the file, registers with Pillow as that does, and gives 8 bits."""

    class HeifFile(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self):
            self._size, self._mode = (W, H), "RGB"
            self.tile = [ImageFile._Tile("raw", (0, 0, W, H), 64, "RGB")]

    def register():
        Image.register_open("HEIF", HeifFile, lambda prefix: prefix[4:12] == b"ftypheic")

    Image.init()
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    content = (BRAND + b"heic\0\0\0\0mif1heic").ljust(64, b"\0") + U8.tobytes()
    check(tmp_path / "photo.heic", File(written(content), U8 / 255))


def test_pillows_plug_ins_that_start_programs_are_not_asked():
    assert not {"EPS", "WMF", "FPX", "MIC"} & set(FORMATS)


# Damaged.

SMALL = np.random.default_rng(3).integers(0, 256, (24, 32, 4), np.uint8)


def encoded(suffix, **options):
    content = BytesIO()
    has_alpha = suffix in (".png", ".tif", ".webp", ".avif", ".tga", ".qoi", ".ico", ".dds")
    image = Image.fromarray(SMALL if has_alpha else SMALL[..., :3])
    image.save(content, Image.registered_extensions()[suffix], **options)
    return content.getvalue()


ENCODED = {
    "png": encoded(".png", icc_profile=P3), "jpg": encoded(".jpg", icc_profile=P3, exif=exif_adobe_rgb()),
    "tif": encoded(".tif"), "lzw": encoded(".tif", compression="tiff_lzw"), "webp": encoded(".webp", lossless=True),
    "lossy webp": encoded(".webp"), "avif": encoded(".avif"), "bmp": encoded(".bmp"), "gif": encoded(".gif"),
    "ppm": encoded(".ppm"), "jp2": encoded(".jp2"), "tga": encoded(".tga", compression="tga_rle"),
    "pcx": encoded(".pcx"), "ico": encoded(".ico", sizes=[(32, 24)]), "dds": encoded(".dds"), "sgi": encoded(".sgi"),
    "qoi": encoded(".qoi"), "png16": png(U16[:24, :32], 2, 16), "palette": png(SMALL[..., 0] & 15, 3, 4,
                                                                               PLTE=PALETTE[:16].tobytes()),
}  # fmt: skip
deep_tiff = BytesIO()
tifffile.imwrite(deep_tiff, F32[:24, :32], photometric="rgb", compression="zlib")
ENCODED["float"] = deep_tiff.getvalue()


NOTHING = (b"", b"\0", b"a text", bytes(1000), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF89a",
           b"RIFF\0\0\0\0WEBP", b"BM", b"<", b"<?xml?>")  # fmt: skip


@pytest.mark.parametrize("content", NOTHING)
def test_what_is_no_image(tmp_path, capfd, content):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    assert refusal(path) == f"Not an image, or a damaged one: {path}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", ENCODED)
def test_what_is_cut_off(tmp_path, capfd, name, share):
    path = tmp_path / "picture"
    path.write_bytes(ENCODED[name][: int(share * len(ENCODED[name]))])
    assert "Not an image, or a damaged one" in refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ENCODED)
def test_damaged_files_are_refused_or_read_but_break_nothing(tmp_path, capfd, name):
    """Bytes changed, dropped, doubled, or set to the ends of their range."""
    rng, path, content = np.random.default_rng(5), tmp_path / "picture", ENCODED[name]
    start = time.monotonic()
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(int(rng.integers(1, 5))):
            at = int(rng.integers(0, len(damaged)) if rng.random() < 0.5 else rng.integers(0, min(200, len(damaged))))
            kind = rng.integers(0, 5)
            if kind == 0:
                damaged[at] ^= 1 << int(rng.integers(0, 8))
            elif kind == 1:
                damaged[at] = int(rng.choice([0, 255, 127, 128]))
            elif kind == 2:
                del damaged[at : at + int(rng.integers(1, 20))]
            elif kind == 3:
                damaged[at:at] = damaged[at : at + int(rng.integers(1, 20))]
            else:
                damaged[at : at + 4] = rng.integers(0, 256, 4, np.uint8).tobytes()
        path.write_bytes(damaged)
        try:
            picture = read_picture(path)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert np.isfinite(picture.color).all() and picture.color.min() >= 0 and picture.color.max() <= 1
            assert picture.alpha is None or (picture.alpha.min() >= 0 and picture.alpha.max() <= 1)
    assert time.monotonic() - start < 30
    assert capfd.readouterr() == ("", "")


# Too small and too large.


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".gif", ".avif"])
@pytest.mark.parametrize("size", [(1, 1), (15, 40), (40, 15)])
def test_too_few_pixels(tmp_path, suffix, size):
    Image.new("RGB", size, "red").save(tmp_path / f"dot{suffix}")
    assert refusal(tmp_path / f"dot{suffix}").endswith(
        f"at least 16 pixels on each side. Received: {size[0]} x {size[1]}"
    )


def claims(name, width, height):
    """A file that says to have so many pixels."""
    content = bytearray(ENCODED.get(name, b""))
    if name == "png":
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = png_chunk(b"IHDR", bytes(content[16:29]))[-4:]
    elif name == "bmp":
        content[18:26] = struct.pack("<II", width, height)
    elif name == "gif":
        content[6:10] = struct.pack("<HH", width, height)
    elif name == "ppm":
        content[: content.index(b"\n255")] = f"P6\n{width} {height}".encode()
    elif name == "tga":
        content[12:16] = struct.pack("<HH", width, height)
    elif name == "pcx":
        content[8:12] = struct.pack("<HH", width - 1, height - 1)
    elif name == "dds":
        content[12:20] = struct.pack("<II", height, width)
    elif name == "sgi":
        content[6:10] = struct.pack(">HH", width, height)
    elif name == "qoi":
        content[4:12] = struct.pack(">II", width, height)
    elif name == "jpg":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif name == "webp":
        content[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14 | 1 << 28)
    elif name == "jp2":
        at = content.index(b"ihdr") + 4
        content[at : at + 8] = struct.pack(">II", height, width)
        at = content.index(b"\xff\x51") + 6
        content[at : at + 8] = struct.pack(">II", width, height)
    elif name == "avif":
        at = content.index(b"ispe") + 8
        content[at : at + 8] = struct.pack(">II", width, height)
    else:
        kind = {"tif": (8, 1), "deep": (16, 1), "float": (32, 3)}[name]
        content = tiff(bytes(99), t256=(width,), t257=(height,), t258=(kind[0],) * 3, t259=(1,), t262=(2,), t277=(3,),
                       t339=(kind[1],))  # fmt: skip
    return bytes(content)


@pytest.mark.parametrize("width, height", [(10001, 10000), (16383, 16383), (60000, 60000), (65500, 2000)])
@pytest.mark.parametrize("name", ["png", "bmp", "gif", "ppm", "tga", "pcx", "dds", "sgi", "qoi", "jpg", "webp", "jp2",
                                  "avif", "tif", "deep", "float"])  # fmt: skip
def test_over_a_hundred_megapixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch, name, width, height):
    if name == "webp" and max(width, height) > 16383:
        pytest.skip("the format has no room for that")

    def forbidden(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", forbidden)
    monkeypatch.setattr(cv2, "imdecode", forbidden)
    path = tmp_path / "picture"
    path.write_bytes(claims(name, width, height))
    start = time.monotonic()
    line = refusal(path)
    assert "at most 100 megapixels" in line or (name == "avif" and "damaged" in line)
    assert time.monotonic() - start < 1


# Where it comes from, and what reading leaves behind.


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.parametrize("name", ["RGBA.png", "RGB .jpg", "RGB16 little.tiff"])
def test_a_pipe(tmp_path, name):
    """It can be read once, and from its beginning to its end only."""
    FILES[name].write(tmp_path / f"file{Path(name).suffix}")
    content = (tmp_path / f"file{Path(name).suffix}").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    thread.start()
    check(tmp_path / "pipe", FILES[name]._replace(write=lambda path: None))
    thread.join(10)
    assert not thread.is_alive()


def test_the_hash_is_the_files(tmp_path):
    FILES["RGB.png"].write(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").sha256 == sha256((tmp_path / "a.png").read_bytes()).hexdigest()


def test_reading_in_threads_leaves_the_warnings_of_the_process_alone(tmp_path):
    FILES["RGB.png"].write(tmp_path / "a.png")
    before, errors = list(warnings.filters), []

    def read():
        try:
            for _ in range(20):
                np.testing.assert_allclose(read_image(tmp_path / "a.png"), U8 / 255, atol=EXACT)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and warnings.filters == before


def test_reading_does_not_change_the_file(tmp_path):
    for name in ("RGBA.png", "RGB .jpg", "RGB16 little.tiff"):
        path = tmp_path / f"picture{Path(name).suffix}"
        FILES[name].write(path)
        before, stamp = path.read_bytes(), path.stat().st_mtime_ns
        read_picture(path)
        assert path.read_bytes() == before and path.stat().st_mtime_ns == stamp


def test_a_mask_says_what_its_picture_said(tmp_path):
    """The notices of the picture come before those of the mask."""
    Image.fromarray(np.where(BITS, 90, 0).astype(np.uint8)).save(
        tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(G8)]
    )
    mask, notices = mask_of(read_picture(tmp_path / "a.tif"), "a mask")
    np.testing.assert_array_equal(mask, BITS)
    assert [notice.split(": ")[1].split(" ")[0] for notice in notices] == ["the", "its"]
