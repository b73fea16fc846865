"""Keep the 16-bit layers of a video in one file, so that training cuts a crop without decoding.

As `frame_cache` does for frames: beside the folder of the layer, or in a folder of the user's
choice, lies `<video>-<layer>.<digest>.npy`, uint16 [N, H, W], opened as a memory map. The digest is
of names, sizes and times of the layer's files: layers that changed are decoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.files import make_folder, publish_file, remove_orphans, sha256_bytes
from rvsd_bench.media.arrays import open_array


@dataclass(frozen=True)
class CachedPlanes:
    """A layer of each frame of a video, read when it is used."""

    file: Path

    @cached_property
    def planes(self) -> NDArray[np.uint16]:
        """All planes, uint16 [N, H, W] or [N, H, W, 3], as a memory map."""
        return open_array(self.file)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}


def planes_bytes(folder: Path, frame_ids: Sequence[str]) -> int:
    """Return the bytes that a layer's planes take, as the header of the first file tells."""
    from rvsd_bench.media.images import read_size

    height, width, mode = read_size(_files(folder, frame_ids)[0])
    return len(frame_ids) * height * width * (6 if mode.startswith("rgb") else 2)


def open_planes(folder: Path, frame_ids: Sequence[str], out: Path) -> CachedPlanes | None:
    """Open what is kept of a layer; None if it is not there, or the layer changed since."""
    kept = _kept(folder, frame_ids, out)
    return CachedPlanes(kept) if _is_whole(kept, len(frame_ids)) else None


def cache_planes(folder: Path, frame_ids: Sequence[str], out: Path) -> CachedPlanes:
    """Decode the files `folder`/<frame id>.png into `out` unless that is done already.

    They are 16-bit grey or RGB, all of one size. Raises InputError for a file that is absent or
    another kind of picture, OutputError where the disk is full.
    """
    kept = _kept(folder, frame_ids, out)
    if not _is_whole(kept, len(frame_ids)):
        make_folder(out)
        remove_orphans(out)
        _write(_files(folder, frame_ids), kept)
        _remove_older(kept)
    return CachedPlanes(kept)


def _files(folder: Path, frame_ids: Sequence[str]) -> list[Path]:
    return [folder / f"{name}.png" for name in frame_ids]


def _kept(folder: Path, frame_ids: Sequence[str], out: Path) -> Path:
    stamp = _stamp(_files(folder, frame_ids))
    return out / f"{folder.parent.name}-{folder.name}.{stamp}.npy"


def _write(files: Sequence[Path], kept: Path) -> None:
    from rvsd_bench.media.images import read_gray16, read_rgb16, read_size

    read = read_rgb16 if read_size(files[0]).mode.startswith("rgb") else read_gray16
    first = read(files[0])
    shape = (len(files), *first.shape)
    needed = first.nbytes * len(files)
    with publish_file(kept, needed=needed) as temporary, temporary.open("wb") as out:
        header = {"descr": "<u2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        for file in files:
            plane = read(file)
            if plane.shape != first.shape:
                raise InputError(f"{file} is {plane.shape}, the first of its folder {first.shape}")
            out.write(np.ascontiguousarray(plane, "<u2").data)


def _stamp(files: Sequence[Path]) -> str:
    lines = []
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no {file}: a layer of a frame is missing")
        state = file.stat()
        lines.append(f"{file.name}\0{state.st_size}\0{state.st_mtime_ns}\n")
    return sha256_bytes("".join(lines).encode())[:16]


def _is_whole(file: Path, count: int) -> bool:
    try:
        planes = open_array(file)
    except InputError:
        return False
    return planes.dtype == np.uint16 and planes.ndim in (3, 4) and len(planes) == count


def _remove_older(kept: Path) -> None:
    start = kept.name.removesuffix(".npy")[:-16]
    for file in kept.parent.glob("*.npy"):
        ours = file.name.startswith(start) and len(file.name) == len(kept.name)
        if ours and file != kept:
            file.unlink(missing_ok=True)
