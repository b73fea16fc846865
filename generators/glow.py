"""Light the air of a night around the lamps that a clip shows.

Lamps are what is brighter than a threshold in linear light. What they shed on the air, and on the
flakes in it, is found from the clean frames: three blurs of the lamps, averaged over a few frames
around each frame, which keeps noise and blinking out. No other state goes into a frame.

In thin air the light that is scattered once falls as (pi - angle) / sin(angle) around a lamp, and
grows with the air before it: a lamp near by has no glow.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.colour import encode_srgb, lin16
from rvsd_bench.generators.lightmap import CELL, cells
from rvsd_bench.generators.scene import Light

WINDOW = 5
"""Frames, centred, over which lamps are averaged."""
SPREADS = (0.008, 0.03, 0.08)
"""Standard deviations of the blurs, in widths of the picture. The narrow one keeps a lamp white:
the camera clipped its light, so that haze would make it grey."""
SHARES = (0.15, 0.25, 0.6)
"""Of the light, by blur: together they fall about as one over the angle."""


@dataclass(frozen=True, eq=False)
class Glow:
    """The light of the air at each frame of one clip; access has no memory but a cache."""

    clip: Clip
    """A copy with a place of its own in the file: the glow reads ahead of the renderer."""
    ambient: NDArray[np.float64]
    """Linear RGB [3], away from all lamps."""
    light: Light
    domain: str
    _lamps: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def at(
        self,
        index: int,
        frame: Frame | None = None,
        opaque: NDArray[np.float32] | None = None,
    ) -> NDArray[np.uint16]:
        """Return the light of the air in the composing domain, uint16 [ceil(H/8), ceil(W/8), 3].

        `frame` spares reading frame `index`. Where the clip ends the window is shorter. `opaque` is
        1 - T down to what each cell shows; without it lamps lie as deep as all that is around them.
        """
        first = max(0, index - WINDOW // 2)
        window = range(first, min(len(self.clip), index + WINDOW // 2 + 1))
        for gone in [key for key in self._lamps if key not in window]:
            del self._lamps[gone]
        for near in window:
            if near not in self._lamps:
                picture = frame if near == index and frame is not None else self.clip[near]
                self._lamps[near] = lamps(picture, self.light.lamp_threshold)
        mean = np.mean([self._lamps[near] for near in window], axis=0)
        shed = np.float32(self.light.lamp_glow) * _shed(mean, opaque, self.clip.size[1])
        linear = 1 - (1 - self.ambient) * np.exp(-shed.astype(np.float64))
        value = linear if self.domain == "linear" else encode_srgb(linear)
        return np.rint(65535 * value).astype(np.uint16)


def glow_of(clip: Clip, ambient: NDArray[np.float64], light: Light, domain: str) -> Glow:
    """Return the glow of the lamps in a clip over an ambient light, linear RGB [3]."""
    return Glow(copy.deepcopy(clip), ambient, light, domain)


def facts() -> dict[str, Any]:
    """Return what `meta` records of how the map was made and is stored."""
    return {
        "cell_px": CELL,
        "window_frames": WINDOW,
        "spreads_of_width": list(SPREADS),
        "shares": list(SHARES),
    }


def lamps(frame: Frame, threshold: float) -> NDArray[np.float32]:
    """Return how far lamps exceed a threshold in linear light, each cell's mean, float32 RGB."""
    import cv2

    over = np.maximum(lin16() / np.float32(65535) - np.float32(threshold), 0).astype(np.float32)
    rows, columns = cells((frame.shape[0], frame.shape[1]))
    below, beside = rows * CELL - frame.shape[0], columns * CELL - frame.shape[1]
    whole = cv2.copyMakeBorder(frame, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    shone = cv2.LUT(whole, over)
    return np.asarray(cv2.resize(shone, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _shed(
    lamps: NDArray[np.float32], opaque: NDArray[np.float32] | None, width: int
) -> NDArray[np.float32]:
    """Return what lamps shed on the air, before each cell's own 1 - T, by which it will be seen.

    The glow belongs to the air before the lamp. Before something nearer there is no more of it than
    the air there can hold; before something farther it is the lamp's.
    """
    around = _blurred(lamps, width)
    if opaque is None:
        return around
    before = _blurred(lamps * opaque[..., None], width)
    return np.minimum(around, before / np.maximum(opaque, np.float32(1e-4))[..., None])


def _blurred(lamps: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the sum of the blurs; beyond the picture there is no lamp to be known of."""
    import cv2

    parts = [
        np.float32(share)
        * cv2.GaussianBlur(lamps, (0, 0), spread * width / CELL, borderType=cv2.BORDER_CONSTANT)
        for spread, share in zip(SPREADS, SHARES, strict=True)
    ]
    return np.asarray(np.sum(parts, axis=0), np.float32)
