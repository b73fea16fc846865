"""Score models on a dataset: plan, refuse what cannot be right, score what is new, write tables."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rvsd_bench.baselines.info import VideoRestorer
from rvsd_bench.columns import FLAGS, LEADERBOARD, NUMBERS, PER_FRAME, PER_VIDEO, read_csv
from rvsd_bench.errors import InputError, OutputError, PartialError
from rvsd_bench.evaluation import recording, tabulating
from rvsd_bench.evaluation.folder import UNPACKED, clear, open_folder, require_ours
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.request import Request
from rvsd_bench.evaluation.scoring import score_video
from rvsd_bench.evaluation.showing import show
from rvsd_bench.evaluation.submissions import examine, find_faults
from rvsd_bench.evaluation.tabulating import Gathered, Result, gather
from rvsd_bench.evaluation.validation import Problem
from rvsd_bench.evaluation.videotask import VideoTask, is_done
from rvsd_bench.files import digest_of
from rvsd_bench.isolation.limits import Isolation
from rvsd_bench.jobs import Task, TaskResult, Track, in_process, parse_shard, run_tasks, untracked
from rvsd_bench.jobs.notes import Note, read_notes, remove_notes, require_all, write_note
from rvsd_bench.texts import writable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: three tables, and what is wrong with methods, if anything."""

    plan: Plan
    folder: Path | None
    """Where the run lies; None after a dry run."""
    results: tuple[Result, ...] = ()
    scored: int = 0
    """Videos that were worked on this time; what was finished before is kept."""
    _temporary: TemporaryDirectory[str] | None = None

    @cached_property
    def per_frame(self) -> pd.DataFrame:
        """One row for each method, frame and metric (`per_frame.csv`)."""
        return self._table("per_frame.csv", PER_FRAME)

    @cached_property
    def per_video(self) -> pd.DataFrame:
        """One row for each method, video and metric (`per_video.csv`)."""
        return self._table("per_video.csv", PER_VIDEO)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row for each method (`leaderboard.csv`)."""
        return self._table("leaderboard.csv", LEADERBOARD)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The rows of `leaderboard.csv` as text."""
        return read_csv(self.folder / "leaderboard.csv") if self.folder else []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that looked wrong, errors and warnings."""
        return tuple(problem for result in self.results for problem in result.problems)

    def raise_failures(self) -> None:
        """Raise if a headline is withheld: PartialError, or InputError if no method has one."""
        failed = [result for result in self.results if result.withheld]
        if not failed:
            return
        errors = [p for result in failed for p in result.problems if p.withholds]
        texts = [str(p) if len(failed) > 1 else p.told for p in errors[:3]]
        named = self.plan.tidy("; ".join(texts))
        more = f"; and {len(errors) - 3} more, see validation.json" if len(errors) > 3 else ""
        kind = InputError if len(failed) == len(self.results) else PartialError
        names = ", ".join(result.method.label for result in failed)
        raise kind(f"no headline for {names}: {named}{more}")

    def _table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        if self.folder is None:
            raise InputError("a dry run has no tables")
        table = pd.DataFrame(read_csv(self.folder / name), columns=list(columns), dtype=object)
        for column in NUMBERS.intersection(columns):
            table[column] = pd.to_numeric(table[column])
        for column in FLAGS.intersection(columns):
            table[column] = table[column].map({"true": True, "false": False})
        return table


def evaluate(
    models: Sequence[str | VideoRestorer],
    data: Path | str,
    *,
    out: Path | str | None = None,
    protocol: str | None = None,
    split: str = "test",
    split_file: Path | str | None = None,
    metrics: Sequence[str] | None = None,
    backend: str = "native",
    weights: Path | str | None = None,
    weights_allow: Sequence[str] = (),
    skip_missing: bool = False,
    device: str = "auto",
    save_frames: bool = False,
    limit: int | None = None,
    allow_untrained: bool = False,
    trust_code: bool = False,
    isolation: Isolation | None = None,
    workers: int = 1,
    executor: str = "pool",
    timeout_s: float | None = None,
    shard: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    report: Callable[[str], None] = lambda line: None,
    track: Track = untracked,
) -> Evaluation:
    """Score models on a dataset under a protocol and return the tables as pandas frames.

    A model is a spec (`identity`, `frames:DIR`, ...) or a `VideoRestorer`. Without a `protocol` it
    is rvsd-2023 for a paired dataset and realsnow85-2024 for an unpaired one. `out` keeps the run:
    calling again scores only what is new or has changed. `metrics` names a part of the protocol's,
    `limit` the first so many videos, which are never ranked. `weights_allow` holds `KEY=SHA256`
    texts for weights other than those on record; the protocol's id then says custom. With an
    `isolation`, models that come in files of their author's run confined by it. A shard
    scores its videos and writes no tables; `merge`, or a last call without one, does. The scoring
    of a video that takes longer than `timeout_s` is stopped: its frames go without a score.

    A frame without a score leaves its method without a headline (see
    `Evaluation.raise_failures`); if that befalls every method, InputError is raised. MissingError
    names weights that are not there, before any work. Arithmetic runs on one thread, so that the
    numbers do not depend on `workers`.
    """
    request = Request(
        tuple(models),
        str(data),
        protocol,
        split,
        str(split_file) if split_file else None,
        tuple(metrics) if metrics else None,
        backend,
        str(weights) if weights else None,
        tuple(weights_allow),
        skip_missing,
        device,
        limit,
        allow_untrained,
        trust_code,
        isolation,
        save_frames,
    )
    home = Path(out) / UNPACKED if out and not dry_run else None
    if home is not None:
        require_ours(home.parent, force=force)
    with request.planned(home) as plan:
        part = parse_shard(shard)
        alone = in_process(workers, executor, len(plan.videos), timeout_s)
        refused = _inspect(plan, report, travel=not alone)
        if dry_run:
            return Evaluation(plan, None)
        _look_closer(plan, refused, workers, executor)
        temporary = None if out else TemporaryDirectory(prefix="rvsd-bench-")
        folder = Path(out or temporary.name)  # type: ignore[union-attr]
        open_folder(folder, plan, force=force)
        own = part.of(plan.tasks(folder, save_frames=save_frames))
        tasks = _pending(plan, own, refused)
        asked = request.as_json()
        note = Note(str(part), digest_of(asked), tuple(task.folder for task in own), asked)
        if part.count > 1:
            write_note(folder / "parts", note)
        run = partial(run_tasks, workers=workers, executor=executor, timeout_s=timeout_s)
        gpus = 1 if plan.device.startswith("cuda") else 0
        try:
            died = _score(tasks, partial(run, gpus=gpus, report=report), report, track)
        finally:
            clear(folder)  # processes may have been killed as they wrote
        evaluation = Evaluation(plan, folder, (), len(tasks), temporary)
        if part.count > 1:
            write_note(folder / "parts", replace(note, finished=True, failed=died))
            return evaluation
        gathered = gather(plan, folder, refused, died)
        _write(gathered, report)
        if out:
            show(gathered, workers=workers, executor=executor, report=report)
        return _conclude(replace(evaluation, results=gathered.results))


def merge(folder: Path, *, report: Callable[[str], None] = lambda line: None) -> Evaluation:
    """Write the tables of a run whose shards have been scored, as one run would have; score none.

    Raises InputError if a shard is missing or has not finished, or its scores are not there or hold
    no longer.
    """
    notes = read_notes(folder / "parts")
    if not notes:
        raise InputError(f"{folder} holds no shards that wait to be joined")
    require_all(folder, notes)
    request = Request.from_json(notes[0].asked)
    with request.planned(folder / UNPACKED) as plan:
        refused = _inspect(plan, report, travel=False)
        _look_closer(plan, refused, 1, "serial")
        open_folder(folder, plan, force=False)
        died = {name: why for note in notes for name, why in note.failed.items()}
        tasks = plan.tasks(folder, save_frames=request.save_frames)
        for task in _pending(plan, tasks, refused, whatever=True):
            if task.folder not in died:
                whose = next((n.shard for n in notes if task.folder in n.items), "of another job")
                raise InputError(
                    f"{folder} lacks scores of video {task.folder} that still hold (shard {whose}):"
                    " copy what it wrote into this folder, or run it again"
                )
        gathered = gather(plan, folder, refused, died)
        _write(gathered, report)
        show(gathered, report=report)
        return _conclude(Evaluation(plan, folder, gathered.results))


def _conclude(evaluation: Evaluation) -> Evaluation:
    """Return a finished evaluation; raise if not one method has a headline."""
    if evaluation.folder is not None:
        remove_notes(evaluation.folder / "parts")
    if all(result.withheld for result in evaluation.results):
        evaluation.raise_failures()
    return evaluation


def _write(gathered: Gathered, report: Callable[[str], None]) -> None:
    """Write the files of the run, and report what was found and is no error of its own.

    The manifest comes last: it says that the others are there.
    """
    tabulating.write_frames(gathered)
    tabulating.write_videos(gathered)
    recording.write_leaderboard(gathered)
    recording.write_validation(gathered)
    recording.write_manifest(gathered)
    for result in gathered.results:
        found: dict[str, list[Problem]] = {}
        for problem in result.problems:
            if not problem.withholds:
                found.setdefault(problem.code, []).append(problem)
        for problems in found.values():
            more = f" (and so {len(problems) - 1} more videos)" if len(problems) > 1 else ""
            report(f"{problems[0].level}: {problems[0]}{more}")


def _require_portable(plan: Plan) -> None:
    """Refuse restorers given as objects that cannot be sent to other processes."""
    for method in plan.methods:
        try:
            pickle.dumps(method)
        except Exception as error:  # pickling runs the object's own code
            raise InputError(
                f"model {method.label!r} cannot be sent to worker processes ({error}); "
                "use one worker, or give the model as a spec such as py:FILE.py:build"
            ) from error


def _inspect(
    plan: Plan, report: Callable[[str], None], *, travel: bool
) -> dict[str, list[Problem]]:
    """Find what is wrong with the methods before anything is scored.

    Faults of models' files and of restored frames are reported at once if there are other methods,
    whose scoring may take long; those of an only method are raised in the end.
    """
    if travel:
        _require_portable(plan)
    found: dict[str, list[Problem]] = {}
    for method in plan.methods:
        if method.broken:
            found[method.id] = [Problem("error", "model", method.label, "", method.broken)]
            continue
        if method.frames is None:
            continue
        found[method.id] = [*find_faults(plan.dataset, plan.videos, method.frames, method.label)]
    for problem in chain.from_iterable(found.values()):
        if problem.withholds and len(plan.methods) > 1:
            report(f"{problem.level}: {problem}")
    return found


def _look_closer(
    plan: Plan, refused: Mapping[str, list[Problem]], workers: int, executor: str
) -> None:
    """Decode the frames of refused submissions too: one report names all that is wrong."""
    for method in plan.methods:
        found = refused.get(method.id, [])
        if method.frames is None or not any(problem.level == "error" for problem in found):
            continue
        tasks = [Task(plan.folder(video), video) for video in plan.videos]
        look = partial(examine, folder=method.frames)
        for result in run_tasks(look, tasks, workers=workers, executor=executor):
            problems = result.value.problems if result.value else ()
            found.extend(replace(problem, method=method.label) for problem in problems)


def _pending(
    plan: Plan,
    tasks: Sequence[VideoTask],
    refused: Mapping[str, Sequence[Problem]],
    *,
    whatever: bool = False,
) -> list[VideoTask]:
    """Return the videos that have something left to score, each with the methods that need it.

    Frames without a score are tried again, unless `whatever` is there will do.
    """
    sound = [
        method
        for method in plan.methods
        if not any(problem.level == "error" for problem in refused.get(method.id, ()))
    ]
    pending = []
    for task in tasks:
        todo = tuple(m for m in sound if not is_done(task, m, whatever=whatever))
        if todo:
            pending.append(replace(task, methods=todo))
    return pending


def _score(
    tasks: Sequence[VideoTask],
    run: Callable[..., Generator[TaskResult[None], None, None]],
    report: Callable[[str], None],
    track: Track,
) -> dict[str, str]:
    """Score videos; return those that could not be worked on at all, with the reason."""
    work = [Task(task.folder, task) for task in tasks]
    results = run(score_video, work)
    died = {}
    with closing(results):
        for result in track(results, total=len(work), what="evaluate", unit="video"):
            if isinstance(result.error, OutputError):
                raise result.error  # the disk is full, or closed: for the others as well
            if result.error is not None:
                died[result.id] = writable(str(result.error))
                report(f"error: video {result.id}: {result.error}")
    return died
