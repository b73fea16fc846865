"""Restore a window of frames as SemiVDN's generator does (Wu et al., ECCV 2024, section 3.2).

    frames -> ConvNeXt, neck -> X -> patches -> physics transformer blocks -> X^, P^1..3
    X^ and P^j -> three decoders -> F_S', F_T', F_A' -> equation 6 with F_I' -> F_B' -> frames

Teacher and student of the paper are two of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.precision import at_least_float32, full_precision
from rvsd_bench.baselines.semivdn.config import Config
from rvsd_bench.baselines.semivdn.encoder import ConvNeXt, Neck
from rvsd_bench.baselines.semivdn.transformer import (
    Composition,
    Embedding,
    PhysicsTransformer,
    TemporalDecouplingExperts,
)

BETA = 1e-8
"""Added to the transmission before it divides (section 3.2)."""


class Layers(NamedTuple):
    """What equation 6 takes a frame's features apart into."""

    snow: Tensor
    """F_S', [..., f, H, W]."""
    transmission: Tensor
    """F_T', [..., f, H, W], in [t_min, 1] unless `strict_eq6`."""
    light: Tensor
    """F_A', [..., 1, 1, 1], or [..., 1, H, W] without `global_light`."""


class Analysis(NamedTuple):
    """Everything that losses and figures need of a window."""

    restored: Tensor
    """J, [B, T, 3, H, W]; may leave [0, 1]."""
    background: Tensor
    """F_B', [B, T, f, H, W]: the features without snow and haze."""
    layers: Layers
    """F_S', F_T' and F_A', leading dimensions [B, T]."""
    routing: Tensor
    """D of the last block, [B, T, 3, rows, columns]: whose each patch is; of the sum 1 over 3."""


class Decoder(nn.Module):
    """Decode a component from a quarter of the size: three convolutions with upsampling."""

    def __init__(self, channels: int, features: int, out: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.middle = nn.Conv2d(channels, features, 3, padding=1)
        self.last = nn.Conv2d(features, out, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map X^ beside P^j, [N, 2c, h, w], to [N, out, 4h, 4w]."""
        x = _doubled(F.leaky_relu(self.near(maps), 0.1))
        x = _doubled(F.leaky_relu(self.middle(x), 0.1))
        out: Tensor = self.last(x)
        return out


class SemiVDN(nn.Module):
    """SemiVDN's generator, the video desnowing network.

    The parts that do not depend on other frames are in `encode`, the others in `decode`, so that a
    runner whose windows overlap encodes no frame twice.
    """

    info: ModelInfo

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = ConvNeXt(config.widths, config.depths, config.layer_scale)
        self.neck = Neck(config.widths, config.channels)
        self.embed = Embedding(config)
        self.transform = PhysicsTransformer(config)
        self.compose = Composition(config)
        self.decode_snow, self.decode_transmission, self.decode_light = (
            Decoder(config.channels, config.features, out)
            for out in (config.features, config.features, 1)
        )
        self.lift = nn.Conv2d(3, config.features, 3, padding=1, bias=False)
        self.project = nn.Conv2d(config.features, 3, 3, padding=1)
        self._start_near_identity()

    def forward(self, clip: Tensor) -> Tensor:
        """Restore all frames of a clip [B, T, 3, H, W] in [0, 1]; may leave [0, 1]."""
        return self.analyse(clip).restored

    def analyse(self, clip: Tensor) -> Analysis:
        """Restore a clip and return all that was found on the way."""
        frames = clip.shape[:2]
        codes = tuple(_split(code, *frames) for code in self.encode(clip.flatten(0, 1)))
        return self._decode(clip, codes, range(frames[1]))

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Return X_k, [N, c, H/4, W/4], and its tokens, [N, m, d], of frames [N, 3, H, W]."""
        maps: Tensor = self.neck(self.encoder(frames))
        return maps, self.embed(maps)

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        """Restore the frames `keep` of a window, [B, len(keep), 3, H, W].

        `codes` are those of all its frames, [B, T, ...]: the transformer blocks look at them all,
        what follows at the kept frames alone.
        """
        return self._decode(clip, codes, keep).restored

    def _decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Analysis:
        maps, tokens = codes
        size, (batch, frames), keep = (maps.shape[-2], maps.shape[-1]), tokens.shape[:2], list(keep)
        stream, found = self.transform(tokens.flatten(1, 2), size)

        def kept(values: Tensor) -> Tensor:
            """Cut [B, T, ...] to the kept frames, [B·K, ...]."""
            return values[:, keep].flatten(0, 1)

        def tokens_kept(values: Tensor) -> Tensor:
            """Cut [B, T·m, ...] to the tokens of the kept frames, [B·K, m, ...]."""
            return kept(values.reshape(batch, frames, -1, values.shape[-1]))

        combined = self.compose(tokens_kept(stream), size)
        if self.config.skip:
            combined = combined + kept(maps)
        parts = [
            torch.cat([combined, self.compose(tokens_kept(found.component(j)), size)], dim=1)
            for j in range(TemporalDecouplingExperts.EXPERTS)
        ]
        layers = self._bounded(
            self.decode_snow(parts[0]),
            self.decode_transmission(parts[1]),
            self.decode_light(parts[2]),
        )
        with full_precision(clip):  # the frame keeps its digits on the way in and out, too
            background = recover(self.lift(at_least_float32(kept(clip))), layers)
            restored: Tensor = self.project(background)
        routing = tokens_kept(found.weights).mT
        routing = routing.reshape(*routing.shape[:2], *self.embed.patches.grid(size))
        back = (batch, len(keep))
        return Analysis(
            _split(restored, *back),
            _split(background, *back),
            Layers(*(_split(layer, *back) for layer in layers)),
            _split(routing, *back),
        )

    def _bounded(self, snow: Tensor, transmission: Tensor, light: Tensor) -> Layers:
        """Give the components their ranges, in float32 at least."""
        with full_precision(snow):
            snow, transmission, light = map(at_least_float32, (snow, transmission, light))
            if self.config.global_light:
                light = light.mean(dim=(-2, -1), keepdim=True)
            if not self.config.strict_eq6:
                least = self.config.t_min
                transmission = least + (1 - least) * transmission.sigmoid()
                light = light.sigmoid()
            return Layers(snow, transmission, light)

    def _start_near_identity(self) -> None:
        """Let an untrained network return nearly its input: no snow, a thin haze.

        Only the last layer of the snow decoder is zero. Were `project` zero as well, neither could
        ever move: each one's gradient is the other.
        """
        _make_constant(self.decode_snow.last, 0.0)
        clear = 1.0 if self.config.strict_eq6 else self.config.t_start
        _make_constant(self.decode_transmission.last, clear)
        _make_constant(self.project, 0.0)
        for conv in (self.lift, self.project):
            nn.init.dirac_(conv.weight[:3, :3])


def recover(features: Tensor, layers: Layers) -> Tensor:
    """Return F_B' of equation 6: the scattering model (equation 1) solved for the scene.

    Calculates in float32 at least. The shapes need only fit together; on pictures this inverts
    I = J·T + A·(1 - T) + S.
    """
    with full_precision(features):
        snow, t, light = map(at_least_float32, layers)
        return (at_least_float32(features) - snow - (1 - t) * light) / (t + BETA)


def _make_constant(conv: nn.Conv2d, value: float) -> None:
    """Let a convolution answer with a constant, whatever it sees."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.constant_(conv.bias, value)


def _split(tensor: Tensor, batch: int, frames: int) -> Tensor:
    """Turn [B·T, ...] into [B, T, ...]."""
    return tensor.reshape(batch, frames, *tensor.shape[1:])


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
