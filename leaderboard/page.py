"""Build the page: one file that opens offline and asks nobody for anything."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.leaderboard.exports import DECIMALS, LABELS, footnotes, placed, shown, title
from rvsd_bench.leaderboard.table import (
    LOWER_IS_BETTER,
    Group,
    Row,
    Run,
    display_name,
    group,
    headline,
    number,
)

MAX_PICTURE_BYTES = 25 * 2**20
"""Pictures beyond this sum are left out, and the page says so."""


@dataclass(frozen=True)
class Picture:
    """One JPEG of a comparison, as a data URL."""

    label: str
    url: str


@dataclass(frozen=True)
class Comparison:
    """The same frame before restoration, after each method, and as it should be."""

    video: str
    frame: str
    pictures: tuple[Picture, ...]


def page(groups: Sequence[Group], runs: Sequence[Run]) -> str:
    """Return the whole page as HTML. Every name in it is escaped by the template engine."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        (files(__package__) / "templates/page.html").read_text(encoding="utf-8")
    )
    comparisons, left_out = gather(runs)
    return template.render(
        version=__version__,
        measured=[_table(g, runs) for g in groups if not g.reported],
        reported=[_table(g, ()) for g in groups if g.reported],
        comparisons=comparisons,
        left_out=left_out,
        provenance=[facts for run in runs for facts in _provenance(run)],
    )


def gather(runs: Sequence[Run]) -> tuple[list[Comparison], int]:
    """Return the comparisons that the runs hold pictures for, and how many did not fit."""
    found: list[Comparison] = []
    spent, left_out = 0, 0
    for run in runs:
        best_first = [row for part in group(run.rows) for row in part.rows]
        by_slug = {run.slug(row["method_id"]): row for row in best_first}
        names = {s: display_name(row) for s, row in by_slug.items()}
        inputs = {s for s, row in by_slug.items() if row["source"] == "input"}
        for folder in sorted((run.folder / "pictures").glob("*/*")):
            paths = {path.stem: path for path in sorted(folder.glob("*.jpg"))}
            for name in inputs:  # the unrestored input is shown once, as such
                paths.pop(name, None)
            size = sum(path.stat().st_size for path in paths.values())
            if "input" not in paths or spent + size > MAX_PICTURE_BYTES:
                left_out += 1
                continue
            spent += size
            order = [name for name in ("input", *by_slug, "truth") if name in paths]
            labels = {"input": "snowy input", "truth": "ground truth"} | names
            pictures = tuple(Picture(labels.get(n, n), _data_url(paths[n])) for n in order)
            found.append(Comparison(folder.parent.name, folder.name, pictures))
    return found, left_out


def _data_url(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _table(group: Group, runs: Sequence[Run]) -> dict[str, Any]:
    metrics, best = group.metrics, placed(group)
    return {
        "title": title(group),
        "group": group,
        "columns": [
            {"key": m, "label": LABELS[m], "arrow": "↓" if m in LOWER_IS_BETTER else "↑"}
            for m in metrics
        ],
        "rows": [_line(row, metrics, best, group.reported) for row in group.rows],
        "notes": footnotes(group),
        "chart": None if group.reported else _chart(group),
        "heat": None if group.reported else _heat(group, runs),
    }


def _line(
    row: Row, metrics: Sequence[str], best: dict[str, list[float]], reported: bool
) -> dict[str, Any]:
    cells = []
    for metric in metrics:
        value = number(row, metric)
        low, high = number(row, f"{metric}_ci_lo"), number(row, f"{metric}_ci_hi")
        place = ""
        if value in best[metric] and row["kind"] != "input" and (reported or row["rank"]):
            place = "first" if value == best[metric][0] else "second"
        cells.append(
            {
                "text": shown(metric, value),
                "sort": "" if value is None else repr(value),
                "interval": "" if low is None or high is None else _span(metric, low, high),
                "place": place,
            }
        )
    return {"row": row, "name": display_name(row), "cells": cells}


def _span(metric: str, low: float, high: float) -> str:
    return f"{shown(metric, low)} to {shown(metric, high)}"


def _chart(group: Group) -> dict[str, Any] | None:
    """Return the headlines as dots on lines, with their intervals, in percent.

    Networks that were never trained are left out: their figures would stretch the scale.
    """
    metric = headline(group.rows)
    lines = []
    for row in group.rows:
        value = number(row, metric)
        if value is not None and row["trained"] != "false":
            low, high = number(row, f"{metric}_ci_lo"), number(row, f"{metric}_ci_hi")
            lines.append(
                (row, value, value if low is None else low, value if high is None else high)
            )
    if len(lines) < 2:
        return None
    least, most = min(line[2] for line in lines), max(line[3] for line in lines)
    margin = (most - least) * 0.06 or 1.0
    start, width = least - margin, most - least + 2 * margin

    def percent(value: float) -> float:
        return round(100 * (value - start) / width, 2)

    return {
        "label": LABELS[metric],
        "arrow": "↓" if metric in LOWER_IS_BETTER else "↑",
        "ticks": [
            {
                "at": percent(least + (most - least) * k / 4),
                "text": shown(metric, least + (most - least) * k / 4),
            }
            for k in range(5)
        ],
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


def _heat(group: Group, runs: Sequence[Run]) -> dict[str, Any] | None:
    """Return the headline of every method on every video, coloured by its gain over the input."""
    metric = headline(group.rows)
    ids = {row["run_id"] for row in group.rows}  # a run has one protocol and one set of frames
    values: dict[tuple[str, str], float] = {}
    for row in (row for run in runs for row in run.videos):
        value = number(row, "mean")
        if row["run_id"] in ids and row["metric"] == metric and value is not None:
            video = f"{row['split']}/{row['video']}" if "," in group.split else row["video"]
            values[video, row["method_id"]] = value
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
        rows.append({"video": video, "cells": cells})
    return {"label": LABELS[metric], "methods": [name for _, name in methods], "rows": rows}


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


def _provenance(run: Run) -> Iterator[dict[str, Any]]:
    """Yield how a run, or each run of a board, can be made again: command, versions, weights."""
    boarded = run.manifest.get("runs")
    for facts in boarded if isinstance(boarded, list) else [run.manifest]:
        run_id = facts.get("run_id", "")
        yield {
            "name": f"{run.folder.name}: {run_id}" if boarded else run.folder.name,
            "command": facts.get("command", ""),
            "environment": facts.get("environment", {}),
            "weights": facts.get("weights", {}),
            "run_id": run_id,
        }
