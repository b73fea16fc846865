"""Turn clean clips into a paired dataset with all its layers: plan, resume, make, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rvsd_bench import __version__
from rvsd_bench.errors import InputError, OutputError, PartialError, RvsdBenchError, unknown
from rvsd_bench.files import digest_of, make_folder
from rvsd_bench.jobs import Task, TaskResult, Track, in_process, parse_shard, run_tasks, untracked
from rvsd_bench.jobs.notes import Note, is_whole, read_notes, remove_notes, write_note
from rvsd_bench.making.claiming import claimed, locked
from rvsd_bench.making.job import Job
from rvsd_bench.making.planning import Options, Plan, make_plan, parse_split
from rvsd_bench.making.publishing import make_video
from rvsd_bench.making.stored import CONTAINERS, DEGRADED, SPLITS, StoredVideo
from rvsd_bench.texts import require_text

if TYPE_CHECKING:
    from rvsd_bench.generators import Recipe, Scene
    from rvsd_bench.generators.degradation import DegradationRecipe
    from rvsd_bench.generators.weather import Weather
    from rvsd_bench.making.estimating import Estimate

Results: TypeAlias = Generator[TaskResult[int], None, None]

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
    failed: tuple[tuple[str, RvsdBenchError], ...] = ()
    """Clips and videos that could not be read or made, each with its error."""
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
    options = Options(
        seed,
        depth,
        motion,
        layers,
        container,
        max_frames,
        size,
        fps,
        licence,
        weather,
        _spoiled(degrade),
    )
    _check(options, variants)
    part, shares, chosen = parse_shard(shard), parse_split(split), open_recipe(recipe)
    _refuse_foreign(out)
    plan = make_plan(
        [Path(path) for path in inputs], options, variants=variants, shares=shares, track=track
    )
    for notice in plan.notices:
        report(notice)
    jobs = _jobs(plan, out, options, *chosen)
    kept = _kept(out, jobs, force)
    todo = [job for job in part.of(jobs) if job.place.label not in kept]
    if dry_run:
        return _foreseen(out, plan, kept, todo)
    own = tuple(job.place.label for job in part.of(jobs))
    note = Note(str(part), digest_of([job.request for job in jobs]), own)
    with claimed(out, part, {job.place.label for job in jobs}):
        if part.count > 1:
            write_note(out, note)
        if force:
            _discard_others(out, jobs)
        else:
            _require_room(out, todo)
        run = partial(run_tasks, workers=workers, executor=executor, timeout_s=timeout_s)
        here = in_process(workers, executor, len(todo), timeout_s)
        made, failed = _make(todo, partial(run, report=report), track, here=here)
        for line in _warnings(out, todo):
            report(line)
        _publish_manifest(out, replace(note, finished=True, failed=_reasons(failed)))
    if failed and len(jobs) == 1:
        raise failed[0][1]
    return Summary(out, plan, made, kept, (*plan.unreadable, *failed))


def _require_room(out: Path, todo: Sequence[Job]) -> None:
    from rvsd_bench.making.estimating import require_room

    require_room(out, todo)


def _foreseen(out: Path, plan: Plan, kept: tuple[str, ...], todo: Sequence[Job]) -> Summary:
    """Return what a run would find and take."""
    from rvsd_bench.making.estimating import estimate

    return Summary(out, plan, kept=kept, failed=plan.unreadable, estimate=estimate(todo))


def _spoiled(name: str | None) -> DegradationRecipe | None:
    from rvsd_bench.generators.degradation import open_degradation

    return None if name is None else open_degradation(name)


def _told_degradation(recipe: DegradationRecipe | None) -> dict[str, str] | None:
    """Return what meta records of the degradation that was asked for."""
    if recipe is None:
        return None
    return {"name": Path(recipe.where).name, "sha256": digest_of(recipe.tree)}


def open_recipe(recipe: str | Path | Scene | Recipe) -> tuple[Recipe, dict[str, str]]:
    """Return a recipe, and what meta records of it: its name and the digest of its content."""
    from rvsd_bench.generators.recipes import as_recipe, load_recipe, preset

    if isinstance(recipe, str):
        name, found = recipe, as_recipe(preset(recipe))
    elif isinstance(recipe, Path):
        name, found = recipe.name, load_recipe(recipe)
    else:
        found = as_recipe(recipe)
        name = Path(found.where).name
    return found, {"name": name, "sha256": digest_of(found.tree)}


def _check(options: Options, variants: int) -> None:
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


def _jobs(
    plan: Plan, out: Path, options: Options, recipe: Recipe, recipe_facts: Mapping[str, str]
) -> list[Job]:
    depths = {video.source.depth: described(video.source.depth) for video in plan.videos}
    shared = {
        "version": __version__,
        "recipe": dict(recipe_facts),
        "motion": described(options.motion),
        "seed": options.seed,
        "layers": options.layers,
        "container": options.container,
        "max_frames": options.max_frames,
        "size": list(options.size) if options.size else None,
        "fps": options.fps,
        "licence": options.licence,
        "weather": options.weather,
        "degrade": _told_degradation(options.degrade),
    }
    for name, value in (shared | {"depth": sorted(depths.values())}).items():
        require_text(json.dumps(value, ensure_ascii=False), name)
    return [
        Job(
            out,
            video,
            options,
            recipe,
            shared
            | {"source": video.source.id, "variant": video.variant}
            | {"depth": depths[video.source.depth]},
        )
        for video in plan.videos
    ]


def described(spec: str) -> str:
    """Return a specification with the digest of the file or folder that it names, if it does."""
    from rvsd_bench.files import sha256_file, tree_digest

    path = Path(spec.partition("?")[0])
    if spec in ("auto", "ground", "mono", "static") or not path.exists():
        return spec
    return f"{Path(spec).name} {tree_digest(path) if path.is_dir() else sha256_file(path)}"


def _kept(out: Path, jobs: Sequence[Job], force: bool) -> tuple[str, ...]:
    """Return the labels of the finished videos; refuse those that were made otherwise."""
    from rvsd_bench.making.manifest import finished

    if force:
        return ()
    asked = {(job.place.split, job.place.name): job for job in jobs}
    kept = []
    for (split, name), meta in finished(out).items():
        label = f"{split}/{name}"
        job = asked.get((split, name))
        changed = _changes(meta["request"], job.request) if job else "no input gives it any more"
        if changed:
            raise InputError(
                f"{out} holds {label}, made otherwise: {changed}; "
                "choose another --out, or --force to make everything anew"
            )
        if job and _is_there(job):
            kept.append(label)
    return tuple(kept)


def _is_there(job: Job) -> bool:
    """Tell whether all parts of a finished video still lie where they were put."""
    sides = ["clean", "snow", *([DEGRADED] if job.options.degrade else ())]
    parts = [job.place.side(kind) for kind in sides]
    parts += [job.place.layers] if job.options.layers != "none" else []
    return all(part.exists() for part in parts)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between two requests; a recipe is known by its content, not its name."""

    def short(value: Any) -> str:
        if isinstance(value, dict):
            return f"{value['name']} ({value['sha256'][:8]})"
        text = str(value)
        return text if len(text) <= 40 else f"{text[:36]}..."

    def content(value: Any) -> Any:
        return value["sha256"] if isinstance(value, dict) else value

    return ", ".join(
        f"its {key} was {short(before.get(key))}, now {short(now[key])}"
        for key in sorted(now)
        if content(before.get(key)) != content(now[key])
    )


