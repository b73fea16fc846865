"""Name a part of the picture: training renders crops, and they equal the crops of whole frames."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError

Pixel = TypeVar("Pixel", bound=np.generic)


class Region(NamedTuple):
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, plane: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return this part of a plane [H, W] or a picture [H, W, 3], as a view."""
        return plane[self.top : self.top + self.height, self.left : self.left + self.width]

    def inside(self, outer: Region) -> Region:
        """Return the same rectangle, counted from the corner of one that holds it."""
        return self._replace(top=self.top - outer.top, left=self.left - outer.left)

    def in_steps(self, step_px: int, size: tuple[int, int]) -> Region:
        """Return the part of a picture of a size (H, W) that an interpolation reads for this one.

        It has samples at every `step_px`-th pixel from 0 on: the part begins at one, and has
        one more than this region at the right and below, where the picture goes on.
        """
        top, left = (start // step_px * step_px for start in (self.top, self.left))
        bottom, right = (
            min((-(-end // step_px) + 1) * step_px, side)
            for end, side in zip((self.top + self.height, self.left + self.width), size)
        )
        return Region(top, left, bottom - top, right - left)


def whole(size: tuple[int, int]) -> Region:
    """Return the region that is a whole picture of a size (H, W)."""
    return Region(0, 0, *size)


def check_inside(region: Region, size: tuple[int, int]) -> None:
    """Raise InputError unless a region has pixels, and all of them lie in the picture."""
    ends = (region.top + region.height, region.left + region.width)
    empty = min(region.height, region.width) < 1
    if empty or min(region.top, region.left) < 0 or ends[0] > size[0] or ends[1] > size[1]:
        raise InputError(f"the {region} does not lie in a picture of {size[1]} x {size[0]} pixels")
