"""Decode every clip of a folder or dataset once, for fast random crops in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.errors import InputError, OutputError, PartialError, RvsdBenchError
from rvsd_bench.files import VIDEO_SUFFIXES, free_bytes, remove_orphans
from rvsd_bench.jobs import Shard, Task, Track, run_tasks, untracked
from rvsd_bench.media.frame_cache import cache_clip, cache_folder, cached_bytes, open_cached
from rvsd_bench.media.plane_cache import cache_planes, open_planes, planes_bytes
from rvsd_bench.media.reading import find_clips, read_clip

if TYPE_CHECKING:
    from rvsd_bench.data.dataset import Video


@dataclass(frozen=True)
class Entry:
    """A clip, or a layer of one, and where its decoded frames lie, or will."""

    clip: Path
    folder: Path
    frames: int
    bytes: int
    kept: bool
    """The frames were there already."""
    frame_ids: tuple[str, ...] | None = None
    """Of a layer of a generated dataset, whose folder `clip` is; None for a clip."""


@dataclass(frozen=True)
class Caching:
    """What `cache` found, and what became of it."""

    entries: tuple[Entry, ...]
    failed: tuple[tuple[str, RvsdBenchError], ...] = ()

    @property
    def bytes(self) -> int:
        """The bytes of all decoded frames together."""
        return sum(entry.bytes for entry in self.entries)

    @property
    def bytes_to_write(self) -> int:
        """The bytes of those that are not there yet."""
        return sum(entry.bytes for entry in self.entries if not entry.kept)

    def raise_failures(self) -> None:
        """Raise the only clip's error, or PartialError that names each clip that failed."""
        if self.failed and not self.entries and len(self.failed) == 1:
            raise self.failed[0][1]
        if self.failed:
            told = "; ".join(f"{name}: {error}" for name, error in self.failed)
            raise PartialError(f"{len(self.failed)} clips failed: {told}")


def clips_of(folder: Path) -> list[Path]:
    """List the clips of a folder of clips, or of a dataset, clean and snowy ones alike."""
    return [clip for clip, frame_ids in _parts_of(folder) if frame_ids is None]


def kept_planes(video: Video) -> tuple[str, ...]:
    """Name the layers of a video that training reads; none unless it was generated with them."""
    if video.layers is None or not (video.layers / "coverage").is_dir():
        return ()
    light = ("light",) if (video.layers / "light").is_dir() else ()
    return ("transmission", "coverage", *light)


def _parts_of(folder: Path) -> list[tuple[Path, tuple[str, ...] | None]]:
    """List clips, and the folders of layers with the names of their frames."""
    try:
        return [(clip, None) for clip in find_clips([folder])]
    except InputError as fault:
        from rvsd_bench.data.dataset import load

        try:
            videos = load(folder).videos
        except RvsdBenchError:
            raise fault from None
    sides = {side for video in videos for side in (video.snowy, video.clean) if side is not None}
    clips = sorted(side for side in sides if side.is_dir() or _is_video(side))
    return [(clip, None) for clip in clips] + [
        (video.layers / name, video.frame_ids)
        for video in videos
        for name in kept_planes(video)
        if video.layers is not None
    ]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def plan(
    folder: Path, *, out: Path | None = None, shard: Shard | None = None, force: bool = False
) -> Caching:
    """Find the clips, what their frames take, and which are there already; decode nothing."""
    entries, failed = [], []
    parts = _parts_of(folder)
    for part, frame_ids in parts if shard is None else shard.of(parts):
        try:
            entries.append(_entry(part, frame_ids, folder, out, force))
        except RvsdBenchError as error:
            failed.append((str(part), error))
    return Caching(tuple(entries), tuple(failed))


def _entry(
    part: Path, frame_ids: tuple[str, ...] | None, root: Path, out: Path | None, force: bool
) -> Entry:
    if frame_ids is None:
        place = cache_folder(part, root, out)
        clip = None if force else open_cached(part, place)
        opened = clip or read_clip(part)
        return Entry(part, place, len(opened), cached_bytes(opened), clip is not None)
    place = cache_folder(part.parent, root, out)
    kept = not force and open_planes(part, frame_ids, place) is not None
    return Entry(part, place, len(frame_ids), planes_bytes(part, frame_ids), kept, frame_ids)


def cache(
    planned: Caching,
    *,
    force: bool = False,
    workers: int = 1,
    executor: str = "pool",
    track: Track = untracked,
) -> Caching:
    """Decode what the plan still misses, each clip atomically, and return what is there then.

    Raises OutputError before it begins if the disk has not the room, and as soon as something
    cannot be written. What killed runs left in the folders is removed.
    """
    missing = [entry for entry in planned.entries if not entry.kept]
    folders = {entry.folder for entry in missing}
    remove_orphans(*folders)
    _check_room(missing)
    tasks = [Task(str(entry.clip), (entry, force)) for entry in missing]
    results = run_tasks(_decode, tasks, workers=workers, executor=executor)
    failed = {}
    try:
        for result in track(results, total=len(tasks), what="cache", unit="clip"):
            if isinstance(result.error, OutputError):
                raise result.error  # the disk is full, or closed: for the others as well
            if result.error is not None:
                failed[result.id] = result.error
    finally:
        results.close()
        remove_orphans(*folders)
    there = tuple(entry for entry in planned.entries if str(entry.clip) not in failed)
    return Caching(there, (*planned.failed, *failed.items()))


def _decode(work: tuple[Entry, bool]) -> None:
    entry, force = work
    if entry.frame_ids is None:
        cache_clip(entry.clip, entry.folder, force=force)
    else:
        cache_planes(entry.clip, entry.frame_ids, entry.folder)


def _check_room(entries: list[Entry]) -> None:
    for folder in sorted({entry.folder for entry in entries}):
        needed, free = sum(entry.bytes for entry in entries), free_bytes(folder)
        if needed > free:
            raise OutputError(
                f"decoded frames take {needed} bytes, but {folder} has room for {free}: choose "
                "another disk with --out, or cache a part with --shard"
            )
