"""Image files and colour profiles made byte by byte: what no program here writes, or what must be known exactly."""

import struct
import zlib

import numpy as np

D50, D65 = np.array([0.9642, 1.0, 0.8249]), np.array([0.95047, 1.0, 1.08883])  # XYZ
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# Chromaticities x, y of red, green and blue.
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256

# EXIF orientation -> how the stored pixels have to be turned to stand upright (EXIF 2.3, tag 0x0112).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


# PNG.


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# First row and column, and steps, of the seven pictures that an interlaced one consists of.
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png(samples: np.ndarray, color_type: int, depth: int = 8, interlaced: bool = False, **chunks: bytes) -> bytes:
    """A PNG of samples (h, w) or (h, w, channels); color_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    passes = [samples[top::down, left::right] for top, left, down, right in ADAM7] if interlaced else [samples]
    header = struct.pack(">IIBBBBB", *samples.shape[1::-1], depth, color_type, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(png_rows(part, depth) for part in passes))
    content = {"IHDR": header, **chunks, "IDAT": pixels, "IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name.encode(), data) for name, data in content.items())


def png_rows(samples: np.ndarray, depth: int) -> bytes:
    """Rows of pixels, each after its filter's number, 0: none."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        rows = rows.astype(">u2").view(np.uint8)
    elif depth < 8:
        bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)
    return np.pad(rows.astype(np.uint8), ((0, 0), (1, 0))).tobytes()


def png_profile(profile: bytes) -> bytes:
    """What the chunk iCCP holds."""
    return b"profile\0\0" + zlib.compress(profile)


def exif(orientation: int) -> bytes:
    """A TIFF header; a directory of one entry: tag 0x0112, type 3 (16 bits), one value; no further directory."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def exif_adobe_rgb() -> bytes:
    """As cameras write it: ColorSpace "uncalibrated", and the interoperability index R03."""
    main = struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    details = struct.pack("<HHHIIHHIII", 2, 0xA001, 3, 1, 0xFFFF, 0xA005, 4, 1, 56, 0)
    interoperability = struct.pack("<HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + main + details + interoperability


# BMP.


def bmp(pixels: np.ndarray, top_down: bool = False) -> bytes:
    """Of RGB (h, w, 3), a width that is a multiple of 4; or of RGBA, which only version 4 of the format knows."""
    height, width, channels = pixels.shape
    rows = pixels if top_down else pixels[::-1]
    if channels == 3:
        size, fields, further, kind = 40, rows[..., ::-1], b"", 0
    else:
        size, fields, kind = 108, rows[..., [2, 1, 0, 3]], 3
        further = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(68, b"\0")
    data = np.ascontiguousarray(fields).tobytes()
    information = struct.pack("<IiiHHIIiiII", size, width, -height if top_down else height, 1, 8 * channels, kind,
                              len(data), 0, 0, 0, 0)  # fmt: skip
    return struct.pack("<2sIII", b"BM", 14 + size + len(data), 0, 14 + size) + information + further + data


# TIFF.


def tiff(data: bytes, **tags: tuple[int, ...]) -> bytes:
    """A little-endian TIFF of one strip, uncompressed, with the tags given as t256=(40,), and those of the strip.

    All are of 32 bits but the bits of a sample (258), and the subsampling of colours (530).
    """
    entries = {int(name[1:]): values for name, values in tags.items()}
    entries |= {273: (8,), 278: entries[257], 279: (len(data),)}
    data += bytes(len(data) % 2)
    directory, further, at = b"", b"", 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        kind, code = (3, "H") if tag in (258, 530) else (4, "I")
        packed = struct.pack(f"<{len(values)}{code}", *values)
        if len(packed) > 4:
            directory += struct.pack("<HHII", tag, kind, len(values), at + len(further))
            further += packed
        else:
            directory += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    header = b"II*\0" + struct.pack("<I", 8 + len(data))
    return header + data + struct.pack("<H", len(entries)) + directory + bytes(4) + further


# Colour profiles (ICC.1:2001-04, version 2.4) and what they mean, by matrices.


def profile(kind: bytes, space: bytes, connection: bytes, name: str, **tags: bytes) -> bytes:
    """An ICC profile: a class such as b"mntr", its colours' and the connection's space, and its tags."""
    encoded = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(encoded)) + encoded + bytes(4 + 4 + 2 + 1 + 67)
    everything = {"desc": description, "cprt": b"text" + bytes(4) + b"none\0", "wtpt": xyz(D50), **tags}
    body, table, at = b"", struct.pack(">I", len(everything)), 128 + 4 + 12 * len(everything)
    for tag, data in everything.items():
        data += bytes(-len(data) % 4)
        table += tag.encode() + struct.pack(">II", at + len(body), len(data))
        body += data
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    header = struct.pack(">I4sI4s4s4s", 132 + 12 * len(everything) + len(body), bytes(4), 0x02400000, kind, space,
                         connection)  # fmt: skip
    header += date + b"acsp" + bytes(28) + s15fixed16(D50) + bytes(4)
    return header.ljust(128, b"\0") + table + body


def s15fixed16(values) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + s15fixed16(values)


def curve(decode) -> bytes:
    """A tone curve: a power, or the values of a function at 4096 places."""
    if isinstance(decode, float):
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(decode * 256))
    values = np.round(decode(np.linspace(0, 1, 4096)) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", 4096) + values.tobytes()


def rgb_profile(primaries, decode, name: str) -> bytes:
    matrix, tone = to_xyz(primaries), curve(decode)
    colorants = {f"{channel}XYZ": xyz(matrix[:, index]) for index, channel in enumerate("rgb")}
    return profile(b"mntr", b"RGB ", b"XYZ ", name, **colorants, rTRC=tone, gTRC=tone, bTRC=tone)


def grey_profile(decode, name: str) -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", name, kTRC=curve(decode))


def cmyk_profile(corners: np.ndarray, name: str) -> bytes:
    """By a table of the Lab colours (2, 2, 2, 2, 3) of no or all ink of each of the four."""
    even = np.arange(256, dtype=np.uint8).tobytes()
    encoded = np.round(np.stack([corners[..., 0] * 2.55, corners[..., 1] + 128, corners[..., 2] + 128], axis=-1))
    unit = s15fixed16(np.eye(3).ravel())
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + 4 * even + encoded.astype(np.uint8).tobytes() + 3 * even
    return profile(b"prtr", b"CMYK", b"Lab ", name, A2B0=table)


def to_xyz(primaries) -> np.ndarray:
    """From linear RGB with the white D65 to XYZ with the white D50, to which profiles adapt."""
    x, y = np.array(primaries).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    matrix = columns * np.linalg.solve(columns, D65)
    cones = (BRADFORD @ D50) / (BRADFORD @ D65)
    return np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD @ matrix


def srgb_decode(values):
    values = np.asarray(values)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_encode(linear):
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def in_srgb(values, primaries, decode):
    """What RGB values (..., 3) of another space are in sRGB."""
    linear = values**decode if isinstance(decode, float) else decode(values)
    return srgb_encode(linear @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(primaries)).T)


def lab_in_srgb(lab):
    """What CIE Lab (..., 3) with the white D50 is in sRGB."""
    middle = (lab[..., 0] + 16) / 116
    roots = np.stack([middle + lab[..., 1] / 500, middle, middle - lab[..., 2] / 200], axis=-1)
    values = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * D50
    return srgb_encode(values @ np.linalg.inv(to_xyz(SRGB)).T)
