"""Ask a network for the depth of single frames: Depth Anything V2, small (Apache-2.0).

Yang et al., Depth Anything V2, NeurIPS 2024. The network and its library are the extra `[depth]`.
Only weights that already lie in the hub's cache on this machine are used; nothing is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import MissingError

MODEL = "depth-anything/Depth-Anything-V2-Small-hf"
LICENCE = "Apache-2.0"
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
ABSENT = f"no monocular depth: the extra [depth], or {MODEL}, is not on this machine"
NEAR_M = 3.0
"""Depth of what is nearer than all but 2 % of a clip: the network knows no unit."""
MOST_FRAMES = 16
STEPS = 4096
"""Nearness is rounded, so that the last bits of a processor's arithmetic rarely reach the haze."""


@dataclass(frozen=True)
class MonoDepth:
    """Depth by the network, on one scale all through a clip, aligned with the edges of each frame.

    The network gives nearness up to a factor and an offset. These are fixed for the clip by its 2nd
    and 98th percentiles over up to 16 frames, never frame by frame, which would flicker.
    """

    clip: Clip
    folder: Path
    far_m: float
    scale: tuple[float, float]
    """What the network says of the far and of the near end."""
    name: str = "mono"

    @property
    def facts(self) -> dict[str, Any]:
        """Name the model, its revision and licence, and the scale."""
        return {
            "source": self.name,
            "model": MODEL,
            "revision": self.folder.name,
            "licence": LICENCE,
            "nearness": list(self.scale),
            "near_m": NEAR_M,
            "far_m": self.far_m,
        }

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W]."""
        from rvsd_bench.generators.aligning import edge_align

        picture = self.clip[index] if frame is None else frame
        low, high = self.scale
        level = np.clip((nearness(picture, self.folder) - low) / (high - low), 0, 1)
        level = np.rint(level * STEPS) / STEPS
        inverse = 1 / self.far_m + level * (1 / NEAR_M - 1 / self.far_m)
        return edge_align(np.asarray(1 / inverse, np.float32), picture, self.far_m)


def open_mono(clip: Clip, far_m: float) -> MonoDepth:
    """Open the network's depth of a clip; raise MissingError if it is not on this machine."""
    folder = weights_folder()
    if folder is None:
        raise MissingError(
            f"{ABSENT}: pip install 'rvsd-bench[depth]', and put the model into the hub's cache "
            f"(huggingface-cli download {MODEL})"
        )
    indices = np.unique(np.linspace(0, len(clip) - 1, min(MOST_FRAMES, len(clip))).astype(int))
    ends = [np.percentile(nearness(clip[int(i)], folder), (2, 98)) for i in indices]
    low, high = (float(value) for value in np.median(ends, axis=0))
    return MonoDepth(clip, folder, far_m, (low, max(high, low + 1e-6)))


def weights_folder() -> Path | None:
    """Return where the model lies on this machine; None if it, or its library, is not there."""
    if find_spec("transformers") is None or find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    files = [try_to_load_from_cache(MODEL, file) for file in FILES]
    if not all(isinstance(file, str) for file in files):
        return None
    return Path(str(files[0])).parent


def nearness(frame: Frame, folder: Path) -> NDArray[np.float64]:
    """Return how near each pixel is, float64 [H, W], larger is nearer, in no unit."""
    from PIL import Image

    predicted = network(folder)(Image.fromarray(frame))["predicted_depth"]
    values = np.asarray(predicted.detach().cpu().numpy(), np.float64).squeeze()
    if values.shape != frame.shape[:2]:
        import cv2

        values = np.asarray(cv2.resize(values, frame.shape[1::-1]), np.float64)
    return values


@cache
def network(folder: Path) -> Any:
    """Load the network once per process, from a folder and from nowhere else."""
    from transformers import pipeline

    return pipeline("depth-estimation", model=str(folder), device="cpu")
