"""Build the page: one file that opens offline and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.leaderboard.charts import arrow, chart, heat, matrix
from rvsd_bench.leaderboard.curves import curves
from rvsd_bench.leaderboard.exports import LABELS, footnotes, placed, shown, title
from rvsd_bench.leaderboard.pictures import gather
from rvsd_bench.leaderboard.table import LOWER_IS_BETTER, Group, Row, Run, display_name, number


def page(groups: Sequence[Group], runs: Sequence[Run]) -> str:
    """Return the whole page as HTML. Every name in it is escaped by the template engine."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_template),
    )
    comparisons, left_out = gather(runs)
    return environment.get_template("page.html").render(
        version=__version__,
        measured=[_table(g, runs) for g in groups if not g.reported],
        reported=[_table(g, ()) for g in groups if g.reported],
        comparisons=comparisons,
        left_out=left_out,
        provenance=[facts for run in runs for facts in _provenance(run)],
    )


def _template(name: str) -> str:
    """Return one of the files that the page is put together from."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _table(group: Group, runs: Sequence[Run]) -> dict[str, Any]:
    metrics, best = group.metrics, placed(group)
    drawn = not group.reported
    return {
        "title": title(group),
        "group": group,
        "columns": [
            {"label": LABELS[m], "arrow": arrow(m), "lower": m in LOWER_IS_BETTER} for m in metrics
        ],
        "rows": [_line(row, metrics, best, group.reported) for row in group.rows],
        "notes": footnotes(group),
        "chart": chart(group) if drawn else None,
        "matrix": matrix(group) if drawn else None,
        "curves": curves(group, runs) if drawn else None,
        "heat": heat(group, runs) if drawn else None,
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


def _provenance(run: Run) -> Iterator[dict[str, Any]]:
    """Yield how a run, or each run of a board, can be made again: command, digests, versions."""
    boarded = run.manifest.get("runs")
    for facts in boarded if isinstance(boarded, list) else [run.manifest]:
        run_id = facts.get("run_id", "")
        yield {
            "name": f"{run.folder.name}: {run_id}" if boarded else run.folder.name,
            "command": facts.get("command", ""),
            "facts": _facts(run, facts, run_id),
            "models": [_model(row) for row in run.rows if row["run_id"] == run_id],
        }


def _facts(run: Run, facts: Mapping[str, Any], run_id: str) -> list[tuple[str, str]]:
    """Return what a run was made of, each with its name; what was not written is left out."""
    dataset, protocol, git = (_part(facts, name) for name in ("dataset", "protocol", "git"))
    row = next((row for row in run.rows if row["run_id"] == run_id), {})
    commit = git.get("commit") or row.get("git_sha")
    weights = {
        f"weights of {name}": value.get("sha256") if isinstance(value, dict) else value
        for name, value in _part(facts, "weights").items()
    }
    named = {
        "run": run_id,
        "made": facts.get("created_utc"),
        "data set": dataset.get("name") or row.get("dataset"),
        "digest of its frames": dataset.get("sha256") or row.get("dataset_manifest_sha256"),
        "protocol": protocol.get("id") or row.get("protocol"),
        "digest of the protocol": protocol.get("hash") or row.get("protocol_hash"),
        "commit": f"{commit}, with changes" if commit and git.get("changed") else commit,
        **weights,
        **{k: v for k, v in _part(facts, "environment").items() if not isinstance(v, dict)},
    }
    return [(name, str(value)) for name, value in named.items() if value not in (None, "")]


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}


def _model(row: Row) -> dict[str, str]:
    """Return the digests by which a row can be checked."""
    return {
        "name": display_name(row),
        "spec": row["method_id"],
        "frames": row["predictions_sha256"],
        "weights": row["checkpoint_sha256"],
    }
