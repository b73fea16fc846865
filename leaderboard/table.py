"""Gather the rows of runs and of publications, and group what may be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeAlias

from rvsd_bench.columns import HEADLINES, LEADERBOARD, REGIONS, SCHEMA_VERSION, TEMPORAL, read_csv
from rvsd_bench.errors import InputError
from rvsd_bench.texts import brief, read_json, shortened

Row: TypeAlias = dict[str, str]
"""Column of `leaderboard.csv` -> text; an empty text means that there is no value, never zero."""

LOWER_IS_BETTER = frozenset({"lpips", *TEMPORAL})
UNPLACED = frozenset({"warp_err"})
"""Metrics on which nobody is best: a blur scores below the truth itself."""
_DIGEST = re.compile("@[0-9a-f]{8}$")  # of a method's files, at the end of its id
_VIDEO_NEEDS = (
    *("run_id", "protocol_hash", "method_id", "dataset", "split", "video", "n_frames", "metric"),
    *("mean", "status", "source_id"),
)
REPORTED_NEEDS = ("method_name", "protocol", "dataset", "split", "source_ref")


@dataclass(frozen=True)
class Run:
    """One run of the evaluator, as it lies on disk."""

    folder: Path
    rows: tuple[Row, ...]
    videos: tuple[Row, ...]
    """Rows of `per_video.csv`."""
    manifest: dict[str, Any]

    def slug(self, method_id: str) -> str:
        """Return the name that a method's files have in this run."""
        slugs = self.manifest.get("slugs")
        return str(slugs.get(method_id, method_id)) if isinstance(slugs, dict) else method_id

    def facts(self) -> Iterator[Mapping[str, Any]]:
        """Yield what is told of the run or, if it is a board, of those that were added to it."""
        added = self.manifest.get("runs", ())
        for facts in (self.manifest, *(added if isinstance(added, list) else ())):
            if isinstance(facts, dict):
                yield facts

    def method(self, row: Row) -> Mapping[str, Any]:
        """Return what is told of the method of a row, such as its `spec`; empty if nothing is."""
        for facts in self.facts():
            methods = facts.get("methods")
            for method in methods if isinstance(methods, list) else ():
                mine = facts.get("run_id", row["run_id"]) == row["run_id"]
                if mine and isinstance(method, dict) and method.get("id") == row["method_id"]:
                    return method
        return {}


@dataclass(frozen=True)
class Pair:
    """Two rows of a group, compared on its headline metric; `first` stands above `second`."""

    first: str
    second: str
    """Method ids."""
    metric: str
    n_sources: int
    difference: float
    """The mean of `first` minus that of `second`."""
    p: float
    """Of the sign-flip test, not corrected for the number of pairs."""
    first_wins: int
    second_wins: int
    equal: int
    """On how many videos either is better, and neither."""
    detectable: float | None
    """The true difference that such a test would find 8 times of 10; None: none would be found."""


@dataclass(frozen=True)
class Group:
    """Rows that were made under one protocol on the same frames, best first."""

    protocol: str
    protocol_hash: str
    dataset: str
    dataset_sha256: str
    split: str
    reported: bool
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...] = ()
    """The test of each two rows that have scores, where the runs allow it."""
    remarks: tuple[str, ...] = ()
    """What a reader must be warned of: few source clips, references that are missing."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics for which any row has a value, headlines first."""
        known = (*HEADLINES, *REGIONS, *TEMPORAL)
        return tuple(m for m in known if any(row[m] for row in self.rows))


def read_run(folder: Path) -> Run:
    """Read what `evaluate` wrote into a folder.

    Raises:
        InputError: the folder is not a run, one of its files cannot be read, or its figures come
            from a network that was made to test the machinery.
    """
    manifest = folder / "manifest.json"
    if not folder.is_dir() or not manifest.is_file():
        raise InputError(f"{folder} is not a run of evaluate: it has no manifest.json")
    try:
        facts = read_json(manifest)
    except OSError as error:
        raise InputError(f"cannot read {manifest}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{manifest} is not JSON ({error}); evaluate again with --force") from None
    if not isinstance(facts, dict):
        raise InputError(f"{manifest} is not a run's manifest; evaluate again with --force")
    needed = ("method_id", "protocol_hash", "source", "valid")
    table = folder / "leaderboard.csv"
    rows = tuple(_whole(row, table) for row in read_csv(table, needed))
    if any(row["weights_status"] == "test" for row in rows):
        raise InputError(
            f"{folder} was scored by a test network, which learned nothing: its figures mean "
            "nothing and go into no table; evaluate with the weights on record"
        )
    videos = tuple(read_csv(folder / "per_video.csv", _VIDEO_NEEDS))
    if "run_id" in facts and any(row["run_id"] != facts["run_id"] for row in (*rows, *videos)):
        raise InputError(
            f"{folder}: its tables and its manifest are of two runs, for evaluate was stopped as "
            "it wrote them: give the same command again"
        )
    return Run(folder=folder, rows=rows, videos=videos, manifest=facts)


def reported_rows(path: Path | None = None) -> list[Row]:
    """Return published figures; by default those that come with the package.

    A row without a source is an error: a number that nobody can look up is not a result.
    """
    if path is None:
        with as_file(files(__package__) / "reported.csv") as packaged:
            return reported_rows(packaged)
    rows = []
    for line, cells in enumerate(read_csv(path, REPORTED_NEEDS), 2):
        if absent := [name for name in REPORTED_NEEDS if not cells[name].strip()]:
            raise InputError(f"{path}: line {line} has no {absent[0]}; name where it was published")
        own = {"source": "reported", "schema_version": str(SCHEMA_VERSION)}
        rows.append(_whole({**cells, **own}, path))
    return rows


