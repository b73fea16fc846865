"""Keep a board: a folder to which the rows of runs are added, and from which nothing is taken.

`entries/` holds one file for each addition, called after its digest and never written again. The
tables beside it are made of all entries after every addition, so that the board can be read as a
run is: by `leaderboard build` and `compare`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, SCHEMA_VERSION, csv_lines
from rvsd_bench.errors import InputError, OutputError
from rvsd_bench.files import digest_of, make_folder, remove_orphans, write_json, write_text
from rvsd_bench.leaderboard.card import Card, card_from
from rvsd_bench.leaderboard.table import Row, Run, comparable, display_name, read_run
from rvsd_bench.texts import brief, read_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

ENTRIES = "entries"
_LOCK = ".lock"
_PATIENCE_S = 120.0

Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """The rows that were added at once, with their videos and the cards of their methods."""

    rows: tuple[Row, ...]
    videos: tuple[Row, ...]
    cards: Mapping[str, dict[str, Any]]
    """Method id -> card."""
    run: Mapping[str, Any]
    """How the run can be made again: its command, versions and weights."""

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON values, with the digest of all the others."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "rows": list(self.rows),
            "videos": list(self.videos),
            "cards": dict(self.cards),
            "run": dict(self.run),
        }
        return content | {"sha256": digest_of(content)}


@dataclass(frozen=True)
class Added:
    """What came of an addition."""

    rows: tuple[Row, ...]
    there: tuple[str, ...]
    """Methods of the run that the board had already, with the same frames."""
    total: int
    """How many rows the board has now."""


def add(run: Path, board: Path, *, card: Card | None = None) -> Added:
    """Add the rows of a run to a board; the board is made if it is not there.

    The run's own cards are taken, or `card` for its only measured method. A row that the board has
    already, with the same restored frames, is passed over. All rows are added or none.

    Raises:
        InputError: the run or the board cannot be read, a row is not valid, or another row of the
            board has its name, on the same frames under the same protocol.
        OutputError: another process keeps the board locked.
    """
    found = read_run(run)
    entry = _entry(found, card)
    with _locked(board):
        before = read_entries(board)
        taken = {key: row for other in before for row in other.rows for key in _keys(row)}
        there = [row["method_id"] for row in entry.rows if _is_there(row, taken, board)]
        rows = tuple(row for row in entry.rows if row["method_id"] not in there)
        if not rows:
            _write_tables(board, before)  # who added them may have been killed before he did
            names = ", ".join(map(repr, there))
            raise InputError(f"{run}: {board} has {names} already, with the same frames")
        ids = {row["method_id"] for row in rows}
        videos = tuple(row for row in entry.videos if row["method_id"] in ids)
        cards = {name: card for name, card in entry.cards.items() if name in ids}
        new = Entry(rows, videos, cards, entry.run)
        content = new.as_json()
        write_json(board / ENTRIES / f"{content['sha256'][:24]}.json", content)
        total = _write_tables(board, [*before, new])
    return Added(rows, tuple(there), total)


def rebuild(board: Path) -> int:
    """Make the tables of a board again from its entries; return how many rows there are."""
    if not (board / ENTRIES).is_dir():
        raise InputError(f"{board} is no board: it has no folder {ENTRIES}/")
    with _locked(board):
        return _write_tables(board, read_entries(board))


def read_entries(board: Path) -> list[Entry]:
    """Return what was added to a board; a file that was changed since is an error by name."""
    return [_read(path) for path in sorted((board / ENTRIES).glob("[!.]*.json"))]


def _read(path: Path) -> Entry:
    try:
        content = read_json(path)
        told = content.pop("sha256")
        if told != digest_of(content):
            raise ValueError("its digest does not match")
        rows = tuple(_texts(row, LEADERBOARD) for row in content["rows"])
        videos = tuple(_texts(row, PER_VIDEO) for row in content["videos"])
        return Entry(rows, videos, dict(content["cards"]), dict(content["run"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not as it was added ({error}): restore it, or remove it to take its rows "
            "from the board"
        ) from error


def _texts(row: Mapping[str, str], columns: Sequence[str]) -> Row:
    """Return the known columns of a row, which another version may have written."""
    return {name: str(row.get(name, "")) for name in columns}


def _entry(run: Run, card: Card | None) -> Entry:
    """Return what a run has to add, described by its cards."""
    if not run.rows:
        raise InputError(f"{run.folder} has no rows")
    for row in run.rows:
        if row["valid"] != "true":
            reason = row["notes"] or "see its validation.json"
            raise InputError(f"{run.folder}: {row['method_id']!r} is not valid: {reason}")
    cards = _cards(run, card)
    rows = tuple(_carded(row, cards.get(row["method_id"])) for row in run.rows)
    keys = [key for row in rows for key in _keys(row)]
    if twice := [key[0] for key in keys if keys.count(key) > 1]:
        raise InputError(f"{run.folder}: two rows are called {twice[0]!r}")
    known = ("command", "environment", "weights", "run_id", "created_utc", "protocol", "plugins")
    facts = {name: run.manifest[name] for name in known if name in run.manifest}
    facts["methods"] = [
        {"id": row["method_id"], "spec": told["spec"]}
        for row in rows
        if "spec" in (told := run.method(row))
    ]
    cards_as_json = {name: found.as_dict() for name, found in cards.items()}
    videos = tuple(_texts(row, PER_VIDEO) for row in run.videos)
    return Entry(rows, videos, cards_as_json, facts)


def _cards(run: Run, card: Card | None) -> dict[str, Card]:
    """Return the card of each method that has one."""
    methods = run.manifest.get("methods")
    cards = {
        str(method.get("id")): card_from(
            method["card"], f"{run.folder}: the card of {brief(method.get('id'))}"
        )
        for method in (methods if isinstance(methods, list) else ())
        if isinstance(method, dict) and isinstance(method.get("card"), dict)
    }
    if card is None:
        return cards
    own = [row["method_id"] for row in run.rows if row["source"] == "measured"]
    without = [name for name in own if name not in cards]
    strangers = [name for name in without if "frames:" in name] or without
    if len(strangers) != 1:
        raise InputError(
            f"{run.folder} has {len(strangers)} measured methods without a card, a card is for one:"
            f" {', '.join(strangers) or 'none'}; evaluate the submission by itself"
        )
    return cards | {strangers[0]: card}


def _carded(row: Row, card: Card | None) -> Row:
    if card is None:
        return row
    year = "" if card.year is None else str(card.year)
    told = {"method_name": card.name, "source_ref": card.paper, "venue": card.venue, "year": year}
    licences = [part for part in (card.licence, row["licence"]) if part]
    return row | told | {"licence": "; ".join(licences)}


def _keys(row: Row) -> list[Key]:
    """Return what no other row of a board may share: id and name, where rows are compared."""
    names = (row["method_id"], display_name(row))
    same = {unicodedata.normalize("NFKC", name).casefold() for name in names}
    return [(name, *comparable(row)) for name in sorted(same)]


def _is_there(row: Row, taken: Mapping[Key, Row], board: Path) -> bool:
    """Tell whether the board has the very same row; raise if it has another of that name."""
    others = [taken[key] for key in _keys(row) if key in taken]
    if not others:
        return False
    same = ("method_id", "predictions_sha256")
    if all(row["predictions_sha256"] and row[n] == o[n] for o in others for n in same):
        return True
    name = display_name(row)
    raise InputError(
        f"{board} has a row called {name!r} on these frames already: nothing is replaced; choose "
        "another name, such as one with a version"
    )


def _write_tables(board: Path, entries: Sequence[Entry]) -> int:
    """Write the tables of all entries, the same in whatever order they were added."""
    rows = sorted((row for entry in entries for row in entry.rows), key=_place)
    videos = sorted((row for entry in entries for row in entry.videos), key=_place)
    cards = {name: card for entry in entries for name, card in entry.cards.items()}
    write_text(board / "per_video.csv", "".join(csv_lines(PER_VIDEO, videos)))
    write_text(board / "leaderboard.csv", "".join(csv_lines(LEADERBOARD, rows)))
    runs = sorted((dict(entry.run) for entry in entries), key=lambda run: json.dumps(run))
    about = {"schema_version": SCHEMA_VERSION, "command": "rvsd-bench leaderboard build"}
    write_json(board / "manifest.json", about | {"cards": cards, "runs": runs})
    return len(rows)


def _place(row: Row) -> tuple[str, ...]:
    order = ("protocol_hash", "dataset", "split", "method_id", "run_id", "video", "metric")
    return tuple(row[name] for name in order if name in row)


@contextmanager
def _patiently(lock: BaseFileLock, board: Path) -> Iterator[None]:
    """Hold a lock; wait for it as long as others who hold it in turn add to the board."""
    from filelock import Timeout

    while True:
        before = _newest(board)
        try:
            lock.acquire()
            break
        except Timeout:
            if _newest(board) == before:
                raise
    try:
        yield
    finally:
        lock.release()


def _newest(board: Path) -> int:
    """Return when an entry last came, in nanoseconds; 0 where there is none."""
    entries = board / ENTRIES
    return entries.stat().st_mtime_ns if entries.is_dir() else 0


@contextmanager
def _locked(board: Path) -> Iterator[None]:
    """Keep other processes from the board; refuse a folder that holds something else."""
    from filelock import FileLock, Timeout

    if board.exists() and not board.is_dir():
        raise InputError(f"{board} is a file: a board is a folder")
    strange = board.is_dir() and not (board / ENTRIES).is_dir()
    if strange and any(path.name != _LOCK for path in board.iterdir()):
        raise InputError(f"{board} holds other files: name a new folder, or a board")
    try:
        make_folder(board)
        with _patiently(FileLock(board / _LOCK, timeout=_PATIENCE_S), board):
            make_folder(board / ENTRIES)
            remove_orphans(board, board / ENTRIES)
            yield
    except Timeout as error:
        raise OutputError(f"{board} has been locked by another process for 2 minutes") from error
    except PermissionError as error:  # of the lock
        raise OutputError(f"cannot write into {board}: {error.strerror}") from error
