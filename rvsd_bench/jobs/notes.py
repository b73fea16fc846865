"""Leave word of each shard of a job, so that whoever joins them knows whether all are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError
from rvsd_bench.files import make_folder, write_json
from rvsd_bench.jobs.shards import Shard, parse_shard

_PREFIX = ".shard."


@dataclass(frozen=True)
class Note:
    """What is known of one shard: it is written as it begins, and again when it has ended."""

    shard: str
    """`i/N`."""
    job: str
    """A digest of all that was asked for: the same in all shards of one job."""
    items: tuple[str, ...]
    """The videos that are this shard's."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What is needed to ask for the whole job again, as JSON values."""
    finished: bool = False
    failed: Mapping[str, str] = field(default_factory=dict)
    """The videos that could not be done, each with the reason."""

    @property
    def part(self) -> Shard:
        """The shard as numbers."""
        return parse_shard(self.shard)


def write_note(folder: Path, note: Note) -> None:
    """Write a note into the folder of a job, which is made if need be, atomically."""
    name = f"{_PREFIX}{note.shard.replace('/', '-of-')}.json"
    make_folder(folder)
    write_json(folder / name, asdict(note) | {"items": list(note.items)})


def read_notes(folder: Path) -> list[Note]:
    """Return the notes in the folder of a job, in order; raise InputError for a damaged one."""
    notes = []
    for path in folder.glob(f"{_PREFIX}*.json"):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            note = Note(**found | {"items": tuple(found["items"])})
            notes.append((note.part.index, note))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not the note of a shard: run that shard again") from error
    return [note for _, note in sorted(notes, key=lambda found: found[0])]


def remove_notes(folder: Path) -> None:
    """Remove all notes: the job is whole."""
    for path in folder.glob(f"{_PREFIX}*.json"):
        path.unlink(missing_ok=True)


def is_whole(notes: Sequence[Note]) -> bool:
    """Tell whether all shards of one job have ended, and nothing failed."""
    same = len({(note.job, note.part.count) for note in notes}) == 1
    every = same and len(notes) == notes[0].part.count
    return every and all(note.finished and not note.failed for note in notes)


def require_all(folder: Path, notes: Sequence[Note]) -> None:
    """Raise InputError, naming the shards, unless each of one job is there and has ended."""
    counts = sorted({note.part.count for note in notes})
    if len(counts) > 1 or len({note.job for note in notes}) > 1:
        named = ", ".join(note.shard for note in notes)
        raise InputError(
            f"{folder} holds shards of several jobs ({named}): they were asked for otherwise; run "
            "the whole job without --shard, which keeps what fits"
        )
    there = {note.part.index for note in notes}
    absent = [f"{index}/{counts[0]}" for index in range(1, counts[0] + 1) if index not in there]
    ended = [note.shard for note in notes if not note.finished]
    problems = [
        *([f"never began: {', '.join(absent)}"] if absent else []),
        *([f"not finished: {', '.join(ended)}"] if ended else []),
    ]
    if problems:
        raise InputError(
            f"{folder} is not whole; shards that {'; '.join(problems)}. Run each of them (again) "
            "with its --shard, or copy what it wrote into this folder"
        )
