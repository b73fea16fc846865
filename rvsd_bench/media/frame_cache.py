"""Keep the frames of a clip decoded on the disk, so that training cuts a crop without decoding.

Beside the clip, or in a folder of the user's choice, lie

    <clip>.<digest>.npy    uint8 [N, H, W, 3], opened as a memory map
    <clip>.json            what the clip says of itself, and by what the frames are known

where the digest is of the clip's bytes: a clip that changed is decoded again. The JSON file is
written last. As long as names, sizes and times of the clip's files stay, it is not read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import (
    digest_source,
    image_files,
    make_folder,
    publish_file,
    readable,
    remove_orphans,
    sha256_bytes,
    write_json,
)
from rvsd_bench.media.arrays import open_array
from rvsd_bench.texts import read_json

FOLDER = ".rvsd-cache"
"""Beside the clips; being hidden, it is taken for no clip."""
VERSION = 1
_OF_FRAMES = re.compile(r"[0-9a-f]{16}(\.npy|\.[a-z]+-[0-9a-f]{12}\.(npy|json))")
"""Decoded frames, and what was found out of them: see `generators.kept_survey`."""


@dataclass(frozen=True)
class CachedClip:
    """A clip whose frames lie decoded on the disk; a frame is a view of them, read when used."""

    frames_file: Path
    name: str
    size: tuple[int, int]
    fps: float
    seconds: tuple[float, ...]
    facts: dict[str, Any]
    source_id: str
    """The digest of the clip's bytes, as `files.digest_source` gives it."""

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return np.array(self.seconds)

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """All frames, uint8 [N, H, W, 3], as a memory map."""
        return open_array(self.frames_file)

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, index: int) -> Frame:
        frame: Frame = self.frames[index]
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "frames"}


def cache_folder(clip: Path, root: Path | None = None, out: Path | None = None) -> Path:
    """Return where the frames of a clip are kept: beside it, or below `out` as it lies in `root`.

    A clip that is `root` itself, or lies elsewhere, has its frames in `out` directly.
    """
    if out is None:
        return clip.absolute().parent / FOLDER
    home, top = clip.absolute().parent, (root or clip).absolute()
    return out / home.relative_to(top) if home.is_relative_to(top) else out


def cached_bytes(clip: Clip) -> int:
    """Return the bytes that a clip's frames take."""
    height, width = clip.size
    return len(clip) * height * width * 3


def open_cached(path: Path, folder: Path, *, fps: float | None = None) -> CachedClip | None:
    """Open what is kept of a clip; None if it is not there, or the clip changed since."""
    entry = _read_entry(_entry(path, folder))
    known = {"version": VERSION, "stamp": _stamp(path), "fps_given": fps}
    if entry is None or any(entry.get(key) != value for key, value in known.items()):
        return None
    try:
        clip = _clip(entry, folder)
    except (KeyError, TypeError, ValueError):
        return None
    return clip if _is_whole(clip) else None


def cache_clip(
    path: Path, folder: Path, *, fps: float | None = None, force: bool = False
) -> CachedClip:
    """Decode a clip into `folder` unless that is done already, and open what is kept there.

    `fps` is the rate of a folder of frames. Raises InputError for a clip that cannot be read, and
    OutputError, naming the bytes needed, where the disk is full or may not be written.
    """
    kept = None if force else open_cached(path, folder, fps=fps)
    if kept is not None:
        return kept
    from rvsd_bench.media.reading import read_clip

    stamp = _stamp(path)  # first: a clip that changes while it is read is read again next time
    clip, source_id = read_clip(path, fps=fps), digest_source(path)
    file = folder / f"{path.absolute().name}.{source_id[:16]}.npy"
    entry = {
        "version": VERSION,
        "stamp": stamp,
        "fps_given": fps,
        "frames_file": file.name,
        "source_id": source_id,
        "name": clip.name,
        "size": list(clip.size),
        "fps": clip.fps,
        "seconds": clip.times.tolist(),
        "facts": clip.facts,
    }
    cached = _clip(entry, folder)
    if force or not _is_whole(cached):
        make_folder(folder)
        remove_orphans(folder)
        _write_frames(clip, file)
    write_json(_entry(path, folder), entry)
    _remove_older(path, folder, file)
    return cached


def _write_frames(clip: Clip, file: Path) -> None:
    """Write frame by frame: on a full disk a memory map would end the process, a file tells."""
    shape = (len(clip), *clip.size, 3)
    with publish_file(file, needed=cached_bytes(clip)) as temporary, temporary.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        count = 0
        for frame in clip:
            out.write(np.ascontiguousarray(frame).data)
            count += 1
        if count != len(clip):
            raise InputError(f"{clip.name} gave {count} frames, but has {len(clip)} by its header")


def _entry(path: Path, folder: Path) -> Path:
    return folder / f"{path.absolute().name}.json"


def _read_entry(file: Path) -> dict[str, Any] | None:
    try:
        entry = read_json(file)
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) else None


def _clip(entry: dict[str, Any], folder: Path) -> CachedClip:
    height, width = entry["size"]
    return CachedClip(
        folder / str(entry["frames_file"]),
        str(entry["name"]),
        (int(height), int(width)),
        float(entry["fps"]),
        tuple(float(time) for time in entry["seconds"]),
        dict(entry["facts"]),
        str(entry["source_id"]),
    )


def _is_whole(clip: CachedClip) -> bool:
    """Tell whether all frames are there; a copied cache may have been cut short."""
    try:
        frames = open_array(clip.frames_file)
    except InputError:
        return False
    return frames.dtype == np.uint8 and frames.shape == (len(clip), *clip.size, 3)


def _stamp(path: Path) -> str:
    """Return a digest of names, sizes and times of change of a clip's files."""
    files = image_files(path) if path.is_dir() else [path]
    lines = []
    for file in files:
        with readable(file):
            state = file.stat()
        lines.append(f"{file.name}\0{state.st_size}\0{state.st_mtime_ns}\n")
    return sha256_bytes("".join(lines).encode())


def _remove_older(path: Path, folder: Path, kept: Path) -> None:
    start = f"{path.absolute().name}."
    for file in folder.iterdir():
        ours = file.name.startswith(start) and _OF_FRAMES.fullmatch(file.name, len(start))
        if ours and not file.name.startswith(f"{kept.stem}."):
            file.unlink(missing_ok=True)
