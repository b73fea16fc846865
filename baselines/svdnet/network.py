"""SVDNet: remove snow and haze from a clip by looking past the flakes into the frames around.

Chen et al., Snow Removal in Video: A New Dataset and A Novel Method, ICCV 2023. The body of the
paper was not available; this network is a reconstruction from its abstract and from what the
SemiVDN paper (Wu et al., ECCV 2024) says of it. docs/baselines/svdnet.md tells what is whose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.precision import at_least_float32, full_precision
from rvsd_bench.baselines.svdnet.config import Config
from rvsd_bench.baselines.svdnet.flow import (
    SPyNet,
    dis_flow,
    enlarge_flow,
    shrink_flow,
    visible,
    warp,
)
from rvsd_bench.baselines.svdnet.physics import invert
from rvsd_bench.baselines.svdnet.snow import SnowAwareAggregation, SnowQueries

LEAK = 0.1


class Codes(NamedTuple):
    """What the encoder knows of N frames, each by itself; h and w are H and W over the stride."""

    stem: Tensor
    """[N, C, H/u, W/u], u the pixel-unshuffle."""
    features: Tensor
    """[N, C, h, w]."""
    snow: Tensor
    """[N, C, h, w]: what the queries found, told to every pixel."""
    mask_logits: Tensor
    """[N, 1, h, w]."""
    answers: Tensor
    """[N, K, C]: what each query found."""


class Layers(NamedTuple):
    """The frames and the layers of eq. 1 that they were taken apart into, [B, T, ...]."""

    restored: Tensor
    """[B, T, 3, H, W], J."""
    inverted: Tensor
    """[B, T, 3, H, W]: J before its correction, that is eq. 1 inverted and clamped."""
    snow: Tensor
    """[B, T, 3, H, W], S; signed, for flakes may be darker than the sky behind them."""
    transmission: Tensor
    """[B, T, 1, H, W], T."""
    light: Tensor
    """[B, T, 3, 1, 1], A."""
    flows: Tensor | None
    """[B, P, 2, h, w] between the pairs of frames, or None without flow."""


class Analysis(NamedTuple):
    """Everything that the losses need, [B, T, ...]; see `Layers` and `Codes`."""

    restored: Tensor
    inverted: Tensor
    snow: Tensor
    transmission: Tensor
    light: Tensor
    mask_logits: Tensor
    """[B, T, 1, h, w]; at a positive one the network sees snow."""
    features: Tensor
    snow_features: Tensor
    queries: Tensor
    """[B, T, K, C]."""
    snow_codes: Tensor
    """[B, T, E]: descriptors of each frame's snow, of length 1."""
    background_codes: Tensor
    """[B, T, E]: the same of what is not snow."""
    flows: Tensor | None
    pairs: tuple[tuple[int, int], ...]
    """The reference and the support frame of each flow."""

    @property
    def mask(self) -> Tensor:
        """Where there is snow, [B, T, 1, h, w] in [0, 1]."""
        return self.mask_logits.sigmoid()


