"""Optical flow, with which neighbours are aligned: SPyNet, or OpenCV's DIS without weights.

A flow [N, 2, H, W] from a reference to a support frame says, in pixels (x, then y), where in the
support frame the reference's pixel is found; `warp` brings the support frame to the reference.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvsd_bench.baselines.precision import at_least_float32, full_precision


class SPyNet(nn.Module):
    """Spatial pyramid network for optical flow (Ranjan and Black, CVPR 2017), from coarse to fine.

    It gives changes of the flow level by level; `start_still` makes the untrained one see none.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_level() for _ in range(levels))

    def start_still(self) -> None:
        """Set the last convolution of every level to zero."""
        for level in self.levels:
            for parameter in list(level.parameters())[-2:]:
                nn.init.zeros_(parameter)

    def forward(self, reference: Tensor, support: Tensor) -> Tensor:
        """Return the flow between frames [N, 3, h, w] of any size.

        Frames too small to be halved often enough, down to 2 pixels, use only the finest levels.
        """
        height, width = reference.shape[-2:]
        used = max(1, min(len(self.levels), min(height, width).bit_length() - 1))
        step = 2 ** (used - 1)
        edges = (0, -width % step, 0, -height % step)
        pyramid = [F.pad(torch.cat([reference, support], 1), edges, mode="replicate")]
        for _ in range(used - 1):
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
        flow = at_least_float32(torch.zeros_like(pyramid[0][:, :2]))
        for level, pair in zip(list(self.levels)[-used:], pyramid):
            if flow.shape[-2:] != pair.shape[-2:]:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear")
            seen = torch.cat([pair[:, :3], warp(pair[:, 3:], flow), flow.to(pair.dtype)], 1)
            flow = flow + level(seen)
        return flow[..., :height, :width]


def warp(support: Tensor, flow: Tensor) -> Tensor:
    """Return support [N, C, H, W] as seen from the reference; beyond its edge the edge goes on.

    The interpolation is bilinear and in float32, under autocast too: half a float's digits would
    move pixels.
    """
    with full_precision(support):
        height, width = support.shape[-2:]
        support, flow = at_least_float32(support), at_least_float32(flow)
        x = torch.arange(width, device=flow.device) + flow[:, 0]
        y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
        grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
        return F.grid_sample(
            support, grid.to(support.dtype), padding_mode="border", align_corners=True
        )


def visible(flow: Tensor) -> Tensor:
    """Return where the pixel that a flow points at lies in the support frame, bool [N, 1, H, W]."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, :1]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1:]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def shrink_flow(flow: Tensor, factor: int) -> Tensor:
    """Return a flow for frames that are smaller by a whole factor."""
    return F.avg_pool2d(flow, factor) / factor if factor > 1 else flow


def enlarge_flow(flow: Tensor, factor: int) -> Tensor:
    """Return a flow for frames that are larger by a whole factor."""
    if factor == 1:
        return flow
    return factor * F.interpolate(flow, scale_factor=factor, mode="bilinear")


def dis_flow(reference: Tensor, support: Tensor) -> Tensor:
    """Return the flow between frames [N, 3, H, W] in [0, 1] by dense inverse search.

    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, in OpenCV's version,
    on the CPU; it passes no gradient.
    """
    import cv2
    import numpy as np

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [
        (frames.detach().float().mean(1).clamp(0, 1) * 255).round().byte().cpu().numpy()
        for frames in (reference, support)
    ]
    flows = [search.calc(first, second, None) for first, second in zip(*grey)]
    stacked = torch.from_numpy(np.stack(flows).astype(np.float32))
    return stacked.permute(0, 3, 1, 2).to(reference.device)


def _level() -> nn.Sequential:
    """Return one level: 8 channels (both frames and the flow so far) to a change of the flow."""
    widths = (8, 32, 64, 32, 16, 2)
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 7, padding=3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])
