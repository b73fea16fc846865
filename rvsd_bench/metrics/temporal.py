"""Measure how a restored clip moves and flickers, two frames in succession at a time.

What moves where is taken from the clean clip alone, so that no method decides it: optical flow by
dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016;
OpenCV's preset `fast`) over the luma of the clean frames. The clean clip's share of the work is
done once for all methods.

A method may score better than the clean clip on an error that looks at its own frames only: a blur
or a standing picture warps onto itself without error. Every metric therefore has `own`, the same
quantity of the clean clip. For the warping error it is the floor that a faithful method meets. The
others compare that quantity with the clean clip's, so that their floor is 0, and `own` is what a
clip that stands still would score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.metrics.card import CARDS, MetricCard, require_same_size, require_size

if TYPE_CHECKING:
    from rvsd_bench.metrics.perceptual import Features, Lpips
    from rvsd_bench.weights.store import WeightsFile

Flow: TypeAlias = NDArray[np.float32]
"""float32 [H, W, 2], x and y, in pixels."""

SMALLEST_PX = 32
"""Smaller frames are continued at their edges for the flow; OpenCV's pyramid ends there."""
# A pixel is visible in both frames where the flow there and back ends so near to where it began
# (Sundaram, Brox and Keutzer, ECCV 2010): squared pixels, of the squared lengths and at least.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


@dataclass(frozen=True)
class Moment:
    """One frame of a clip, with what has been found in it so far."""

    frame: Frame
    _found: dict[str, Features] = field(default_factory=dict, compare=False)

    @cached_property
    def luma(self) -> NDArray[np.uint8]:
        """The frame's luma, rounded, uint8 [H, W]."""
        return np.asarray(cv2.cvtColor(self.frame, cv2.COLOR_RGB2GRAY), np.uint8)

    def features(self, lpips: Lpips) -> Features:
        """Return the frame's deep features, kept since a frame ends one pair and opens the next."""
        if lpips.channels not in self._found:
            self._found[lpips.channels] = lpips.prepare(self.frame)
        return self._found[lpips.channels]


@dataclass(frozen=True)
class Step:
    """Two frames of one clip in succession."""

    before: Moment
    now: Moment

    @cached_property
    def flow(self) -> Flow:
        """How far each pixel of the first frame moves until the second."""
        return optical_flow(self.before.luma, self.now.luma)

    @cached_property
    def back(self) -> Flow:
        """How far each pixel of the second frame is from where it was in the first."""
        return optical_flow(self.now.luma, self.before.luma)

    @cached_property
    def origin(self) -> Flow:
        """Where in the first frame each pixel of the second one comes from, as coordinates."""
        return self.back + _grid(self.back)

    @cached_property
    def visible(self) -> NDArray[np.uint8]:
        """Which pixels of the second frame are also seen in the first: uint8 [H, W], 0 or 1."""
        height, width = self.origin.shape[:2]
        there = warp(self.flow, self.origin)
        apart = _squared_length(there + self.back)
        lengths = _squared_length(there) + _squared_length(self.back)
        inside = cv2.inRange(self.origin, (0, 0), (width - 1, height - 1)) > 0
        return np.asarray(inside & (apart < _RELATIVE * lengths + _ABSOLUTE), np.uint8)

    @cached_property
    def change(self) -> NDArray[np.int16]:
        """The second frame less the first, in grey levels, int16 [H, W, 3]."""
        return np.asarray(cv2.subtract(self.now.frame, self.before.frame, dtype=cv2.CV_16S))


class TemporalMetric(Protocol):
    """Scores two restored frames in succession against the same two frames of the clean clip."""

    @property
    def card(self) -> MetricCard:
        """The description of the metric."""

    @property
    def weights(self) -> WeightsFile | None:
        """The weights file in use, for the record; None where there is none."""

    def score(self, step: Step, truth: Step) -> float:
        """Return the score; nan where it is undefined (nothing is seen in both frames)."""

    def own(self, truth: Step) -> float:
        """Return the same quantity of the clean clip, which tells what a score is worth."""


@dataclass(frozen=True)
class WarpingError:
    """Mean squared error of a frame against the one before it, moved along the clean clip's flow.

    Over RGB in [0, 1] and the pixels that the clean clip shows in both frames (Lai et al.,
    "Learning Blind Video Temporal Consistency", ECCV 2018).
    """

    card: MetricCard = CARDS["warp_err"]
    weights: None = None

    def score(self, step: Step, truth: Step) -> float:
        """Return the error, nan where no pixel is seen in both frames."""
        _require_like(self.card, step, truth)
        count = cv2.countNonZero(truth.visible)
        if not count:
            return math.nan
        moved = warp(step.before.frame.astype(np.float32), truth.origin)
        now = step.now.frame.astype(np.float32)
        squares = cv2.norm(now, moved, cv2.NORM_L2SQR, truth.visible)
        return squares / (3 * count * 255.0**2)

    def own(self, truth: Step) -> float:
        """Return the clean clip's error: what interpolation, light and the flow leave."""
        return self.score(truth, truth)


