"""See pictures as a VGG-16 does: the features of the perceptual and contrastive losses.

Simonyan and Zisserman 2015, trained on ImageNet; the losses look at the layers that section 3.3 of
the SemiVDN paper names. Written in plain torch; no torchvision is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from rvsd_bench.errors import unknown
from rvsd_bench.weights.store import find, read_tensors

LAYERS = (3, 8, 15)
"""Whose outputs are returned, counted from 0 in torchvision's `features`: relu1_2, relu2_2 and
relu3_3, of 64, 128 and 256 channels at 1, 1/2 and 1/4 of the size."""
KINDS = ("vgg16", "none")

_STAGES = ((0, 2), (5, 7), (10, 12, 14))
# Of ImageNet's pictures, in [0, 1]: what the network was trained to see subtracted and divided by.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Vgg16:
    """VGG-16 up to relu3_3, which never learns: gradients pass through it to the pictures only."""

    tensors: Mapping[str, Tensor]
    """`features.0.weight` and so on, [out, in, 3, 3] and [out]."""
    normalise: bool = True
    """Shift and scale pictures as ImageNet's were for its training."""
    sha256: str = ""
    """Of the tensors."""

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """Return the features of RGB pictures [N, 3, H, W] in [0, 1]: three of [N, C, h, w]."""
        x = pictures
        if self.normalise:
            mean, deviation = (x.new_tensor(v).view(3, 1, 1) for v in (_MEAN, _DEVIATION))
            x = (x - mean) / deviation
        layers = []
        for number, stage in enumerate(_STAGES):
            x = F.max_pool2d(x, 2) if number else x
            for index in stage:
                kernel, bias = (self.tensors[f"features.{index}.{k}"] for k in ("weight", "bias"))
                x = F.conv2d(x, kernel, bias, padding=1).relu()
            layers.append(x)
        return layers


def open_features(
    kind: str = "vgg16",
    *,
    device: torch.device | str = "cpu",
    weights_dir: Path | None = None,
    normalise: bool = True,
) -> Vgg16 | None:
    """Return the network that losses see pictures with; None for `none`.

    Raises MissingError, which names `weights fetch vgg16`, where its weights are not on this
    machine, and InputError for another kind.
    """
    if kind not in KINDS:
        raise unknown("feature extractor", kind, KINDS)
    if kind == "none":
        return None
    file = find("vgg16", weights_dir)
    needed = {f"features.{index}." for stage in _STAGES for index in stage}
    tensors = {
        name: tensor.to(device).requires_grad_(False)
        for name, tensor in read_tensors(file).items()
        if name.rpartition(".")[0] + "." in needed
    }
    return Vgg16(tensors, normalise, file.sha256)
