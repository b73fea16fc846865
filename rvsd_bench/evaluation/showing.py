"""Draw the pictures of a run for the page: what each method makes of its worst and best frames.

Which frames those are is known when all are scored; they are then opened once more, and drawn only
if their pixels are the ones that were scored. What is drawn is written down with the digests of
those pixels in `pictures/shown.json`, so that a later run draws what has changed and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from rvsd_bench.columns import SCHEMA_VERSION
from rvsd_bench.data.dataset import Video, open_snowy
from rvsd_bench.errors import OutputError
from rvsd_bench.evaluation.drawing import ERROR_LEVELS, LOOP_COLUMNS, Drawing, Wanted, draw
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.runfiles import FrameScores, Part
from rvsd_bench.evaluation.tabulating import Gathered
from rvsd_bench.files import make_folder, write_json
from rvsd_bench.jobs import Task, run_tasks
from rvsd_bench.leaderboard.embedding import INDEX
from rvsd_bench.metrics import CARDS
from rvsd_bench.texts import read_json

PICTURED = 6
"""So many videos are shown."""
LOOPED = 3
"""So many of the videos are also shown moving."""
LOOP_FRAMES = 24

Scored: TypeAlias = Mapping[str, Part]
"""The slugs of the methods that have frames of a video -> what is known of them."""


def show(
    gathered: Gathered,
    *,
    workers: int = 1,
    executor: str = "pool",
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Draw what is new or has changed, and remove what is shown no longer.

    A frame that cannot be opened again, or comes out otherwise than it was scored, is left out and
    reported; the scores stand.
    """
    plan, root = gathered.plan, gathered.folder / "pictures"
    scored = _scored(gathered)
    drawings = [
        _drawing(plan, video, root, scored[plan.folder(video)], moving=place < LOOPED)
        for place, video in enumerate(pictured(plan))
        if scored[plan.folder(video)]
    ]
    before = _read_index(root / INDEX)
    drawn = {d.folder.name: _standing(d, before.get(d.folder.name, {})) for d in drawings}
    tasks = [Task(d.folder.name, rest) for d in drawings if (rest := _rest(d, drawn)).wanted]
    for result in run_tasks(draw, tasks, workers=workers, executor=executor):
        if isinstance(result.error, OutputError):
            raise result.error
        done, faults = result.value or ({}, [str(result.error)])
        drawn[result.id] |= done
        for fault in faults:
            report(f"no picture: video {result.id}: {plan.tidy(fault)}")
    _remove_others(root, {f"{d.folder.name}/{w.name}" for d in drawings for w in d.wanted})
    videos = {
        d.folder.name: _told(plan, d, scored[d.folder.name]) | {"files": drawn[d.folder.name]}
        for d in drawings
    }
    if videos:
        make_folder(root)
        about = {"schema_version": SCHEMA_VERSION, "error_levels": ERROR_LEVELS}
        write_json(root / INDEX, {**about, "videos": videos})


def pictured(plan: Plan) -> list[Video]:
    """Return the videos that are shown: of as many source clips as there are, the first first."""
    turns: Counter[str] = Counter()
    order = []
    for place, video in enumerate(plan.videos):
        order.append((turns[plan.source(video)], place))
        turns[plan.source(video)] += 1
    return [plan.videos[place] for _, place in sorted(order)[:PICTURED]]


