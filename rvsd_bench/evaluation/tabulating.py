"""Gather the parts of a run and write its long tables; nothing is scored here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvsd_bench.columns import PER_FRAME, PER_VIDEO, SCHEMA_VERSION
from rvsd_bench.data.dataset import Video
from rvsd_bench.evaluation.auditing import judge_audit, summed_up
from rvsd_bench.evaluation.judging import NO_FRAME_BEFORE
from rvsd_bench.evaluation.methods import Method
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.runfiles import (
    FrameScores,
    Part,
    dataset_digest,
    frame_rows,
    read_part,
    write_table,
)
from rvsd_bench.evaluation.summary import VideoScores, video_statistics
from rvsd_bench.evaluation.validation import Problem, judge
from rvsd_bench.evaluation.videotask import VideoTask


@dataclass(frozen=True)
class Result:
    """What a run found out about one method."""

    method: Method
    scores: Mapping[str, Mapping[str, VideoScores]]
    """Metric -> folder of the video -> scores."""
    problems: tuple[Problem, ...]
    predictions_sha256: str
    dataset_sha256: str
    limited: bool
    audit: Mapping[str, float] | None = None
    """How far two runs of the model lay apart, if it was looked at."""

    @property
    def withheld(self) -> bool:
        """Whether the headline is withheld: frames are missing, or are not what they should be."""
        return any(problem.withholds for problem in self.problems)

    @property
    def valid(self) -> bool:
        """Whether the method may be ranked."""
        return not self.limited and not any(p.level == "error" for p in self.problems)


@dataclass(frozen=True)
class Gathered:
    """The results of a run and the folder that its parts lie in."""

    plan: Plan
    folder: Path
    results: tuple[Result, ...]
    died: Mapping[str, str]
    """Videos that could not be worked on at all, with the reason."""

    @property
    def run_id(self) -> str:
        """16 hex digits that are the same for the same methods, frames and protocol."""
        digest = hashlib.sha256(self.plan.protocol.hash.encode())
        for result in self.results:
            own = (result.method.id, result.dataset_sha256, result.predictions_sha256)
            digest.update("\t".join((*own, *result.scores)).encode() + b"\n")
        return digest.hexdigest()[:16]

    def common(self, method: Method) -> dict[str, Any]:
        """Return the columns that all tables begin with."""
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "method_id": method.id,
            "dataset": self.plan.dataset.name,
        }

    def parts(self, method: Method) -> Iterator[tuple[VideoTask, Part]]:
        """Yield a method's part of each video."""
        for task in self.plan.tasks(self.folder, save_frames=False):
            yield task, _part(task, method, self.died)


def gather(
    plan: Plan, folder: Path, refused: Mapping[str, Sequence[Problem]], died: Mapping[str, str]
) -> Gathered:
    """Read all parts; `refused` holds the findings about methods that were not scored, by id."""
    nothing = Gathered(plan, folder, (), died)
    results = tuple(_result(nothing, method, refused.get(method.id, ())) for method in plan.methods)
    return Gathered(plan, folder, results, died)


def write_frames(gathered: Gathered) -> None:
    """Write `per_frame.csv`, one part at a time."""
    write_table(gathered.folder / "per_frame.csv", PER_FRAME, _frame_rows(gathered))


def write_videos(gathered: Gathered) -> None:
    """Write `per_video.csv`."""
    write_table(gathered.folder / "per_video.csv", PER_VIDEO, _video_rows(gathered))


def _result(gathered: Gathered, method: Method, findings: Sequence[Problem]) -> Result:
    plan = gathered.plan
    scores: dict[str, dict[str, VideoScores]] = {name: {} for name in plan.metrics}
    problems = list(findings)
    given: list[tuple[str, Part]] = []
    predictions = hashlib.sha256()
    refused = any(problem.level == "error" for problem in findings)
    for task, part in gathered.parts(method) if not refused else ():
        for name in part.metrics.keys() & scores.keys():
            scores[name][task.folder] = part.scores(name, plan.source(task.video))
        problems += _losses(method.label, task.folder, part)
        ids = [frame.frame_id for frame in part.frames]
        of = part.evidence
        problems += judge(method.label, task.folder, of, source=method.source, ids=ids)
        problems += judge_audit(method.label, task.folder, of)
        given.append((task.folder, part))
        for frame in part.frames:
            line = f"{task.folder}\t{frame.frame_id}\t{frame.pred_sha256}\n"
            predictions.update(line.encode())
    return Result(
        method,
        scores,
        tuple(problems),
        predictions.hexdigest() if given else "",
        dataset_digest(given) if given else "",
        plan.limit is not None,
        summed_up([part.evidence for _, part in given]),
    )


def _losses(method: str, folder: str, part: Part) -> Iterator[Problem]:
    """Yield one finding for each reason why frames have no score."""
    reasons: dict[str, list[str]] = {}
    for frame in part.frames:
        for reason in dict.fromkeys(frame.errors.values()):
            if reason == NO_FRAME_BEFORE:  # the frame before tells why
                continue
            reasons.setdefault(reason, []).append(frame.frame_id)
    for reason, frames in reasons.items():
        which = f"frame {frames[0]}" + (f" and {len(frames) - 1} more" if len(frames) > 1 else "")
        code = part.outcome if part.outcome and f"{part.outcome}: " in reason else "frame"
        yield Problem("error", code, method, folder, f"{which}: {reason}")


def _part(task: VideoTask, method: Method, died: Mapping[str, str]) -> Part:
    part = read_part(task.part(method))
    if part is not None and task.folder not in died:
        return part
    reason = died.get(task.folder, "it was not scored")
    errors = dict.fromkeys(task.identities(), reason)
    lost = tuple(FrameScores(frame_id, errors=errors) for frame_id in task.video.frame_ids)
    return Part({}, task.identities(), lost, {})


def _frame_rows(gathered: Gathered) -> Iterator[dict[str, Any]]:
    for result in gathered.results:
        if not result.dataset_sha256:
            continue
        for task, part in gathered.parts(result.method):
            common = gathered.common(result.method)
            common |= {"split": task.video.split, "video": task.video.name}
            names = [name for name in gathered.plan.metrics if name in part.metrics]
            for row in frame_rows(common, part, names):
                error = row["error"]
                yield row | {"error": gathered.plan.tidy(error) if error else None}


def _video_rows(gathered: Gathered) -> Iterator[dict[str, Any]]:
    plan = gathered.plan
    for result in gathered.results:
        for video in plan.videos:
            for name, videos in result.scores.items():
                if (scores := videos.get(plan.folder(video))) is not None:
                    yield _video_row(gathered, result.method, video, name, scores)


def _video_row(
    gathered: Gathered, method: Method, video: Video, metric: str, scores: VideoScores
) -> dict[str, Any]:
    lower = gathered.plan.card(metric).direction == "lower"
    return {
        **gathered.common(method),
        "protocol": gathered.plan.protocol.id,
        "protocol_hash": gathered.plan.protocol.hash,
        "split": video.split,
        "video": video.name,
        "metric": metric,
        "source_id": scores.source,
        **video_statistics(scores, lower_is_better=lower),
    }
