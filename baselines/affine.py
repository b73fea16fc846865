"""Fit one gain and one offset per channel: what contrast alone can win, without seeing snow.

Haze lowers contrast, so a map of six numbers already gains several dB over the input. A method that
does not beat this row has not learned to remove snow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.clip import Frame, to_uint8
from rvsd_bench.data.dataset import Dataset, load, open_clean, open_snowy
from rvsd_bench.errors import InputError
from rvsd_bench.files import sha256_bytes

if TYPE_CHECKING:
    from torch import Tensor

CARD = ModelInfo(
    name="affine",
    about="one gain and one offset per channel, fitted to pairs",
    needs="a dataset with train/: the one that is evaluated, or affine?from=DIR",
    licence="Apache-2.0",
    trained_on="every 10th frame of the dataset's train/",
)
STEP = 10
"""Frames of train/ from one that is looked at to the next."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class AffineMap:
    """restored = gain · snowy + offset for each of R, G, B; values in [0, 1]."""

    gain: Triple
    offset: Triple
    frames: int
    """How many pairs of frames it was fitted on."""

    def apply(self, frame: Frame) -> Frame:
        """Return the mapped frame; the same bytes as the restorer of `build_affine` gives."""
        levels = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
        gain, offset = (np.array(three, np.float32) for three in (self.gain, self.offset))
        table = to_uint8(levels * gain + offset)
        return np.stack([table[frame[..., c], c] for c in range(3)], axis=-1)


@dataclass(frozen=True)
class Affine:
    """The restorer that applies a fitted map to every frame."""

    map: AffineMap
    info: ModelInfo

    def __call__(self, clip: Tensor) -> Tensor:
        """Map a clip [B, T, 3, H, W]; values may leave [0, 1]."""
        gain = clip.new_tensor(self.map.gain)[:, None, None]
        return clip * gain + clip.new_tensor(self.map.offset)[:, None, None]


def fit_affine(pairs: Iterable[tuple[Frame, Frame]]) -> AffineMap:
    """Fit the map by least squares over all pixels of (snowy, clean) pairs.

    The sums come from joint histograms and are exact integers, so neither the order of the pairs
    nor their number changes a digit. A channel that is constant in all snowy frames gets gain 1.
    """
    counts, frames = np.zeros((3, 65536), np.int64), 0
    for snowy, clean in pairs:
        if snowy.shape != clean.shape:
            raise InputError(
                f"affine: a snowy frame of {snowy.shape[1]}x{snowy.shape[0]} has a clean mate of "
                f"{clean.shape[1]}x{clean.shape[0]}"
            )
        joint = snowy.astype(np.int32) * 256 + clean
        for channel in range(3):
            counts[channel] += np.bincount(joint[..., channel].ravel(), minlength=65536)
        frames += 1
    if frames == 0:
        raise InputError("affine: there is not one pair of frames to fit to")
    (r, g, b) = (_line(channel.reshape(256, 256)) for channel in counts)
    return AffineMap((r[0], g[0], b[0]), (r[1], g[1], b[1]), frames)


def build_affine(fitted: AffineMap, *, trained_on: str = "") -> VideoRestorer:
    """Return the restorer that applies a fitted map; the six numbers are in its `info.facts`."""
    six = struct.pack("<6d", *fitted.gain, *fitted.offset)
    info = replace(
        CARD,
        trained_on=trained_on or CARD.trained_on,
        weights_sha256=sha256_bytes(six),
        facts={
            "gain": list(fitted.gain),
            "offset": list(fitted.offset),
            "frames": fitted.frames,
            "fitted_on": trained_on,
        },
    )
    return Affine(fitted, info)


def build(
    from_: Path | None = None, oracle: bool = False, data: Path | None = None
) -> VideoRestorer:
    """Return the map fitted to every 10th frame of `from_`/train, else of `data`/train.

    `data` is the dataset that is being evaluated. `oracle` fits to the truth of each test clip,
    which only the evaluator can do; it does not come here for it.
    """
    if oracle:
        raise InputError(
            "affine?oracle=1 is fitted to the truth of each test clip; only `evaluate` can do that"
        )
    root = from_ or data
    if root is None:
        raise InputError(
            "affine is fitted on pairs and was given none: name a dataset with train/ by "
            "affine?from=DIR"
        )
    try:
        videos = load(root, splits=("train",))
    except InputError as error:
        raise InputError(
            f"affine is fitted on the train/ of a dataset: {error}; name another by affine?from=DIR"
        ) from error
    fitted = fit_affine(_every_tenth(videos))
    seen = f"{fitted.frames} frames of {len(videos.videos)} clips of {videos.name}/train"
    return build_affine(fitted, trained_on=seen)


def _every_tenth(dataset: Dataset) -> Iterator[tuple[Frame, Frame]]:
    if not dataset.paired:
        raise InputError(
            f"affine is fitted on pairs, and {dataset.root} has no clean side; name a paired "
            "dataset by affine?from=DIR"
        )
    for video in dataset.videos:
        snowy, clean = open_snowy(video), open_clean(video)
        for index in range(0, len(snowy), STEP):
            yield snowy[index], clean[index]


def _line(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return gain and offset of one channel from its histogram [256 snowy, 256 clean]."""
    levels = np.arange(256, dtype=np.int64)
    of_x, of_y = counts.sum(axis=1), counts.sum(axis=0)
    # Python's integers do not overflow, and dividing two of them rounds once.
    n, x, y = int(of_x.sum()), int(of_x @ levels), int(of_y @ levels)
    xx, xy = int(of_x @ levels**2), int(levels @ counts @ levels)
    spread = n * xx - x * x
    if spread == 0:
        return 1.0, (y - x) / (255 * n)
    return (n * xy - x * y) / spread, (y * xx - x * xy) / (255 * spread)
