"""Change the colours of a window as a whole: what a student sees of real snow, eq. 14 of SemiVDN.

Photometric alone, so that teacher and student see the same pixels at the same places, and the same
in all frames, so that the window stays a film. Jitter of 0.4, 0.4, 0.4 and 0.1 (brightness,
contrast, saturation, hue) and a blur in one of two windows.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Window: TypeAlias = NDArray[np.float32]
"""[T, H, W, 3] in [0, 1]."""

JITTER = 0.4
HUE = 0.1
"""Of the whole circle, either way."""
BLURRED = 0.5
SIGMA_PX = (0.1, 2.0)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def strengthened(window: Window, chance: np.random.Generator) -> Window:
    """Return a window with other colours, perhaps blurred, in [0, 1]; `chance` is drawn from."""
    factors = 1 + JITTER * (2 * chance.random(3) - 1)
    turn = HUE * (2 * chance.random() - 1)
    changes = [
        lambda frames: frames * factors[0],
        lambda frames: mixed(frames, np.mean(frames @ LUMA), factors[1]),
        lambda frames: mixed(frames, (frames @ LUMA)[..., None], factors[2]),
        lambda frames: turned(frames, turn),
    ]
    for number in np.argsort(chance.random(4)):
        window = np.clip(changes[number](window), 0, 1).astype(np.float32)
    blurs, sigma = chance.random(2)
    if blurs >= BLURRED:
        return window
    return blurred(window, SIGMA_PX[0] + sigma * (SIGMA_PX[1] - SIGMA_PX[0]))


def mixed(frames: Window, other: NDArray[np.float32] | np.float32, factor: float) -> Window:
    """Return `other` plus `factor` times what the frames differ from it."""
    values: Window = other + np.float32(factor) * (frames - other)
    return values


def turned(frames: Window, turn: float) -> Window:
    """Return the frames with the hue turned by a part of the circle."""
    stack = frames.reshape(-1, *frames.shape[2:])  # cv2 takes one picture, however high
    hsv = cv2.cvtColor(np.ascontiguousarray(stack), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * turn) % 360
    shown: Window = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).reshape(frames.shape)
    return shown


def blurred(frames: Window, sigma_px: float) -> Window:
    """Return each frame blurred by a Gaussian."""
    blur = [cv2.GaussianBlur(frame, (0, 0), sigma_px) for frame in frames]
    return np.stack(blur)
