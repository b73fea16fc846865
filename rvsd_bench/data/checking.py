"""Check a dataset from end to end: counts, sizes, mates, damage, order of frames, leakage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from rvsd_bench.data import findings, layouts
from rvsd_bench.data.examining import Examination, examine
from rvsd_bench.data.findings import Finding
from rvsd_bench.data.leakage import find_leaks
from rvsd_bench.data.pairing import counted
from rvsd_bench.jobs import Task, TaskResult, run_tasks

Results: TypeAlias = Iterable[TaskResult[Examination]]


@dataclass(frozen=True)
class Report:
    """What a dataset holds, what is wrong with it (`problems`), and what is worth knowing."""

    root: Path
    layout: str
    paired: bool
    clips: tuple[Examination, ...]
    leaks: tuple[Finding, ...]

    @property
    def problems(self) -> list[Finding]:
        """All that is wrong, clip by clip, then what concerns two clips."""
        return [*(found for clip in self.clips for found in clip.problems), *self.leaks]

    @property
    def notes(self) -> list[Finding]:
        """What need not be wrong, such as frames that are equal."""
        return [found for clip in self.clips for found in clip.notes]

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "root": str(self.root),
            "layout": self.layout,
            "paired": self.paired,
            "clips": [_row(clip) for clip in self.clips],
            "problems": [vars(found) for found in self.problems],
            "notes": [vars(found) for found in self.notes],
        }

    def lines(self, *, every_clip: bool = False) -> Iterator[str]:
        """Yield the report as lines for people."""
        sides = "snowy and clean" if self.paired else "snowy only"
        yield f"{self.root}: layout {self.layout}, {sides}"
        by_split = defaultdict(list)
        for clip in self.clips:
            by_split[clip.split].append(clip)
        for split, clips in by_split.items():
            yield _total(split, clips)
            yield from (_line(clip) for clip in clips if every_clip)
        yield from (f"note: {found.clip}: {found.message}" for found in self.notes)
        yield from (f"problem: {found.clip}: {found.message}" for found in self.problems)


def check(
    root: Path | str,
    layout: str = "auto",
    *,
    workers: int = 1,
    track: Callable[[Results, int], Results] | None = None,
) -> Report:
    """Decode every frame of a dataset once and report what is wrong with it.

    The clean frame that a snowy frame was made from is found from content among the 17 around it.
    Splits are compared by the source that a generated dataset's meta names, by the digests of all
    clean frames, and by a perceptual hash of 16 frames a clip; scenes seen at different times by a
    moving camera are not recognised as one. `track` is given the results as they come and their
    number, and returns them, to show progress. Raises InputError if no clips are found.
    """
    root = Path(root)
    found, places = layouts.find(root, layout)
    tasks = [Task(f"{place.split}/{place.name}", place) for place in places]
    results: Results = run_tasks(partial(examine, paired=found.paired), tasks, workers=workers)
    clips = [_value(result) for result in (track(results, len(tasks)) if track else results)]
    contents = [clip.content for clip in clips if clip.content]
    leaks = tuple(findings.leak(leak) for leak in find_leaks(contents))
    return Report(root, found.name, found.paired, tuple(clips), leaks)


def _value(result: TaskResult[Examination]) -> Examination:
    """Return what was found; what is wrong with a clip is in it, an error is a fault of ours."""
    if result.value is None:
        raise result.error or RuntimeError(f"{result.id} was not examined")
    return result.value


def _row(clip: Examination) -> dict[str, Any]:
    return {
        "split": clip.split,
        "name": clip.name,
        "frames": clip.frames,
        "size": None if clip.size is None else findings.size_text(clip.size),
        "shows": dict(clip.shows),
    }


def _total(split: str, clips: Sequence[Examination]) -> str:
    frames = sum(clip.frames for clip in clips)
    sizes = sorted({findings.size_text(clip.size) for clip in clips if clip.size})
    told = f"{len(sizes)} sizes" if len(sizes) > 3 else ", ".join(sizes) or "none readable"
    return f"{split}: {counted(len(clips), 'clip')}, {counted(frames, 'frame')}, {told}"


def _line(clip: Examination) -> str:
    size = findings.size_text(clip.size) if clip.size else "not readable"
    return f"  {clip.split}/{clip.name}: {counted(clip.frames, 'frame')}, {size}"
