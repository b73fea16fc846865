"""Put the metrics of a video to its frames: those of one frame, and those of two in succession."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.measuring import Measure
from rvsd_bench.metrics import Metric
from rvsd_bench.metrics.card import MetricCard
from rvsd_bench.metrics.temporal import Moment, PerceptualChange, Step, TemporalMetric

if TYPE_CHECKING:
    from rvsd_bench.metrics.perceptual import Lpips

NO_FRAME_BEFORE = "the frame before it has no score, and this metric compares the two"


@dataclass(frozen=True)
class Given:
    """One frame of the dataset: the input, its truth and coverage if there are any."""

    snowy: Frame
    clean: Frame | None
    coverage: NDArray[np.float64] | None
    input_sha256: str
    ref_sha256: str


@dataclass
class FrameJudge:
    """One metric on one frame of the dataset; the truth is prepared when it is first needed."""

    metric: Metric
    given: Given
    truth: None = None
    """A frame by itself has no quantity to hold against that of the truth."""
    _prepared: Any = None

    @property
    def card(self) -> MetricCard:
        """The description of the metric."""
        return self.metric.card

    def score(self, now: Moment, step: Step | None) -> float | None:
        """Return the value, or None where the metric is undefined; raise if it is not finite."""
        if self.metric.card.kind == "fr" and self._prepared is None:
            assert self.given.clean is not None
            self._prepared = self.metric.prepare(self.given.clean, self.given.coverage)
        return _finite(self.card, self.metric.score(now.frame, self._prepared))


@dataclass(frozen=True)
class FeatureJudge:
    """LPIPS beside tLP: both look at the same features, which are found once for each frame."""

    lpips: Lpips
    clean: Moment
    truth: None = None

    @property
    def card(self) -> MetricCard:
        """The description of the metric."""
        return self.lpips.card

    def score(self, now: Moment, step: Step | None) -> float | None:
        """Return the value that a `FrameJudge` would, to the last digit."""
        features = now.features(self.lpips), self.clean.features(self.lpips)
        return _finite(self.card, self.lpips.distance(*features))


@dataclass(frozen=True)
class StepJudge:
    """One metric on one frame of the dataset and the one before it."""

    metric: TemporalMetric
    first: bool
    """Whether the frame is the video's first, where the metric is undefined."""
    given: Step | None
    """The two clean frames; None where either of them is missing."""

    @property
    def card(self) -> MetricCard:
        """The description of the metric."""
        return self.metric.card

    def score(self, now: Moment, step: Step | None) -> float | None:
        """Return the value, or None where the metric is undefined; raise if it is not finite."""
        if self.first:
            return None
        if step is None or self.given is None:
            raise InputError(NO_FRAME_BEFORE)
        return _finite(self.card, self.metric.score(step, self.given))

    @cached_property
    def truth(self) -> float | None:
        """The same quantity of the clean clip, worked out once for all methods."""
        return _finite(self.card, self.metric.own(self.given)) if self.given else None


Judge: TypeAlias = FrameJudge | FeatureJudge | StepJudge


@dataclass
class Judging:
    """The metrics of a video, and its clean frames as those of time need them: two at a time."""

    single: list[Metric]
    temporal: list[TemporalMetric]
    lpips: Lpips | None
    """The LPIPS of tLP, where LPIPS itself is wanted too."""
    _before: Moment | None = None

    @classmethod
    def open(cls, measures: Sequence[Measure], device: str) -> Judging:
        """Open the metrics."""
        temporal = [m.open_temporal(device) for m in measures if m.card.temporal]
        shared = _shared(measures)
        return cls(
            [m.open(device) for m in measures if not m.card.temporal and m is not shared],
            temporal,
            next((t.lpips for t in temporal if shared and isinstance(t, PerceptualChange)), None),
        )

    def judges(self, index: int, given: Given) -> list[Judge]:
        """Take in the next frame of the dataset; return what judges the restored ones."""
        now = Moment(given.clean) if given.clean is not None and self.temporal else None
        step = Step(self._before, now) if self._before is not None and now is not None else None
        self._before = now
        judges: list[Judge] = [FrameJudge(metric, given) for metric in self.single]
        if self.lpips is not None and now is not None:
            judges.append(FeatureJudge(self.lpips, now))
        return [*judges, *(StepJudge(metric, index == 0, step) for metric in self.temporal)]

    def miss(self) -> None:
        """Note that the next frame of the dataset is not there."""
        self._before = None


def _shared(measures: Sequence[Measure]) -> Measure | None:
    """Return LPIPS, if tLP is wanted too and both are computed in the same way."""
    named = {measure.name: measure for measure in measures}
    lpips, tlp = named.get("lpips"), named.get("tlp")
    if lpips is None or tlp is None:
        return None
    same = (lpips.params, lpips.backend, lpips.weights) == (tlp.params, tlp.backend, tlp.weights)
    return lpips if same else None


def _finite(card: MetricCard, value: float) -> float | None:
    """Return a value, None where its metric says that it is undefined; raise if it is not one."""
    if math.isnan(value) and (card.coverage or card.temporal):
        return None
    if not math.isfinite(value):
        raise InputError(f"the value is {value}")
    return float(value)
