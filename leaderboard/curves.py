"""Draw the headline of every method frame by frame, from what a run keeps of its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from rvsd_bench.columns import read_csv
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.charts import video_name
from rvsd_bench.leaderboard.exports import DECIMALS, LABELS, arrow, shown
from rvsd_bench.leaderboard.table import Group, Run, better, display_name, headline, number
from rvsd_bench.texts import shortened

WIDTH, HEIGHT = 320.0, 84.0
"""The size of a drawing, in its own units."""
MAX_VIDEOS = 12
"""Further videos are left out, and the page says so."""
MAX_POINTS = 320
"""Longer videos are drawn as means of frames in a row."""
_LAST = 10_000_000
"""No video has more frames."""
_NEEDS = ("run_id", "method_id", "split", "video", "frame_id", "frame_index", "metric", "value")

Frames: TypeAlias = dict[int, tuple[str, float]]
"""Frame index -> frame id and value; a frame that could not be scored is absent."""


def curves(group: Group, runs: Sequence[Run]) -> dict[str, Any] | None:
    """Return the drawings of a group's videos; None where no run keeps its frames.

    Networks that were never trained are left out: their figures would stretch the scale.
    """
    metric = headline(group.rows)
    rows = [row for row in group.rows if row["trained"] != "false"]
    leaders = [place for place, row in enumerate(rows) if row["rank"]] or list(range(len(rows)))
    scores = _scores(group, runs, metric)
    videos = sorted({video for video, _ in scores})
    drawn = [
        {
            "video": video,
            **_drawing(metric, [scores.get((video, r["method_id"]), {}) for r in rows], leaders),
        }
        for video in videos[:MAX_VIDEOS]
    ]
    if not drawn:
        return None
    return {
        "label": LABELS[metric],
        "arrow": arrow(metric),
        "decimals": DECIMALS.get(metric, 2),
        "methods": [{"name": display_name(r), "input": r["source"] == "input"} for r in rows],
        "videos": drawn,
        "left_out": len(videos) - len(drawn),
    }


def _scores(group: Group, runs: Sequence[Run], metric: str) -> Mapping[tuple[str, str], Frames]:
    """Return the scores of a group's frames by video and method."""
    members = {(row["run_id"], row["method_id"]) for row in group.rows}
    found: dict[tuple[str, str], Frames] = {}
    for run in runs:
        path = run.folder / "per_frame.csv"
        here = any((row["run_id"], row["method_id"]) in members for row in run.rows)
        if not here or not path.is_file():
            continue  # a board has no frames of its own: they are in the runs that it came from
        for row in read_csv(path, _NEEDS):
            value = number(row, "value") if row["metric"] == metric else None
            index = number(row, "frame_index")
            if index is not None and not 0 <= index <= _LAST:
                told = shortened(row["frame_index"])
                raise InputError(f"{path} counts a frame {told}: it was changed; evaluate again")
            known = (row["run_id"], row["method_id"]) in members
            if known and value is not None and index is not None:
                frames = found.setdefault((video_name(group, row), row["method_id"]), {})
                frames[int(index)] = (row["frame_id"], value)
    return found


def _drawing(metric: str, methods: Sequence[Frames], leaders: Sequence[int]) -> dict[str, Any]:
    """Return the lines of one video as paths of an SVG, with its scale.

    `leaders` are the places of the methods that may be named, best first; the worst frame is that
    of the first of them that has any.
    """
    values = [value for frames in methods for _, value in frames.values()]
    low, high = min(values), max(values)
    last = max(index for frames in methods for index in frames)
    step = last // MAX_POINTS + 1
    best = next((i for i in (*leaders, *range(len(methods))) if methods[i]), 0)
    worst = _worst(metric, methods[best])
    return {
        "low": shown(metric, low),
        "high": shown(metric, high),
        "span": (low, high),
        "last": last,
        "step": step,
        "worst": worst[0],
        "worst_value": shown(metric, worst[1]),
        "worst_of": best,
        "paths": [_path(frames, last, step, low, high) for frames in methods],
    }


def _worst(metric: str, frames: Frames) -> tuple[str, float]:
    """Return the id and the value of the first of the worst frames."""
    worst, *others = (frames[index] for index in sorted(frames))
    for one in others:
        worst = one if better(metric, worst[1], one[1]) else worst
    return worst


def _path(frames: Frames, last: int, step: int, low: float, high: float) -> str:
    """Return the line through the means of `step` frames each, with gaps where there are none."""
    points: dict[int, list[float]] = {}
    for index in sorted(frames):
        points.setdefault(index // step, []).append(frames[index][1])
    parts: list[str] = []
    for point, held in points.items():
        x = WIDTH * point * step / max(last, 1)
        y = HEIGHT * (high - sum(held) / len(held)) / ((high - low) or 1.0)
        # A frame between two gaps is a line without length, which round ends make a dot.
        begins = point - 1 not in points
        parts.append(f"{'M' if begins else 'L'}{x:.1f} {y:.1f}" + ("h0" if begins else ""))
    return "".join(parts)
