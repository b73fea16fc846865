"""Verify a generated dataset: the digest of every file, and every snowy frame made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rvsd_bench.errors import InputError, RvsdBenchError, ValidationError
from rvsd_bench.jobs import Task, Track, run_tasks, untracked
from rvsd_bench.making.card import dataset_card
from rvsd_bench.making.manifest import Meta, finished, is_dataset, manifest, read_meta, versions
from rvsd_bench.making.stored import (
    DEGRADED,
    LIGHT,
    PLANES,
    SPLITS,
    StoredVideo,
    frame_name,
    through_jpeg,
)
from rvsd_bench.texts import parse_json

KINDS = ("clean", "snow", DEGRADED, "layers", "meta")
"""The folders of a split."""
JPEG_LEVELS = 2
"""What two builds of a JPEG codec may differ by."""
ELSEWHERE_LEVELS, ELSEWHERE_SHARE = 1, 1e-4
"""What rendering with other software or another processor may change: levels, share of samples."""


@dataclass(frozen=True)
class VideoReport:
    """What was found in one video."""

    video: str
    how: str = "not made again"
    frames: int = 0
    """Snowy frames that were made again."""
    largest_difference: int = 0
    """In levels of 0 to 255."""
    differing_share: float = 0.0
    """Samples that differ at all, over all samples."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifyReport:
    """What was found in a dataset."""

    root: Path
    videos: tuple[VideoReport, ...]
    others: tuple[str, ...]
    """Problems of the dataset as a whole: a stale manifest, files that belong to no video."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem; each begins with the file or the video that it concerns."""
        return (*(line for video in self.videos for line in video.problems), *self.others)

    def raise_problems(self) -> None:
        """Raise ValidationError if there is a problem."""
        if found := self.problems:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise ValidationError(f"{self.root} does not verify: {found[0]}{more}")


@dataclass(frozen=True)
class Check:
    """One video to verify."""

    root: Path
    split: str
    name: str
    depth: Path | None


def verify(
    root: Path | str,
    *,
    depth: Path | None = None,
    workers: int = 1,
    executor: str = "pool",
    track: Track = untracked,
) -> VerifyReport:
    """Check the digest of every file and make every snowy frame again.

    With layers a frame is put together from the clean frame and its layers, and must match byte for
    byte on any machine. Without, it is rendered: byte for byte on the same software and class of
    processor, else within 1 level on 1e-4 of the samples. JPEG frames may differ by 2 levels.
    `depth` holds the depth maps, where the dataset was made with some and stored no layers. Raises
    InputError if `root` is no generated dataset.
    """
    root = Path(root)
    if not is_dataset(root):
        raise InputError(f"{root} is not a dataset made by `rvsd-bench generate`")
    checks = [
        Check(root, split, path.stem, depth)
        for split in SPLITS
        for path in sorted((root / split / "meta").glob("*.json"))
    ]
    tasks = [Task(f"{check.split}/{check.name}", check) for check in checks]
    results = run_tasks(verify_video, tasks, workers=workers, executor=executor)
    videos = []
    for result in track(results, total=len(tasks), what="verifying", unit="video"):
        failed = VideoReport(result.id, problems=(f"{result.id}: {result.error}",))
        videos.append(result.value or failed)
    return VerifyReport(root, tuple(videos), tuple(_others(root, checks)))


def verify_video(check: Check) -> VideoReport:
    """Verify one video; what is wrong with it is reported, not raised."""
    label = f"{check.split}/{check.name}"
    try:
        meta = read_meta(StoredVideo(check.root, check.split, check.name).meta)
        container = meta["request"].get("container", "png")
        place = StoredVideo(check.root, check.split, check.name, str(container))
        damage = tuple(_file_problems(place, meta))
    except RvsdBenchError as error:
        return VideoReport(label, problems=(str(error),))
    try:
        return _compared(place, meta, check.depth, damage)
    except (RvsdBenchError, KeyError, TypeError) as error:
        problem = f"{label}: its frames cannot be made again: {error}"
        return VideoReport(label, problems=(*damage, problem))


