"""Keep the depth of every frame of a clip on the disk, so that a crop reads its own part alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import publish_file
from rvsd_bench.generators.aligning import metres
from rvsd_bench.generators.depth import DepthSource
from rvsd_bench.generators.haze import depth_index
from rvsd_bench.media.arrays import open_array


@dataclass(frozen=True)
class KeptDepth:
    """Depth that another source found, rounded to steps of far/65535 as rendering rounds it."""

    file: Path
    """uint16 [N, H, W], or [1, H, W] where all frames share one map."""
    far_m: float
    facts: Mapping[str, Any]
    """Those of the source."""
    name: str

    @cached_property
    def maps(self) -> NDArray[np.uint16]:
        """All maps, as a memory map."""
        return open_array(self.file)

    def levels(self, index: int, frame: Frame | None = None) -> NDArray[np.uint16]:
        """Return the depth of a frame in steps of far/65535, uint16 [H, W], read when used."""
        level: NDArray[np.uint16] = self.maps[0 if len(self.maps) == 1 else index]
        return level

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W], which rounds to the same steps again."""
        return metres(self.levels(index), self.far_m)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "maps"}


def keep_depth(source: DepthSource, clip: Clip, file: Path) -> KeptDepth:
    """Write the depth of every frame to a NumPy file, unless it is there whole; and open it."""
    kept = KeptDepth(file, source.far_m, dict(source.facts), source.name)
    if not is_whole(kept, clip):
        shape = _shape(kept, clip)
        bytes_ = 2 * math.prod(shape)
        with publish_file(file, needed=bytes_) as temporary, temporary.open("wb") as out:
            header = {"descr": "<u2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, header)
            for index in range(shape[0]):
                levels = depth_index(source.at(index, clip[index]), source.far_m)
                out.write(np.ascontiguousarray(levels, "<u2").data)
    return kept


def is_whole(kept: KeptDepth, clip: Clip) -> bool:
    """Tell whether the maps of all frames of a clip are there."""
    try:
        found = open_array(kept.file)
    except InputError:
        return False
    return found.dtype == np.uint16 and found.shape == _shape(kept, clip)


def _shape(kept: KeptDepth, clip: Clip) -> tuple[int, ...]:
    single = kept.facts["source"] == "constant" or kept.facts.get("count") == 1
    return 1 if single else len(clip), *clip.size
