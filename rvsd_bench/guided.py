"""Smooth one picture along the edges of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def guided_filter(
    guide: NDArray[np.float32], source: NDArray[np.float32], *, radius: int, eps: float
) -> NDArray[np.float32]:
    """Return `source` as a locally linear function of `guide`, both float32 [H, W].

    He, Sun, Tang, Guided Image Filtering, PAMI 2013, eq. 5-8, with square windows of side
    2·radius + 1 and guide values in [0, 1]; an `eps` above the guide's local variance smooths.
    """
    slope, offset = guided_lines(guide, source, radius=radius, eps=eps)
    return slope * guide + offset


def guided_lines(
    guide: NDArray[np.float32], source: NDArray[np.float32], *, radius: int, eps: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return slope and offset of the guided filter's linear function at each pixel.

    They are smooth, so that they may be found on small pictures and used on large ones (He, Sun,
    Fast Guided Filter, arXiv 1505.00996, 2015).
    """
    import cv2

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        side = 2 * radius + 1
        blurred: NDArray[np.float32] = cv2.boxFilter(
            values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT
        )
        return blurred

    guide_mean, source_mean = mean(guide), mean(source)
    covariance = mean(guide * source) - guide_mean * source_mean
    slope = covariance / (mean(guide * guide) - guide_mean**2 + np.float32(eps))
    return mean(slope), mean(source_mean - slope * guide_mean)
