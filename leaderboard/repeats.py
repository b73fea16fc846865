"""Gather the rows that differ in their training seed only, and say how far the seeds scatter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from rvsd_bench.leaderboard.table import Group, Row, display_name, number


@dataclass(frozen=True)
class Repeats:
    """One method, trained several times from different seeds."""

    name: str
    methods: tuple[str, ...]
    """The ids of its rows."""
    seeds: tuple[str, ...]
    scores: Mapping[str, tuple[float, float]]
    """Metric -> mean and standard deviation (n - 1) over the trainings, where all have a value."""


def repeats(group: Group) -> tuple[Repeats, ...]:
    """Return the methods of a group that were trained from several seeds, best first.

    Rows belong together if they come from one training recipe, or bear one name where the recipe is
    not known. Only rows with a rank count. What is one training scored twice stands in no mean: of
    rows with one seed nothing is said.
    """
    families: dict[tuple[str, ...], list[Row]] = {}
    for row in group.rows:
        if row["rank"] and row["train_seed"] and not group.reported:
            of = row["train_config_sha256"] or row["method_name"]
            key = (of, row["kind"], row["params_m"], row["precision"])
            families.setdefault(key, []).append(row)
    found = [rows for rows in families.values() if len(rows) > 1]
    return tuple(_gathered(group, rows) for rows in found if _differ(rows))


def _differ(rows: list[Row]) -> bool:
    return len({row["train_seed"] for row in rows}) == len(rows)


def _gathered(group: Group, rows: list[Row]) -> Repeats:
    rows = sorted(rows, key=lambda row: float(row["train_seed"]))
    scores = {}
    for metric in group.metrics:
        values = [value for row in rows if (value := number(row, metric)) is not None]
        if len(values) == len(rows):
            scores[metric] = (fmean(values), stdev(values))
    return Repeats(
        ", ".join(dict.fromkeys(row["method_name"] or display_name(row) for row in rows)),
        tuple(row["method_id"] for row in rows),
        tuple(row["train_seed"] for row in rows),
        scores,
    )
