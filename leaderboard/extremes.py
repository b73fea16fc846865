"""Gather the worst, median and best frame of every method, each with a map of its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvsd_bench.leaderboard.embedding import RANKS, Purse, data_url, folder_of, is_own
from rvsd_bench.leaderboard.exports import LABELS, shown
from rvsd_bench.leaderboard.table import Row, Run, display_name, group


@dataclass(frozen=True)
class Shot:
    """What a method made of one of its extreme frames."""

    method: int
    """The method's place in `Extremes.methods`."""
    ranks: tuple[str, ...]
    """Some of `RANKS`: in a short video one frame may be the median and the best."""
    value: str
    url: str
    error: str
    """The map of its errors; empty without a ground truth."""

    @property
    def order(self) -> int:
        """The place among the frames that are shown of its method."""
        return RANKS.index(self.ranks[0])


@dataclass(frozen=True)
class Still:
    """A frame that is an extreme of some methods."""

    frame: str
    snowy: str
    truth: str
    """Empty where there is none."""
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Extremes:
    """The extreme frames of every method of a run, video by video."""

    run: str
    metric: str
    """The label of the metric that orders the frames."""
    methods: tuple[str, ...]
    first: int
    """The place of the method that is shown first: the best one with a rank, if any has."""
    levels: int
    """The mean absolute error, of 255, at the upper end of the maps' colours; 0 without a truth."""
    videos: tuple[tuple[str, tuple[Still, ...]], ...]


def extremes(run: Run, index: Mapping[str, Any], purse: Purse) -> Extremes:
    """Return the extreme frames that a run keeps pictures of, as long as the page has room.

    The unrestored input is no method: it lies beside every frame.
    """
    rows = [row for part in group(run.rows) for row in part.rows if row["source"] != "input"]
    told = index.get("videos", {})
    videos = []
    for video, facts in told.items():
        folder, picks = folder_of(run) / video, _picks(run, rows, facts)
        files = {
            path for frame in picks for path in _files(run, rows, folder / frame, picks[frame])
        }
        if picks and purse.pays(files):
            stills = (_still(run, rows, folder / f, facts["metric"], p) for f, p in picks.items())
            videos.append((video, tuple(stills)))
    metric = next((facts["metric"] for facts in told.values() if facts["metric"]), "")
    names = tuple(display_name(row) for row in rows)
    first = next((place for place, row in enumerate(rows) if row["rank"]), 0)
    mapped = any(shot.error for _, stills in videos for still in stills for shot in still.shots)
    levels = int(index.get("error_levels", 0)) if mapped else 0
    label = LABELS.get(metric, metric)
    return Extremes(run.folder.name, label, names, first, levels, tuple(videos))


Picks = Mapping[int, Mapping[str, float]]
"""Place of a method -> rank -> value."""


def _picks(run: Run, rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Picks]:
    """Return the frames of a video that are anyone's extremes, in the order of time."""
    found: dict[tuple[int, str], dict[int, dict[str, float]]] = {}
    for place, row in enumerate(rows):
        for rank, pick in facts["picks"].get(run.slug(row["method_id"]), {}).items():
            frame = found.setdefault((pick["index"], pick["frame"]), {})
            frame.setdefault(place, {})[rank] = pick["value"]
    return {frame: found[index, frame] for index, frame in sorted(found)}


def _files(run: Run, rows: Sequence[Row], folder: Path, picks: Picks) -> Iterator[Path]:
    """Yield the files of a frame that are there."""
    slugs = [run.slug(rows[place]["method_id"]) for place in picks]
    names = [f"{name}.jpg" for name in ("input", "truth", *slugs)]
    names += [f"errors/{slug}.webp" for slug in slugs]
    return (path for name in names if is_own(run, path := folder / name))


def _still(run: Run, rows: Sequence[Row], folder: Path, metric: str, picks: Picks) -> Still:
    urls = {
        path.relative_to(folder).with_suffix("").as_posix(): data_url(path)
        for path in _files(run, rows, folder, picks)
    }
    shots = []
    for place, values in picks.items():
        slug = run.slug(rows[place]["method_id"])
        ranks = tuple(rank for rank in RANKS if rank in values)
        value = shown(metric, values[ranks[0]])
        if slug in urls:
            shots.append(Shot(place, ranks, value, urls[slug], urls.get(f"errors/{slug}", "")))
    return Still(folder.name, urls.get("input", ""), urls.get("truth", ""), tuple(shots))
