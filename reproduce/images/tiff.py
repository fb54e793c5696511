"""What a TIFF's tags say about its first picture: readers heed them in part, and give something else in silence."""

import contextlib
import io
from typing import Any, NamedTuple

from PIL import TiffImagePlugin

from ..errors import expect

UNSIGNED, FLOAT = 1, 3  # of the tag SampleFormat
WHITE_IS_0, BLACK_IS_0, RGB, CMYK = 0, 1, 2, 5  # of the tag PhotometricInterpretation
MOST_CHANNELS = 6  # that Pillow knows
MULTIPLIED, STRAIGHT = 1, 2  # of the tag ExtraSamples: whether colours are stored multiplied by alpha


class Tiff(NamedTuple):
    """The first picture.

    Attributes:
        shape: (height, width), as stored.
        photometric: what the channels are, a number of the specification.
        bits: of a channel; 0 where channels differ.
        kind: of a channel's numbers, a number of the specification; 0 where channels differ.
        channels: how many, further ones included.
        planes: true if each channel is stored on its own.
        extra: what the further channels are, numbers of the specification.
        profile: the ICC profile.
        is_preview: true if it says that it is a smaller copy of another one.
        is_alone: false if further pictures follow.
    """

    shape: tuple[int, int]
    photometric: int
    bits: int
    kind: int
    channels: int
    planes: bool
    extra: tuple[int, ...]
    profile: bytes | None
    is_preview: bool
    is_alone: bool

    @property
    def is_deep(self) -> bool:
        """Whether it has more than 8 bits a channel, and of the colours that OpenCV gives as they are stored."""
        return self.bits > 8 and self.photometric != CMYK

    @property
    def has_alpha(self) -> bool:
        """Whether a further channel is how opaque a pixel is: it says so, or says nothing at all."""
        return not self.extra or bool({MULTIPLIED, STRAIGHT} & set(self.extra))

    def check(self, path: object) -> None:
        """Raises InputError, saying what was found, unless its numbers can be read as they are meant."""
        expect(not self.is_preview, "a picture", f"a camera's raw file, develop it to JPEG or PNG: {path}")
        numbers = {UNSIGNED: "unsigned integers", 2: "signed integers", FLOAT: "floats"}.get(self.kind, "other numbers")
        received = f"{self.channels} channel{'s' * (self.channels > 1)} of {self.bits}-bit {numbers}"
        fits = (self.kind, self.bits) in {(UNSIGNED, 16), (FLOAT, 32), (FLOAT, 64)}
        if self.bits > 8 and self.photometric == CMYK:
            fits = fits and self.kind == UNSIGNED and not self.planes
        elif self.bits > 8:
            colors = {1: (WHITE_IS_0, BLACK_IS_0), 3: (RGB,), 4: (RGB,)}.get(self.channels, ())
            fits = fits and not self.planes and self.photometric in colors
            received += f"{' in planes' * self.planes}, colours of kind {self.photometric}"
        else:
            fits = self.kind == UNSIGNED and self.bits > 0 and self.channels <= MOST_CHANNELS
        expected = "a TIFF of 8 or 16 bits a channel, or of floats of 32 or 64, grey or RGB, channels side by side"
        expect(fits, expected, f"{received}; save it again as PNG: {path}")


def read_tags(content: bytes) -> Tiff | None:
    """The tags of a TIFF; None if it is none, or so damaged that they do not even say its size."""
    with contextlib.suppress(Exception):  # Pillow's reader raises whatever damaged bytes lead it to
        header = content[: 16 if content[2:3] == b"+" else 8]
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file = io.BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        return _first(tags)
    return None


def _first(tags: TiffImagePlugin.ImageFileDirectory_v2) -> Tiff:
    def number(tag: int, default: int) -> int:
        return int(tags.get(tag, default))

    def common(tag: int) -> int:
        values: set[Any] = set(tags.get(tag, (1,)))
        return int(values.pop()) if len(values) == 1 else 0

    channels, profile = number(277, 1), tags.get(34675)
    return Tiff(
        shape=(int(tags[257]), int(tags[256])),
        photometric=number(262, 0),
        bits=common(258),
        kind=common(339),
        channels=channels,
        planes=number(284, 1) == 2 and channels > 1,
        extra=tuple(tags.get(338, ())),
        profile=bytes(profile) if isinstance(profile, bytes) else None,
        is_preview=bool(number(254, 0) & 1),
        is_alone=not tags.next,
    )
