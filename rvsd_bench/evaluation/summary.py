"""Turn the scores of frames into the scores of videos and methods, with their uncertainty.

Everything here is a function of the rows of `per_frame.csv`: a table can be made again, or averaged
in another way, without scoring anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rvsd_bench.leaderboard.statistics import t_interval
from rvsd_bench.resampling import bootstrap


@dataclass(frozen=True)
class VideoScores:
    """One metric on one video: the frames' values, or the fact that some of them are missing."""

    source: str
    """The source clip: videos made from the same one are not independent."""
    values: Mapping[str, float]
    """Frame id to value, in the order of time; without frames where the metric is undefined."""
    expected: int
    """How many frames the video has."""
    complete: bool
    """Whether every frame was scored or is known to be undefined."""
    truth: Mapping[str, float] = field(default_factory=dict)
    """Frame id to the same quantity of the clean clip, where the metric is temporal."""

    @property
    def usable(self) -> bool:
        """Whether a mean may be taken."""
        return self.complete and bool(self.values)

    @property
    def of_truth(self) -> VideoScores:
        """The clean clip's own values in the place of the method's."""
        return replace(self, values=self.truth, truth={})


@dataclass(frozen=True)
class Score:
    """What a method reached on one metric; the interval is missing where there is one source."""

    macro: float
    """The mean of the videos' means."""
    micro: float
    """The mean over all frames."""
    low: float | None
    high: float | None
    """The 95 % bootstrap interval over source clips."""
    t_low: float | None
    t_high: float | None
    """Student's."""
    n_sources: int


def mean(values: Sequence[float]) -> float:
    """Return the mean, summed exactly, so that neither order nor grouping changes a digit."""
    return math.fsum(values) / len(values)


def video_statistics(scores: VideoScores, *, lower_is_better: bool) -> dict[str, Any]:
    """Return the statistics columns of `per_video.csv`; empty ones unless every frame counted.

    `std` is that of the frames themselves (divided by n), percentiles interpolate linearly.
    """
    n = len(scores.values)
    status = "ok" if scores.usable else "undefined" if scores.complete else "incomplete"
    row: dict[str, Any] = {"n_frames": n, "n_expected": scores.expected, "status": status}
    if not scores.usable:
        return row
    values = list(scores.values.values())
    average = mean(values)
    p05, median, p95 = (float(x) for x in np.percentile(values, (5, 50, 95)))
    worst = (max if lower_is_better else min)(scores.values, key=lambda name: scores.values[name])
    return row | {
        "mean": average,
        "std": math.sqrt(mean([(x - average) ** 2 for x in values])),
        "min": min(values),
        "p05": p05,
        "median": median,
        "p95": p95,
        "max": max(values),
        "worst_frame": worst,
        "truth_mean": mean(list(scores.truth.values())) if scores.truth else None,
    }


def summarise(videos: Sequence[VideoScores], *, average: str, draws: int) -> Score | None:
    """Return a method's score on one metric, or None if a video is incomplete or none has values.

    The intervals are those of the mean which `average` ("macro" or "micro") names. Videos in which
    the metric is undefined everywhere do not count; a missing frame is never averaged away.
    """
    if not all(video.complete for video in videos):
        return None
    used = [video for video in videos if video.values]
    if not used:
        return None
    means = [mean(list(video.values.values())) for video in used]
    frames = [value for video in used for value in video.values.values()]
    sources = sorted({video.source for video in used})
    place = {source: index for index, source in enumerate(sources)}
    sums, counts = np.zeros(len(sources)), np.zeros(len(sources))
    for video, video_mean in zip(used, means):
        n = len(video.values) if average == "micro" else 1
        sums[place[video.source]] += video_mean * n
        counts[place[video.source]] += n
    several = len(sources) > 1
    low, high = bootstrap(sums, counts, draws=draws) if several else (None, None)
    t_low, t_high = t_interval(sums, counts) if several else (None, None)
    return Score(mean(means), mean(frames), low, high, t_low, t_high, len(sources))
