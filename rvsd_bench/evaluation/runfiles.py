"""Keep what a run has scored, one file for each method and video, and turn it into table rows.

A part is written whole when its video is done. It says what its numbers depend on, so that a later
run can tell whether they still hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rvsd_bench.columns import csv_lines
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.summary import VideoScores
from rvsd_bench.files import make_folder, publish_file, write_json
from rvsd_bench.texts import read_json


@dataclass(frozen=True)
class FrameScores:
    """What is known of one restored frame. Digests are SHA-256 of the decoded uint8 pixels."""

    frame_id: str
    width: int | None = None
    height: int | None = None
    pred_sha256: str = ""
    ref_sha256: str = ""
    input_sha256: str = ""
    values: dict[str, float | None] = field(default_factory=dict)
    """Metric to value; None where the metric is undefined, as in a region without pixels."""
    errors: dict[str, str] = field(default_factory=dict)
    """Metric to the reason why it has no value."""
    truth: dict[str, float | None] = field(default_factory=dict)
    """Temporal metric to the same quantity of the clean clip."""

    def status(self, metric: str) -> str:
        """Return `ok`, `undefined` or `error`."""
        if metric in self.errors:
            return "error"
        return "undefined" if self.values[metric] is None else "ok"


@dataclass(frozen=True)
class Part:
    """The scores of one method on one video."""

    stamp: dict[str, str]
    """What the restored frames depend on: the method, the files of the video."""
    metrics: dict[str, str]
    """Metric to all that decides its value: parameters, weights, backend, device."""
    frames: tuple[FrameScores, ...]
    evidence: dict[str, int]
    """How many frames look shifted, swapped, copied (`Watch`, `copies` of validation)."""
    saved_frames: bool = False
    outcome: str = ""
    """In which way the model failed, if it did: oom, timeout, crash, invalid."""

    @property
    def complete(self) -> bool:
        """Whether every frame got its scores."""
        return not any(frame.errors for frame in self.frames)

    def scores(self, metric: str, source: str) -> VideoScores:
        """Return one metric's values for the summary."""
        values = {frame.frame_id: frame.values.get(metric) for frame in self.frames}
        truth = {frame.frame_id: frame.truth.get(metric) for frame in self.frames}
        return VideoScores(
            source,
            {name: value for name, value in values.items() if value is not None},
            len(self.frames),
            not any(metric in frame.errors for frame in self.frames),
            {name: value for name, value in truth.items() if value is not None},
        )


def write_part(path: Path, part: Part) -> None:
    """Write a part atomically."""
    make_folder(path.parent)
    write_json(path, asdict(part))


def read_part(path: Path) -> Part | None:
    """Return a part, or None if there is none or it is not readable: it is then scored again."""
    try:
        found = read_json(path)
        frames = tuple(FrameScores(**frame) for frame in found.pop("frames"))
        part = Part(frames=frames, **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return part if _is_sound(part) else None


def _is_sound(part: Part) -> bool:
    """Tell whether a part that was read is made of what a part is made of."""
    texts = all(_holds(table, str) for table in (part.stamp, part.metrics))
    return texts and _holds(part.evidence, int) and all(map(_is_scored, part.frames))


def _is_scored(frame: FrameScores) -> bool:
    digests = (frame.frame_id, frame.pred_sha256, frame.ref_sha256, frame.input_sha256)
    return (
        all(isinstance(text, str) for text in digests)
        and all(type(size) in (int, type(None)) for size in (frame.width, frame.height))
        and all(_holds(table, float, int, type(None)) for table in (frame.values, frame.truth))
        and _holds(frame.errors, str)
    )


def _holds(table: Any, *kinds: type) -> bool:
    return isinstance(table, dict) and all(type(value) in kinds for value in table.values())


def read_manifest(run: Path) -> dict[str, Any] | None:
    """Return the manifest of a finished run, or None where there is none."""
    path = run / "manifest.json"
    try:
        found = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a run's manifest: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a run's manifest: it holds no table")
    return found


def frame_rows(
    common: Mapping[str, Any], part: Part, metrics: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `per_frame.csv` for one part, frame by frame, metric by metric."""
    for index, frame in enumerate(part.frames):
        for metric in metrics:
            yield {
                **common,
                "frame_id": frame.frame_id,
                "frame_index": index,
                "width": frame.width,
                "height": frame.height,
                "metric": metric,
                "value": frame.values.get(metric),
                "status": frame.status(metric),
                "error": frame.errors.get(metric),
                "pred_sha256": frame.pred_sha256,
                "ref_sha256": frame.ref_sha256,
                "input_sha256": frame.input_sha256,
                "truth_value": frame.truth.get(metric),
            }


def dataset_digest(videos: Iterable[tuple[str, Part]]) -> str:
    """Return one SHA-256 for the frames that were evaluated, whatever files they came from.

    It is that of the sorted lines "video\\tframe\\tinput digest\\tclean digest\\n". Both sides
    count: the same clean frames under other snow are another dataset.
    """
    lines = sorted(
        f"{video}\t{frame.frame_id}\t{frame.input_sha256}\t{frame.ref_sha256}\n"
        for video, part in videos
        for frame in part.frames
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table atomically, row by row."""
    with publish_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_lines(columns, rows))
