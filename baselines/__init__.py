"""Restorers of snowy video: trivial references, classical priors, and the form all models take.

Importing this package loads neither torch nor cv2; a model does when it is built or run.
"""

from rvsd_bench.baselines.info import (
    CenterModel,
    ClipModel,
    FrameModel,
    ModelInfo,
    StagedRestorer,
    VideoRestorer,
)
from rvsd_bench.baselines.loading import load, pick_device
from rvsd_bench.baselines.spec import Spec, method_id, parse, slug

__all__ = [
    "CenterModel",
    "ClipModel",
    "FrameModel",
    "ModelInfo",
    "Spec",
    "StagedRestorer",
    "VideoRestorer",
    "load",
    "method_id",
    "parse",
    "pick_device",
    "slug",
]
