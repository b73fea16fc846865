"""Lay out what the page draws of a group: headlines with whiskers, videos, wins and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rvsd_bench.leaderboard.exports import DECIMALS, LABELS, arrow, shown, signed
from rvsd_bench.leaderboard.statistics import ALPHA, holm
from rvsd_bench.leaderboard.table import (
    LOWER_IS_BETTER,
    Group,
    Pair,
    Row,
    Run,
    display_name,
    headline,
    number,
)


def chart(group: Group) -> dict[str, Any] | None:
    """Return the headlines as dots on lines, with their intervals, in percent.

    Networks that were never trained are left out: their figures would stretch the scale.
    """
    metric = headline(group.rows)
    lines = [line for row in group.rows if (line := _spread(row, metric)) is not None]
    if len(lines) < 2:
        return None
    least, most = min(line[2] for line in lines), max(line[3] for line in lines)
    margin = (most - least) * 0.06 or 1.0
    start, width = least - margin, most - least + 2 * margin

    def percent(value: float) -> float:
        return round(100 * (value - start) / width, 2)

    marks = [least + (most - least) * k / 4 for k in range(5 if most > least else 1)]
    return {
        "label": LABELS[metric],
        "arrow": arrow(metric),
        "ticks": [{"at": percent(mark), "text": shown(metric, mark)} for mark in marks],
        "lines": [
            {
                "name": display_name(row),
                "source": row["source"],
                "at": percent(value),
                "low": percent(low),
                "width": round(percent(high) - percent(low), 2),
                "text": shown(metric, value),
            }
            for row, value, low, high in lines
        ],
    }


def _spread(row: Row, metric: str) -> tuple[Row, float, float, float] | None:
    """Return a row with its value and both ends of its interval, if it belongs on the chart."""
    value = number(row, metric)
    if value is None or row["trained"] == "false":
        return None
    low, high = number(row, f"{metric}_ci_lo"), number(row, f"{metric}_ci_hi")
    return row, value, value if low is None else low, value if high is None else high


def heat(group: Group, runs: Sequence[Run]) -> dict[str, Any] | None:
    """Return the headline of every method on every video, coloured by its gain over the input."""
    metric = headline(group.rows)
    ids = {row["run_id"] for row in group.rows}  # a run has one protocol and one set of frames
    values: dict[tuple[str, str], float] = {}
    for row in (row for run in runs for row in run.videos):
        value = number(row, "mean")
        if row["run_id"] in ids and row["metric"] == metric and value is not None:
            values[video_name(group, row), row["method_id"]] = value
    methods = [(r["method_id"], display_name(r)) for r in group.rows]
    videos = sorted({video for video, _ in values})
    base = next((r["method_id"] for r in group.rows if r["source"] == "input"), None)
    if not videos or len(methods) < 2:
        return None
    reach = max(
        (abs(v - values.get((n, base or ""), v)) for (n, _), v in values.items()), default=0
    )
    rows = []
    for video in videos:
        reference = values.get((video, base or ""))
        cells = [_heat_cell(metric, values.get((video, m)), reference, reach) for m, _ in methods]
        best = _best(group, [values.get((video, row["method_id"])) for row in group.rows])
        marked = [c | {"best": place in best} for place, c in enumerate(cells)]
        rows.append({"video": video, "cells": marked})
    return {"label": LABELS[metric], "methods": [name for _, name in methods], "rows": rows}


def _best(group: Group, values: Sequence[float | None]) -> set[int]:
    """Return the places of the best values of a video, of rows that are no upper bound."""
    metric = headline(group.rows)
    found = {
        place: value
        for place, (row, value) in enumerate(zip(group.rows, values))
        if value is not None and row["source"] != "oracle" and row["trained"] != "false"
    }
    top = (min if metric in LOWER_IS_BETTER else max)(found.values(), default=None)
    return {place for place, value in found.items() if value == top}


def video_name(group: Group, row: Row) -> str:
    """Return what a video is called among those of a group, which may be of several splits."""
    return f"{row['split']}/{row['video']}" if "," in group.split else row["video"]


def _heat_cell(
    metric: str, value: float | None, reference: float | None, reach: float
) -> dict[str, Any]:
    if value is None:
        return {"text": "–", "gain": 0.0, "delta": ""}
    gain = 0.0 if reference is None else value - reference
    if metric in LOWER_IS_BETTER:
        gain = -gain
    delta = f"{gain:+.{DECIMALS.get(metric, 2)}f} over the input" if reference is not None else ""
    return {"text": shown(metric, value), "gain": round(gain / (reach or 1), 3), "delta": delta}


def matrix(group: Group) -> dict[str, Any] | None:
    """Return how often each method wins against each other one, with the tests' p values.

    A cell belongs to the method of its line. `sure` cells hold after Holm's correction for all
    pairs of the matrix. None where no two methods could be tested.
    """
    if not group.pairs:
        return None
    corrected = holm([pair.p for pair in group.pairs])
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for pair, p in zip(group.pairs, corrected):
        cells[pair.first, pair.second] = _duel(pair, p, turned=False)
        cells[pair.second, pair.first] = _duel(pair, p, turned=True)
    tested = {method for both in cells for method in both}
    methods = [(r["method_id"], display_name(r)) for r in group.rows if r["method_id"] in tested]
    return {
        "label": LABELS[group.pairs[0].metric],
        "clips": max(pair.n_sources for pair in group.pairs),
        "pairs": len(group.pairs),
        "methods": [name for _, name in methods],
        "rows": [
            {"name": name, "cells": [cells.get((method, other)) for other, _ in methods]}
            for method, name in methods
        ],
    }


def _duel(pair: Pair, corrected: float, *, turned: bool) -> dict[str, Any]:
    """Return one cell of the matrix, seen from the pair's first method or, turned, its second."""
    wins, losses = pair.first_wins, pair.second_wins
    difference = -pair.difference if turned else pair.difference
    gain = -difference if pair.metric in LOWER_IS_BETTER else difference
    return {
        "wins": losses if turned else wins,
        "losses": wins if turned else losses,
        "difference": signed(pair.metric, difference),
        "p": "p < 0.001" if pair.p < 0.001 else f"p = {pair.p:.2g}",
        "tone": "good" if gain > 0 else "bad" if gain < 0 else "",
        "sure": corrected <= ALPHA,
    }
