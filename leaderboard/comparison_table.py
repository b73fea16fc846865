"""Show a comparison as text for a terminal, and write it as two CSV tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rvsd_bench.columns import csv_lines
from rvsd_bench.errors import InputError
from rvsd_bench.files import make_folder, remove_orphans, write_text
from rvsd_bench.leaderboard.comparing import (
    COMPARISON,
    VIDEOS,
    Comparison,
    Difference,
    rows,
    video_rows,
)
from rvsd_bench.leaderboard.exports import LABELS, aligned, one_line, shown, signed
from rvsd_bench.leaderboard.pairing import Paired

_HEAD = (
    *("metric", "A", "B", "B - A", "95 % interval", "Student's", "p", "p (Holm)", "B:A:equal"),
    "detectable",
)


def text(comparison: Comparison) -> str:
    """Return a comparison as aligned plain text: metric by metric, then video by video."""
    a, b = (one_line(name) for name in comparison.names)
    row = comparison.a.row
    first = comparison.differences[0]
    head = [
        f"A  {a}",
        f"B  {b}",
        f"on {one_line(row['dataset'])}, {row['split']}, under {row['protocol']} "
        f"({row['protocol_hash']}): {first.n_videos} videos of {first.n_sources} source clips",
        "",
    ]
    table = aligned([_HEAD, *(_line(one) for one in comparison.differences)], left=1)
    verdicts = [_verdict(one, a, b) for one in comparison.differences]
    parts = [*head, *table, "", *verdicts, "", *_legend(comparison), "", *_videos(comparison)]
    return "\n".join(parts) + "\n"


def _line(one: Difference) -> list[str]:
    name = one.metric
    return [
        _label(one),
        shown(name, one.mean_a),
        shown(name, one.mean_b),
        signed(name, one.difference),
        _interval(name, one.ci_lo, one.ci_hi),
        _interval(name, one.t_lo, one.t_hi),
        f"{one.p:.3g}",
        f"{one.p_holm:.3g}",
        "–" if one.lower is None else f"{one.b_wins}:{one.a_wins}:{one.equal}",
        shown(name, one.detectable),
    ]


def _interval(metric: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "–"
    return f"{signed(metric, low)} to {signed(metric, high)}"


def _legend(comparison: Comparison) -> list[str]:
    """Say in words what the columns are."""
    n = len(comparison.differences)
    return [
        "95 % interval: of B - A, if other source clips had been filmed; Student's: the one to",
        "  believe where they are few",
        "p: how often chance alone would make as large a difference (sign-flip test over source",
        f"  clips); Holm: corrected for {n} metric{'s' * (n != 1)}; up to 0.05 they are told apart",
        "B:A:equal: on how many videos B is better, A is better, and neither",
        "detectable: a true difference that such a test would find 8 times of 10; –: it finds none",
    ]


def _label(one: Difference | Paired) -> str:
    arrow = {True: " ↓", False: " ↑", None: ""}[one.lower]
    return f"{LABELS.get(one.metric, one.metric)}{arrow}"


def _verdict(one: Difference, a: str, b: str) -> str:
    label = LABELS.get(one.metric, one.metric)
    if one.better:
        winner, loser = (b, a) if one.better == "b" else (a, b)
        return f"{label}: {winner} is better than {loser}"
    if one.told_apart:
        return f"{label}: the two differ; neither way is better, nearer to the truth's own is"
    return f"{label}: the two cannot be told apart"


def _videos(comparison: Comparison) -> list[str]:
    """Return B - A of every video; a star marks the videos on which B is worse."""
    keys = sorted({key for paired in comparison.videos for key in paired.keys})
    cells: dict[tuple[tuple[str, str], str], str] = {}
    for paired in comparison.videos:
        for key, gain in zip(paired.keys, (paired.b - paired.a).tolist()):
            worse = paired.lower is not None and (gain > 0 if paired.lower else gain < 0)
            cells[key, paired.metric] = signed(paired.metric, gain) + ("*" if worse else " ")
    metrics = [paired.metric for paired in comparison.videos]
    lines = [["B - A on", *map(_label, comparison.videos)]]
    for key in keys:
        name = one_line("/".join(key))
        lines.append([name, *(cells.get((key, metric), "– ") for metric in metrics)])
    return [*aligned(lines, left=1), "* B is worse"]


def write(comparison: Comparison, folder: Path) -> Sequence[Path]:
    """Write `comparison.csv` and `comparison_videos.csv` into a folder; return their paths."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; --out needs a folder")
    tables = {
        "comparison.csv": csv_lines(COMPARISON, rows(comparison)),
        "comparison_videos.csv": csv_lines(VIDEOS, video_rows(comparison)),
    }
    make_folder(folder)
    remove_orphans(folder)
    for name, lines in tables.items():
        write_text(folder / name, "".join(lines))
    return [folder / name for name in tables]
