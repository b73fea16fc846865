"""Score with pyiqa itself (`--backend pyiqa`): slow, and the witness of our own implementations.

pyiqa is PolyForm-Noncommercial and optional. Its LPIPS downloads when it is constructed, so that
class is given our checked weights instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.metrics.card import MetricCard, require_same_size, require_size
from rvsd_bench.weights.store import WeightsFile, read_tensors

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Oracle:
    """One of pyiqa's full-reference metrics."""

    network: Callable[[Any, Any], Any]
    card: MetricCard
    device: str
    bgr: bool = False
    weights: WeightsFile | None = None

    def prepare(self, reference: Frame, coverage: object = None) -> torch.Tensor:
        """Return the clean frame as pyiqa wants it, float32 [1, 3, H, W] in [0, 1]."""
        import torch

        require_size(self.card, reference)
        ordered = reference[..., ::-1] if self.bgr else reference
        values = torch.from_numpy(np.ascontiguousarray(ordered)).to(self.device, torch.float32)
        return values.permute(2, 0, 1).unsqueeze(0) / 255

    def score(self, frame: Frame, prepared: torch.Tensor) -> float:
        """Return pyiqa's score of a frame."""
        import torch

        from rvsd_bench.metrics.perceptual import exact_arithmetic

        require_same_size(self.card, frame, tuple(prepared.shape[2:]))
        with torch.inference_mode(), exact_arithmetic():
            return float(self.network(self.prepare(frame), prepared))


def open_oracle(
    card: MetricCard, params: Mapping[str, Any], device: str, file: WeightsFile | None
) -> Oracle:
    """Open pyiqa's psnr, ssim or lpips with a protocol's parameters."""
    if not params.get("clamp", True):
        raise InputError("pyiqa's ssim always counts negative contrast as 0: use --backend native")
    if card.name == "psnr":
        from pyiqa.archs.psnr_arch import PSNR

        luma = params.get("color", "rgb") == "y"
        return Oracle(PSNR(test_y_channel=luma, eps=params.get("eps", 1e-8)), card, device)
    if card.name == "ssim":
        from pyiqa.archs.ssim_arch import SSIM

        return Oracle(SSIM(test_y_channel=params.get("color", "y") == "y"), card, device)
    assert file is not None, "lpips has weights"
    return Oracle(_lpips(file).to(device), card, device, params.get("channels") == "bgr", file)


def _lpips(file: WeightsFile) -> torch.nn.Module:
    from pyiqa.archs.lpips_arch import LPIPS, NetLinLayer, ScalingLayer
    from torch import nn
    from torchvision.models import alexnet

    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = alexnet(weights=None).features[:12]

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            outputs = []
            for layer in self.features:
                x = layer(x)
                if isinstance(layer, nn.ReLU):
                    outputs.append(x.clone())
            return outputs

    class Offline(LPIPS):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.version, self.lpips, self.spatial = "0.1", True, False
            self.semantic_weight_layer, self.L = -1, 5
            self.scaling_layer, self.net = ScalingLayer(), Trunk()
            self.lins = nn.ModuleList(NetLinLayer(c) for c in (64, 192, 384, 256, 256))

    network: torch.nn.Module = Offline()
    lins = {f"lin{i}.weight": f"lins.{i}.model.0.weight" for i in range(5)}
    state = {lins.get(name, name): tensor for name, tensor in read_tensors(file).items()}
    state |= {k: v for k, v in network.state_dict().items() if k.startswith("scaling_layer")}
    network.load_state_dict(state, strict=True)
    return network.eval()
