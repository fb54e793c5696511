"""Kinds of files that people have and that are no pictures for us: how they are told, and what to do with them."""

from collections.abc import Callable
from pathlib import Path

from ..errors import InputError

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
STILL_BRANDS = (*HEIC_BRANDS, b"avif", b"avis", b"jp2 ", b"jpx ")
MOVIE_ATOMS = (b"moov", b"mdat", b"wide", b"skip", b"free")


def refuse_what_is_no_picture(content: bytes, path: Path) -> None:
    """Raises InputError for a kind that is known and cannot be read, saying what it is and what to do."""
    for holds, name, advice in KINDS:
        if holds(content):
            raise InputError(f"Expected an image. Received {name}; {advice}: {path}")


def is_heic(data: bytes) -> bool:
    """Whether it is a still picture of HEIF's kind that needs HEVC, as telephones take them."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and b"avi" not in data[8:40]


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(starts)


def _is_markup(*tags: bytes) -> Callable[[bytes], bool]:
    def holds(data: bytes) -> bool:
        head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        return head.startswith(b"<") and any(tag in head for tag in tags)

    return holds


def _is_video(data: bytes) -> bool:
    is_movie = data[4:8] == b"ftyp" and data[8:12] not in STILL_BRANDS
    return is_movie or data[4:8] in MOVIE_ATOMS or (data[:4] == b"RIFF" and data[8:12] == b"AVI ")


def _is_raw(data: bytes) -> bool:
    """Of cameras whose files do not say so in the tags of a TIFF."""
    is_canon = data[8:10] == b"CR" and data[:2] in (b"II", b"MM")
    return is_canon or data[4:12] == b"ftypcrx " or data[6:14] == b"HEAPCCDR"


KINDS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (_begins(b"8BPS"), "a Photoshop document", "export it as PNG"),
    (_begins(b"%PDF-"), "a PDF", "export its page as PNG"),
    (_begins(b"%!PS", b"\xc5\xd0\xd3\xc6"), "PostScript", "export it as PNG"),
    (_is_markup(b"<!doctype html", b"<html"), "a web page", "save the image itself"),
    (_is_markup(b"<svg", b":svg"), "an SVG drawing", "export it as PNG"),
    (_begins(b"gimp xcf"), "a GIMP document", "export it as PNG"),
    (_begins(b"PK\3\4"), "a ZIP archive, or a document that is one, such as Krita's", "export the picture as PNG"),
    (_begins(b"\xff\x0a", b"\0\0\0\x0cJXL "), "JPEG XL", "convert it to PNG or JPEG"),
    (_begins(b"II\xbc"), "JPEG XR", "convert it to PNG or JPEG"),
    (_begins(b"#?RADIANCE", b"#?RGBE", b"\x76\x2f\x31\x01", b"PF\n", b"Pf\n"), "light without an upper limit (HDR)",
     "map its tones, and save it as PNG"),
    (_begins(b"MM\0+"), "a BigTIFF whose bytes are in a rare order", "save it again as PNG"),
    (_begins(b"P7\n"), "a PAM picture", "convert it to PNG"),
    (_is_raw, "a camera's raw file", "develop it to JPEG or PNG"),
    (_begins(b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"MMOR", b"FOVb"), "a camera's raw file",
     "develop it to JPEG or PNG"),
    (_is_video, "a video", "save one of its pictures as PNG"),
    (_begins(b"\x1a\x45\xdf\xa3", b"\0\0\1\xba"), "a video", "save one of its pictures as PNG"),
    (_begins(b"version https://git-lfs"), "a pointer to a file in Git LFS", "fetch it with: git lfs pull"),
    (_begins(b"\x93NUMPY"), "an array of NumPy's", "save it as PNG"),
)  # fmt: skip
