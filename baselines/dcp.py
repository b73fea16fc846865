"""Remove haze by the dark channel prior after a median over time: the honest classical baseline.

He, Sun and Tang, "Single Image Haze Removal Using Dark Channel Prior" (CVPR 2009; PAMI 2011, whose
equation numbers stand below), with their guided filter (ECCV 2010; PAMI 2013) in place of soft
matting. Values are display-referred, as in the papers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.baselines.median import temporal_median
from rvsd_bench.errors import InputError
from rvsd_bench.guided import guided_filter

if TYPE_CHECKING:
    from torch import Tensor

Image = NDArray[np.float32]

CARD = ModelInfo(
    name="dcp",
    window=5,
    emits="center",
    tiling="discouraged",
    about="the dark channel prior with a guided filter, after a temporal median",
    paper="He, Sun, Tang: Single Image Haze Removal Using Dark Channel Prior, CVPR 2009",
    cite="he2009dark",
    licence="Apache-2.0",
    trained_on="nothing",
    deviations=(
        "a median over 3 frames takes most flakes away before the haze is looked at",
        "the atmospheric light is one for a window of 5 frames, so that it does not flicker, and "
        "the mean of the 0.1 % of the pixels instead of the brightest of them",
        "omega is 0.4: in snow, whose haze is light, the papers' 0.95 darkens more than it clears",
        "the guided filter replaces soft matting, as in the authors' later paper",
    ),
)


@dataclass(frozen=True)
class Parameters:
    """What the method can be told; lengths in pixels."""

    k: int = 3
    """Frames of the temporal median, odd; 1: none."""
    omega: float = 0.4
    """The share of the haze that is removed (eq. 12); the papers say 0.95."""
    patch: int = 15
    radius: int = 40
    """Of the guided filter's window."""
    eps: float = 1e-3
    """Of the guided filter: variances of the picture below it are smoothed over."""
    t0: float = 0.1
    """The least transmission that is divided by (eq. 22)."""


@dataclass(frozen=True)
class DarkChannel:
    """The restorer: a median over time, then the dark channel prior on the middle frame."""

    parameters: Parameters
    info: ModelInfo

    def __call__(self, clip: Tensor) -> Tensor:
        """Restore the middle frame of each window, leave the others as they are."""
        middle, half = clip.shape[1] // 2, self.parameters.k // 2
        still = temporal_median(clip[:, middle - half : middle + half + 1])
        stillest = temporal_median(clip)
        restored = clip.clone()
        for item, (frame, around) in enumerate(zip(still, stillest)):
            dehazed = dehaze(_to_array(frame), _to_array(around), self.parameters)
            restored[item, middle] = clip.new_tensor(dehazed.transpose(2, 0, 1))
        return restored


def dehaze(image: Image, around: Image, parameters: Parameters) -> Image:
    """Return the scene's radiance (eq. 22) behind the haze of a picture, both [H, W, 3].

    `around` is the picture in which the atmospheric light is looked for.
    """
    light = atmospheric_light(around, parameters.patch)
    rough = transmission(image, light, omega=parameters.omega, patch=parameters.patch)
    grey: Image = image.mean(axis=2)
    fine = guided_filter(grey, rough, radius=parameters.radius, eps=parameters.eps)
    t: Image = np.clip(fine, np.float32(parameters.t0), np.float32(1))[..., None]
    # Eq. 22 as a correction: where there is no haze, not a bit of the picture changes.
    restored: Image = image + (image - light) * (np.float32(1) / t - np.float32(1))
    return restored


def dark_channel(image: Image, patch: int) -> Image:
    """Return the least value of any channel in the patch around each pixel (eq. 5), [H, W]."""
    import cv2

    window = np.ones((patch, patch), np.uint8)
    darkest: Image = cv2.erode(image.min(axis=2), window)
    return darkest


def atmospheric_light(image: Image, patch: int) -> Image:
    """Return the mean colour of the 0.1 % of the pixels whose dark channel is brightest, [3]."""
    dark = dark_channel(image, patch).ravel()
    count = max(1, dark.size // 1000)
    brightest = np.argpartition(dark, -count)[-count:]
    light: NDArray[np.float64] = image.reshape(-1, 3)[brightest].mean(axis=0, dtype=np.float64)
    return light.astype(np.float32)


def transmission(image: Image, light: Image, *, omega: float, patch: int) -> Image:
    """Return the transmission by the prior, blockwise constant as the patches are (eq. 12)."""
    seen = image / light.clip(min=1 / 255)
    return (1 - omega * dark_channel(seen, patch)).astype(np.float32)


def build(
    k: int = 3,
    omega: float = 0.4,
    patch: int = 15,
    radius: int = 40,
    eps: float = 1e-3,
    t0: float = 0.1,
) -> VideoRestorer:
    """Return the restorer; see `Parameters` for the meaning and units of the options."""
    checks = {
        "k must be an odd number of frames": k >= 1 and k % 2 == 1,
        "omega must lie in 0..1": 0 <= omega <= 1,
        "patch must be an odd number of pixels": patch >= 1 and patch % 2 == 1,
        "radius must be at least 1 pixel": radius >= 1,
        "eps must be above 0": eps > 0,
        "t0 must lie in 0..1, above 0": 0 < t0 <= 1,
    }
    for rule, holds in checks.items():
        if not holds:
            raise InputError(f"dcp: {rule}")
    parameters = Parameters(k, omega, patch, radius, eps, t0)
    return DarkChannel(parameters, replace(CARD, window=k + 2, facts=asdict(parameters)))


def _to_array(frame: Tensor) -> Image:
    """Turn [3, H, W] on any device into a contiguous [H, W, 3]."""
    array: Image = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy(), np.float32)
    return array
