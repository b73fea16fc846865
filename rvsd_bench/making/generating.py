"""Turn clean clips into a paired dataset with all its layers: plan, resume, make, report."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rvsd_bench.errors import InputError, OutputError, PartialError, RvsdBenchError, unknown
from rvsd_bench.files import digest_of, make_folder
from rvsd_bench.jobs import (
    Shard,
    Task,
    TaskResult,
    Track,
    in_process,
    parse_shard,
    run_tasks,
    untracked,
)
from rvsd_bench.jobs.notes import Note, is_whole, read_notes, remove_notes, write_note
from rvsd_bench.making.asking import ask, finished_before, open_recipe
from rvsd_bench.making.claiming import claimed, locked
from rvsd_bench.making.job import Job
from rvsd_bench.making.planning import Options, Plan, make_plan, parse_split
from rvsd_bench.making.publishing import make_video
from rvsd_bench.making.stored import CONTAINERS, SPLITS, StoredVideo

if TYPE_CHECKING:
    from rvsd_bench.generators import Recipe, Scene
    from rvsd_bench.generators.degradation import DegradationRecipe
    from rvsd_bench.generators.weather import Weather
    from rvsd_bench.making.estimating import Estimate

Results: TypeAlias = Generator[TaskResult[int], None, None]
Failures: TypeAlias = tuple[tuple[str, RvsdBenchError], ...]
"""Clips and videos that could not be read or made, each with its error."""

LAYERS = ("png16", "none")
WEATHERS = ("both", "haze", "snow")


@dataclass(frozen=True)
class Summary:
    """What `generate` did, or with `dry_run` would do."""

    out: Path
    plan: Plan
    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Videos that an earlier run had finished."""
    failed: Failures = ()
    estimate: Estimate | None = None

    def raise_failures(self) -> None:
        """Raise PartialError (InputError if nothing is done), naming each failure, if any."""
        if self.failed:
            done = len(self.made) + len(self.kept)
            named = "; ".join(f"{name}: {error}" for name, error in self.failed)
            kind = PartialError if done else InputError
            raise kind(f"videos done {done}, failed {len(self.failed)}: {named}")


def generate(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    recipe: str | Path | Scene | Recipe = "moderate",
    variants: int = 1,
    split: str | None = None,
    seed: int = 0,
    depth: str = "auto",
    motion: str = "auto",
    layers: str = "png16",
    container: str = "png",
    max_frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    licence: str | None = None,
    weather: Weather = "both",
    degrade: str | None = None,
    workers: int = 1,
    executor: str = "pool",
    timeout_s: float | None = None,
    shard: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
    track: Track = untracked,
) -> Summary:
    """Make a paired dataset from clean clips, and return what was made, kept and failed.

    `recipe` is a preset's name, the path of a TOML file, a scene or a recipe; `split` reads as
    `train=0.73,test=0.27`, `size` is (width, height), `shard` is `i/N`. `weather` is `both`, or
    `haze` or `snow` alone, of the same draw. `degrade` names a preset or
    a TOML file of `generators.degradation`: then `degraded` holds the snowy frames once more.
    Videos that are already finished are kept, unless `force`; if they were made from another
    recipe, option or input, InputError says what changed. One bad clip among several does not stop
    the others (see `Summary.raise_failures`); the error of an only clip is raised, and OutputError
    as soon as something cannot be written, or at once where the disk is clearly too small. A video
    that takes longer than `timeout_s` is stopped, and fails. `dry_run` writes nothing.
    """
    out = Path(out)
    options = Options(seed, depth, motion, layers, container, max_frames, size, fps, licence,
                      weather, _spoiled(degrade))  # fmt: skip
    _check(options, variants, out)
    part, shares, chosen = parse_shard(shard), parse_split(split), open_recipe(recipe)
    plan = make_plan([*map(Path, inputs)], options, variants=variants, shares=shares, track=track)
    for notice in plan.notices:
        report(notice)
    jobs = ask(plan, out, options, *chosen)
    share = _Share(out, part, jobs, finished_before(out, jobs, force))
    if dry_run:
        return _foreseen(plan, share)
    run = partial(run_tasks, workers=workers, executor=executor, timeout_s=timeout_s, report=report)
    here = in_process(workers, executor, len(share.todo), timeout_s)
    with claimed(out, part, share.labels):
        _make_room(share, force=force)
        made, failed = _make(share.todo, run, track, here=here)
        _warn(out, share.todo, report)
        _publish_manifest(share, failed)
    if failed and len(jobs) == 1:
        raise failed[0][1]
    return Summary(out, plan, made, share.kept, (*plan.unreadable, *failed))