@dataclass(frozen=True)
class FlowDifference:
    """tOF: the mean distance, in pixels, between the flow of the restored and of the clean clip.

    Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation",
    ACM TOG 39(4), 2020, with the flow of this module.
    """

    card: MetricCard = CARDS["tof"]
    weights: None = None

    def score(self, step: Step, truth: Step) -> float:
        """Return the mean length of the difference of the flows."""
        _require_like(self.card, step, truth)
        return _mean_length(step.flow - truth.flow)

    def own(self, truth: Step) -> float:
        """Return how far the clean clip moves."""
        return _mean_length(truth.flow)


@dataclass(frozen=True)
class PerceptualChange:
    """tLP: by how much the LPIPS between two frames in succession differs from the clean clip's.

    Chu et al., as for tOF.
    """

    lpips: Lpips
    card: MetricCard = CARDS["tlp"]

    @property
    def weights(self) -> WeightsFile | None:
        """The weights of LPIPS."""
        return self.lpips.weights

    def score(self, step: Step, truth: Step) -> float:
        """Return the absolute difference of the two distances."""
        _require_like(self.card, step, truth)
        return abs(self.own(step) - self.own(truth))

    def own(self, truth: Step) -> float:
        """Return the LPIPS between the two frames of a step."""
        require_size(self.card, truth.now.frame)
        before, now = (moment.features(self.lpips) for moment in (truth.before, truth.now))
        return self.lpips.distance(before, now)


@dataclass(frozen=True)
class Flicker:
    """The mean absolute difference, over RGB in [0, 1], of what changes between the frames."""

    card: MetricCard = CARDS["flicker"]
    weights: None = None

    def score(self, step: Step, truth: Step) -> float:
        """Return the mean of |(p_t - p_t-1) - (g_t - g_t-1)|."""
        _require_like(self.card, step, truth)
        return cv2.norm(step.change, truth.change, cv2.NORM_L1) / (truth.change.size * 255.0)

    def own(self, truth: Step) -> float:
        """Return the mean of |g_t - g_t-1|."""
        return cv2.norm(truth.change, cv2.NORM_L1) / (truth.change.size * 255.0)


def open_temporal(
    card: MetricCard, choices: Mapping[str, Any], device: str, file: WeightsFile | None
) -> TemporalMetric:
    """Open `warp_err`, `tof`, `tlp` or `flicker`; `choices` are those of LPIPS for `tlp`."""
    if file is not None:
        from rvsd_bench.metrics.perceptual import open_lpips

        return PerceptualChange(open_lpips(file, device=device, **choices))
    made: dict[str, TemporalMetric] = {
        metric.card.name: metric for metric in (WarpingError(), FlowDifference(), Flicker())
    }
    return made[card.name]


def optical_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Flow:
    """Return how far each pixel of one luma plane moves to be in the other."""
    height, width = first.shape
    edges = (0, max(0, SMALLEST_PX - height), 0, max(0, SMALLEST_PX - width))
    if any(edges):
        first, second = (
            np.asarray(cv2.copyMakeBorder(plane, *edges, cv2.BORDER_REPLICATE), np.uint8)
            for plane in (first, second)
        )
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = search.calc(first, second, None)  # type: ignore[call-overload]
    return np.ascontiguousarray(flow[:height, :width], np.float32)


def warp(values: NDArray[np.float32], origin: Flow) -> NDArray[np.float32]:
    """Return the values at the places that `origin` names, interpolated between pixels."""
    moved = cv2.remap(values, origin, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _grid(flow: Flow) -> Flow:
    """Return the coordinates of the pixels themselves."""
    height, width = flow.shape[:2]
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def _mean_length(vectors: Flow) -> float:
    return float(np.mean(np.sqrt(_squared_length(vectors)), dtype=np.float64))


def _squared_length(vectors: Flow) -> NDArray[np.float32]:
    return np.asarray(np.einsum("yxc,yxc->yx", vectors, vectors), np.float32)


def _require_like(card: MetricCard, step: Step, truth: Step) -> None:
    for frame in (step.before.frame, step.now.frame):
        require_same_size(card, frame, truth.now.frame.shape)