class SVDNet(nn.Module):
    """The network; `config` says how large it is and which of the inferred choices it makes."""

    info: ModelInfo

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, colours = config.channels, 3 * config.unshuffle**2
        self.stem = nn.Sequential(_conv(colours, c), _leaky(), *_blocks(config.stem_blocks, c))
        halvings = [(_conv(c, c, stride=2), _leaky()) for _ in range(config.halvings)]
        self.encoder = nn.Sequential(*sum(halvings, ()), *_blocks(config.encoder_blocks, c))
        self.snow_queries = SnowQueries(c, config.queries, config.heads)
        self.mask = _conv(2 * c, 1)
        self.flow = SPyNet(config.flow_levels) if config.flow == "spynet" else None
        self.aggregation = SnowAwareAggregation(c, config.snow_penalty)
        self.fuse = nn.Sequential(_conv(3 * c, c, config.fuse_kernel), _leaky())
        self.trunk = nn.Sequential(*_blocks(config.trunk_blocks, c))
        doublings = [
            (_conv(c, 4 * c), nn.PixelShuffle(2), _leaky()) for _ in range(config.halvings)
        ]
        self.up = nn.Sequential(*sum(doublings, ()))
        self.merge = nn.Sequential(_conv((3 if config.carry_detail else 2) * c, c), _leaky())
        self.decouple_snow = nn.Sequential(_conv(c, colours), nn.PixelShuffle(config.unshuffle))
        self.decouple_transmission = nn.Sequential(
            _conv(c, config.unshuffle**2), nn.PixelShuffle(config.unshuffle)
        )
        self.decouple_light = nn.Linear(c, 3)
        self.refine = nn.Sequential(
            *_blocks(config.refine_blocks, c), _conv(c, colours), nn.PixelShuffle(config.unshuffle)
        )
        self.embed = nn.Sequential(
            nn.Linear(c, config.embedding), _leaky(), nn.Linear(config.embedding, config.embedding)
        )
        self._initialise()

    def forward(self, clip: Tensor) -> Tensor:
        """Restore every frame of a clip [B, T, 3, H, W] in [0, 1]; the answer may leave [0, 1]."""
        return self._restore(clip, self._encode(clip), range(clip.shape[1])).restored

    def encode(self, frames: Tensor) -> Codes:
        """Return what can be known of frames [N, 3, H, W] one by one; a tuple to be kept."""
        stem = self.stem(F.pixel_unshuffle(frames, self.config.unshuffle))
        features = self.encoder(stem)
        answers, snow = self.snow_queries(features)
        logits = self.mask(torch.cat([features, snow.to(features.dtype)], 1))
        return Codes(stem, features, snow, at_least_float32(logits), answers)

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        """Restore the frames `keep` of a clip whose codes [B, T, ...] are known."""
        return self._restore(clip, Codes(*codes), keep).restored

    def analyse(self, clip: Tensor) -> Analysis:
        """Restore a clip and return, with it, all that the losses look at."""
        codes, keep = self._encode(clip), range(clip.shape[1])
        layers = self._restore(clip, codes, keep)
        background = codes.features * (1 - codes.mask_logits.sigmoid()).to(codes.features.dtype)
        around = self.snow_queries.collect(background.flatten(0, 1))
        return Analysis(
            **{k: v for k, v in layers._asdict().items() if k != "flows"},
            mask_logits=codes.mask_logits,
            features=codes.features,
            snow_features=codes.snow,
            queries=codes.answers,
            snow_codes=self._describe(codes.answers),
            background_codes=self._describe(around.unflatten(0, clip.shape[:2])),
            flows=layers.flows,
            pairs=tuple(_moving(self._pairs(clip.shape[1], keep))),
        )

    def _encode(self, clip: Tensor) -> Codes:
        codes = self.encode(clip.flatten(0, 1))
        return Codes(*(code.unflatten(0, clip.shape[:2]) for code in codes))

    def _restore(self, clip: Tensor, codes: Codes, keep: Sequence[int]) -> Layers:
        """Aggregate, fuse, take apart by eq. 1 and invert it, for the frames `keep` only."""
        kept = list(keep)
        pairs = self._pairs(clip.shape[1], kept)
        flows = self._flows(clip, _moving(pairs))
        aggregated, detail = self._aggregate(codes, pairs, kept, flows)
        own = (codes.features[:, kept], aggregated, codes.snow[:, kept])
        fused = self.fuse(torch.cat([x.to(own[0].dtype) for x in own], 2).flatten(0, 1))
        trunk = self.trunk(fused)
        sharp = [self.up(trunk), codes.stem[:, kept].flatten(0, 1)]
        if detail is not None:
            sharp.append(detail.flatten(0, 1).to(trunk.dtype))
        merged = self.merge(torch.cat(sharp, 1))
        snow, transmission, light = self._decouple(merged, trunk)
        frames = clip[:, kept].flatten(0, 1)
        bound = self.config.overshoot
        inverted = invert(frames, snow, transmission, light).clamp(-bound, 1 + bound)
        restored = inverted + self.refine(merged)
        shape = (clip.shape[0], len(kept))
        tensors = (restored, inverted, snow, transmission, light)
        return Layers(*(x.unflatten(0, shape) for x in tensors), flows=flows)

    def _decouple(self, merged: Tensor, trunk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return S, T and A, each by a convolution or, for A, a linear map of the mean feature.

        That convolutions derive the physical features by the formula is what the SemiVDN paper
        (section 3.2) says of SVDNet.
        """
        least = self.config.least_transmission
        with full_precision(merged):
            merged, trunk = at_least_float32(merged), at_least_float32(trunk)
            snow = self.decouple_snow(merged)
            transmission = least + (1 - least) * self.decouple_transmission(merged).sigmoid()
            light = self.decouple_light(trunk.mean((-2, -1))).sigmoid()
        return snow, transmission, light[..., None, None]

    def _pairs(self, length: int, keep: Sequence[int]) -> list[tuple[int, int]]:
        """List the frames to restore with each frame they look at, themselves among them."""
        reach = self.config.reach
        return [(t, i) for t in keep for i in range(max(0, t - reach), min(length, t + reach + 1))]

    def _flows(self, clip: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor | None:
        """Return the flows of pairs at feature scale, [B, P, 2, h, w]; None without any."""
        if self.config.flow == "none" or not pairs:
            return None
        ahead, behind = ([pair[end] for pair in pairs] for end in (0, 1))
        if self.flow is None:
            whole = dis_flow(clip[:, ahead].flatten(0, 1), clip[:, behind].flatten(0, 1))
            flows = shrink_flow(whole, self.config.stride)
        else:
            small = F.avg_pool2d(clip.flatten(0, 1), self.config.stride)
            small = small.unflatten(0, clip.shape[:2])
            flows = self.flow(small[:, ahead].flatten(0, 1), small[:, behind].flatten(0, 1))
        return flows.unflatten(0, (len(clip), len(pairs)))

    def _aggregate(
        self,
        codes: Codes,
        pairs: Sequence[tuple[int, int]],
        keep: Sequence[int],
        flows: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the aggregated features [B, K, C, h, w] and, if carried, the stem's likewise."""
        channels = codes.features.shape[2]
        mask = codes.mask_logits.sigmoid()
        wide = torch.cat([at_least_float32(codes.features), mask], 2)
        aligned, seen = _align(wide, pairs, flows)
        fine = None
        if self.config.carry_detail:
            factor = 2**self.config.halvings
            larger = None if flows is None else enlarge_flow(flows.flatten(0, 1), factor)
            larger = None if larger is None else larger.unflatten(0, flows.shape[:2])
            fine, _ = _align(codes.stem, pairs, larger)
        features, details = [], []
        for t in keep:
            here = [n for n, pair in enumerate(pairs) if pair[0] == t]
            near = aligned[:, here].split([channels, 1], dim=2)
            found, weights = self.aggregation(
                codes.features[:, t], near[0].to(codes.features.dtype), near[1], seen[:, here]
            )
            features.append(found)
            if fine is not None:
                details.append(_blend(fine[:, here], weights))
        return torch.stack(features, 1), torch.stack(details, 1) if details else None

    def _describe(self, answers: Tensor) -> Tensor:
        """Return descriptors [B, T, E] of length 1 of what the queries found."""
        with full_precision(answers):
            return F.normalize(self.embed(answers.mean(2)), dim=-1)

    def _initialise(self) -> None:
        """Set the start: small residual branches, and heads that say T, A and no snow exactly.

        Only layers that end the network start at zero, never two in a row: a product of two zeros
        has no gradient.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, a=LEAK)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                with torch.no_grad():
                    module.second.weight.mul_(self.config.residual_gain)
        nn.init.normal_(self.snow_queries.queries)
        heads = (
            self.mask,
            self.decouple_snow[0],
            self.decouple_transmission[0],
            self.decouple_light,
        )
        levels = self.flow.levels if self.flow is not None else ()
        for last in (*heads, self.refine[-2], *(level[-1] for level in levels)):
            nn.init.zeros_(last.weight)
        least = self.config.least_transmission
        share = (self.config.start_transmission - least) / (1 - least)
        nn.init.constant_(self.decouple_transmission[0].bias, _logit(share))
        nn.init.constant_(self.decouple_light.bias, _logit(self.config.start_light))
        nn.init.constant_(self.mask.bias, _logit(self.config.start_mask))


class ResidualBlock(nn.Module):
    """Two convolutions with a leaky rectifier between, added to their input; no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return features [N, C, h, w] of the same shape."""
        return features + self.second(F.leaky_relu(self.first(features), LEAK, inplace=True))


def _align(
    codes: Tensor, pairs: Sequence[tuple[int, int]], flows: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the support frame of each pair as its reference sees it, and where it sees it.

    `codes` is [B, T, C, h, w], the answers [B, P, C, h, w] and [B, P, 1, h, w]. A frame is its own
    neighbour as it is.
    """
    gathered = codes[:, [i for _, i in pairs]]
    seen = torch.ones_like(gathered[:, :, :1], dtype=torch.bool)
    if flows is None:
        return gathered, seen
    moving = torch.tensor([n for n, (t, i) in enumerate(pairs) if t != i], device=codes.device)
    flat, shape = flows.flatten(0, 1), flows.shape[:2]
    warped = warp(gathered[:, moving].flatten(0, 1), flat).unflatten(0, shape)
    seen = seen.index_copy(1, moving, visible(flat).unflatten(0, shape))
    return gathered.index_copy(1, moving, warped.to(gathered.dtype)), seen


def _blend(fine: Tensor, weights: Tensor) -> Tensor:
    """Blend details [B, P, C, H, W] by weights [B, P, 1, h, w] found at a coarser scale."""
    size = fine.shape[-2:]
    larger = F.interpolate(weights.flatten(0, 1), size=size, mode="bilinear")
    return (fine * larger.unflatten(0, weights.shape[:2])).sum(1)


def _moving(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [pair for pair in pairs if pair[0] != pair[1]]


def _conv(narrow: int, wide: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(narrow, wide, kernel, stride=stride, padding=kernel // 2)


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(LEAK, inplace=True)


def _blocks(count: int, channels: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(count)]


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
