"""Find the snow of a frame by learned queries, and look past it into the frame's neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvsd_bench.baselines.precision import at_least_float32, full_precision


class SnowQueries(nn.Module):
    """Let learned queries ask a frame what its snow looks like, and tell every pixel the answer.

    The abstract of the SVDNet paper names snow queries; how they work is inferred: cross-attention
    from the queries to the frame's features, then a soft look-up of the answers by every feature.
    """

    def __init__(self, channels: int, queries: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.zeros(queries, channels))
        self.norm = nn.LayerNorm(channels)
        self.ask = nn.Linear(channels, channels)
        self.offer = nn.Linear(channels, 2 * channels)
        self.answer = nn.Linear(channels, channels)
        self.look_up = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries' answers [N, K, C] and the snow features [N, C, h, w] of frames."""
        answers = self.collect(features)
        with full_precision(features):
            tokens = self.look_up(at_least_float32(features)).flatten(2).transpose(1, 2)
            weights = (tokens @ answers.transpose(1, 2) / math.sqrt(tokens.shape[-1])).softmax(-1)
            snow = (weights @ answers).transpose(1, 2)
        return answers, snow.reshape(features.shape)

    def collect(self, features: Tensor) -> Tensor:
        """Return what the queries find in features [N, C, h, w], as [N, K, C] in float32."""
        with full_precision(features):
            tokens = self.norm(at_least_float32(features).flatten(2).transpose(1, 2))
            asked = self.ask(F.layer_norm(self.queries, self.queries.shape[1:]))
            asked = asked.expand(len(tokens), -1, -1)
            keys, values = self.offer(tokens).chunk(2, dim=-1)
            found = F.scaled_dot_product_attention(
                self._split(asked), self._split(keys), self._split(values)
            )
            joined = found.transpose(1, 2).flatten(2)
            answers: Tensor = self.queries + self.answer(joined)
            return answers

    def _split(self, tokens: Tensor) -> Tensor:
        """Cut the channels of [N, L, C] into heads: [N, heads, L, C/heads]."""
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class SnowAwareAggregation(nn.Module):
    """Blend a frame with its aligned neighbours, the more the better they fit and the less snow.

    w_i = softmax_i(<q(F), k(F_i)> / sqrt C − penalty · softplus(g) · m_i). That flow and snow
    features guide the aggregation is said of SVDNet by the SemiVDN paper (section 2.1); the form
    is inferred.
    """

    def __init__(self, channels: int, penalty: float) -> None:
        super().__init__()
        self.penalty = penalty
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        # softplus of this is 1: the penalty starts as the configuration says.
        self.gain = nn.Parameter(torch.full((), math.log(math.e - 1)))

    def forward(
        self, features: Tensor, neighbours: Tensor, mask: Tensor, seen: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the aggregated features [N, C, h, w] and the weights [N, P, 1, h, w].

        `features` [N, C, h, w] are a frame's, `neighbours` [N, P, C, h, w] those of P frames
        aligned to it (itself among them), `mask` [N, P, 1, h, w] their snow in [0, 1], and `seen`,
        bool, says where a neighbour shows the place at all; one of the P must.
        """
        wide = neighbours.flatten(0, 1)
        query = self.query(features)
        keys = self.key(wide).reshape(neighbours.shape)
        values = self.value(wide).reshape(neighbours.shape)
        with full_precision(features):
            fit = (at_least_float32(query[:, None]) * at_least_float32(keys)).sum(2, keepdim=True)
            snow = self.penalty * F.softplus(self.gain) * at_least_float32(mask)
            logits = fit / math.sqrt(features.shape[1]) - snow
            if seen is not None:
                logits = logits.masked_fill(~seen, -math.inf)
            weights = logits.softmax(1)
            return (weights * at_least_float32(values)).sum(1), weights
