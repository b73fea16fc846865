"""What the network knows of frames, and what it says of a clip beside the restored one."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Codes(NamedTuple):
    """What the encoder knows of N frames, each by itself; h and w are H and W over the stride."""

    stem: Tensor
    """[N, C, H/u, W/u], u the pixel-unshuffle."""
    features: Tensor
    """[N, C, h, w], F."""
    snow: Tensor
    """[N, C, h, w], F_S: what the queries found, told to every pixel."""
    mask_logits: Tensor
    """[N, 1, h, w]."""
    answers: Tensor
    """[N, K, C]: what each query found."""


class Layers(NamedTuple):
    """The kept frames and the layers of eq. 1 that they were taken apart into."""

    restored: Tensor
    """[B, K, 3, H, W], J."""
    inverted: Tensor
    """[B, K, 3, H, W]: J before its correction, that is eq. 1 inverted and clamped."""
    snow: Tensor
    """[B, K, 3, H, W], S; signed, for flakes may be darker than the sky behind them."""
    transmission: Tensor
    """[B, K, 1, H, W], T."""
    light: Tensor
    """[B, K, 3, 1, 1], A."""


class Analysis(NamedTuple):
    """Everything that the losses need; the first five are those of `Layers` for all T frames."""

    restored: Tensor
    inverted: Tensor
    snow: Tensor
    transmission: Tensor
    light: Tensor
    mask_logits: Tensor
    """[B, T, 1, h, w]; where positive, the network sees snow."""
    features: Tensor
    """[B, T, C, h, w], F."""
    snow_features: Tensor
    """[B, T, C, h, w], F_S."""
    queries: Tensor
    """[B, T, K, C]: what each query found."""
    snow_codes: Tensor
    """[B, T, E]: descriptors of each frame's snow, of length 1."""
    background_codes: Tensor
    """[B, T, E]: the same of what is not snow."""
    flows: Tensor | None
    """[B, P, 2, h, w] between `pairs`, in feature pixels; None without flow."""
    pairs: tuple[tuple[int, int], ...]
    """The reference and the support frame of each flow."""
    overview: Tensor | None = None
    """T of the shrunken picture, [B, 1, h, w]; None in networks without an overview."""

    @property
    def mask(self) -> Tensor:
        """Where there is snow, [B, T, 1, h, w] in [0, 1]."""
        return self.mask_logits.sigmoid()
