"""Score models on a dataset: plan, refuse what cannot be right, score what is new, write tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rvsd_bench.baselines.info import VideoRestorer
from rvsd_bench.columns import FLAGS, LEADERBOARD, NUMBERS, PER_FRAME, PER_VIDEO, read_csv
from rvsd_bench.errors import InputError, OutputError, PartialError
from rvsd_bench.evaluation import recording, tabulating
from rvsd_bench.evaluation.folder import UNPACKED, clear, open_folder, require_ours
from rvsd_bench.evaluation.inspecting import inspect, look_closer, pending
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.request import Request
from rvsd_bench.evaluation.scoring import score_video
from rvsd_bench.evaluation.showing import show
from rvsd_bench.evaluation.tabulating import Gathered, Result, gather
from rvsd_bench.evaluation.validation import Problem
from rvsd_bench.evaluation.videotask import VideoTask
from rvsd_bench.files import digest_of
from rvsd_bench.isolation.limits import Isolation
from rvsd_bench.jobs import Shard, Task, Track, in_process, parse_shard, run_tasks, untracked
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
        tuple(models), str(data), protocol, split, str(split_file) if split_file else None,
        tuple(metrics) if metrics else None, backend, str(weights) if weights else None,
        tuple(weights_allow), skip_missing, device, limit, allow_untrained, trust_code, isolation,
        save_frames,
    )  # fmt: skip
    place = Path(out) if out else None
    work = _Work(place, parse_shard(shard), workers, executor, timeout_s, force, report, track)
    home = place / UNPACKED if place and not dry_run else None
    if home is not None:
        require_ours(home.parent, force=force)
    with request.planned(home) as plan:
        alone = in_process(workers, executor, len(plan.videos), timeout_s)
        refused = inspect(plan, report, travel=not alone)
        if dry_run:
            return Evaluation(plan, None)
        look_closer(plan, refused, workers, executor)
        evaluation, died = _scored(plan, request, refused, work)
        return evaluation if work.part.count > 1 else _tabulated(evaluation, refused, died, work)


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
        refused = inspect(plan, report, travel=False)
        look_closer(plan, refused, 1, "serial")
        open_folder(folder, plan, force=False)
        died = {name: why for note in notes for name, why in note.failed.items()}
        tasks = plan.tasks(folder, save_frames=request.save_frames)
        for task in pending(plan, tasks, refused, whatever=True):
            if task.folder not in died:
                whose = next((n.shard for n in notes if task.folder in n.items), "of another job")
                raise InputError(
                    f"{folder} lacks scores of video {task.folder} that still hold (shard {whose}):"
                    " copy what it wrote into this folder, or run it again"
                )
        work = _Work(folder, report=report)
        return _tabulated(Evaluation(plan, folder), refused, died, work)


@dataclass(frozen=True)
class _Work:
    """How and where a request is worked on, which decides nothing in its tables."""

    out: Path | None
    part: Shard = field(default_factory=Shard)
    workers: int = 1
    executor: str = "pool"
    timeout_s: float | None = None
    force: bool = False
    report: Callable[[str], None] = lambda line: None
    track: Track = untracked


def _scored(
    plan: Plan, request: Request, refused: Mapping[str, Sequence[Problem]], work: _Work
) -> tuple[Evaluation, dict[str, str]]:
    """Score what is new, and leave word of a shard; return what could not be worked on as well."""
    temporary = None if work.out else TemporaryDirectory(prefix="rvsd-bench-")
    folder = Path(work.out or temporary.name)  # type: ignore[union-attr]
    open_folder(folder, plan, force=work.force)
    own = work.part.of(plan.tasks(folder, save_frames=request.save_frames))
    tasks = pending(plan, own, refused)
    asked = request.as_json()
    note = Note(str(work.part), digest_of(asked), tuple(task.folder for task in own), asked)
    if work.part.count > 1:
        write_note(folder / "parts", note)
    try:
        died = _score(tasks, plan.device, work)
    finally:
        clear(folder)  # processes may have been killed as they wrote
    if work.part.count > 1:
        write_note(folder / "parts", replace(note, finished=True, failed=died))
    return Evaluation(plan, folder, (), len(tasks), temporary), died


def _score(tasks: Sequence[VideoTask], device: str, work: _Work) -> dict[str, str]:
    """Score videos; return those that could not be worked on at all, with the reason."""
    results = run_tasks(
        score_video,
        [Task(task.folder, task) for task in tasks],
        workers=work.workers,
        executor=work.executor,
        timeout_s=work.timeout_s,
        gpus=1 if device.startswith("cuda") else 0,
        report=work.report,
    )
    died = {}
    with closing(results):
        for result in work.track(results, total=len(tasks), what="evaluate", unit="video"):
            if isinstance(result.error, OutputError):
                raise result.error  # the disk is full, or closed: for the others as well
            if result.error is not None:
                died[result.id] = writable(str(result.error))
                work.report(f"error: video {result.id}: {result.error}")
    return died


def _tabulated(
    evaluation: Evaluation,
    refused: Mapping[str, Sequence[Problem]],
    died: Mapping[str, str],
    work: _Work,
) -> Evaluation:
    """Write the tables of what is scored, and its pictures if it is kept.

    Raises the error of `raise_failures` if not one method has a headline.
    """
    assert evaluation.folder is not None
    gathered = gather(evaluation.plan, evaluation.folder, refused, died)
    _write(gathered, work.report)
    if work.out:
        show(gathered, workers=work.workers, executor=work.executor, report=work.report)
    remove_notes(evaluation.folder / "parts")
    evaluation = replace(evaluation, results=gathered.results)
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