def published(tables: Iterable[Path | None]) -> list[Row]:
    """Return the published figures of several tables; None stands for the packaged one.

    Raises:
        InputError: two tables, or one of them twice, give the same method's figures.
    """
    seen: set[tuple[str, ...]] = set()
    rows = []
    for table in tables:
        for row in reported_rows(table):
            key = publication(row)
            if key in seen:
                raise InputError(
                    f"{table or 'the packaged table'} gives {brief(row['method_name'])} of "
                    f"{brief(row['source_ref'])} on {shortened(row['dataset'])} again; "
                    "leave one out"
                )
            seen.add(key)
            rows.append(row)
    return rows


def publication(row: Row) -> tuple[str, ...]:
    """Return what makes a published row the one that it is, however it is written."""
    names = ("method_name", "protocol", "dataset", "split", "source_ref")
    return tuple(" ".join(row[name].split()).casefold() for name in names)


def _whole(cells: Row, path: Path) -> Row:
    if unknown := [name for name in cells if name not in LEADERBOARD]:
        raise InputError(f"{path}: no such leaderboard column: {brief(unknown[0])}")
    return {name: cells.get(name, "") for name in LEADERBOARD}


def display_name(row: Row) -> str:
    """Return what a row is called: the unrestored frames are the input, whoever asked for them.

    A method that was asked for with options is called by them too: median?k=3 and median?k=5 are
    two methods.
    """
    if row["source"] == "input":
        return "Input"
    spec = _DIGEST.sub("", row["method_id"])
    name = row["method_name"] or row["method_id"]
    return spec if spec.startswith(f"{name}?") else name


def number(row: Row, column: str) -> float | None:
    """Return a numeric cell, or None where it is empty."""
    text = row.get(column, "")
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise InputError(f"{column} of {brief(row.get('method_id'))} is no number: {brief(text)}")
    return value


def merge(runs: Sequence[Run]) -> list[Row]:
    """Return the rows of all runs; the same method on the same frames must not appear twice."""
    seen: dict[tuple[str, ...], Path] = {}
    merged = []
    for run in runs:
        for row in run.rows:
            key = (row["method_id"], *comparable(row))
            if key in seen:
                raise InputError(
                    f"{brief(row['method_id'])} under {shortened(row['protocol'])} is in "
                    f"{seen[key]} and again in {run.folder}; leave one out, or name them apart "
                    "(NAME=SPEC)"
                )
            seen[key] = run.folder
            merged.append(row)
    return merged


def comparable(row: Row) -> tuple[str, ...]:
    """Return what rows must have in common to stand in one ranking."""
    where = row["source_ref"] if row["source"] == "reported" else row["dataset_manifest_sha256"]
    return (row["protocol"], row["protocol_hash"], row["dataset"], where, row["split"])


def group(rows: Iterable[Row], *, rank_reported: bool = False) -> list[Group]:
    """Group rows that may be compared and rank the measured, valid ones among them.

    Ranks are within one protocol hash, set of frames, split and source (contract section 4):
    published figures, the unrestored input, fits to the ground truth and networks that were never
    trained stay without a rank. With `rank_reported` the published figures of one table are ranked
    among themselves.
    """
    parts: dict[tuple[bool, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        parts.setdefault((row["source"] == "reported", comparable(row)), []).append(row)
    groups = []
    for (reported, key), members in sorted(parts.items(), key=lambda item: item[0]):
        protocol, protocol_hash, dataset, where, split = key
        ranked = tuple(_ranked(members, rank_reported))
        groups.append(Group(protocol, protocol_hash, dataset, where, split, reported, ranked))
    return groups


def headline(rows: Sequence[Row]) -> str:
    """Return the metric that orders a group: PSNR with ground truth, MUSIQ without."""
    return next((m for m in ("psnr", "musiq", *HEADLINES) if any(r[m] for r in rows)), "psnr")


def better(metric: str, a: float, b: float) -> bool:
    """Tell whether value `a` of a metric is better than `b`."""
    return a < b if metric in LOWER_IS_BETTER else a > b


def _ranked(rows: list[Row], rank_reported: bool) -> list[Row]:
    metric = headline(rows)
    sign = 1 if metric in LOWER_IS_BETTER else -1

    def order(row: Row) -> tuple[bool, bool, float, str]:
        """Best first; figures that mean nothing do not stand above those that do."""
        value, untrained = number(row, metric), row["trained"] == "false"
        place = 0.0 if value is None else sign * value
        return (untrained, value is None, place, row["method_id"])

    ranked: list[Row] = []
    counted, rank, last = 0, 0, None
    for row in sorted(rows, key=order):
        value = number(row, metric)
        if value is None or not _takes_part(row, rank_reported):
            ranked.append({**row, "rank": ""})
            continue
        counted += 1
        rank = rank if value == last else counted
        last = value
        ranked.append({**row, "rank": str(rank)})
    return ranked


def _takes_part(row: Row, rank_reported: bool) -> bool:
    if row["source"] == "reported":
        return rank_reported and row["kind"] != "input"
    return row["source"] == "measured" and row["valid"] == "true" and row["trained"] != "false"
