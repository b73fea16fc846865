"""Restore a few videos a second time, and tell how far the two runs of a model lie apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.validation import Problem

AUDITED = 2
"""Videos of a run, its first ones, that a confined model restores twice."""
REPEATABLE_DB = 0.01
"""How far the PSNR of two runs may lie apart."""
_MICRO = 1e-6
_LEAST = 1e-4
"""The least mean squared error that counts: 88 dB, so that equal frames have a finite PSNR."""


@dataclass
class Audit:
    """A second run of a model over the same video, read frame by frame beside the first."""

    again: Callable[[int], Frame]
    """Returns the next frame of the second run; raises InputError if there is none."""
    frames: int = 0
    levels: int = 0
    """By how much one value of the two differs, at most."""
    apart_db: float = 0.0
    """The sum over the frames of how much higher the PSNR of the first is."""
    failed: bool = False

    def see(self, index: int, frame: Frame, clean: Frame | None) -> None:
        """Take in the next frame of the first run and its truth."""
        if self.failed:
            return
        try:
            other = self.again(index)
        except InputError:
            self.failed = True
            return
        self.frames += 1
        levels = int(cv2.absdiff(frame, other).max())
        self.levels = max(self.levels, levels)
        if levels and clean is not None:
            self.apart_db += _psnr(frame, clean) - _psnr(other, clean)

    def evidence(self) -> dict[str, int]:
        """Return what was found, as whole numbers to be kept with a video's scores."""
        apart = abs(self.apart_db) / max(self.frames, 1)
        return {
            "audited": self.frames,
            "audit_levels": self.levels,
            "audit_micro_db": round(apart / _MICRO),
            "audit_failed": int(self.failed),
        }


def judge_audit(method: str, video: str, seen: Mapping[str, int]) -> Iterator[Problem]:
    """Yield the finding that a model's numbers cannot be repeated, if the evidence says so."""
    if seen.get("audit_failed"):
        text = "a second run failed where the first did not"
        yield Problem("warning", "nondeterministic", method, video, text)
    elif (apart := seen.get("audit_micro_db", 0) * _MICRO) > REPEATABLE_DB:
        text = (
            f"two runs differ by {apart:.2g} dB of PSNR, by {seen['audit_levels']} levels at most"
        )
        yield Problem("warning", "nondeterministic", method, video, text)


def summed_up(seen: Sequence[Mapping[str, int]]) -> dict[str, float] | None:
    """Return what the audits of a method's videos found, for the manifest; None without any."""
    audited = [one for one in seen if one.get("audited")]
    if not audited:
        return None
    return {
        "videos": len(audited),
        "max_abs_diff": max(one["audit_levels"] for one in audited),
        "psnr_diff_db": round(max(one["audit_micro_db"] for one in audited) * _MICRO, 6),
    }


def _psnr(frame: Frame, clean: Frame) -> float:
    squares = cv2.norm(np.ascontiguousarray(frame), clean, cv2.NORM_L2SQR) / frame.size
    return -10 * math.log10(max(squares, _LEAST) / 255**2)
