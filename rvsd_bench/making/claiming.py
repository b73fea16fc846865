"""Let one job at a time write into a dataset, and clear away what killed runs left there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rvsd_bench.errors import InputError, OutputError
from rvsd_bench.files import make_folder, remove_orphans
from rvsd_bench.jobs import Shard
from rvsd_bench.making.stored import SIDES, SPLITS, StoredVideo

_LOCK = ".lock."
_BUSY = "is being written by another run: wait until it ends"
_PATIENCE_S = 1.0
"""Shards that begin at once look at each other's locks for a moment."""


@contextmanager
def claimed(out: Path, part: Shard, planned: Collection[str]) -> Iterator[None]:
    """Keep other runs out of the folder, except for the other shards of the same job.

    What killed runs left is removed before and after: temporaries, and, where no other shard is at
    work, the parts of unfinished videos that are not among the labels `planned`. In the end there
    is no lock file, and no empty folder.
    """
    with locked(out, f"{part.index}-of-{part.count}", wait_s=_PATIENCE_S):
        alone = _is_alone(out, part)
        remove_orphans(*_places(out))
        if alone:
            _discard_strays(out, planned)
        try:
            yield
        finally:
            remove_orphans(*_places(out))


@contextmanager
def locked(out: Path, name: str, wait_s: float = 0) -> Iterator[None]:
    """Hold one lock of a dataset; leave no file, and no empty folder, behind."""
    from filelock import FileLock, Timeout

    make_folder(out)
    path = out / f"{_LOCK}{name}"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise InputError(f"{out} {_BUSY}") from error
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        if not any(out.glob(f"{_LOCK}*")):  # others may be about to fill a folder
            _remove_empty(out)


def _is_alone(out: Path, part: Shard) -> bool:
    """Tell whether no other shard is at work; refuse to begin beside a job in other parts."""
    from filelock import FileLock, Timeout

    alone = True
    for path in out.glob(f"{_LOCK}*-of-*"):
        name = path.name.removeprefix(_LOCK)
        if name == f"{part.index}-of-{part.count}":
            continue
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            alone = False
            if not name.endswith(f"-of-{part.count}"):
                raise InputError(f"{out} {_BUSY} (shard {name.replace('-of-', '/')})") from None
        else:
            path.unlink(missing_ok=True)  # of a run that was killed
            lock.release()
    return alone


def _places(out: Path) -> list[Path]:
    """Return the folders in which temporaries are made."""
    return [out, *(out / split / kind for split in SPLITS for kind in (*SIDES, "meta"))]


def _discard_strays(out: Path, planned: Collection[str]) -> None:
    """Remove the parts of unfinished videos of a plan that is no longer followed."""
    for split in SPLITS:
        for side in SIDES:
            for path in (out / split / side).glob("[0-9]*"):
                number = re.fullmatch(r"(\d{5,})(\.mkv)?", path.name)
                place = StoredVideo(out, split, number[1]) if number else None
                if place and place.label not in planned and not place.meta.exists():
                    place.discard()


def _remove_empty(out: Path) -> None:
    for folder in [*out.glob("*/*"), *out.glob("*"), out]:
        with suppress(OSError):  # rmdir takes empty folders only
            folder.rmdir()
