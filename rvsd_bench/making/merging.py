"""Join the shards of a dataset."""

from __future__ import annotations

from pathlib import Path

from rvsd_bench.errors import InputError, PartialError
from rvsd_bench.jobs.notes import read_notes, remove_notes, require_all
from rvsd_bench.making.claiming import locked
from rvsd_bench.making.manifest import Meta, finished, write_manifest
from rvsd_bench.making.stored import StoredVideo


def merge(out: Path) -> int:
    """Write the manifest and the card of all shards' videos; return the number of videos.

    Raises InputError if a shard is missing or has not finished, or a video is not there that a
    shard has made; PartialError, after all else is done, if a shard could not make a video.
    """
    with locked(out, "manifest", wait_s=600):
        notes = read_notes(out)
        if notes:
            require_all(out, notes)
        metas = finished(out)
        if not metas:
            raise InputError(f"{out} holds no finished video")
        there = {f"{split}/{name}" for (split, name), meta in metas.items() if _is_whole(out, meta)}
        for note in notes:
            lost = [name for name in note.items if name not in there and name not in note.failed]
            if lost:
                raise InputError(
                    f"{out} lacks {lost[0]} of shard {note.shard}"
                    + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
                    + ": copy what it wrote into this folder, or run it again"
                )
        write_manifest(out)
        failed = {name: why for note in notes for name, why in note.failed.items()}
        if failed:
            named = "; ".join(f"{name}: {why}" for name, why in failed.items())
            raise PartialError(f"videos done {len(metas)}, failed {len(failed)}: {named}")
        remove_notes(out)
    return len(metas)


def _is_whole(out: Path, meta: Meta) -> bool:
    """Tell whether the sides of a video lie beside its meta file."""
    place = StoredVideo(out, meta["split"], meta["video"], meta["request"]["container"])
    return place.side("clean").exists() and place.side("snow").exists()
