"""Open the folder of a run, so that no two runs are mixed and nothing else is overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.runfiles import read_manifest
from rvsd_bench.files import discard, make_folder, remove_orphans

UNPACKED = "unpacked"
"""What archives of restored frames hold is kept here, so that resuming need not unpack them."""
_FOLDERS = ("parts", "pictures", "frames")
_FILES = ("per_frame.csv", "per_video.csv", "leaderboard.csv", "validation.json", "manifest.json")


def require_ours(folder: Path, *, force: bool = False) -> Mapping[str, Any] | None:
    """Refuse a folder that holds anything but a run; return the manifest of a run that is there.

    What killed runs left in it is removed.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give --out a folder")
    clear(folder)
    begun = any((folder / name).is_dir() for name in ("parts", UNPACKED))
    before = None if force and begun else read_manifest(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (begun or "run_id" in (before or {})):
        raise InputError(f"{folder} holds other files: give --out a new folder, or an earlier run")
    return before


def clear(folder: Path) -> None:
    """Remove the temporaries of killed runs and workers from the folder of a run."""
    remove_orphans(*_places(folder))


def _places(folder: Path) -> Iterator[Path]:
    """Yield the folders in which temporaries are made."""
    yield from (folder, folder / UNPACKED)
    yield from (folder / "frames").glob("*")
    for name in ("parts", "pictures"):
        yield from (folder / name, *(p for p in (folder / name).rglob("*") if p.is_dir()))


def open_folder(folder: Path, plan: Plan, *, force: bool) -> None:
    """Make the folder of the run; refuse to mix two runs, or to write among other files."""
    before = require_ours(folder, force=force)
    if force:
        for name in (*_FOLDERS, *_FILES):
            discard(folder / name)
    elif before is not None:
        _refuse_other(folder, plan, before)
    make_folder(folder)


def _refuse_other(folder: Path, plan: Plan, before: Mapping[str, Any]) -> None:
    def found(*path: str) -> Any:
        value: Any = before
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    changes = [
        f"{what} {old!r} instead of {new!r}"
        for what, old, new in (
            ("protocol", found("protocol", "id"), plan.protocol.id),
            ("protocol hash", found("protocol", "hash"), plan.protocol.hash),
            ("dataset", found("dataset", "name"), plan.dataset.name),
            ("split", found("dataset", "split"), plan.split),
        )
        if old != new
    ]
    absent = set(found("models") or ()) - {method.label for method in plan.methods}
    if absent:
        changes.append(f"also {', '.join(sorted(absent))}, which would be lost")
    if changes:
        raise InputError(
            f"{folder} holds a run with {'; '.join(changes)}: choose another --out, name the same, "
            "or start afresh by --force"
        )
