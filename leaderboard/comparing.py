"""Compare two methods on the same videos: by how much they differ, and whether that is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rvsd_bench.columns import TEMPORAL
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.pairing import Entry, Paired, pair, require_comparable
from rvsd_bench.leaderboard.statistics import (
    ALPHA,
    detectable,
    holm,
    sign_flip_p,
    smallest_p,
    t_interval,
)
from rvsd_bench.leaderboard.table import number
from rvsd_bench.resampling import bootstrap

FEW_SOURCES = 10
"""With fewer source clips, intervals are too narrow and hardly any difference can be found."""


@dataclass(frozen=True)
class Difference:
    """By how much b differs from a on one metric; None where too few sources allow no answer."""

    metric: str
    average: str
    n_videos: int
    n_sources: int
    mean_a: float
    mean_b: float
    difference: float
    """mean_b - mean_a."""
    ci_lo: float | None
    ci_hi: float | None
    """95 % bootstrap interval of the difference."""
    t_lo: float | None
    t_hi: float | None
    """Student's 95 % interval."""
    p: float
    """Of the sign-flip test."""
    p_holm: float
    """p corrected for the number of metrics compared."""
    smallest_p: float
    detectable: float | None
    """The true difference that would be found 8 times of 10."""
    b_wins: int | None
    a_wins: int | None
    equal: int | None
    """On how many videos b is better, a is better, and neither."""
    lower: bool | None
    """Whether a lower value is better; None where neither way is, and nobody wins."""

    @property
    def told_apart(self) -> bool:
        """Whether the difference is more than chance would make it."""
        return self.p_holm <= ALPHA and self.difference != 0

    @property
    def better(self) -> str:
        """`a` or `b` if the difference is more than chance would make it, else an empty text."""
        if self.lower is None or not self.told_apart:
            return ""
        return "b" if (self.difference < 0) == self.lower else "a"


@dataclass(frozen=True)
class Comparison:
    """Two methods, compared metric by metric."""

    a: Entry
    b: Entry
    differences: tuple[Difference, ...]
    videos: tuple[Paired, ...]
    """What each difference was computed from, in the same order."""
    warnings: tuple[str, ...]

    @property
    def names(self) -> tuple[str, str]:
        """What the two are called, told apart by their runs where that is needed."""
        a, b = self.a, self.b
        if a.name == b.name:
            a_name, b_name = a.row["method_id"], b.row["method_id"]
            if a_name != b_name:
                return a_name, b_name
            return f"{a_name} of {a.run.folder.name}", f"{b_name} of {b.run.folder.name}"
        return a.name, b.name


def compare(a: Entry, b: Entry, metrics: Sequence[str] | None = None) -> Comparison:
    """Compare two methods on `metrics`, by default on all that both have but those of time.

    Raises:
        InputError: other protocols, frames, splits or weights, or a score that is missing.
    """
    require_comparable(a, b)
    theirs = b.metrics()
    shared = [name for name in a.metrics() if name in theirs]
    # Every metric that is tested costs the others certainty; these are never the headline.
    names = metrics or [name for name in shared if name not in TEMPORAL] or shared
    if not names:
        raise InputError(f"{a.where} and {b.where} have no metric in common")
    pairs = tuple(pair(a, b, name) for name in dict.fromkeys(names))
    found = [difference(paired, draws=a.draws) for paired in pairs]
    for paired, one in zip(pairs, found):
        _hold_to_table(a, paired.metric, one.mean_a)
        _hold_to_table(b, paired.metric, one.mean_b)
    corrected = holm([one.p for one in found])
    found = [replace(one, p_holm=p) for one, p in zip(found, corrected)]
    return Comparison(a, b, tuple(found), pairs, tuple(_warnings(a, b, found)))


