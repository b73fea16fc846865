"""Read depth maps that somebody made: 16-bit PNG, NPY or EXR, one for the clip or one per frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import natural_key, sha256_bytes, sha256_file
from rvsd_bench.generators import exr

SUFFIXES = (".png", ".npy", ".exr")
UNITS_PER_M = 1000.0
"""A 16-bit PNG holds millimetres unless `?units_per_m=` says otherwise (KITTI: 256)."""


@dataclass(frozen=True)
class DepthFiles:
    """Depth maps in files. 0, NaN and infinity mean sky, as does all beyond `far_m`."""

    files: tuple[Path, ...]
    size: tuple[int, int]
    far_m: float
    units_per_m: float = UNITS_PER_M
    name: str = "files"

    @property
    def facts(self) -> dict[str, Any]:
        """Name the files, their unit and one digest of all their bytes."""
        one = len(self.files) == 1
        digests = "\n".join(sha256_file(file) for file in self.files)
        return {
            "source": self.name,
            "path": self.files[0].name if one else self.files[0].parent.name,
            "count": len(self.files),
            "far_m": self.far_m,
            "png_units_per_m": self.units_per_m,
            "sha256": sha256_bytes(digests.encode()),
        }

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W]; raises InputError for an unusable map."""
        path = self.files[0] if len(self.files) == 1 else self.files[index]
        return checked(read_depth(path, self.units_per_m), self.size, self.far_m, path)


def open_depth_files(spec: str, clip: Clip, far_m: float) -> DepthFiles:
    """Open `FILE` or `DIR`, optionally `PATH?units_per_m=256`, as the depth of a clip."""
    text, _, option = spec.partition("?units_per_m=")
    path = Path(text)
    if path.is_dir():
        files = _of_these_frames(_folder(path), clip)
        if len(files) not in (1, len(clip)):
            raise InputError(
                f"{path}: {len(files)} depth maps for a clip of {len(clip)} frames; "
                "give one map, or one per frame"
            )
    elif path.is_file():
        files = (path,)
    else:
        raise InputError(
            f"depth {spec!r} is neither auto, ground, mono, constant:METRES nor an existing path"
        )
    source = DepthFiles(files, clip.size, far_m, _units(option, spec))
    source.at(0)
    return source


def _folder(path: Path) -> tuple[Path, ...]:
    files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES]
    if not files:
        raise InputError(f"{path} holds no depth maps; they end in {', '.join(SUFFIXES)}")
    return tuple(sorted(files, key=lambda file: natural_key(file.name)))


def _of_these_frames(files: tuple[Path, ...], clip: Clip) -> tuple[Path, ...]:
    """Return the maps of the clip's own frames where the maps cover the whole source of a part."""
    if len(files) in (1, len(clip)) or "range" not in clip.facts:
        return files
    start, stop = clip.facts["range"]
    return files[start:stop]


def _units(option: str, spec: str) -> float:
    if not option:
        return UNITS_PER_M
    try:
        units = float(option)
    except ValueError:
        units = 0.0
    if not 0 < units < float("inf"):
        raise InputError(f"depth {spec!r}: units_per_m must be a number above 0")
    return units


def read_depth(path: Path, units_per_m: float = UNITS_PER_M) -> NDArray[np.float32]:
    """Read one depth map in metres, float32 [H, W]: PNG in units, NPY and EXR in metres."""
    suffix = path.suffix.lower()
    if suffix == ".png":
        from rvsd_bench.media.images import read_gray16

        return read_gray16(path).astype(np.float32) / np.float32(units_per_m)
    if suffix == ".npy":
        return _read_npy(path)
    if suffix == ".exr":
        return _read_exr(path)
    raise InputError(f"{path}: a depth map ends in {', '.join(SUFFIXES)}")


def _read_npy(path: Path) -> NDArray[np.float32]:
    from rvsd_bench.media.arrays import open_array
    from rvsd_bench.media.images import LARGEST_SIDE

    values = open_array(path)
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: a depth map holds one array of numbers, in metres")
    if values.ndim != 2 or max(values.shape) > LARGEST_SIDE:
        raise InputError(f"{path}: the depth map is {list(values.shape)}, not [height, width]")
    return values.astype(np.float32)


def _read_exr(path: Path) -> NDArray[np.float32]:
    try:
        return exr.decode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable EXR file: {error}") from error


def checked(
    depth: NDArray[np.float32], size: tuple[int, int], far_m: float, path: Path
) -> NDArray[np.float32]:
    """Return the depth with its sky at `far_m`, or raise InputError for what is no depth map."""
    if depth.shape != size:
        raise InputError(
            f"{path}: the depth map is {list(depth.shape)}, the frames are {list(size)} "
            "(height, width)"
        )
    sky = ~np.isfinite(depth) | (depth == 0)
    if sky.all():
        raise InputError(f"{path}: no pixel has a finite depth above 0")
    if (depth[~sky] < 0).any():
        raise InputError(f"{path}: negative depth; planar z in metres is above 0")
    return np.minimum(np.where(sky, np.float32(far_m), depth), np.float32(far_m))