def _compared(
    place: StoredVideo, meta: Meta, depth: Path | None, damage: tuple[str, ...]
) -> VideoReport:
    """Make the frames again and compare them with those on disk."""
    from rvsd_bench.making.recomputing import open_side, recomposed, rendered_again

    clean, snow = open_side(place, meta, "clean"), open_side(place, meta, "snow")
    layered = meta["request"]["layers"] != "none"
    again = recomposed(place, meta, clean) if layered else rendered_again(place, meta, clean, depth)
    if place.container == "jpg":
        again = map(through_jpeg, again)
    how, levels, share = _tolerance(place, meta, layered)
    seen = np.zeros(256, np.int64)
    wrong = []
    for index, (stored, made) in enumerate(zip(snow, again)):
        counts = np.bincount(np.abs(stored.astype(np.int16) - made).ravel(), minlength=256)
        seen += counts
        if counts[levels + 1 :].any():
            wrong.append(index)
    largest, differing = int(seen.nonzero()[0].max()), float(seen[1:].sum() / seen.sum())
    problems = [*damage]
    if wrong:
        which = ", ".join(map(str, wrong[:8])) + (", ..." if len(wrong) > 8 else "")
        problems.append(f"{place.label}: frames {which} differ by up to {largest} levels")
    elif differing > share:
        problems.append(f"{place.label}: {differing:.1e} of its samples differ, allowed {share:g}")
    return VideoReport(place.label, how, len(snow), largest, differing, tuple(problems))


def _tolerance(place: StoredVideo, meta: Meta, layered: bool) -> tuple[str, int, float]:
    """Return how the comparison is called, and the levels and the share that may differ."""
    what = "recomputed from clean frames and layers" if layered else "rendered again"
    if place.container == "jpg":
        return f"{what}, through JPEG: up to {JPEG_LEVELS} levels accepted", JPEG_LEVELS, 1.0
    before, now = meta["versions"], versions()
    other = sorted(key for key in now if before.get(key) != now[key])
    if layered or not other:
        return f"{what}, byte for byte", 0, 0.0
    changed = ", ".join(f"{key} was {before.get(key)}, is {now[key]}" for key in other)
    how = (
        f"{what} elsewhere ({changed}): {ELSEWHERE_LEVELS} level on {ELSEWHERE_SHARE:g} of the "
        "samples accepted"
    )
    return how, ELSEWHERE_LEVELS, ELSEWHERE_SHARE


def _file_problems(place: StoredVideo, meta: Meta) -> Iterator[str]:
    """Compare the files on disk with those that meta lists, and those with what it must list."""
    from rvsd_bench.files import sha256_file

    home = place.root / place.split
    listed = meta["files"]
    if set(listed) != set(_expected(place, meta)):
        yield f"{place.meta}: its list of files does not fit its {meta['frames']} frames"
    there = {path.relative_to(home).as_posix() for path in _files_of(place)}
    yield from (f"{home / name} is missing" for name in sorted(set(listed) - there))
    yield from (f"{home / name} is not in its meta file" for name in sorted(there - set(listed)))
    for name in sorted(there & set(listed)):
        if sha256_file(home / name) != listed[name]:
            yield f"{home / name} was changed: its SHA-256 is not that of its meta file"


def _files_of(place: StoredVideo) -> Iterator[Path]:
    for part in place.parts()[1:]:
        yield from (path for path in (part, *part.rglob("*")) if path.is_file())


def _expected(place: StoredVideo, meta: Meta) -> Iterator[str]:
    for kind in ("clean", "snow", *([DEGRADED] if meta["request"].get("degrade") else ())):
        side = f"{kind}/{place.side(kind).name}"
        if place.container == "ffv1":
            yield side
        else:
            yield from (f"{side}/{frame_name(i, place.suffix)}" for i in range(meta["frames"]))
    if meta["request"]["layers"] != "none":
        for plane in (*PLANES, *([LIGHT] if meta["atmospheric_light"].get("map") else ())):
            folder = f"layers/{place.name}/{plane}"
            yield from (f"{folder}/{frame_name(i)}" for i in range(meta["frames"]))


def _others(root: Path, checks: list[Check]) -> Iterator[str]:
    """Yield what is wrong outside the videos: in the folders of the splits, and in the manifest."""
    known = {(check.split, check.name) for check in checks}
    for split in SPLITS:
        for path in sorted((root / split).glob("*")):
            if path.name not in KINDS:
                yield f"{path} is no part of a dataset: remove it"
        for kind in KINDS:
            for path in sorted((root / split / kind).glob("*")):
                name = path.stem if path.suffix in (".mkv", ".json") else path.name
                if (split, name) not in known:
                    yield f"{path} belongs to no finished video: run generate again, or remove it"
    yield from _stale(root / "manifest.json", parse_json, manifest)
    yield from _stale(root / "README.md", str, dataset_card)


def _stale(path: Path, read: Callable[[str], Any], derive: Callable[[Any], Any]) -> Iterator[str]:
    """Yield what is wrong with a file that is derived from the meta files."""
    try:
        if read(path.read_text(encoding="utf-8")) != derive(finished(path.parent)):
            yield f"{path} does not fit the meta files: run generate again"
    except FileNotFoundError:
        yield f"{path} is missing: generate was interrupted; run it again"
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"{path} cannot be compared with the meta files: {error}"
