"""SVDNet: remove snow and haze from a clip by looking past the flakes into the frames around.

Chen et al., Snow Removal in Video: A New Dataset and A Novel Method, ICCV 2023. The body of the
paper was not available; this network is a reconstruction from its abstract and from what the
SemiVDN paper (Wu et al., ECCV 2024) says of it. docs/baselines/svdnet.md tells what is whose.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.precision import at_least_float32, full_precision
from rvsd_bench.baselines.svdnet.aligning import Pairs, align, blend, moving, pairs_within
from rvsd_bench.baselines.svdnet.analysis import Analysis, Codes, Layers
from rvsd_bench.baselines.svdnet.blocks import (
    Head,
    ResidualBlock,
    conv,
    fold,
    initialise,
    leaky,
    logit,
    unfold,
    zero,
)
from rvsd_bench.baselines.svdnet.config import Config
from rvsd_bench.baselines.svdnet.flow import SPyNet, dis_flow, enlarge_flow, shrink_flow
from rvsd_bench.baselines.svdnet.overview import Haze, Overview, shrunk, spread
from rvsd_bench.baselines.svdnet.physics import invert
from rvsd_bench.baselines.svdnet.snow import SnowAwareAggregation, SnowQueries
from rvsd_bench.training.batches import Around

TOLD = 8
"""Channels in which the heads are told what the overview shows."""


class SVDNet(nn.Module):
    """The network; `config` says how large it is and which of the inferred choices it makes."""

    info: ModelInfo

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, u = config.channels, config.unshuffle
        self.stem = nn.Sequential(conv(3 * u**2, c), leaky(), *self._blocks(config.stem_blocks))
        self.encoder = nn.Sequential(
            *(layer for _ in range(config.halvings) for layer in (conv(c, c, stride=2), leaky())),
            *self._blocks(config.encoder_blocks),
        )
        self.snow_queries = SnowQueries(c, config.queries, config.heads)
        self.mask = Head(2 * c, 1, start=logit(config.start_mask))
        self.flow = SPyNet(config.flow_levels) if config.flow == "spynet" else None
        self.aggregation = SnowAwareAggregation(c, config.snow_penalty)
        self.fuse = nn.Sequential(conv(3 * c, c, config.fuse_kernel), leaky())
        self.trunk = nn.Sequential(*self._blocks(config.trunk_blocks))
        doubling = [(conv(c, 4 * c), nn.PixelShuffle(2), leaky()) for _ in range(config.halvings)]
        self.up = nn.Sequential(*(layer for layers in doubling for layer in layers))
        meeting = (3 if config.carry_detail else 2) * c
        meeting += 6 * u**2 if config.compare_neighbours else 0
        self.overview: Overview | None = None
        if config.overview:
            self.overview = Overview(config.overview_channels, config.residual_gain)
            self.tell_haze = conv(config.overview_channels // 2, TOLD, 1)
            meeting += TOLD
        self.merge = nn.Sequential(conv(meeting, c), leaky(), *self._blocks(config.merge_blocks))
        self.decouple_snow = Head(c, 3, u)
        least = config.least_transmission
        share = (config.start_transmission - least) / (1 - least)
        seen = self.overview is not None
        self.decouple_transmission = Head(c, 1, u, start=0.0 if seen else logit(share))
        self.decouple_light = None if seen else nn.Linear(c, 3)
        self._start = logit(share), logit(config.start_light)
        self.refine = nn.Sequential(*self._blocks(config.refine_blocks), Head(c, 3, u))
        e = config.embedding
        self.embed = nn.Sequential(nn.Linear(c, e), leaky(), nn.Linear(e, e))
        self._initialise()

    def forward(self, clip: Tensor) -> Tensor:
        """Restore every frame of a clip [B, T, 3, H, W] in [0, 1]; the answer may leave [0, 1]."""
        return self.decode(clip, self._encode(clip), range(clip.shape[1]))

    def encode(self, frames: Tensor) -> Codes:
        """Return what can be known of frames [N, 3, H, W] one by one; a tuple to be kept."""
        stem = self.stem(F.pixel_unshuffle(frames, self.config.unshuffle))
        features = self.encoder(stem)
        answers, snow = self.snow_queries(features)
        logits = self.mask(torch.cat([features, snow.to(features.dtype)], 1))
        return Codes(stem, features, snow, at_least_float32(logits), answers)

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        """Restore the frames `keep` of a clip whose codes [B, T, ...] are known."""
        pairs = pairs_within(self.config.reach, clip.shape[1], keep)
        flows = self._flows(clip, moving(pairs))
        found = self._restore(clip, Codes(*codes), keep, pairs, flows, self.look(clip), None)
        return found.restored

    def analyse(self, clip: Tensor, around: Around | None = None) -> Analysis:
        """Restore a clip and return, with it, all that the losses look at.

        Where the clip is but a crop, `around` tells of which picture.
        """
        codes, keep = self._encode(clip), range(clip.shape[1])
        pairs = pairs_within(self.config.reach, clip.shape[1], keep)
        flows = self._flows(clip, moving(pairs))
        haze = self.look(clip if around is None else around.picture[:, None])
        place = None if around is None else around.place
        layers = self._restore(clip, codes, keep, pairs, flows, haze, place)
        background = codes.features * (1 - codes.mask_logits.sigmoid()).to(codes.features.dtype)
        behind = unfold(self.snow_queries.collect(fold(background)), clip.shape[:2])
        return Analysis(
            *layers,
            mask_logits=codes.mask_logits,
            features=codes.features,
            snow_features=codes.snow,
            queries=codes.answers,
            snow_codes=self._describe(codes.answers),
            background_codes=self._describe(behind),
            flows=flows,
            pairs=tuple(moving(pairs)),
            overview=None if haze is None else self._thinned(haze.logits),
        )

    def look(self, clip: Tensor) -> Haze | None:
        """Return what the overview shows of clips [B, T, 3, H, W]; None in networks without one."""
        if self.overview is None:
            return None
        haze: Haze = self.overview(shrunk(clip, self.config.overview))
        return haze

    def _encode(self, clip: Tensor) -> Codes:
        return Codes(*(unfold(code, clip.shape[:2]) for code in self.encode(fold(clip))))

    def _flows(self, clip: Tensor, pairs: Pairs) -> Tensor | None:
        """Return the flows of pairs at feature scale, [B, P, 2, h, w]; None without any."""
        if self.config.flow == "none" or not pairs:
            return None
        references, supports = [t for t, _ in pairs], [i for _, i in pairs]
        if self.flow is None:
            whole = dis_flow(fold(clip[:, references]), fold(clip[:, supports]))
            flows = shrink_flow(whole, self.config.stride)
        else:
            small = F.avg_pool2d(fold(clip), self.config.stride)
            small = unfold(small, clip.shape[:2])
            flows = self.flow(fold(small[:, references]), fold(small[:, supports]))
        return unfold(flows, (len(clip), len(pairs)))

    def _restore(
        self,
        clip: Tensor,
        codes: Codes,
        keep: Sequence[int],
        pairs: Pairs,
        flows: Tensor | None,
        haze: Haze | None,
        place: Tensor | None,
    ) -> Layers:
        """Aggregate, fuse, take apart by eq. 1 and invert it, for the frames `keep` only."""
        kept = list(keep)
        aggregated, detail = self._aggregate(codes, kept, pairs, flows)
        own = codes.features[:, kept]
        beside = (aggregated.to(own.dtype), codes.snow[:, kept].to(own.dtype))
        trunk = self.trunk(self.fuse(fold(torch.cat([own, *beside], 2))))
        sharp = [self.up(trunk), fold(codes.stem[:, kept])]
        if detail is not None:
            sharp.append(fold(detail).to(trunk.dtype))
        if self.config.compare_neighbours:
            larger = None
            if flows is not None:
                larger = unfold(enlarge_flow(fold(flows), self.config.stride), flows.shape[:2])
            differences = fold(compared(clip, kept, pairs, larger))
            differences = F.pixel_unshuffle(differences, self.config.unshuffle)
            sharp.append(differences.to(trunk.dtype))
        if haze is not None:
            told = spread(self.tell_haze(haze.features), place, fine_size(sharp))
            sharp.append(told.repeat_interleave(len(kept), 0).to(trunk.dtype))
        merged = self.merge(torch.cat(sharp, 1))
        snow, transmission, light = self._decouple(merged, trunk, haze, place)
        bound = self.config.overshoot
        inverted = invert(fold(clip[:, kept]), snow, transmission, light)
        inverted = inverted.clamp(-bound, 1 + bound)
        restored = inverted + self.refine(merged)
        shape = (len(clip), len(kept))
        answers = (restored, inverted, snow, transmission, light)
        return Layers(*(unfold(answer, shape) for answer in answers))

    def _aggregate(
        self, codes: Codes, keep: Sequence[int], pairs: Pairs, flows: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the aggregated features [B, K, C, h, w] and, if carried, the stem's likewise."""
        near, seen = align(codes.features, pairs, flows)
        snowy, _ = align(codes.mask_logits.sigmoid(), pairs, flows)
        fine = self._aligned_stem(codes, pairs, flows) if self.config.carry_detail else None
        features, details = [], []
        for t in keep:
            here = [n for n, (reference, _) in enumerate(pairs) if reference == t]
            found, weights = self.aggregation(
                codes.features[:, t], near[:, here], snowy[:, here], seen[:, here]
            )
            features.append(found)
            if fine is not None:
                details.append(blend(fine[:, here], weights))
        return torch.stack(features, 1), torch.stack(details, 1) if details else None

    def _aligned_stem(self, codes: Codes, pairs: Pairs, flows: Tensor | None) -> Tensor:
        if flows is not None:
            larger = enlarge_flow(fold(flows), 2**self.config.halvings)
            flows = unfold(larger, flows.shape[:2])
        return align(codes.stem, pairs, flows)[0]

    def _decouple(
        self, merged: Tensor, trunk: Tensor, haze: Haze | None, place: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return S, T and A, each by a convolution or, for A, a linear map of the mean feature.

        That convolutions derive the physical features by the formula is what the SemiVDN paper
        (section 3.2) says of SVDNet. With an overview T is corrected here, and A found there.
        """
        with full_precision(merged):
            merged, trunk = at_least_float32(merged), at_least_float32(trunk)
            snow = self.decouple_snow(merged)
            logits = self.decouple_transmission(merged)
            if haze is None:
                assert self.decouple_light is not None
                light = self.decouple_light(trunk.mean((-2, -1)))
            else:
                frames = len(merged) // len(haze.logits)
                wide = spread(haze.logits, place, logits.shape[-2:])
                logits = logits + wide.repeat_interleave(frames, 0)
                light = at_least_float32(haze.light).repeat_interleave(frames, 0)
        transmission = 1 - self.config.strength * (1 - self._thinned(logits))
        return snow, transmission, light.sigmoid()[..., None, None]

    def _thinned(self, logits: Tensor) -> Tensor:
        """Return T of its logits: never below the least."""
        least = self.config.least_transmission
        return least + (1 - least) * at_least_float32(logits).sigmoid()

    def _describe(self, answers: Tensor) -> Tensor:
        """Return descriptors [B, T, E] of length 1 of what the queries found."""
        with full_precision(answers):
            return F.normalize(self.embed(answers.mean(2)), dim=-1)

    def _blocks(self, count: int) -> list[nn.Module]:
        config = self.config
        return [ResidualBlock(config.channels, config.residual_gain) for _ in range(count)]

    def _initialise(self) -> None:
        """Start without snow or motion, at the T and A of the configuration, exactly."""
        initialise(self)
        nn.init.normal_(self.snow_queries.queries)
        transmission, light = self._start
        if self.overview is not None:
            zero(self.overview.transmission.weight)
            zero(self.overview.transmission.bias, transmission)
            zero(self.overview.light.weight)
        if self.decouple_light is not None:
            zero(self.decouple_light.weight)
            zero(self.decouple_light.bias, light)
        if self.flow is not None:
            self.flow.start_still()


def compared(clip: Tensor, keep: Sequence[int], pairs: Pairs, flows: Tensor | None) -> Tensor:
    """Return by how much the aligned frames before and after differ, [B, K, 6, H, W].

    At an end of the clip, the one neighbour stands for both; a frame without any is its own.
    """
    number = {pair: n for n, pair in enumerate(pairs)}
    last = clip.shape[1] - 1

    def beside(step: int) -> list[int]:
        wanted = [(t, t + step if 0 <= t + step <= last else t - step) for t in keep]
        return [number.get(pair, number[pair[0], pair[0]]) for pair in wanted]

    aligned, _ = align(clip, pairs, flows)
    own = clip[:, list(keep)]
    return torch.cat([aligned[:, beside(-1)] - own, aligned[:, beside(1)] - own], 2)


def fine_size(maps: Sequence[Tensor]) -> tuple[int, int]:
    """Return the height and width of the first of some maps."""
    height, width = maps[0].shape[-2:]
    return height, width