@dataclass(frozen=True)
class _Share:
    """The jobs of a dataset, and which of them are this run's."""

    out: Path
    part: Shard
    jobs: Sequence[Job]
    kept: tuple[str, ...]

    @property
    def labels(self) -> set[str]:
        """The labels of all videos of the dataset."""
        return {job.place.label for job in self.jobs}

    @cached_property
    def todo(self) -> list[Job]:
        """What is left of this run's part."""
        return [job for job in self.part.of(self.jobs) if job.place.label not in self.kept]

    @property
    def note(self) -> Note:
        """The word of this part that is left for those who do the others."""
        own = tuple(job.place.label for job in self.part.of(self.jobs))
        return Note(str(self.part), digest_of([job.request for job in self.jobs]), own)


def _make_room(share: _Share, *, force: bool) -> None:
    """Leave word of a shard, and see that there is room; by force remove what was there."""
    from rvsd_bench.making.estimating import require_room

    if share.part.count > 1:
        write_note(share.out, share.note)
    if force:
        _discard_others(share)
    else:
        require_room(share.out, share.todo)


def _foreseen(plan: Plan, share: _Share) -> Summary:
    """Return what a run would find and take."""
    from rvsd_bench.making.estimating import estimate

    foreseen = estimate(share.todo)
    return Summary(share.out, plan, kept=share.kept, failed=plan.unreadable, estimate=foreseen)


def _spoiled(name: str | None) -> DegradationRecipe | None:
    from rvsd_bench.generators.degradation import open_degradation

    return None if name is None else open_degradation(name)


def _check(options: Options, variants: int, out: Path) -> None:
    """Raise InputError for a choice that cannot be met, whatever the clips are."""
    if options.layers not in LAYERS:
        raise unknown("kind of layers", options.layers, LAYERS)
    if options.weather not in WEATHERS:
        raise unknown("weather", options.weather, WEATHERS)
    if options.container not in CONTAINERS:
        raise unknown("container", options.container, CONTAINERS)
    numbers = {"variants": variants, "max_frames": options.max_frames, "fps": options.fps}
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise InputError(f"{name} must be above 0, got {value}")
    if options.motion not in ("auto", "static") and Path(options.motion).is_dir():
        raise InputError(
            f"motion {options.motion!r} is a folder: give auto, static, drive:KMH or a file"
        )
    _refuse_foreign(out)


def _refuse_foreign(out: Path) -> None:
    """Raise InputError unless `out` is free, or a dataset that may be gone on with."""
    from rvsd_bench.making.manifest import is_dataset

    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give --out a folder")
    visible = out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir())
    if visible and not is_dataset(out):
        raise InputError(
            f"{out} is not empty and holds no generated dataset: give --out a new or empty folder"
        )


def _make(
    todo: Sequence[Job], run: Callable[..., Results], track: Track, *, here: bool
) -> tuple[tuple[str, ...], Failures]:
    """Make the videos that are to do; return the labels of those made, and the failures.

    `run` is `run_tasks` with all that was chosen; `here` says that it keeps to this process.
    """
    for job in todo:
        make_folder(job.place.meta.parent)  # by this folder a later run knows its dataset again
    tasks = [Task(f"{job.place.label} ({job.video.source.name})", job) for job in todo]
    results = run(partial(make_video, track=track if here else untracked), tasks)
    videos = results if here else track(results, total=len(tasks), what="generating", unit="video")
    made, failed = [], []
    try:
        with closing(results):
            for job, result in zip(todo, videos):
                if isinstance(result.error, OutputError):
                    raise result.error  # the disk is full, or closed: for the others as well
                if result.error:
                    failed.append((result.id, result.error))
                else:
                    made.append(job.place.label)
    finally:
        for job in todo:
            if not job.place.meta.exists():  # its process may have been killed
                job.place.discard()
    return tuple(made), tuple(failed)


def _warn(out: Path, jobs: Sequence[Job], report: Callable[[str], None]) -> None:
    """Report what was found odd about the footage of finished videos, as their meta files tell."""
    from rvsd_bench.making.manifest import finished

    metas = finished(out) if jobs else {}
    for job in jobs:
        meta = metas.get((job.place.split, job.place.name))
        if meta and "warning" in meta["atmospheric_light"]:
            report(f"{job.video.source.name}: {meta['atmospheric_light']['warning']}")


def _publish_manifest(share: _Share, failed: Failures) -> None:
    """Write the manifest of what is there; leave word of this shard until all are done."""
    from rvsd_bench.making.manifest import finished, write_manifest

    reasons = {name.split()[0]: str(error) for name, error in failed}  # a label and a source
    out, note = share.out, replace(share.note, finished=True, failed=reasons)
    with locked(out, "manifest", wait_s=600):  # shards finish in any order; the last sees all
        if finished(out):
            write_manifest(out)
        if note.part.count > 1:
            write_note(out, note)
        if note.part.count == 1 or is_whole(read_notes(out)):
            remove_notes(out)


def _discard_others(share: _Share) -> None:
    """Remove the finished videos that are no part of the plan."""
    planned = share.labels
    for split in SPLITS:
        for meta in (share.out / split / "meta").glob("*.json"):
            place = StoredVideo(share.out, split, meta.stem)
            if place.label not in planned:
                place.discard()
