"""Take the tokens of a window apart: the physics transformer blocks of section 3.2.

Token maps are [B, N_f·m, d]: all m tokens of all N_f frames of a window attend to one another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rvsd_bench.baselines.precision import at_least_float32, full_precision
from rvsd_bench.baselines.semivdn.config import Config
from rvsd_bench.baselines.semivdn.encoder import start_small

Size = tuple[int, int]


class Patches(nn.Module):
    """The overlapped patches of a map, and the way back.

    Any size is covered without a gap: the margin is half a patch, and the stride is no longer than
    a patch. At the far sides, less than a stride may lie in one patch only.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.side, self.stride, self.margin = config.patch, config.stride, config.patch // 2

    def grid(self, size: Size) -> Size:
        """Return how many patches a map of this height and width has along each side."""
        rows, columns = ((length + 2 * self.margin - self.side) // self.stride for length in size)
        return rows + 1, columns + 1

    def unfold(self, maps: Tensor) -> Tensor:
        """Cut maps [N, C, h, w] into patches [N, m, C·side²]."""
        return F.unfold(maps, self.side, padding=self.margin, stride=self.stride).mT

    def fold(self, patches: Tensor, size: Size) -> Tensor:
        """Add patches [N, m, C·side²] up to maps [N, C, h, w]."""
        return F.fold(patches.mT, size, self.side, padding=self.margin, stride=self.stride)

    def overlaps(self, size: Size, like: Tensor) -> Tensor:
        """Return how many patches cover each pixel, [1, 1, h, w]."""
        rows, columns = self.grid(size)
        return self.fold(like.new_ones(1, rows * columns, self.side**2), size)


class Attention(nn.Module):
    """Multi-head self-attention over all tokens of a window."""

    def __init__(self, token: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(token, 3 * token)
        self.out = nn.Linear(token, token)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map [B, N, d] to the same shape; memory grows with N, not with its square."""
        split = self.qkv(tokens).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class FusionFeedForward(nn.Module):
    """The feed-forward network of FuseFormer (Liu et al., ICCV 2021): neighbours share pixels.

    Between its two layers the tokens are laid out as patches of a map and cut out again, so that
    where patches overlap they see their mean.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.patches = Patches(config)
        hidden = config.fusion * config.patch**2
        self.widen = nn.Linear(config.token, hidden)
        self.narrow = nn.Linear(hidden, config.token)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        """Map the tokens [B, N_f·m, d] of maps of a size to the same shape."""
        rows, columns = self.patches.grid(size)
        hidden = self.widen(tokens).unflatten(1, (-1, rows * columns)).flatten(0, 1)
        fused = self.patches.fold(hidden, size) / self.patches.overlaps(size, hidden)
        hidden = F.relu(self.patches.unfold(fused)).reshape(*tokens.shape[:2], -1)
        out: Tensor = self.narrow(hidden)
        return out


class Decoupled(NamedTuple):
    """What the experts made of the N tokens of a window, in float32 at least."""

    weights: Tensor
    """D, [B, N, n]: how much of each token belongs to each expert; rows have the sum 1."""
    components: Tensor
    """E~, [B, n, d]: one token per expert for the whole window."""
    combined: Tensor
    """C = D E~, [B, N, d]."""

    def component(self, expert: int) -> Tensor:
        """Return P^j, [B, N, d]: the part of C that is due to one expert."""
        return self.weights[..., expert, None] * self.components[:, expert, None]


class TemporalDecouplingExperts(nn.Module):
    """The temporal decoupling experts (equations 2 to 5): snow, transmission, light.

    It is a soft mixture with one slot per expert. C has rank n = 3 at most, so it is added to the
    stream of tokens and never replaces it. All frames of a window share the softmax of equation 2;
    windows in a batch do not see one another.
    """

    EXPERTS = 3

    def __init__(self, token: int, expansion: int) -> None:
        super().__init__()
        # With std 1 a single token takes nearly all the weight; with 1/sqrt(d) a third of them
        # share it.
        self.gamma = nn.Parameter(torch.randn(token, self.EXPERTS) * token**-0.5)
        self.experts = nn.ModuleList(_mlp(token, expansion) for _ in range(self.EXPERTS))

    def forward(self, tokens: Tensor) -> Decoupled:
        """Decouple the normalised tokens Z, [B, N_f·m, d]."""
        with full_precision(tokens):
            z = at_least_float32(tokens)
            logits = z @ self.gamma
            gathered = logits.softmax(dim=1).mT @ z  # equations 2 and 3
            found = [f(gathered[:, j]) for j, f in enumerate(self.experts)]  # equation 4
            weights, components = logits.softmax(dim=2), torch.stack(found, dim=1)
            return Decoupled(weights, components, weights @ components)  # equation 5


class Undivided(NamedTuple):
    """What a plain feed-forward network made of the tokens: every component is all of it."""

    weights: Tensor
    """[B, N, n], all 1/n."""
    combined: Tensor
    """C, [B, N, d]."""

    def component(self, expert: int) -> Tensor:
        """Return C: nothing tells the components apart but their decoders."""
        return self.combined


class FeedForward(nn.Module):
    """The usual feed-forward network of a transformer, where the experts of the paper's M1 are not.

    An MLP as one expert is, which maps each token by itself.
    """

    def __init__(self, token: int, expansion: int) -> None:
        super().__init__()
        self.layers = _mlp(token, expansion)

    def forward(self, tokens: Tensor) -> Undivided:
        """Map the normalised tokens [B, N_f·m, d]."""
        experts = TemporalDecouplingExperts.EXPERTS
        weights = tokens.new_full((*tokens.shape[:2], experts), 1 / experts)
        return Undivided(weights, self.layers(tokens))


class PhysicsBlock(nn.Module):
    """A physics transformer block: attention and fusion, then attention and experts."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.token) for _ in range(4))
        self.attend = nn.ModuleList(Attention(config.token, config.heads) for _ in range(2))
        self.fuse = FusionFeedForward(config)
        sizes = (config.token, config.expansion)
        plain = config.experts == "none"
        self.decouple: nn.Module = (
            FeedForward(*sizes) if plain else TemporalDecouplingExperts(*sizes)
        )

    def forward(self, tokens: Tensor, size: Size) -> tuple[Tensor, Decoupled | Undivided]:
        """Return the tokens with everything added to them, and what the experts found."""
        tokens = tokens + self.attend[0](self.norms[0](tokens))
        tokens = tokens + self.fuse(self.norms[1](tokens), size)
        tokens = tokens + self.attend[1](self.norms[2](tokens))
        found: Decoupled | Undivided = self.decouple(self.norms[3](tokens))
        return tokens + found.combined, found


class Embedding(nn.Module):
    """Embed the overlapped patches of each frame linearly into tokens."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.patches = Patches(config)
        self.linear = nn.Linear(config.channels * config.patch**2, config.token)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, c, h, w] to tokens [N, m, d]."""
        tokens: Tensor = self.linear(self.patches.unfold(maps))
        return tokens


class Composition(nn.Module):
    """Turn the tokens of a frame back into a map: the soft composition of FuseFormer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.patches = Patches(config)
        self.linear = nn.Linear(config.token, config.channels * config.patch**2)
        self.smooth = nn.Conv2d(config.channels, config.channels, 3, padding=1)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        """Map [N, m, d] to [N, c, h, w]."""
        maps: Tensor = self.smooth(self.patches.fold(self.linear(tokens), size))
        return maps


class PhysicsTransformer(nn.Module):
    """All physics transformer blocks; tokens start small, as in other vision transformers."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(PhysicsBlock(config) for _ in range(config.blocks))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                start_small(module)

    def forward(self, tokens: Tensor, size: Size) -> tuple[Tensor, Decoupled | Undivided]:
        """Return the tokens [B, N_f·m, d] after the blocks, and the findings of the last."""
        for block in self.blocks:
            tokens, found = block(tokens, size)
        return tokens, found


def _mlp(token: int, expansion: int) -> nn.Sequential:
    """Return d -> expansion·d -> d."""
    return nn.Sequential(
        nn.Linear(token, expansion * token), nn.GELU(), nn.Linear(expansion * token, token)
    )
