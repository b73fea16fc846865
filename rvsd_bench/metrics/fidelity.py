"""Measure fidelity to a clean frame: PSNR, SSIM, and PSNR inside and outside the snow.

The definitions are those of pyiqa's `psnr` and `ssim`, which RVSD's authors used, written from the
papers and made fast: separable filters in OpenCV, and the reference's share computed once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.metrics.card import CARDS, MetricCard, require_same_size, require_size

Plane = NDArray[np.float64]

_LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)  # YIQ's Y, full range
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma(frame: Frame) -> NDArray[np.float32]:
    """Return the full-range luma of an RGB frame, float32 [H, W] in [0, 255], not rounded."""
    # Through [0, 1] and float32, as pyiqa does: ties at .5 then round the same way.
    plane = cv2.transform(frame.astype(np.float32) / np.float32(255), _LUMA) * np.float32(255)
    return np.asarray(plane, np.float32).reshape(frame.shape[:2])


def decibel(mse: float, eps: float) -> float:
    """Return the PSNR of a mean squared error of values in [0, 1]; inf for 0 where eps is 0."""
    return math.inf if mse + eps == 0 else -10 * math.log10(mse + eps)


@dataclass(frozen=True)
class Psnr:
    """PSNR in dB over all three channels together, or over luma.

    `eps` is added to the mean squared error of values in [0, 1]: 1e-8 gives equal frames 80 dB.
    """

    color: Literal["rgb", "y"] = "rgb"
    eps: float = 1e-8
    card: MetricCard = CARDS["psnr"]
    weights: None = None

    def __post_init__(self) -> None:
        _require_colour(self.card, self.color)

    def prepare(self, reference: Frame, coverage: object = None) -> NDArray[np.generic]:
        """Return the clean frame, as RGB or luma."""
        require_size(self.card, reference)
        return reference if self.color == "rgb" else luma(reference)

    def score(self, frame: Frame, prepared: NDArray[np.generic]) -> float:
        """Return the PSNR of a frame in dB."""
        require_same_size(self.card, frame, prepared.shape)
        values = frame if self.color == "rgb" else luma(frame)
        squares = cv2.norm(values, prepared, cv2.NORM_L2SQR)
        return decibel(squares / (values.size * 255.0**2), self.eps)


@dataclass(frozen=True)
class Region:
    """A clean frame and the pixels to compare: uint8 [H, W, 3] and uint8 [H, W], 0 or 1."""

    reference: Frame
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class MaskedPsnr:
    """PSNR in dB over the pixels that snow covers, or over all others.

    A pixel counts as snow if flakes cover at least `threshold` of it. At the default of 1 % a
    flake changes a mid-grey pixel by about one 8-bit level, so what lies below is clear to the
    eye. The two regions share no pixel: their squared errors add up to that of `psnr`.
    """

    card: MetricCard
    threshold: float = 0.01
    eps: float = 1e-8
    weights: None = None

    def prepare(self, reference: Frame, coverage: NDArray[np.floating] | None = None) -> Region:
        """Return the clean frame and its region; `coverage` is float [H, W] in [0, 1]."""
        if coverage is None or coverage.shape != reference.shape[:2]:
            got = "none" if coverage is None else f"shape {list(coverage.shape)}"
            raise InputError(
                f"metric {self.card.name!r} needs the snow's coverage as float "
                f"{list(reference.shape[:2])} (the dataset's layers), got {got}"
            )
        snow = coverage >= self.threshold
        inside = snow if self.card.name == "psnr_snow" else ~snow
        return Region(reference, inside.astype(np.uint8))

    def score(self, frame: Frame, prepared: Region) -> float:
        """Return the PSNR of the region in dB, nan where the region is empty."""
        require_same_size(self.card, frame, prepared.mask.shape)
        count = 3 * cv2.countNonZero(prepared.mask)
        if not count:
            return math.nan
        squares = cv2.norm(frame, prepared.reference, cv2.NORM_L2SQR, prepared.mask)
        return decibel(squares / (count * 255.0**2), self.eps)


@dataclass(frozen=True)
class Statistics:
    """A clean plane and its local mean and variance, float64; the last two [H-10, W-10]."""

    plane: Plane
    mean: Plane
    variance: Plane


@dataclass(frozen=True)
class Ssim:
    """SSIM of luma, or the mean of the SSIMs of R, G and B.

    An 11 x 11 Gaussian of sigma 1.5 on values rounded to 0..255, the area where it fits, double
    precision, no downsampling (Wang et al. 2004). With `clamp` a negative contrast counts as 0.
    """

    color: Literal["y", "rgb"] = "y"
    clamp: bool = True
    card: MetricCard = CARDS["ssim"]
    weights: None = None

    def __post_init__(self) -> None:
        _require_colour(self.card, self.color)

    def prepare(self, reference: Frame, coverage: object = None) -> list[Statistics]:
        """Return the local statistics of the clean frame, one item for each plane."""
        require_size(self.card, reference)
        return [_statistics(plane) for plane in self._planes(reference)]

    def score(self, frame: Frame, prepared: list[Statistics]) -> float:
        """Return the SSIM of a frame, at most 1."""
        require_same_size(self.card, frame, prepared[0].plane.shape)
        maps = map(_terms, self._planes(frame), prepared)
        values = [
            float(np.mean(light * (np.maximum(contrast, 0) if self.clamp else contrast)))
            for light, contrast in maps
        ]
        return math.fsum(values) / len(values)

    def _planes(self, frame: Frame) -> list[Plane]:
        if self.color == "y":
            return [np.rint(luma(frame)).astype(np.float64)]
        return [frame[..., channel].astype(np.float64) for channel in range(3)]


def _local_mean(plane: Plane) -> Plane:
    window = cv2.getGaussianKernel(11, 1.5, cv2.CV_64F)
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, window, window)[5:-5, 5:-5])


def _statistics(plane: Plane) -> Statistics:
    mean = _local_mean(plane)
    return Statistics(plane, mean, _local_mean(plane * plane) - mean * mean)


def _terms(plane: Plane, clean: Statistics) -> tuple[Plane, Plane]:
    """Return the maps of the luminance term and of the contrast and structure term."""
    own = _statistics(plane)
    product = own.mean * clean.mean
    covariance = _local_mean(plane * clean.plane) - product
    light = (2 * product + _C1) / (own.mean**2 + clean.mean**2 + _C1)
    return light, (2 * covariance + _C2) / (own.variance + clean.variance + _C2)


def _require_colour(card: MetricCard, color: str) -> None:
    if color not in ("rgb", "y"):
        raise InputError(f"{card.name}: color must be 'rgb' or 'y', got {color!r}")


def open_fidelity(card: MetricCard, choices: Mapping[str, Any]) -> Psnr | Ssim | MaskedPsnr:
    """Open `psnr`, `ssim`, `psnr_snow` or `psnr_clear` with a protocol's choices."""
    if card.name == "ssim":
        return Ssim(**choices)
    return Psnr(**choices) if card.name == "psnr" else MaskedPsnr(card, **choices)
