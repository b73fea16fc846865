"""Build the page: one file that opens offline and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.columns import HEADLINES
from rvsd_bench.leaderboard.charts import chart, heat, matrix
from rvsd_bench.leaderboard.credits import authors_of, bibtex, card_of
from rvsd_bench.leaderboard.curves import curves
from rvsd_bench.leaderboard.embedding import data_url
from rvsd_bench.leaderboard.exports import (
    LABELS,
    arrow,
    footnotes,
    of_truth,
    place,
    placed,
    shown,
    sizes,
    title,
)
from rvsd_bench.leaderboard.pictures import gather
from rvsd_bench.leaderboard.provenance import provenance
from rvsd_bench.leaderboard.table import (
    LOWER_IS_BETTER,
    UNPLACED,
    Group,
    Row,
    Run,
    display_name,
    number,
)


def page(groups: Sequence[Group], runs: Sequence[Run], table: str) -> str:
    """Return the whole page as HTML. Every name in it is escaped by the template engine.

    `table` is the text of `leaderboard.csv`, which the page offers for download.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_template),
    )
    parts = {
        "measured": [_table(g, runs) for g in groups if not g.reported],
        "reported": [_table(g, ()) for g in groups if g.reported],
        "gallery": gather(runs),
        "provenance": [facts for run in runs for facts in provenance(run)],
    }
    return environment.get_template("page.html").render(
        version=__version__,
        contents=list(_contents(parts)),
        downloads=[
            _download("leaderboard.csv", "CSV", table),
            _download("rvsd-bench.bib", "BibTeX", bibtex(groups, runs)),
        ],
        **parts,
    )


def _contents(parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the anchor and the name of each section that the page has."""
    gallery, measured = parts["gallery"], parts["measured"]
    for anchor, name, there in (
        ("measured", "Measured", measured),
        ("stills", "Before and after", gallery.stills),
        ("motion", "In motion", gallery.films),
        ("extremes-1", "Worst and best", gallery.extremes),
        ("frames", "Frame by frame", any(part["curves"] for part in measured)),
        ("videos", "Video by video", any(part["heat"] for part in measured)),
        ("reported", "Reported", parts["reported"]),
        ("reproduce", "Reproduce", parts["provenance"]),
    ):
        if there:
            yield anchor, name


def _download(name: str, label: str, text: str) -> dict[str, str]:
    return {"name": name, "label": label, "url": data_url(text.encode(), Path(name).suffix)}


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
        "rows": [
            _line(row, metrics, best) | {"authors": _authors(row, runs)} for row in group.rows
        ],
        "counts": [] if group.reported else [*sizes(group).values()],
        "scale": _scale(group),
        "intervals": any(
            row[f"{m}_ci_lo"] for row in group.rows for m in metrics if m in HEADLINES
        ),
        "notes": footnotes(group),
        "chart": chart(group) if drawn else None,
        "matrix": matrix(group) if drawn else None,
        "curves": curves(group, runs) if drawn else None,
        "heat": heat(group, runs) if drawn else None,
    }


def _line(row: Row, metrics: Sequence[str], best: dict[str, list[float]]) -> dict[str, Any]:
    cells = []
    for metric in metrics:
        value = number(row, metric)
        low, high = number(row, f"{metric}_ci_lo"), number(row, f"{metric}_ci_hi")
        cells.append(
            {
                "text": shown(metric, value),
                "sort": "" if value is None else repr(value),
                "interval": "" if low is None or high is None else _span(metric, low, high),
                "place": place(row, metric, best[metric]),
            }
        )
    return {"row": row, "name": display_name(row), "cells": cells}


def _span(metric: str, low: float, high: float) -> str:
    return f"{shown(metric, low)} to {shown(metric, high)}"


def _authors(row: Row, runs: Sequence[Run]) -> str:
    return ", ".join(authors_of(card_of(row, runs)))


def _scale(group: Group) -> list[dict[str, Any]]:
    """Return what the temporal metrics make of the clean clips, and of clips that stand still.

    The truth differs from itself by nothing, but it has a warping error of its own.
    """
    own = of_truth(group)
    truth = {m: v if m in UNPLACED else 0.0 for m, v in own.items()}
    still = {m: v for m, v in own.items() if m not in UNPLACED}
    lines = (
        ("Ground truth", "the clean clips themselves", truth),
        ("Still picture", "clips that do not move at all", still),
    )
    return [
        {
            "name": name,
            "sub": sub,
            "cells": [shown(m, v[m]) if m in v else "" for m in group.metrics],
        }
        for name, sub, v in lines
        if v
    ]
