"""Read and write the CSV files that people exchange: text in, text out, nothing guessed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from rvsd_bench.errors import InputError

Row: TypeAlias = dict[str, str]
"""Column -> cell; an empty cell means that there is no value, never zero."""

# What a spreadsheet would run, and the apostrophe itself, so that taking one off is always right.
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "'")


def cell(value: object) -> str:
    """Return the text of a value: floats by their shortest exact form, None as an empty cell.

    A text that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} is not a result; leave the cell empty")
        return repr(float(value))
    text = str(value)
    return f"'{text}" if text.startswith(_GUARDED) else text


def format_rows(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as CSV (RFC 4180 quoting, LF, header first). An unknown column is an error."""
    lines = [",".join(map(_quoted, columns))]
    for row in rows:
        if extra := row.keys() - set(columns):
            raise ValueError(f"no such column: {', '.join(sorted(extra))}")
        lines.append(",".join(_quoted(cell(row.get(name))) for name in columns))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # csv.writer leaves a lone carriage return unquoted on Python 3.11, and readers split there.
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def read_rows(path: Path, needed: Iterable[str] = ()) -> list[Row]:
    """Return the rows of a CSV file; the apostrophe before a formula is taken off again.

    Raises:
        InputError: the file is missing, is not CSV in UTF-8, or lacks one of the `needed` columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [dict(row) for row in reader]
            header = list(reader.fieldnames or [])
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8: {error}") from None
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise InputError(f"{path}: line {number} has not as many cells as the header")
    return [{name: _unguard(text) for name, text in row.items()} for row in rows]


def _unguard(text: str) -> str:
    return text.removeprefix("'")


def number(row: Mapping[str, str], column: str) -> float | None:
    """Return a numeric cell, or None where it is empty or the column is absent."""
    text = row.get(column, "")
    return float(text) if text else None
