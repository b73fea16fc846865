"""Decode every clip of a folder or dataset once, for fast random crops in training."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rvsd_bench.errors import InputError, OutputError, PartialError, RvsdBenchError
from rvsd_bench.files import VIDEO_SUFFIXES
from rvsd_bench.jobs import Shard, Task, Track, run_tasks, untracked
from rvsd_bench.media.frame_cache import cache_clip, cache_folder, cached_bytes, open_cached
from rvsd_bench.media.reading import find_clips, read_clip


@dataclass(frozen=True)
class Entry:
    """A clip and where its decoded frames lie, or will."""

    clip: Path
    folder: Path
    frames: int
    bytes: int
    kept: bool
    """The frames were there already."""


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
    try:
        return find_clips([folder])
    except InputError as fault:
        from rvsd_bench.data.dataset import load

        try:
            videos = load(folder).videos
        except RvsdBenchError:
            raise fault from None
    sides = {side for video in videos for side in (video.snowy, video.clean) if side is not None}
    return sorted(side for side in sides if side.is_dir() or _is_video(side))


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def plan(
    folder: Path, *, out: Path | None = None, shard: Shard | None = None, force: bool = False
) -> Caching:
    """Find the clips, what their frames take, and which are there already; decode nothing."""
    entries, failed = [], []
    clips = clips_of(folder)
    for clip in clips if shard is None else shard.of(clips):
        place = cache_folder(clip, folder, out)
        try:
            kept = None if force else open_cached(clip, place)
            opened = kept or read_clip(clip)
        except RvsdBenchError as error:
            failed.append((str(clip), error))
            continue
        entries.append(Entry(clip, place, len(opened), cached_bytes(opened), kept is not None))
    return Caching(tuple(entries), tuple(failed))


def cache(
    planned: Caching,
    *,
    force: bool = False,
    workers: int = 1,
    executor: str = "pool",
    track: Track = untracked,
) -> Caching:
    """Decode what the plan still misses, each clip atomically, and return what is there then.

    Raises OutputError before it begins if the disk has not the room.
    """
    missing = [entry for entry in planned.entries if not entry.kept]
    _check_room(missing)
    tasks = [Task(str(entry.clip), (entry, force)) for entry in missing]
    results = run_tasks(_decode, tasks, workers=workers, executor=executor)
    failed = {
        result.id: result.error
        for result in track(results, total=len(tasks), what="cache", unit="clip")
        if result.error is not None
    }
    there = tuple(entry for entry in planned.entries if str(entry.clip) not in failed)
    return Caching(there, (*planned.failed, *failed.items()))


def _decode(work: tuple[Entry, bool]) -> None:
    entry, force = work
    cache_clip(entry.clip, entry.folder, force=force)


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that a folder lies on, or will."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free


def _check_room(entries: list[Entry]) -> None:
    for folder in sorted({entry.folder for entry in entries}):
        needed, free = sum(entry.bytes for entry in entries), free_bytes(folder)
        if needed > free:
            raise OutputError(
                f"decoded frames take {needed} bytes, but {folder} has room for {free}: choose "
                "another disk with --out, or cache a part with --shard"
            )
