"""Keep what was found out about a clip beside its decoded frames, so that it is found out once.

Beside `<clip>.<digest>.npy` of `media.frame_cache` lie

    <clip>.<digest>.depth-<key>.npy      the depth of every frame, see `kept_depth`
    <clip>.<digest>.survey-<key>.json    how the camera moves, what light the air has, which depth

where the key of a survey is of all that it depends on. A file that is damaged, or the answer to
another inquiry, counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rvsd_bench import __version__
from rvsd_bench.files import digest_of, readable, remove_orphans, write_json
from rvsd_bench.generators.depth import depth_beside
from rvsd_bench.generators.depth_mono import weights_folder
from rvsd_bench.generators.kept_depth import KeptDepth, is_whole, keep_depth
from rvsd_bench.generators.motion import Motion
from rvsd_bench.generators.path import CameraPath
from rvsd_bench.generators.rendering import Footage, survey
from rvsd_bench.generators.scene import Scene
from rvsd_bench.jobs import Task, Track, run_tasks, untracked
from rvsd_bench.media.frame_cache import CachedClip
from rvsd_bench.texts import read_json

VERSION = 10
"""Counts up when what is kept would come out differently."""


@dataclass(frozen=True)
class Inquiry:
    """A clip and what is asked about it: the arguments of `rendering.survey`."""

    clip: CachedClip
    scene: Scene
    depth: str
    motion: str
    path: Path

    @cached_property
    def terms(self) -> dict[str, Any]:
        """All that the answer depends on, as JSON values."""
        scene = self.scene
        return {
            "version": [__version__, VERSION],
            "clip": [self.clip.source_id, self.clip.seconds, self.clip.facts],
            "hfov_deg": scene.camera.hfov_deg,
            "depth": [self.depth, asdict(scene.depth), *self._depth_files()],
            "motion": [self.motion, _stamp(Path(self.motion))],
            "light": [scene.light.mode, scene.light.airlight],
        }

    @property
    def file(self) -> Path:
        """Where the answer is kept."""
        return _beside(self.clip, "survey", self.terms, "json")

    def _depth_files(self) -> list[Any]:
        """Name the files that depth would be from: maps, and the weights of a network."""
        beside = depth_beside(self.path) if self.depth == "auto" else None
        given = Path(self.depth.partition("?units_per_m=")[0])
        network = weights_folder() if self.depth in ("auto", "mono") else None
        return [_stamp(beside or given), None if network is None else network.name]


def surveyed(
    inquiries: Sequence[Inquiry], *, workers: int = 1, track: Track = untracked
) -> list[Footage]:
    """Return what is known of each clip; what is not yet known is found out first, and kept.

    `workers` processes do that; what an interrupted call has found stays. Raises InputError for a
    clip, depth or motion that cannot be used, OutputError where the disk is full.
    """
    known = [open_survey(inquiry) for inquiry in inquiries]
    missing = [place for place, footage in enumerate(known) if footage is None]
    remove_orphans(*{inquiries[place].file.parent for place in missing})
    tasks = [Task(f"{place} {inquiries[place].path}", inquiries[place]) for place in missing]
    results = run_tasks(make_survey, tasks, workers=max(1, workers))
    try:
        shown = track(results, total=len(missing), what="looking at clips", unit="clip")
        for place, result in zip(missing, shown, strict=True):
            if result.error is not None:
                raise result.error
            known[place] = result.value
    finally:
        results.close()
    return [footage for footage in known if footage is not None]


def make_survey(inquiry: Inquiry) -> Footage:
    """Survey a clip, write down what was found, and return it as it will be read."""
    clip, file = inquiry.clip, inquiry.file
    seen = survey(
        clip, inquiry.scene, depth=inquiry.depth, motion=inquiry.motion, path=inquiry.path
    )
    keep_depth(seen.depth, clip, _depth_file(clip, seen.depth.facts, seen.ride))
    found = json.loads(json.dumps(_told(seen), allow_nan=False))
    write_json(file, {"found": found, "sha256": digest_of([inquiry.terms, found])})
    return _footage(found, clip)[0]


def open_survey(inquiry: Inquiry) -> Footage | None:
    """Return what is kept; None if it is not there whole, or answers another inquiry."""
    file = inquiry.file
    try:
        kept = read_json(file)
        if kept["sha256"] != digest_of([inquiry.terms, kept["found"]]):
            return None
        footage, depth = _footage(kept["found"], inquiry.clip)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return footage if is_whole(depth, inquiry.clip) else None


def _told(footage: Footage) -> dict[str, Any]:
    """Return what was found as JSON values; they hold every number exactly."""
    depth, path, (light, story) = footage.depth, footage.ride.path, footage.light
    tables = None
    if path is not None:
        tables = {f.name: np.asarray(getattr(path, f.name)).tolist() for f in fields(path)}
    return {
        "depth": {"far_m": depth.far_m, "facts": dict(depth.facts), "name": depth.name},
        "ride": asdict(replace(footage.ride, path=None)) | {"path": tables},
        "light": [light.tolist(), story],
    }


def _footage(found: Mapping[str, Any], clip: CachedClip) -> tuple[Footage, KeptDepth]:
    ride, told, (light, story) = _ride(found["ride"]), found["depth"], found["light"]
    depth = KeptDepth(_depth_file(clip, told["facts"], ride), **told)
    return Footage(depth, ride, (np.array(light, np.float64), story)), depth


def _ride(told: Mapping[str, Any]) -> Motion:
    (x, y, z), focus, path = told["velocity_m_per_s"], told["focus_of_expansion"], told["path"]
    given = {
        **told,
        "velocity_m_per_s": (x, y, z),
        "focus_of_expansion": None if focus is None else (focus[0], focus[1]),
        "path": None,
    }
    if path is not None:
        tables = {name: np.array(values, np.float64) for name, values in path.items()}
        given["path"] = CameraPath(**{**tables, "begin_s": path["begin_s"]})
    return Motion(**given)


def _depth_file(clip: CachedClip, facts: Mapping[str, Any], ride: Motion) -> Path:
    """Return where depth is kept; the same parallax is another depth at another speed."""
    by = {"ride": [ride.velocity_m_per_s, ride.focus_of_expansion]} if facts.get("parallax") else {}
    return _beside(clip, "depth", {**facts, **by}, "npy")


def _beside(clip: CachedClip, what: str, terms: Mapping[str, Any], suffix: str) -> Path:
    key = digest_of([VERSION, terms])[:12]
    return clip.frames_file.with_suffix(f".{what}-{key}.{suffix}")


def _stamp(path: Path) -> list[list[Any]]:
    """Return names, sizes and times of change of a file, or of those in a folder, if it exists."""
    with readable(path):
        files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
        states = [(file.name, file.stat()) for file in files]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]
