"""Find what is wrong with methods before anything is scored, and what is left to be scored."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.submissions import examine, find_faults
from rvsd_bench.evaluation.validation import Problem
from rvsd_bench.evaluation.videotask import VideoTask, is_done
from rvsd_bench.jobs import Task, run_tasks


def inspect(plan: Plan, report: Callable[[str], None], *, travel: bool) -> dict[str, list[Problem]]:
    """Return what is wrong with methods by their ids; refuse those that cannot `travel` but must.

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


def look_closer(
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


def pending(
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
    left = []
    for task in tasks:
        todo = tuple(m for m in sound if not is_done(task, m, whatever=whatever))
        if todo:
            left.append(replace(task, methods=todo))
    return left


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
