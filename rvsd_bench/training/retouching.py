"""Show a rendered window as if the scene, the haze and the light had been other ones.

The layers are known, so that eq. 1 composes it anew: I = J·T + A·(1 − T) + S, where a flake hides
what is behind it. A few dozen sources then stand for more: as found, a network learns by heart
how grey and how bright each of them is, and misjudges the haze of any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CHANCE = 0.8
"""Of a window to be retouched; the others are as they were rendered."""
GAMMA, GAIN, CONTRAST, SATURATION = 0.5, 0.2, 0.25, 0.6
"""Of the scene, in powers of two either way."""
HUE = 1 / 10
"""Of the whole circle, either way."""
THICKNESS, BRIGHTNESS, TINT = 0.8, 0.25, 0.1
"""Of the haze's optical depth and of its light, likewise."""
LEAST = 0.05
"""T is never less, as in the layers that networks are supervised with."""


@dataclass(frozen=True)
class Touch:
    """What is changed: factors, and for the gamma an exponent."""

    gamma: float
    gains: Tensor
    """[3, 1, 1], of the scene's colours."""
    contrast: float
    saturation: float
    hue: Tensor
    """[3, 3], a turn about grey."""
    thickness: float
    light: Tensor
    """[3, 1, 1], of A."""


class Composed(NamedTuple):
    """A frame and the layers of it that a touch reaches; [..., C, H, W]."""

    snowy: Tensor
    clean: Tensor
    light: Tensor
    transmission: Tensor
    coverage: Tensor


def draw_touch(chance: np.random.Generator) -> Touch | None:
    """Draw what is changed of a window, or None."""
    if chance.random() >= CHANCE:
        return None

    def power(most: float) -> float:
        return float(2.0 ** (most * (2 * chance.random() - 1)))

    gains = torch.tensor([power(GAIN) for _ in range(3)]).view(3, 1, 1)
    gamma, contrast, saturation = power(GAMMA), power(CONTRAST), power(SATURATION)
    hue = turn(HUE * (2 * chance.random() - 1))
    thickness, brightness = power(THICKNESS), power(BRIGHTNESS)
    light = torch.tensor([brightness * power(TINT) for _ in range(3)]).view(3, 1, 1)
    return Touch(gamma, gains, contrast, saturation, hue, thickness, light)


def retouched(found: Composed, touch: Touch, grey: float) -> Composed:
    """Return a frame composed anew; `grey` is the scene's mean, about which contrast turns."""
    clean = found.clean.clamp_min(1e-4).pow(touch.gamma) * touch.gains
    middle = grey**touch.gamma
    clean = middle + (clean - middle) * touch.contrast
    luma = clean.mean(-3, keepdim=True)
    colour = torch.einsum("ij,...jhw->...ihw", touch.hue, clean - luma)
    clean = (luma + colour * touch.saturation).clamp(0, 1)
    light = (found.light * touch.light).clamp(0, 1)
    transmission = found.transmission.pow(touch.thickness).clamp_min(LEAST)
    before = _hazy(found.clean, found.light, found.transmission)
    after = _hazy(clean, light, transmission)
    snowy = found.snowy + (after - before) * (1 - found.coverage)
    return Composed(snowy.clamp(0, 1), clean, light, transmission, found.coverage)


def turn(share: float) -> Tensor:
    """Return the matrix [3, 3] that turns colours about the grey axis by a share of the circle.

    Rodrigues' formula: cos·1 + sin·K + (1 − cos)·kkᵀ, k = (1, 1, 1)/√3.
    """
    angle = 2 * math.pi * share
    axis = torch.full((3,), 3**-0.5)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) * 3**-0.5
    whole = torch.outer(axis, axis)
    return math.cos(angle) * (torch.eye(3) - whole) + math.sin(angle) * across + whole


def _hazy(clean: Tensor, light: Tensor, transmission: Tensor) -> Tensor:
    return clean * transmission + light * (1 - transmission)
