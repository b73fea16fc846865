"""Keep a table of figures that others published, each with the place where it can be looked up."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rvsd_bench.columns import HEADLINES, csv_lines
from rvsd_bench.errors import InputError, OutputError
from rvsd_bench.files import remove_orphans, write_text
from rvsd_bench.leaderboard.exports import LABELS, aligned, full_name, title
from rvsd_bench.leaderboard.table import Row, group, publication, reported_rows

COLUMNS = (
    *("method_name", "kind", "venue", "year", "protocol", "dataset", "split", "source_ref"),
    *HEADLINES,
)
"""The columns of a table of published figures."""
RANGES = {
    "psnr": (0.0, 100.0),
    "ssim": (-1.0, 1.0),
    "lpips": (0.0, 2.0),
    "nima": (1.0, 10.0),
    "musiq": (0.0, 100.0),
}
"""Between which values a published figure can lie."""
_CITED = re.compile(r"\b(19|20)\d\d\b|doi|arxiv|https?://", re.IGNORECASE)


def add(path: Path, cells: Mapping[str, str]) -> Row:
    """Append a published figure to a table, which is made if it is not there; return the row.

    `cells` maps names of `COLUMNS` to texts; figures are kept as they were published, digit by
    digit. Other rows stay as they are; two processes may append at once.

    Raises:
        InputError: no citation, no figure, one out of its range, or a row that is already there.
    """
    row = {name: " ".join(cells.get(name, "").split()) for name in COLUMNS}
    _check(row)
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"{path} cannot be a table; name a file in a folder that exists")
    with _locked(path):
        remove_orphans(path.parent)
        write_text(path, _appended(path, row))
    return row


def listing(rows: Sequence[Row]) -> list[str]:
    """Return published figures as lines of text, table by table, as they were published."""
    lines = []
    for part in group(rows):
        heads = ["method", *(LABELS[name] for name in part.metrics)]
        cells = [
            [full_name(row), *(row[name] or "–" for name in part.metrics)] for row in part.rows
        ]
        lines += [title(part), *aligned([heads, *cells], left=1), ""]
    return lines[:-1]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time append; the lock's file stays, since another may wait for it."""
    from filelock import FileLock

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire()
    except OSError as error:
        raise OutputError(f"cannot write beside {path}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _appended(path: Path, row: Row) -> str:
    """Return the text of the table with one more row; what is there stays as it is."""
    if not path.exists():
        return "".join(csv_lines(COLUMNS, [row]))
    if any(publication(other) == publication(row) for other in reported_rows(path)):
        raise InputError(
            f"{path} already has {row['method_name']!r} on {row['dataset']} from "
            f"{row['source_ref']!r}; to mend a figure, edit the file"
        )
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    columns = next(csv.reader(io.StringIO(text, newline="")))
    given = {name: cell for name, cell in row.items() if cell}
    if lost := [name for name in given if name not in columns]:
        raise InputError(f"{path} has no column {lost[0]!r} for {given[lost[0]]!r}; add it first")
    line = list(csv_lines(columns, [given]))[1]
    return text + ("" if text.endswith("\n") else "\n") + line


def _check(row: Row) -> None:
    for name, text in row.items():
        if not text.isprintable():
            raise InputError(f"{name} {text!r} holds marks that cannot be printed")
    for name in ("method_name", "protocol", "dataset", "split"):
        if not row[name]:
            raise InputError(f"a published figure needs its {name}")
    if len(row["source_ref"]) < 8 or not _CITED.search(row["source_ref"]):
        raise InputError(
            f"{row['source_ref']!r} is no citation; say where the figure can be looked up: "
            "authors or title with the year, a DOI or an address, and the table"
        )
    if row["year"] and not re.fullmatch(r"(19|20)\d\d", row["year"]):
        raise InputError(f"year is {row['year']!r}, not a year such as 2024")
    figures = [name for name in HEADLINES if row[name]]
    if not figures:
        raise InputError(f"give at least one figure: {', '.join(HEADLINES)}")
    for name in figures:
        _check_figure(name, row[name])


def _check_figure(name: str, text: str) -> None:
    low, high = RANGES[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"{name} is {text!r}, not a number from {low:g} to {high:g}")