def difference(paired: Paired, *, draws: int) -> Difference:
    """Return one metric's difference with all that is known of its uncertainty."""
    sums, counts = paired.by_source()
    several = len(sums) > 1
    low, high = bootstrap(sums, counts, draws=draws) if several else (None, None)
    t_low, t_high = t_interval(sums, counts) if several else (None, None)
    outcomes: tuple[int | None, int | None, int | None] = (None, None, None)
    if paired.lower is not None:
        wins, losses = count_wins(paired)
        outcomes = wins, losses, len(paired.keys) - wins - losses
    p = sign_flip_p(sums)
    return Difference(
        paired.metric,
        paired.average,
        len(paired.keys),
        len(sums),
        float(np.average(paired.a, weights=paired.weights)),
        float(np.average(paired.b, weights=paired.weights)),
        float(sums.sum() / counts.sum()),
        low,
        high,
        t_low,
        t_high,
        p,
        p,
        smallest_p(len(sums)),
        detectable(sums, counts) if several else None,
        *outcomes,
        paired.lower,
    )


def count_wins(paired: Paired) -> tuple[int, int]:
    """Return on how many videos b is better, and on how many a is."""
    gain = paired.a - paired.b if paired.lower else paired.b - paired.a
    return int(np.count_nonzero(gain > 0)), int(np.count_nonzero(gain < 0))


def _hold_to_table(entry: Entry, metric: str, mean: float) -> None:
    """See that `per_video.csv` gives the mean that `leaderboard.csv` shows."""
    shown = number(entry.row, metric) if metric in entry.row else None
    if shown is not None and not math.isclose(shown, mean, rel_tol=1e-9, abs_tol=1e-12):
        raise InputError(
            f"per_video.csv of {entry.run.folder} gives {mean:.6g} as the {metric} of "
            f"{entry.row['method_id']!r} and leaderboard.csv {shown:.6g}; evaluate again"
        )


def _warnings(a: Entry, b: Entry, found: Sequence[Difference]) -> list[str]:
    fewest = min(one.n_sources for one in found)
    warnings = [text] if (text := few_sources(fewest)) else []
    for entry in (a, b):
        if entry.row["trained"] == "false":
            warnings.append(f"{entry.name} was never trained; its figures mean nothing")
        if entry.row["source"] == "oracle":
            warnings.append(f"{entry.name} was fitted to the ground truth: a bound, no method")
        if entry.row["valid"] == "false":
            reason = entry.row["notes"] or "see validation.json"
            warnings.append(f"{entry.name} may not be ranked: {reason}")
    return warnings


def few_sources(n: int) -> str:
    """Say what so few source clips cannot show; nothing where there are enough."""
    if n >= FEW_SOURCES:
        return ""
    clips = f"only {n} source clip{'s' if n > 1 else ''}"
    if smallest_p(n) > ALPHA:
        return f"{clips}: no p can be below {smallest_p(n):.3g}, so no difference can be shown"
    return f"{clips}: the intervals are too narrow, and only large differences can be shown"


COMPARISON = (
    *("schema_version", "dataset", "split", "protocol", "protocol_hash"),
    *("dataset_manifest_sha256", "run_a", "method_a", "run_b", "method_b", "metric", "average"),
    *("n_videos", "n_sources", "mean_a", "mean_b", "difference", "ci_lo", "ci_hi", "t_lo", "t_hi"),
    *("p", "p_holm", "smallest_p", "detectable", "b_wins", "a_wins", "equal", "better"),
)
"""The columns of `comparison.csv`."""
VIDEOS = ("split", "video", "source_id", "metric", "n_frames", "mean_a", "mean_b", "difference")
"""The columns of `comparison_videos.csv`."""


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the rows of `comparison.csv`, one a metric."""
    a, b, differences = comparison.a.row, comparison.b.row, comparison.differences
    shared = {name: a[name] for name in COMPARISON[:6]}
    shared |= {"run_a": a["run_id"], "method_a": a["method_id"]}
    shared |= {"run_b": b["run_id"], "method_b": b["method_id"]}
    figures = [{name: x for name, x in vars(d).items() if name != "lower"} for d in differences]
    better = ({"better": one.better or None} for one in differences)
    return [{**shared, **mine, **told} for mine, told in zip(figures, better)]


def video_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the rows of `comparison_videos.csv`, metric by metric, video by video."""
    return [
        {
            "split": key[0],
            "video": key[1],
            "source_id": source,
            "metric": paired.metric,
            "n_frames": int(frames),
            "mean_a": float(a),
            "mean_b": float(b),
            "difference": float(b - a),
        }
        for paired in comparison.videos
        for key, source, frames, a, b in zip(
            paired.keys, paired.sources, paired.frames, paired.a, paired.b
        )
    ]
