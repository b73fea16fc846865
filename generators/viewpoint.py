"""Tell a camera that looks down on a road, where no sky and no vanishing point are to be seen."""

from __future__ import annotations

import numpy as np

from rvsd_bench.clip import Clip
from rvsd_bench.generators.glimpses import evenly, small

OVERHEAD_HORIZON = -0.5
"""Half a picture above its top: with the usual lens the camera looks 32 degrees down or more."""
OVERHEAD_M = 6.0
"""Height of a lamp post, a gantry or a first floor."""
ALIKE = 10.0
"""In CIELAB: by how much asphalt above, in the middle and below may differ."""
SMOOTH = 0.003
"""Slope of luma per pixel; half of a road's pixels are smoother, leaves and walls are not."""


def looks_down(clip: Clip) -> bool:
    """Tell if a resting camera sees nothing but ground, all through a clip.

    Then the median of its frames, which what drives through leaves alone, is smooth, and has the
    same colour above, in the middle and below. Foliage and walls are rough; sky has its own colour.
    """
    import cv2

    indices = evenly(len(clip))
    luma = (
        cv2.cvtColor(clip[indices[len(indices) // 2]], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    )
    slopes = np.gradient(cv2.GaussianBlur(luma, (0, 0), 1.5))
    if np.median(np.hypot(*slopes)) > SMOOTH:
        return False
    frames = [small(clip, index) for index in indices]
    rough = [cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA) for frame in frames]
    usual = np.median(rough, axis=0).astype(np.float32) / 255
    colours = cv2.cvtColor(usual, cv2.COLOR_RGB2LAB)
    bands = [np.median(colours[rows], axis=(0, 1)) for rows in np.split(np.arange(36), 4)]
    return all(np.linalg.norm(a - b) < ALIKE for a in bands for b in bands)
