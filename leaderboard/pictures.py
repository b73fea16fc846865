"""Gather the pictures that runs keep: comparisons of one frame, and clips that move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvsd_bench.leaderboard.embedding import Purse, data_url, folder_of, index_of, is_own
from rvsd_bench.leaderboard.extremes import Extremes, extremes
from rvsd_bench.leaderboard.table import Run, display_name, group


@dataclass(frozen=True)
class Picture:
    """One picture of a comparison, as a data URL."""

    label: str
    url: str


@dataclass(frozen=True)
class Film:
    """How the frames of a clip lie in each of its pictures, row by row."""

    frames: int
    columns: int
    rows: int
    width: int
    height: int
    """Of a frame of the video itself."""
    fps: float


@dataclass(frozen=True)
class Comparison:
    """A frame, or a short clip, before restoration, after each method, and as it should be."""

    video: str
    frame: str
    """Empty for a clip."""
    pictures: tuple[Picture, ...]
    right: int
    """The place of the picture that lies on the right at first: of the best method with a rank."""
    film: Film | None = None


@dataclass(frozen=True)
class Gallery:
    """All pictures of a page."""

    stills: tuple[Comparison, ...]
    films: tuple[Comparison, ...]
    extremes: tuple[Extremes, ...]
    left_out: int
    """How many comparisons, clips and videos of extremes did not fit."""
    without: tuple[str, ...]
    """The folders that keep no pictures, as boards do not."""


def gather(runs: Sequence[Run]) -> Gallery:
    """Return the pictures that runs keep; if not all fit, stills of all videos come first.

    The unrestored input comes first, then the methods, best first, and the truth last.
    """
    purse = Purse()
    told = [(run, index_of(run)) for run in runs]
    stills = tuple(one for run, index in told for one in _stills(run, index, purse))
    films = tuple(one for run, index in told for one in _films(run, index, purse))
    found = (extremes(run, index, purse) for run, index in told)
    without = tuple(run.folder.name for run in runs if not any(folder_of(run).glob("*/*/*.jpg")))
    shown = tuple(one for one in found if one.videos)
    return Gallery(stills, films, shown, purse.refused, without)


def _stills(run: Run, index: Mapping[str, Any], purse: Purse) -> list[Comparison]:
    """Return the frame of each video that all methods are shown on."""
    videos = index.get("videos", {})
    folders = [folder_of(run) / name / facts["middle"] for name, facts in videos.items()]
    if not videos:  # a run of before there was an index
        folders = sorted(folder_of(run).glob("*/*"))
    found = (_comparison(run, folder, ".jpg", purse) for folder in folders)
    return [Comparison(f.parent.name, f.name, *p) for f, p in zip(folders, found) if p]


def _films(run: Run, index: Mapping[str, Any], purse: Purse) -> list[Comparison]:
    found = []
    for video, facts in index.get("videos", {}).items():
        if pair := _comparison(run, folder_of(run) / video / "loop", ".webp", purse):
            frames, columns = facts["loop"]["frames"], facts["loop"]["columns"]
            size = facts["width"], facts["height"]
            film = Film(frames, columns, -(-frames // columns), *size, facts["fps"])
            found.append(Comparison(video, "", *pair, film))
    return found


def _comparison(
    run: Run, folder: Path, suffix: str, purse: Purse
) -> tuple[tuple[Picture, ...], int] | None:
    """Return the pictures of a folder; None if the input is missing, or they do not fit."""
    labels = _labels(run)
    there = {path.stem: path for path in folder.glob(f"*{suffix}") if is_own(run, path)}
    names = [name for name in labels if name in there]
    if "input" not in names or not purse.pays(there[name] for name in names):
        return None
    ranked = {run.slug(r["method_id"]) for part in group(run.rows) for r in part.rows if r["rank"]}
    right = next((place for place, name in enumerate(names) if name in ranked), 1)
    return tuple(Picture(labels[name], data_url(there[name])) for name in names), right


def _labels(run: Run) -> Mapping[str, str]:
    """Return file stem -> label, in the order of the page; the input is shown once, as such."""
    best_first = [row for part in group(run.rows) for row in part.rows]
    names = {
        run.slug(r["method_id"]): display_name(r) for r in best_first if r["source"] != "input"
    }
    return {"input": "snowy input", **names, "truth": "ground truth"}