def extremes(part: Part, metric: str) -> dict[str, int]:
    """Return the frames with the worst, median and best value: `worst` -> index, and so on.

    Of equal values the first counts; of an even number the worse of the two in the middle is the
    median. Empty where no frame has a value.
    """
    sign = -1.0 if CARDS[metric].direction == "lower" else 1.0
    values = [(i, frame.values.get(metric)) for i, frame in enumerate(part.frames)]
    goodness = {i: sign * value for i, value in values if value is not None}
    if not goodness:
        return {}
    rising = sorted(goodness, key=lambda i: (goodness[i], i))
    best = min(goodness, key=lambda i: (-goodness[i], i))
    return {"worst": rising[0], "median": rising[(len(rising) - 1) // 2], "best": best}


def _scored(gathered: Gathered) -> dict[str, dict[str, Part]]:
    """Return, for each video that is shown, the parts of the methods that have frames of it."""
    found: dict[str, dict[str, Part]] = {
        gathered.plan.folder(video): {} for video in pictured(gathered.plan)
    }
    for result in gathered.results:
        if not result.dataset_sha256:
            continue
        for task, part in gathered.parts(result.method):
            if task.folder in found and any(frame.pred_sha256 for frame in part.frames):
                found[task.folder][result.method.slug] = part
    return found


def metric_of(plan: Plan, scored: Scored) -> str | None:
    """Return the metric that orders a video's frames: the first of the run that has values."""
    names = [name for name in plan.metrics if name in CARDS and not CARDS[name].coverage]
    return next((n for n in names if any(extremes(part, n) for part in scored.values())), None)


def _drawing(plan: Plan, video: Video, root: Path, scored: Scored, *, moving: bool) -> Drawing:
    digests = {slug: _column(part, "pred_sha256") for slug, part in scored.items()}
    sides = {"input": _merged(scored, "input_sha256"), "truth": _merged(scored, "ref_sha256")}
    methods = tuple(method for method in plan.methods if method.slug in scored)
    drawing = Drawing(video, root / plan.folder(video), methods, (), sides | digests)
    metric = metric_of(plan, scored)
    wanted = {one.name: one for one in _wanted(drawing, metric, scored, moving=moving)}
    held = tuple(w for w in wanted.values() if all(drawing.digests[w.of][i] for i in w.frames))
    return replace(drawing, wanted=held)


def _wanted(
    drawing: Drawing, metric: str | None, scored: Scored, *, moving: bool
) -> Iterator[Wanted]:
    """Yield the files of a video; of two with one name the later replaces the earlier."""
    ids = drawing.video.frame_ids
    sides = ("input", "truth")
    middle = len(ids) // 2
    for slug, part in scored.items():
        for index in extremes(part, metric).values() if metric else ():
            for of in (*sides, slug):
                yield Wanted(f"{ids[index]}/{of}.jpg", of, "picture", (index,))
            if drawing.digests["truth"][index]:
                yield Wanted(f"{ids[index]}/errors/{slug}.webp", slug, "error", (index,))
    for of in drawing.digests:
        yield Wanted(f"{ids[middle]}/{of}.jpg", of, "picture", (middle,), large=True)
        if moving and len(ids) > 1:
            frames = tuple(range(min(len(ids), LOOP_FRAMES)))
            yield Wanted(f"loop/{of}.webp", of, "loop", frames)


def _told(plan: Plan, drawing: Drawing, scored: Scored) -> dict[str, Any]:
    """Return what the page must know about a video's pictures."""
    ids = drawing.video.frame_ids
    clip = open_snowy(drawing.video)
    metric = metric_of(plan, scored)
    picks = {
        slug: {
            name: {"frame": ids[i], "index": i, "value": part.frames[i].values[metric]}
            for name, i in extremes(part, metric).items()
        }
        for slug, part in scored.items()
        if metric
    }
    return {
        "middle": ids[len(ids) // 2],
        "metric": metric,
        "fps": clip.fps,
        "width": clip.size[1],
        "height": clip.size[0],
        "n_frames": len(ids),
        "picks": picks,
        "loop": {"frames": min(len(ids), LOOP_FRAMES), "columns": min(len(ids), LOOP_COLUMNS)},
    }


def _column(part: Part, name: str) -> tuple[str, ...]:
    return tuple(str(getattr(frame, name)) for frame in part.frames)


def _merged(scored: Scored, name: str) -> tuple[str, ...]:
    """Return the digests of one side of the dataset, of which a failed method knows none."""

    def known(frames: Sequence[FrameScores]) -> str:
        return next((text for frame in frames if (text := getattr(frame, name))), "")

    return tuple(known(frames) for frames in zip(*(part.frames for part in scored.values())))


def _standing(drawing: Drawing, before: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of an earlier run that still show what they should."""
    keys = {wanted.name: drawing.key(wanted) for wanted in drawing.wanted}
    files = before.get("files", {})
    return {
        name: key
        for name, key in keys.items()
        if files.get(name) == key and (drawing.folder / name).is_file()
    }


def _rest(drawing: Drawing, drawn: Mapping[str, Mapping[str, str]]) -> Drawing:
    """Return a drawing without the files that stand."""
    done = drawn[drawing.folder.name]
    rest = tuple(wanted for wanted in drawing.wanted if wanted.name not in done)
    return replace(drawing, wanted=rest)


def _remove_others(root: Path, names: set[str]) -> None:
    """Remove the pictures of methods and frames that are shown no longer."""
    for path in root.rglob("*"):
        if path.is_file() and path.name != INDEX and path.relative_to(root).as_posix() not in names:
            path.unlink(missing_ok=True)


def _read_index(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)["videos"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