def _make(
    todo: Sequence[Job], run: Callable[..., Results], track: Track, *, here: bool
) -> tuple[tuple[str, ...], tuple[tuple[str, RvsdBenchError], ...]]:
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


def _warnings(out: Path, jobs: Sequence[Job]) -> Iterator[str]:
    """Yield what was found odd about the footage of finished videos, as their meta files tell."""
    from rvsd_bench.making.manifest import finished

    metas = finished(out) if jobs else {}
    for job in jobs:
        meta = metas.get((job.place.split, job.place.name))
        if meta and "warning" in meta["atmospheric_light"]:
            yield f"{job.video.source.name}: {meta['atmospheric_light']['warning']}"


def _reasons(failed: Sequence[tuple[str, RvsdBenchError]]) -> dict[str, str]:
    return {name.split()[0]: str(error) for name, error in failed}  # a label and a source


def _publish_manifest(out: Path, note: Note) -> None:
    """Write the manifest of what is there; leave word of this shard until all are done."""
    from rvsd_bench.making.manifest import finished, write_manifest

    with locked(out, "manifest", wait_s=600):  # shards finish in any order; the last sees all
        if finished(out):
            write_manifest(out)
        if note.part.count > 1:
            write_note(out, note)
        if note.part.count == 1 or is_whole(read_notes(out)):
            remove_notes(out)


def _discard_others(out: Path, jobs: Sequence[Job]) -> None:
    """Remove the finished videos that are no part of the plan."""
    planned = {job.place.label for job in jobs}
    for split in SPLITS:
        for meta in (out / split / "meta").glob("*.json"):
            place = StoredVideo(out, split, meta.stem)
            if place.label not in planned:
                place.discard()
