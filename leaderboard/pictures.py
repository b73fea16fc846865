"""Gather the pictures that runs keep, as data URLs within one size."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rvsd_bench.leaderboard.table import Run, display_name, group

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


def gather(runs: Sequence[Run]) -> tuple[list[Comparison], int]:
    """Return the comparisons that the runs hold pictures for, and how many did not fit.

    The unrestored input comes first, then the methods, best first, and the truth last.
    """
    found: list[Comparison] = []
    spent, left_out = 0, 0
    for run in runs:
        labels = _labels(run)
        for folder in sorted((run.folder / "pictures").glob("*/*")):
            paths = {path.stem: path for path in folder.glob("*.jpg") if path.stem in labels}
            size = sum(path.stat().st_size for path in paths.values())
            if "input" not in paths or spent + size > MAX_PICTURE_BYTES:
                left_out += 1
                continue
            spent += size
            pictures = [
                Picture(text, _data_url(paths[n])) for n, text in labels.items() if n in paths
            ]
            found.append(Comparison(folder.parent.name, folder.name, tuple(pictures)))
    return found, left_out


def _labels(run: Run) -> Mapping[str, str]:
    """Return file stem -> label, in the order of the page; the input is shown once, as such."""
    best_first = [row for part in group(run.rows) for row in part.rows]
    names = {
        run.slug(r["method_id"]): display_name(r) for r in best_first if r["source"] != "input"
    }
    return {"input": "snowy input", **names, "truth": "ground truth"}


def _data_url(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
