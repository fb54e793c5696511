"""Rectangles of pixels or of features."""

from typing import NamedTuple


class Rectangle(NamedTuple):
    """Half-open rectangle of cells: rows top to bottom, columns left to right."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grow(self, cells: int) -> "Rectangle":
        return Rectangle(self.top - cells, self.left - cells, self.bottom + cells, self.right + cells)

    def clip(self, shape: tuple[int, int]) -> "Rectangle":
        return Rectangle(max(self.top, 0), max(self.left, 0), min(self.bottom, shape[0]), min(self.right, shape[1]))

    def scale(self, factor: int) -> "Rectangle":
        return Rectangle(*(side * factor for side in self))

    def shrink(self, factor: int) -> "Rectangle":
        """Cells of a grid `factor` times coarser that touch the rectangle."""
        return Rectangle(self.top // factor, self.left // factor, -(-self.bottom // factor), -(-self.right // factor))

    def shrink_to_whole(self, factor: int) -> "Rectangle":
        """Cells of a grid `factor` times coarser that lie wholly inside, for a rectangle that starts on that grid."""
        return Rectangle(*(side // factor for side in self))

    def shift(self, rows: int, columns: int) -> "Rectangle":
        return Rectangle(self.top + rows, self.left + columns, self.bottom + rows, self.right + columns)

    @property
    def area(self) -> int:
        return self.shape[0] * self.shape[1]

    def around(self, other: "Rectangle") -> "Rectangle":
        """The smallest rectangle that holds both."""
        return Rectangle(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))

    def meet(self, other: "Rectangle") -> "Rectangle":
        """What lies in both."""
        return Rectangle(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:]))

    def overlaps(self, other: "Rectangle") -> bool:
        top, left, bottom, right = self.meet(other)
        return top < bottom and left < right
